"""Selects in-context examples that teach most for a query, within a token budget of their own.

    example, template, rationale_pruning    what an example is, how it is written, which steps may be left out
    ngram_features, ngram_index, embeddings how similar texts are: n-grams, and vectors of an encoder
    label_prior, word_centroids             what speaks for each label of a query
    label_evidence                          how far labels can be predicted, and from what
    query_relevance, ranking, dpp, mmr      which examples teach most together
    example_set, selector, results          the examples, the selection, its result
    example_store, feature_cache            examples that outlive the process, and what was computed about them

The entry points are `Compressor.select_examples` and `ExampleStore`.
"""

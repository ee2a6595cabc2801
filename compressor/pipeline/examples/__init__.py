"""Selects in-context examples that teach most for a query, within a token budget of their own.

    example, example_messages, template     what an example is, how it is written,
    rationale_pruning                       and which steps of its reasoning may be left out
    ngram_features, ngram_index, embeddings how similar texts are: n-grams, and vectors of an encoder
    label_prior, word_centroids             what speaks for each label of a query
    label_evidence                          how far labels can be predicted, and from what
    query_relevance, ranking, dpp, mmr      which examples teach most together
    example_set, example_set_cache          the examples, with what was computed about them
    selector, results                       the selection, its result
    cached_block, many_shot                 examples that are the same for all queries, for the provider's prompt cache
    example_store, feature_cache            examples that outlive the process, and what was computed about them

The entry points are `Compressor.select_examples` and `ExampleStore`.
"""

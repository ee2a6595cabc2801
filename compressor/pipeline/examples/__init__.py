"""In-context examples, chosen for what they teach, within a token budget of their own.

    shapes, template, pruning   what an example is, how it is written, what of it may be left out
    features, lexical, dense    how alike texts are: word and character n-grams, and an encoder's vectors
    labels, dpp, mmr            which examples teach most together
    pool, selection, result     the examples at hand, the choice, its account
    bank                        examples that outlive the process

`Compressor.select_examples` and `ExampleStore` are the doors. Knows nothing of contexts or sessions.
"""

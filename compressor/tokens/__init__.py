"""Token counts of the target model, as its provider bills them: `get_counter(model)` gives a shared `TokenCounter`.

Knows contexts (turns, images, tool schemas); knows no dialect, budget or score. Makes no network call, ever.
"""

from compressor.tokens.counter import TokenCounter, get_counter

__all__ = ["TokenCounter", "get_counter"]

"""Token counts of the target model, as its provider bills them: `counter_for(model)` gives a shared `Counter`.

Knows contexts (turns, images, tool schemas); knows no dialect, budget or score. Makes no network call, ever.
"""

from compressor.tokens.counter import Counter, counter_for

__all__ = ["Counter", "counter_for"]

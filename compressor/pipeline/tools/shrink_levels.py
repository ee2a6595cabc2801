"""The levels to which a function's schema is shortened.

Each level removes more, in the order of least harm. How likely a call uses an optional parameter (`argument_use`)
decides when it goes:

    1   titles and comments, sentences that repeat an enum, the later sentences of long descriptions
    2   examples, the ends of long listings, all but two sentences of descriptions
    3   defaults, all but one sentence about a parameter
    4   the words about unlikely parameters, the inner schemas of the unlikeliest
    5   the words about all parameters: names, types and rules remain
    6   unlikely parameters, and the rules about parameters that are not likely
    7   less likely parameters, all but a few words of the function's description
    8   the rules, too, but not the warnings: names and types of all but the unlikeliest parameters remain
    9   all but the likely parameters
    10  all optional parameters, all words except the beginning of the function's description
    11  that beginning, too: a name, the required parameters and the warnings remain in any case

Rules are the sentences that state a rule, a warning, a format, a limit or the meaning of a value (`rule_sentences`).
Down to level 7 none of the function's own is removed, and none of a parameter that remains and is likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from compressor.pipeline.tools.argument_use import BOUNDS, CERTAIN
from compressor.pipeline.tools.description_shrinking import Keep

UNKNOWN_USE = 2  # of parameters in definitions and alternatives
REQUIRED_USE = CERTAIN + 1
NEVER = REQUIRED_USE + 1
#: The probability that stands for each level of `ArgumentUse`, and for required parameters.
PROBABILITIES = (
    BOUNDS[0] / 2,
    *((low + high) / 2 for low, high in pairwise(BOUNDS)),
    0.65,
    1.0,
)


@dataclass(frozen=True, slots=True)
class ShrinkLevel:
    """How much a variant leaves out.

    Attributes:
        description: The maximum of sentences and characters of the function's description, beside its rules.
        parameter_description: The same for the description of each parameter.
        min_use_for_words: How likely an optional parameter must be used to be described by more than its rules.
        min_use_for_rules: The same to be described by its rules; `NEVER` for no parameter.
        min_use_for_insides: The same for its inner schema.
        min_use: The same to be listed.
        keeps: Which sentences of the function's description are kept in any case.
        drops_examples: Whether examples are removed.
        drops_defaults: Whether defaults are removed.
        clips: Whether the first sentence of the function's description may be cut.
    """

    description: tuple[int, int]
    parameter_description: tuple[int, int]
    min_use_for_words: int = 0
    min_use_for_rules: int = 0
    min_use_for_insides: int = 0
    min_use: int = 0
    keeps: Keep = "rules"
    drops_examples: bool = True
    drops_defaults: bool = True
    clips: bool = False


LEVELS = (
    ShrinkLevel((4, 800), (3, 300), drops_examples=False, drops_defaults=False),
    ShrinkLevel((2, 300), (2, 160), drops_defaults=False),
    ShrinkLevel((2, 240), (1, 120)),
    ShrinkLevel((1, 160), (1, 60), min_use_for_words=3, min_use_for_insides=1),
    ShrinkLevel((1, 160), (0, 0), min_use_for_insides=2),
    ShrinkLevel((1, 120), (0, 0), min_use_for_rules=3, min_use_for_insides=3, min_use=1, clips=True),
    ShrinkLevel((1, 60), (0, 0), min_use_for_rules=4, min_use_for_insides=REQUIRED_USE, min_use=2, clips=True),
    ShrinkLevel((1, 60), (0, 0), 0, NEVER, REQUIRED_USE, 1, keeps="warnings", clips=True),
    ShrinkLevel((1, 60), (0, 0), 0, NEVER, REQUIRED_USE, 3, keeps="warnings", clips=True),
    ShrinkLevel((1, 60), (0, 0), 0, NEVER, REQUIRED_USE, REQUIRED_USE, keeps="warnings", clips=True),
    ShrinkLevel((0, 0), (0, 0), 0, NEVER, REQUIRED_USE, REQUIRED_USE, keeps="warnings"),
)
#: The levels for functions that are hardly needed: few, because all of them are made when a list is seen first.
COARSE_LEVELS = (LEVELS[1], LEVELS[4], LEVELS[6], LEVELS[7], LEVELS[8], LEVELS[10])
#: Leaves nothing out.
WHOLE = ShrinkLevel((1_000_000, 1_000_000_000), (1_000_000, 1_000_000_000), drops_examples=False, drops_defaults=False)

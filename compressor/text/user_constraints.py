"""Finds the rules that users state for a whole conversation: never, always, must, only, at most.

It looks for English words of obligation and is precise rather than complete. Pin a rule that must certainly hold.
"""

from __future__ import annotations

import re
from itertools import pairwise

from compressor.caches import TwoGenerationCache
from compressor.text.segmenters.sentences import sentence_starts

MAX_RULE_CHARS = 400  # a longer sentence is material, not a rule
_OBLIGATION = re.compile(
    r"\b(?:never|always|must(?: not|n't)?|under no circumstances|at all costs|make sure|be sure|ensure|remember to"
    r"|no (?:more|less|fewer|later) than|at (?:most|least)|not allowed|forbidden|mandatory|required to|unless i"
    r"|from now on|in all cases|only (?:use|if|when|the|touch|change|edit|write|book|buy|with|after))\b"
    r"|(?:^|[.;,:!-]\s*|\bplease\s+|\band\s+|\bbut\s+)(?:do not|don['’]t|avoid|keep|stick to|refrain from)\s+\w",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\?\s*$")
MAX_CACHE_BYTES = 4 << 20  # of messages whose constraints are remembered
_constraints: TwoGenerationCache[tuple[tuple[int, int], ...]] = TwoGenerationCache(MAX_CACHE_BYTES)


def find_constraints(text: str) -> list[tuple[int, int]]:
    """Returns the sentences that oblige the agent, as character ranges [start, end) in order.

    Blanks around a sentence belong to the text between the ranges. They are remembered, because a session looks at all
    messages of its user again with each new one.
    """
    found = _constraints.get(text)
    if found is None:
        found = tuple(_find_constraints(text))
        _constraints.put(text, found)
    return list(found)


def _find_constraints(text: str) -> list[tuple[int, int]]:
    starts = [*sentence_starts(text), len(text)]
    out = []
    for start, end in pairwise(starts):
        sentence = text[start:end].strip()
        if 0 < len(sentence) <= MAX_RULE_CHARS and _OBLIGATION.search(sentence) and not _QUESTION.search(sentence):
            out.append((start, start + len(text[start:end].rstrip())))
    return out

"""Finds what users lay down for the whole of a conversation: never, always, must, only, at most. Knows no messages.

By words of obligation in English: precise rather than complete. What has to hold for certain is better pinned.
"""

from __future__ import annotations

import re
from itertools import pairwise

from compressor.text.segmenters.sentences import sentence_starts

LONGEST = 400  # characters; a longer sentence is material, not a rule
_OBLIGATION = re.compile(
    r"\b(?:never|always|must(?: not|n't)?|under no circumstances|at all costs|make sure|be sure|ensure|remember to"
    r"|no (?:more|less|fewer|later) than|at (?:most|least)|not allowed|forbidden|mandatory|required to|unless i"
    r"|from now on|in all cases|only (?:use|if|when|the|touch|change|edit|write|book|buy|with|after))\b"
    r"|(?:^|[.;,:!-]\s*|\bplease\s+|\band\s+|\bbut\s+)(?:do not|don['’]t|avoid|keep|stick to|refrain from)\s+\w",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\?\s*$")


def find_constraints(text: str) -> list[tuple[int, int]]:
    """Sentences [start, end) that oblige the agent, in order; surrounding blanks belong to the next stretch."""
    starts = [*sentence_starts(text), len(text)]
    out = []
    for start, end in pairwise(starts):
        sentence = text[start:end].strip()
        if 0 < len(sentence) <= LONGEST and _OBLIGATION.search(sentence) and not _QUESTION.search(sentence):
            out.append((start, start + len(text[start:end].rstrip())))
    return out

"""Finds out where a line that a model wrote comes from: the passage or old line that has most in common with it.

The source decides whose words the line gives, and which ref belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.sessions.summaries.claims import find_claims
from compressor.sessions.summaries.passage import Passage
from compressor.sessions.summaries.summary import SummaryLine
from compressor.sessions.summaries.verification import SourceIndex

MIN_GROUNDED_FRACTION = 0.5  # of a line's words that its sources must have; with less it is not a summary of them
EXACT_WEIGHT = 4.0  # weight of an exact string, where a word has about 1


@dataclass(frozen=True, slots=True)
class Attribution:
    """The source of a line.

    Attributes:
        ref: See `SummaryLine`.
        source_name: See `SummaryLine`.
        is_tool: Whether it gives words of a tool, which are nobody's wish or decision.
    """

    ref: str
    source_name: str
    is_tool: bool


class Attributions:
    """All sources that a line may have.

    Attributes:
        sources: The texts of all of them, for verification.
    """

    def __init__(self, passages: Sequence[Passage], old: Sequence[SummaryLine]) -> None:
        """Indexes the passages and the lines of the previous summary."""
        self._origins = [Attribution(p.ref, p.speaker, p.kind == "tool_result") for p in passages]
        self._origins += [Attribution(line.ref, line.source_name, _is_tool(line.source_name)) for line in old]
        texts = [p.text for p in passages] + [line.text for line in old]
        self.sources = SourceIndex(texts)
        self._own = [SourceIndex([t]) for t in texts]
        self._terms = [frozenset(terms(t)) for t in texts]
        self._all = frozenset[str]().union(*self._terms)
        n = len(texts)
        self._rare = {t: math.log1p(n / sum(t in own for own in self._terms)) for t in self._all}

    def is_grounded(self, text: str) -> bool:
        """Returns whether the sources have enough of the line's words."""
        words = _content(text)
        return sum(t in self._all for t in words) >= MIN_GROUNDED_FRACTION * len(words) if words else False

    def for_text(self, text: str) -> Attribution:
        """Returns the source that has most in common with a line; of equal ones the first.

        A line with an exact string that only tools have is attributed to a tool, whoever has the rest of its words.
        """
        words, exact = _content(text), find_claims(text)
        scores = []
        holds = []
        for own, known in zip(self._own, self._terms, strict=True):
            held = [own.holds(c) for c in exact]
            holds.append(held)
            scores.append(sum(self._rare[t] for t in words if t in known) + EXACT_WEIGHT * sum(held))
        best = max(range(len(scores)), key=lambda i: (scores[i], -i))
        if self._origins[best].is_tool:
            return self._origins[best]
        tools = [i for i, o in enumerate(self._origins) if o.is_tool]
        for c in range(len(exact)):
            tools_with_it = [i for i in tools if holds[i][c]]
            others = any(h[c] for i, h in enumerate(holds) if not self._origins[i].is_tool)
            if tools_with_it and not others:
                return self._origins[max(tools_with_it, key=lambda i: (scores[i], -i))]
        return self._origins[best]


def _content(text: str) -> list[str]:
    """Returns the distinct terms of a line that are not stop words."""
    return [t for t in dict.fromkeys(terms(text)) if t not in STOP]


def _is_tool(source_name: str) -> bool:
    return source_name == "tool" or source_name.startswith("tool ")

"""Where a line that a model wrote comes from: the passage or old line it shares most with. Decides whose words it gives
and which ref stands behind it; verifies nothing.
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

MIN_GROUNDED_FRACTION = 0.5  # share of a line's words that its sources must have: less is no summary of them
EXACT_WEIGHT = 4.0  # what an exact string counts beside a word


@dataclass(frozen=True, slots=True)
class Attribution:
    """ref, who: see `SummaryLine`. tool: it gives words of a tool, which are nobody's wish or decision."""

    ref: str
    source_name: str
    is_tool: bool


class Attributions:
    """All places a line may come from."""

    def __init__(self, passages: Sequence[Passage], old: Sequence[SummaryLine]) -> None:
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
        """Whether enough of the line's words are in the sources at all."""
        said = _content(text)
        return sum(t in self._all for t in said) >= MIN_GROUNDED_FRACTION * len(said) if said else False

    def for_text(self, text: str) -> Attribution:
        """The origin that shares most with a line; of equals the first. A line with an exact string that only tools
        gave is theirs, whoever else said the rest of it."""
        said, exact = _content(text), find_claims(text)
        shares = []
        holds = []
        for own, known in zip(self._own, self._terms, strict=True):
            held = [own.holds(c) for c in exact]
            holds.append(held)
            shares.append(sum(self._rare[t] for t in said if t in known) + EXACT_WEIGHT * sum(held))
        best = max(range(len(shares)), key=lambda i: (shares[i], -i))
        if self._origins[best].is_tool:
            return self._origins[best]
        tools = [i for i, o in enumerate(self._origins) if o.is_tool]
        for c in range(len(exact)):
            theirs = [i for i in tools if holds[i][c]]
            others = any(h[c] for i, h in enumerate(holds) if not self._origins[i].is_tool)
            if theirs and not others:
                return self._origins[max(theirs, key=lambda i: (shares[i], -i))]
        return self._origins[best]


def _content(text: str) -> list[str]:
    """The distinct terms of a line that say something."""
    return [t for t in dict.fromkeys(terms(text)) if t not in STOP]


def _is_tool(who: str) -> bool:
    return who == "tool" or who.startswith("tool ")

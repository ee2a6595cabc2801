"""What a scorer is, and what it is shown. Scorers see units and a query; no message, budget, cache or store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from compressor.context.model import Kind
from compressor.scoring.token_index import TokenIndex
from compressor.text.segmenters.base import SegmentedText

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Query:
    """What the agent is after: texts with weights. `known` is text that stays in the context whatever happens."""

    parts: tuple[tuple[str, float], ...] = ()
    retained_text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """One block as a scorer sees it. `asked` is the call (or title) it answers; `age` counts blocks of the context
    that came after it (0 = newest); `costs` are tokens per unit."""

    kind: Kind
    layout: SegmentedText
    costs: npt.NDArray[np.float32]
    tool_call_text: str = ""
    age: int = 0


@dataclass
class UnitBatch:
    """All units of all sources, in order of the context. Unit arrays of several sources are laid end to end.

    `room` is how many tokens of them can be kept, 0 where that is not known; only a scorer that shares its work between
    models needs it. What a scorer leaves behind: `notes`, what the user is to know (a fallback taken), ends up in the
    warnings; `vectors` tells the reducer how alike units are: [n, d] of length 1, or 0 where there is none."""

    sources: Sequence[SourceBlock]
    available_tokens: float = 0.0
    notes: list[str] = field(default_factory=list)
    vectors: npt.NDArray[np.float32] | None = None
    starts: npt.NDArray[np.int32] = field(init=False)  # [len(sources) + 1] first unit of each source

    def __post_init__(self) -> None:
        sizes = [len(s.layout.spans) for s in self.sources]
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def texts(self) -> list[str]:
        """Every unit's text."""
        return [s.layout.text[a:b] for s in self.sources for a, b in s.layout.spans.tolist()]

    @cached_property
    def source_indices(self) -> npt.NDArray[np.int32]:
        """[n] the source each unit belongs to."""
        out: npt.NDArray[np.int32] = np.repeat(np.arange(len(self.sources), dtype=np.int32), np.diff(self.starts))
        return out

    @cached_property
    def costs(self) -> npt.NDArray[np.float32]:
        """[n] tokens, at least a quarter each so that nothing is free."""
        costs = np.concatenate([*(s.costs for s in self.sources), np.zeros(0, np.float32)])
        out: npt.NDArray[np.float32] = np.maximum(costs, np.float32(0.25))
        return out

    @cached_property
    def flags(self) -> npt.NDArray[np.uint16]:
        return np.concatenate([*(s.layout.flags for s in self.sources), np.zeros(0, np.uint16)])

    @cached_property
    def parents(self) -> npt.NDArray[np.int32]:
        """[n] parent units numbered over all sources, -1 where there is none."""
        own = np.concatenate([*(s.layout.parents for s in self.sources), np.zeros(0, np.int32)])
        return np.where(own >= 0, own + self.starts[self.source_indices], np.int32(-1))

    @cached_property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the table column each unit belongs to, numbered over all sources as in `column_names`; -1 for none."""
        out = np.full(len(self), -1, np.int32)
        first = 0
        for s, start, stop in zip(self.sources, self.starts.tolist(), self.starts[1:].tolist(), strict=False):
            if size := len(s.layout.column_names):
                found = s.layout.columns
                out[start:stop] = np.where(found >= 0, found + np.int32(first), np.int32(-1))
                first += size
        return out

    @cached_property
    def column_names(self) -> list[str]:
        """Names of all tables' columns, as JSON strings."""
        return [name for s in self.sources for name in s.layout.column_names]

    @cached_property
    def rows(self) -> npt.NDArray[np.int32]:
        """[n] the unit that stands for each unit's record: the identity of its table row, or itself."""
        out = np.arange(len(self), dtype=np.int32)
        cell = np.flatnonzero((self.columns >= 0) & (self.parents >= 0))
        cell = cell[self.columns[self.parents[cell]] >= 0]
        out[cell] = self.parents[cell]
        return out

    @cached_property
    def index(self) -> TokenIndex:
        """The units' tokens, read once for the scorer and the reducer."""
        return TokenIndex(self.texts())


class RelevanceModel(Protocol):
    """A model that reads units against a query. What a unit's structure and identity are worth is not its business:
    `HeuristicScorer` adds that."""

    name: str

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        """[len(which)] float32, how likely each of these units is to be worth keeping for the query: log-odds, or what
        grows like them; only differences count. Blocks until they are there. Raises Overloaded when the worker cannot
        do it in time, ModelError when the model fails."""
        ...


def cache_identity(thing: object) -> str:
    """What a scorer or reader says its scores depend on, "" if nothing."""
    said = getattr(thing, "identity", "")
    return said if isinstance(said, str) else ""


class Scorer(Protocol):
    """E in X' = P(X, E(X)): rates units by how much a token of each is worth to the query.

    A scorer or reader may also have an `identity`: a text that changes whenever its scores could (its weights, its
    settings, the device). Results of those that have none are not cached."""

    name: str

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """[n] float32, not negative, comparable across sources: a priority per token spent, 0 = worthless here."""
        ...

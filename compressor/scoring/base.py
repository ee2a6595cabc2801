"""Defines what a scorer is, and what it gets: a query and units of text, but no messages and no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from compressor.context.model import Kind
from compressor.scoring.token_index import NAME, WORD, TokenIndex
from compressor.scoring.tool_call_terms import ToolCallTerms, tool_call_terms
from compressor.text.segmenters.base import SegmentedText
from compressor.text.segmenters.span_layout import SpanLayout

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Query:
    """What the agent looks for.

    Attributes:
        parts: Texts with weights.
        retained_text: Texts that stay in the context in any case.
        question: What a person asked, if the answer is still owed: the caller's query, or the last user message in the
            round after it. "" in the middle of a run.
        question_weight: How much the question counts, in [0, 1]: less the longer an agent has been using tools, because
            it needs the ids of earlier results then.
    """

    parts: tuple[tuple[str, float], ...] = ()
    retained_text: tuple[str, ...] = ()
    question: str = ""
    question_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """One block as a scorer sees it.

    Attributes:
        kind: What the block is in its message.
        layout: The block's text and its units.
        costs: [units] tokens of each unit.
        tool_call_text: The tool call that the block answers, or a document's title.
        age: How many blocks of the context came after this one; 0 for the newest.
        match: How well an image matches the query by its pixels, in [0, 1], if a model has looked at it; else 0.
    """

    kind: Kind
    layout: SegmentedText
    costs: npt.NDArray[np.float32]
    tool_call_text: str = ""
    age: int = 0
    match: float = 0.0


@dataclass
class UnitBatch:
    """All units of all sources, in order of the context. Arrays of units of several sources are joined end to end.

    Attributes:
        sources: The blocks.
        available_tokens: How many tokens of the units can be kept; 0 if that is not known. Only a scorer that shares
            its work between models needs it.
        notes: What the scorer has to tell the user, such as a fallback; it becomes warnings of the result.
        vectors: [n, d] vectors of length 1 that the scorer leaves for the reducer, whose dot products measure the
            similarity of units; 0 for a unit without a vector. None if the scorer computes none.
        matches: [n] how well each unit matches the question by its words, left by the scorer for the reducer; None
            without a question.
        reserved_share: The share of `available_tokens` for which units are taken by `matches` before anything else.
        starts: [sources + 1] the first unit of each source.
    """

    sources: Sequence[SourceBlock]
    available_tokens: float = 0.0
    notes: list[str] = field(default_factory=list)
    vectors: npt.NDArray[np.float32] | None = None
    matches: npt.NDArray[np.float32] | None = None
    reserved_share: float = 0.0
    starts: npt.NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        sizes = [len(s.layout.spans) for s in self.sources]
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def texts(self) -> list[str]:
        """Returns the text of each unit."""
        return [s.layout.text[a:b] for s in self.sources for a, b in s.layout.spans.tolist()]

    @cached_property
    def source_indices(self) -> npt.NDArray[np.int32]:
        """[n] the source of each unit."""
        out: npt.NDArray[np.int32] = np.repeat(np.arange(len(self.sources), dtype=np.int32), np.diff(self.starts))
        return out

    @cached_property
    def ages(self) -> npt.NDArray[np.float32]:
        """[sources] the age of each source."""
        return np.array([s.age for s in self.sources], np.float32)

    @cached_property
    def json_sources(self) -> npt.NDArray[np.bool_]:
        """[sources] which sources are JSON."""
        return np.array([s.layout.kind == "json" for s in self.sources], np.bool_)

    @cached_property
    def agent_sources(self) -> npt.NDArray[np.bool_]:
        """[sources] which sources the agent itself wrote."""
        return np.array([s.kind in ("assistant", "thinking") for s in self.sources], np.bool_)

    @cached_property
    def image_units(self) -> npt.NDArray[np.bool_] | None:
        """[n] which units are images, each scored by words about it; None if there are none."""
        images = np.array([s.kind == "image" for s in self.sources], np.bool_)
        return images[self.source_indices] if images.any() else None

    @cached_property
    def image_matches(self) -> npt.NDArray[np.float32] | None:
        """[n] how well images match the query by their pixels, 0 for other units; None if no image is known to."""
        if not any(s.match for s in self.sources):
            return None
        return np.array([s.match for s in self.sources], np.float32)[self.source_indices]

    @cached_property
    def is_worded(self) -> npt.NDArray[np.bool_]:
        """[n] which units say something: they have words, or are images that match the query by their pixels."""
        worded: npt.NDArray[np.bool_] = self.index.lengths > 0
        return worded if self.image_matches is None else worded | (self.image_matches > 0)

    @cached_property
    def tool_calls(self) -> list[tuple[int, ToolCallTerms]]:
        """The tool calls that sources answer, and titles, with the numbers of the sources."""
        return [(i, tool_call_terms(s.tool_call_text)) for i, s in enumerate(self.sources) if s.tool_call_text]

    @cached_property
    def costs(self) -> npt.NDArray[np.float32]:
        """[n] tokens of each unit, at least a quarter, so that no unit is free."""
        costs = np.concatenate([*(s.costs for s in self.sources), np.zeros(0, np.float32)])
        out: npt.NDArray[np.float32] = np.maximum(costs, np.float32(0.25))
        return out

    @cached_property
    def flags(self) -> npt.NDArray[np.uint16]:
        """[n] the `UnitFlag` bits of each unit."""
        return np.concatenate([*(s.layout.flags for s in self.sources), np.zeros(0, np.uint16)])

    @cached_property
    def parents(self) -> npt.NDArray[np.int32]:
        """[n] the parent of each unit, numbered over all sources; -1 for none."""
        own = np.concatenate([*(s.layout.parents for s in self.sources), np.zeros(0, np.int32)])
        return np.where(own >= 0, own + self.starts[self.source_indices], np.int32(-1))

    @cached_property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the table column of each unit, an index in `column_names`; -1 for none."""
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
        """The names of the columns of all tables, as JSON strings."""
        return [name for s in self.sources for name in s.layout.column_names]

    @cached_property
    def rows(self) -> npt.NDArray[np.int32]:
        """[n] the unit that represents each unit's record, or the unit itself; see `SegmentedText.records`."""
        out = np.arange(len(self), dtype=np.int32)
        for s, start, stop in zip(self.sources, self.starts.tolist(), self.starts[1:].tolist(), strict=False):
            if type(s.layout) is not SpanLayout:  # the units of which are records of their own
                out[start:stop] = s.layout.records + np.int32(start)
        return out

    @cached_property
    def templates(self) -> npt.NDArray[np.int32]:
        """[n] the template of each log line, which is its words without ids, numbers and paths; -1 for other units."""
        out = np.full(len(self), -1, np.int32)
        lines = np.array([s.layout.kind == "log" for s in self.sources], np.bool_)[self.source_indices]
        lines &= self.index.lengths > 0
        if lines.any():
            index = self.index
            kinds = index.kinds[index.token]
            plain = np.flatnonzero(((kinds == WORD) | (kinds == NAME)) & lines[index.unit])
            total = np.zeros(len(self), np.int64)
            np.add.at(total, index.unit[plain], _random_codes(len(index.kinds))[index.token[plain]])
            at = np.flatnonzero(lines)
            source, total = self.source_indices[at], total[at]
            order = np.lexsort((total, source))
            first = np.diff(total[order], prepend=-1) != 0
            first |= np.diff(source[order], prepend=-1) != 0
            out[at[order]] = np.cumsum(first) - 1
        return out

    @cached_property
    def has_templates(self) -> bool:
        """Whether a unit is a log line with a template."""
        return any(s.layout.kind == "log" for s in self.sources) and bool((self.templates >= 0).any())

    @cached_property
    def index(self) -> TokenIndex:
        """The words of the units, indexed once for the scorer and the reducer."""
        return TokenIndex.of_layouts([s.layout for s in self.sources])


def _random_codes(size: int) -> npt.NDArray[np.int64]:
    """Returns the same random numbers each time, by whose sums equal sets of words are found."""
    return _many_codes(1 << max(12, size.bit_length()))[:size]


@lru_cache(maxsize=4)
def _many_codes(size: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).integers(1, 1 << 40, size)


class RelevanceModel(Protocol):
    """A model that rates units against a query. `HeuristicScorer` adds what their structure and identity are worth.

    Attributes:
        name: The model's tier, for messages.
    """

    name: str

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        """Returns how likely each unit is to be worth keeping for the query. Blocks until the model has answered.

        Args:
            query: The query.
            units: All units of the context.
            which: Indices of the units to rate.

        Returns:
            [len(which)] float32 log-odds, or values that grow like them: only differences matter.

        Raises:
            QueueFullError: The model could not answer in time.
            ModelError: The model failed.
        """
        ...


def cache_identity(thing: object) -> str:
    """Returns the `identity` of a scorer or model, which names what its scores depend on; "" if it has none."""
    identity = getattr(thing, "identity", "")
    return identity if isinstance(identity, str) else ""


class Scorer(Protocol):
    """E in X' = P(X, E(X)): rates units by how much a token of each is worth for the query.

    A scorer or model may also have an `identity`: a text that changes whenever its scores could change (its weights,
    settings or device). Results of a scorer without an identity are not cached.

    Attributes:
        name: The scorer's tier, for reports.
    """

    name: str

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """Returns [n] float32 priorities per token, not negative, comparable across sources; 0 means worthless here."""
        ...

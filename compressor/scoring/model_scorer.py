"""Scorers that let a model read: its relevance beside the fast tier's, with the fast tier's structure and identity.

Without a band every sentence is read: the tiers `embedding`, `pruner` and `perplexity`. With one, the fast tier decides
the clear units and the model reads those near the budget line: `cascade`. A model that cannot answer (queue full,
deadline passed, broken, numbers that are none) is done without: the fast tier's scores stand and `UnitBatch.notes` says so.
Knows no model; a `RelevanceModel` is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError, QueueFullError
from compressor.scoring.answer_relevance import answer_log_odds, relevance, running_text
from compressor.scoring.base import Query, RelevanceModel, Scores, UnitBatch, cache_identity
from compressor.scoring.heuristic import HeuristicScorer

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
#: layouts a model can read; values of JSON, cells of tables and lines of code and logs say little by themselves
READABLE = frozenset(("prose", "markdown", "html", "search", "whole"))


@runtime_checkable
class HasEmbeddings(Protocol):
    """A reader whose vectors also tell how alike units are."""

    def vectors_of(self, units: UnitBatch, which: Ints) -> Scores:
        """[len(which), d] float32, of length 1 or 0."""
        ...


@dataclass(frozen=True, slots=True)
class BlendWeights:
    """How a document sentence's log-odds are put together: `fast` x the fast tier's + `model` x the reader's. Chosen on
    the dev questions with out-of-fold odds of the fast tier: `benchmarks/LOG.md`."""

    fast: float
    model: float


@dataclass(frozen=True, slots=True)
class CascadeWindow:
    """What can still make it: in the fast tier's order, units that begin before `high` times the room, or before
    `least` tokens; the rest is clear. (Leaving out the top, too, lost answers at small budgets: benchmarks/LOG.md.)"""

    high: float = 2.5
    least: float = 1_500.0


class ModelScorer:
    """`Scorer` of a reader. Raises MissingDependencyError, ModelError and DeviceError when the reader is made, never later."""

    def __init__(
        self,
        name: str,
        reader: RelevanceModel,
        mix: BlendWeights,
        band: CascadeWindow | None = None,
        fast: HeuristicScorer | None = None,
    ) -> None:
        self.name, self.reader, self.mix, self.band = name, reader, mix, band
        self.fast = fast or HeuristicScorer()

    @property
    def identity(self) -> str:
        """The reader's, with how it is mixed and banded; "" if the reader has none."""
        read = cache_identity(self.reader)
        return f"{self.name}:{read}:{self.mix}:{self.band}:{self.fast.identity}" if read else ""

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """See `Scorer.score`."""
        odds, text = answer_log_odds(query, units)
        cheap = self.fast.reweight(query, units, odds, text)
        which = self._wanted(query, units, cheap)
        found = self._read(query, units, which)
        if found is None:
            return cheap
        text = running_text(units)
        mine = text[which]
        mixed = self._mixed(odds, text, which[mine], found[mine])
        match = np.zeros(len(units), np.float32)
        match[which[~mine]] = relevance(found[~mine])
        return self.fast.reweight(query, units, mixed, text, match)

    def _wanted(self, query: Query, units: UnitBatch, cheap: Scores) -> Ints:
        """The units the model is to read."""
        if not any(text.strip() for text, _ in query.parts):
            return np.zeros(0, np.int64)
        readable = np.array([s.layout.kind in READABLE and s.kind != "image" for s in units.sources], np.bool_)
        wanted: Mask = readable[units.source_indices] & (units.index.lengths > 0)
        if self.band is not None and units.available_tokens:
            order = np.argsort(-cheap, kind="stable")
            begin = np.empty(len(units), np.float64)
            begin[order] = np.cumsum(units.costs[order], dtype=np.float64) - units.costs[order]
            high = max(self.band.high * units.available_tokens, self.band.least)
            wanted &= begin < high
        return np.flatnonzero(wanted)

    def _read(self, query: Query, units: UnitBatch, which: Ints) -> Scores | None:
        """The reader's log-odds; None where the fast tier has to do."""
        if not len(which):
            return None
        try:
            found = self.reader.relevance(query, units, which)
            if isinstance(self.reader, HasEmbeddings):
                vectors = self.reader.vectors_of(units, which)
                units.vectors = np.zeros((len(units), vectors.shape[1]), np.float32)
                units.vectors[which] = vectors
            if found.shape != which.shape or not np.isfinite(found).all():
                raise ModelError(f"gave numbers that are none for {len(which)} units")
        except (QueueFullError, ModelError) as error:
            units.notes.append(f"{self.name}: {error}; scored by the fast tier instead")
            return None
        return found

    def _mixed(self, odds: Scores, text: Mask, which: Ints, found: Scores) -> Scores:
        """[n] log-odds of document sentences. What the model did not read was clear: it counts like the worst read."""
        if not len(which):
            return odds
        model = np.full(len(odds), found.min(), np.float32)
        model[which] = found
        out: Scores = np.where(text, self.mix.fast * odds + self.mix.model * model, 0).astype(np.float32)
        return out

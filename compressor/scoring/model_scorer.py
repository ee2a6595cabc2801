"""Scorers that combine a model's relevance with the heuristic tier's structure and identity.

Without a `CascadeWindow` the model reads every sentence: tiers `embedding`, `pruner` and `perplexity`. With one, the
heuristic tier decides the clear units and the model reads those near the budget line: the tier `cascade`. If the model
fails, is overloaded or returns NaN, the heuristic scores are used and `UnitBatch.notes` says so.
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
#: Layouts that a model can read. JSON values, table cells and lines of code or logs say little by themselves.
READABLE = frozenset(("prose", "markdown", "html", "search", "whole"))


@runtime_checkable
class HasEmbeddings(Protocol):
    """A model with vectors that measure the similarity of units."""

    def vectors_of(self, units: UnitBatch, which: Ints) -> Scores:
        """Returns [len(which), d] float32 vectors, of length 1 or 0."""
        ...


@dataclass(frozen=True, slots=True)
class BlendWeights:
    """How the log-odds of a document's sentence are combined. Chosen on the dev questions: benchmarks/LOG.md.

    Attributes:
        heuristic: The weight of the heuristic tier's log-odds.
        model: The weight of the model's log-odds.
    """

    heuristic: float
    model: float


@dataclass(frozen=True, slots=True)
class CascadeWindow:
    """Which units the model of a cascade reads: those that can still be selected, in the heuristic tier's order.

    Leaving out the best units too lost answers at small budgets: benchmarks/LOG.md.

    Attributes:
        max_budget_ratio: Units that start before this many times the available tokens are read.
        min_tokens: Units that start before this many tokens are read in any case.
    """

    max_budget_ratio: float = 2.5
    min_tokens: float = 1_500.0


class ModelScorer:
    """`Scorer` of a model and the heuristic tier.

    Args:
        name: The tier's name.
        model: The model.
        blend: The weights of model and heuristic tier.
        window: Which units the model reads; None for all.
        heuristic: The heuristic tier; None for its defaults.
    """

    def __init__(
        self,
        name: str,
        reader: RelevanceModel,
        mix: BlendWeights,
        band: CascadeWindow | None = None,
        fast: HeuristicScorer | None = None,
    ) -> None:
        self.name, self.model, self.blend, self.window = name, reader, mix, band
        self.heuristic = fast or HeuristicScorer()

    @property
    def identity(self) -> str:
        """What the scores depend on: the model, and how it is combined; "" if the model has no identity."""
        read = cache_identity(self.model)
        return f"{self.name}:{read}:{self.blend}:{self.window}:{self.heuristic.identity}" if read else ""

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """Returns the priorities of units, see `Scorer.score`. Uses the heuristic tier alone if the model fails."""
        odds, text = answer_log_odds(query, units)
        cheap = self.heuristic.reweight(query, units, odds, text)
        which = self._wanted(query, units, cheap)
        found = self._read(query, units, which)
        if found is None:
            return cheap
        text = running_text(units)
        mine = text[which]
        mixed = self._mixed(odds, text, which[mine], found[mine])
        match = np.zeros(len(units), np.float32)
        match[which[~mine]] = relevance(found[~mine])
        return self.heuristic.reweight(query, units, mixed, text, match)

    def _wanted(self, query: Query, units: UnitBatch, cheap: Scores) -> Ints:
        """The units that the model should read."""
        if not any(text.strip() for text, _ in query.parts):
            return np.zeros(0, np.int64)
        readable = np.array([s.layout.kind in READABLE and s.kind != "image" for s in units.sources], np.bool_)
        wanted: Mask = readable[units.source_indices] & (units.index.lengths > 0)
        if self.window is not None and units.available_tokens:
            order = np.argsort(-cheap, kind="stable")
            begin = np.empty(len(units), np.float64)
            begin[order] = np.cumsum(units.costs[order], dtype=np.float64) - units.costs[order]
            high = max(self.window.max_budget_ratio * units.available_tokens, self.window.min_tokens)
            wanted &= begin < high
        return np.flatnonzero(wanted)

    def _read(self, query: Query, units: UnitBatch, which: Ints) -> Scores | None:
        """The model's log-odds; None if it read nothing or failed, and the heuristic tier has to do."""
        if not len(which):
            return None
        try:
            found = self.model.relevance(query, units, which)
            if isinstance(self.model, HasEmbeddings):
                vectors = self.model.vectors_of(units, which)
                units.vectors = np.zeros((len(units), vectors.shape[1]), np.float32)
                units.vectors[which] = vectors
            if found.shape != which.shape or not np.isfinite(found).all():
                raise ModelError(
                    f"the model returned NaN or infinity, or the wrong number of scores, for {len(which)} units"
                )
        except (QueueFullError, ModelError) as error:
            units.notes.append(f"{self.name}: {error}; scored by the fast tier instead")
            return None
        return found

    def _mixed(self, odds: Scores, text: Mask, which: Ints, found: Scores) -> Scores:
        """[n] log-odds of document sentences. A sentence that was not read counts like the worst that was."""
        if not len(which):
            return odds
        model = np.full(len(odds), found.min(), np.float32)
        model[which] = found
        out: Scores = np.where(text, self.blend.heuristic * odds + self.blend.model * model, 0).astype(np.float32)
        return out

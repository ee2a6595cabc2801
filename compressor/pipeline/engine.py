"""What a `Compressor` was told to reduce contexts with: a scorer, a gate before it, and a pruner of words.

Applies the rule of `gate.py` (the tier asked for scores, or the fast one, or nobody, where compressing costs more than
it saves) and keeps the tiers' paces up to date. Without a gate the tier asked for always scores.
"""

from __future__ import annotations

import time

from compressor.pipeline.cost_gate import Gate, Pace, pick
from compressor.pipeline.word_pruner import WordPruner
from compressor.scoring.base import Query, Scorer, Scores, UnitBatch
from compressor.scoring.model_scorer import ModelScorer


class Engine:
    """Safe to share between threads. `words`: what leaves words out of kept sentences; None: nothing does."""

    def __init__(
        self, scorer: Scorer, gate: Gate | None = None, words: WordPruner | None = None, pace: Pace | None = None
    ) -> None:
        self.gate, self.word_pruner = gate, words
        self.pace = pace or Pace()
        self.scorer = scorer if gate is None else _ThroughputRecorder(scorer, self.pace)
        self._tiers = [self.scorer]
        if gate is not None and isinstance(scorer, ModelScorer):
            self._tiers.append(_ThroughputRecorder(scorer.fast, self.pace))

    def pick_scorer(self, before: int, budget: int, share: bool, kept: int = 0) -> tuple[Scorer | None, list[str]]:
        """The scorer for a context of `before` tokens, None = it goes out as it is; and what to tell the user.

        share: the budget was a share, a wish that may go unused; kept: tokens at the start that keep their bytes."""
        if self.gate is None or before <= budget:
            return self.scorer, []
        tiers = [(s.name, self.pace.seconds(s.name, before - kept)) for s in self._tiers]
        picked = pick(self.gate, tiers, before, budget, hard=not share, kept=kept)
        notes = [picked.note] if picked.note else []
        return next((s for s in self._tiers if s.name == picked.tier), None), notes


class _ThroughputRecorder:
    """A scorer that notes its pace. Its first call, which loads the model, does not count."""

    def __init__(self, scorer: Scorer, pace: Pace) -> None:
        self.name = scorer.name
        self._scorer, self._pace, self._warm = scorer, pace, False

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """See `Scorer.score`."""
        start = time.perf_counter()
        scores = self._scorer.score(query, units)
        if self._warm:
            self._pace.note(self.name, float(units.costs.sum()), time.perf_counter() - start)
        self._warm = True
        return scores

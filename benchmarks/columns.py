"""Builds the columns of the tiers' table: each of our tiers and the baselines, in every role that they have."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import baselines, pairs
from benchmarks.methods import TIERS, DocumentMethod, SessionMethod, compress_docs, compress_session
from compressor import Compressor, CompressorError
from compressor.scoring import HeuristicScorer, ModelScorer, Query, Scorer, SourceBlock, UnitBatch, make_scorer
from compressor.scoring.answer_relevance import answer_log_odds
from compressor.scoring.base import Scores
from compressor.scoring.heuristic_weights import HeuristicWeights
from compressor.text.segmenters.sentences import segment_prose

NOT_RUN = "not run"


class CachingScorer:
    """Scores the same units only once, because each case is cut at several ratios. Counts calls, fallbacks and time."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.name = scorer, scorer.name
        self.fallbacks, self.scored, self.seconds = 0, 0, 0.0
        self._known: dict[bytes, tuple[Scores, list[str], Scores | None]] = {}

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """See `Scorer.score`."""
        banded = isinstance(self.scorer, ModelScorer) and self.scorer.window
        seen = [(s.kind, s.tool_call_text, s.age, s.layout.kind, s.layout.text) for s in units.sources]
        key = hashlib.sha256(repr((query, seen, units.available_tokens if banded else 0)).encode()).digest()
        if key not in self._known:
            start = time.perf_counter()
            scores = self.scorer.score(query, units)
            self.seconds += time.perf_counter() - start
            self.scored += 1
            self._known[key] = scores, list(units.notes), units.vectors
        scores, notes, units.vectors = self._known[key]
        units.notes[:] = notes
        self.fallbacks += bool(notes)
        return scores


@dataclass
class Column:
    """A tier or baseline.

    Attributes:
        sessions: Cuts the messages of a session. None: the column does not have this role; likewise below.
        documents: Cuts documents for a question.
        rate: Rates the sentences of a passage.
        alone: Rates them by the model's own scores only.
        unavailable: Why the column cannot run here.
    """

    label: str
    sessions: SessionMethod | None = None
    documents: DocumentMethod | None = None
    rate: pairs.Rate | None = None
    alone: pairs.Rate | None = None
    scorer: CachingScorer | None = None
    unavailable: str = ""

    def run(self, role: str, work: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Returns the result of `work`, with the number of fallbacks and the seconds of scoring that was not cached.

        Returns {"state": reason} if the column cannot do this.
        """
        method = getattr(self, role)
        if self.unavailable or method is None:
            return {"state": NOT_RUN if self.unavailable else "–"}
        counts = self.scorer or CachingScorer(HeuristicScorer())
        fallbacks, scored, seconds = counts.fallbacks, counts.scored, counts.seconds
        found = work(method)
        return {
            **found,
            "fallbacks": counts.fallbacks - fallbacks,
            "scored": counts.scored - scored,
            "scoring_seconds": counts.seconds - seconds,
        }


def tier_column(label: str) -> Column:
    """Builds the column of a tier of ours and tries it on a sentence, so that a broken tier shows before measuring."""
    try:
        scorer = make_scorer(TIERS[label])
        layout = segment_prose("It rained all day.")
        units = UnitBatch([SourceBlock("document", layout, np.full(len(layout.spans), 5, np.float32))])
        scorer.score(Query((("Did it rain?", 1.0),)), units)
    except CompressorError as error:
        return Column(label, unavailable=str(error))
    if units.notes:
        return Column(label, unavailable=units.notes[0])
    once, w = CachingScorer(scorer), HeuristicWeights()
    compressor = Compressor(scorer=once, store="memory")
    return Column(
        label,
        partial(compress_session, compressor),
        partial(compress_docs, compressor),
        pairs.rate_sentences(lambda query, units: once.score(query, units) * np.maximum(units.costs, 4) ** w.length),
        _alone(scorer),
        once,
    )


def _alone(scorer: Scorer) -> pairs.Rate | None:
    """Rates by the model's log-odds, without the fast tier's and without structure. A cascade has no such rating."""
    if isinstance(scorer, HeuristicScorer):
        return pairs.rate_sentences(lambda query, units: answer_log_odds(query, units)[0])
    if isinstance(scorer, ModelScorer) and not scorer.window:
        reader = scorer.model
        return pairs.rate_sentences(lambda query, units: reader.relevance(query, units, np.arange(len(units))))
    return None


def baseline_column(label: str) -> Column:
    """Builds the column of BM25, or of MiniLM's cosine, over lines and sentences."""
    score = {"BM25": baselines.bm25, "MiniLM": baselines.minilm}[label.split()[0]]
    try:
        score("It rains.", ["It rained."])
    except ImportError as error:
        return Column(label, unavailable=str(error))

    def rate(question: str, passage: pairs.Passage) -> list[float]:
        return score(question, passage.sentences)

    sessions = (
        None if score is baselines.minilm else baselines.bm25_lines
    )  # a model over every line is too slow on a CPU
    return Column(label, sessions, partial(baselines.best_sentences, score=score), rate, rate)


BASELINES = ("BM25", "MiniLM")


def columns(methods: list[str]) -> list[Column]:
    """Builds the columns of the chosen methods."""
    return [*(tier_column(m) for m in TIERS if m in methods), *(baseline_column(m) for m in BASELINES if m in methods)]

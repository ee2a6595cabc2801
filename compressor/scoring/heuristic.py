"""The embedded default scorer: lexical, structural and identity features; for running text in documents, a small model
of our own (`relevance`). Numpy only, no network.

What text similarity misses, structure shows: an agent repeats ids, paths and names of its tool outputs exactly, so a
token's worth starts from how much of it is such strings, and from whether they already stand elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.scoring import reuse_predictor as reuse_model
from compressor.scoring import word_vectors
from compressor.scoring.answer_relevance import answer_log_odds, relevance
from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.bm25 import bm25, matches, max_score, weighted_terms
from compressor.scoring.reuse_predictor import LexicalMatch, reuse_likelihood
from compressor.scoring.runtime.file_digest import file_digest
from compressor.scoring.token_index import distinct_tokens, terms
from compressor.text.segmenters.base import UnitFlag

_TROUBLE = re.compile(r"\b(?:fail|error|exception|crash|wrong|broke|bug|problem|issue|warn|fault|traceback)", re.I)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeuristicWeights:
    """How much each feature counts. Chosen on the dev sessions and questions: `benchmarks/LOG.md`."""

    identity: tuple[float, ...] = (0.05, 0.2, 0.3, 1.0, 1.5, 1.5)  # per token, in the order of the index's classes
    reuse: float = 0.25  # share, as an exponent, of the learned model in an exact string's worth
    known: float = 0.1  # what remains of an identity that stands in text which stays, or that the agent has used
    lexical: float = 4.0  # a unit that holds all of the query
    source: float = 1.0  # a source that does
    answer: float = 4.0  # the sentence of a document that most likely answers
    match: float = 2.0  # what a model takes for the best match outside of documents
    read: float = 0.05  # factor on identity in documents that are read for an answer
    column: float = 2.0  # a table column that the query names
    strength: float = 0.5  # exponent on how much of the query the best unit holds: a vague query counts for little
    rare: float = 0.5  # a record that stands out by a rare value, and
    asked_rare: float = 4.0  # one that does in a column that the query names
    after: float = 0.5  # share of a record's or unit's relevance that the next one gets, and
    before: float = 0.3  # the one before it
    group: float = 0.9  # share of the best of a record, block or section that the rest of it gets
    length: float = 0.5  # exponent of cost by which relevance and structure are divided
    error: float = 1.5
    asked_error: float = 10.0  # factor on that where the query asks for failures
    warning: float = 0.2
    summary: float = 0.3
    header: float = 0.2
    signature: float = 0.15
    noise: float = 0.1  # factor, not addend
    comment: float = 0.6  # factor
    recency: float = 1.5  # added to newest, fading
    fade: float = 4.0  # sources after which recency has fallen to 1/e
    speech: float = 1.5  # factor on what the agent itself said: its decisions carry the run
    last_word: float = 3.0  # further factor on the newest of that: what the user answered to


class HeuristicScorer:
    """`Scorer` of the embedded default."""

    name = "fast"

    def __init__(self, weights: HeuristicWeights | None = None) -> None:
        self.weights = weights or HeuristicWeights()

    @property
    def identity(self) -> str:
        """Its weights, and the shipped models'."""
        return f"fast:{self.weights}:{file_digest(reuse_model.PATH)}:{file_digest(word_vectors.PATH)}"

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """See `Scorer.score`."""
        return self.reweight(query, units, *answer_log_odds(query, units))

    def reweight(
        self, query: Query, units: UnitBatch, odds: Floats, read: npt.NDArray[np.bool_], match: Floats | None = None
    ) -> Scores:
        """`score` for a model's reading of the units: `odds` [n] log-odds that a unit holds the answer, of the units
        `read` [n]; `match` [n] in [0, 1], how well each of the others matches the query, beside what its words say."""
        n = len(units)
        if n == 0:
            return np.zeros(0, np.float32)
        w = self.weights
        recency = np.exp(-np.array([s.age for s in units.sources], np.float32) / w.fade)
        relevant, found = self.match(query, units)
        out = self._repeats(units, found) * (1 + w.recency * recency[units.source_indices])
        out[read] *= w.read
        relevant[read] = w.answer * relevance(odds[read])
        if match is not None:
            relevant += w.match * match
        out += (relevant + self._structure(query, units) + self._outliers(query, units)) / np.maximum(
            units.costs, 4.0
        ) ** w.length
        flags = units.flags
        out *= np.where(flags & UnitFlag.NOISE, w.noise, 1.0) * np.where(flags & UnitFlag.COMMENT, w.comment, 1.0)
        scores: Scores = (out * self._speech(units)[units.source_indices]).astype(np.float32)
        return scores

    def _speech(self, units: UnitBatch) -> Floats:
        """[sources] factor for the agent's own words."""
        factor = np.ones(len(units.sources), np.float32)
        spoken = [i for i, s in enumerate(units.sources) if s.kind in ("assistant", "thinking")]
        factor[spoken] = self.weights.speech
        if spoken:
            factor[spoken[-1]] *= self.weights.last_word
        return factor

    def _structure(self, query: Query, units: UnitBatch) -> Floats:
        """[n] worth of what a unit is, as far as its text alone tells; failures count more where they are asked for."""
        w = self.weights
        trouble = any(_TROUBLE.search(text) for text, weight in query.parts if weight >= 1)
        out = np.zeros(len(units), np.float32)
        for flag, gain in (
            (UnitFlag.ERROR, w.error * (w.asked_error if trouble else 1)),
            (UnitFlag.WARNING, w.warning),
            (UnitFlag.SUMMARY, w.summary),
            (UnitFlag.HEADER, w.header),
            (UnitFlag.SIGNATURE, w.signature),
        ):
            out += np.float32(gain) * ((units.flags & flag) > 0)
        return out

    def _outliers(self, query: Query, units: UnitBatch) -> Floats:
        """[n] worth of records that stand out: in a column of few values, they have a rare one."""
        w = self.weights
        rare = rare_cells(units)
        out = np.zeros(len(units), np.float32)
        if rare.any():
            wanted = weighted_terms(tuple(p for p in query.parts if p[1] >= 1))
            np.maximum.at(out, units.rows[rare], w.rare + w.asked_rare * _named(wanted, units)[rare])
            out = out[units.rows]
        return out

    def _repeats(self, units: UnitBatch, match: LexicalMatch) -> Floats:
        """[n] worth of the strings in a unit that the agent may have to repeat, per token of its cost; of a table's
        cells the column's mean, so that columns stay or go together."""
        w = self.weights
        unit, token = units.index.pairs
        worth = np.array(w.identity, np.float32)[units.index.kinds]
        worth[match.known | match.said] *= w.known
        each = reuse_likelihood(units, match) ** w.reuse * worth[token] ** (1 - w.reuse)
        return column_means(np.bincount(unit, each, len(units)), units.costs, units.columns)

    def match(self, query: Query, units: UnitBatch) -> tuple[Floats, LexicalMatch]:
        """[n] how well a unit, its record, its column and its source match the query, and what that was found from."""
        w = self.weights
        index = units.index
        known = np.zeros(len(index.kinds), np.bool_)
        known[
            [
                index.vocabulary[t]
                for text in query.retained_text
                for t in distinct_tokens(text) & index.vocabulary.keys()
            ]
        ] = True
        said = np.zeros(len(index.kinds), np.bool_)
        speech = np.array([s.kind in ("assistant", "thinking") for s in units.sources], np.bool_)
        unit, token = index.pairs
        said[token[speech[units.source_indices[unit]]]] = True
        wanted = weighted_terms(query.parts)
        if not wanted:
            nothing = np.zeros(len(units), np.float32)
            return nothing, LexicalMatch(nothing, np.zeros(len(units.sources), np.float32), wanted, known, said)
        hits, columns, weights = matches(index, wanted)
        rows = units.rows
        record_lengths = np.bincount(rows, index.lengths, len(units)).astype(np.int32)
        found = bm25(rows[hits].astype(np.int64), columns, weights, record_lengths)
        best = float(found.max())
        width = len(weights)
        df = np.bincount(np.unique(rows[hits].astype(np.int64) * width + columns) % width, minlength=width)
        strength = (best / max(max_score(len(units), df, weights), 1e-6)) ** w.strength
        found /= max(best, 1e-6)
        sources = self._sources(wanted, hits, columns, weights, units)
        out = (
            w.lexical * propagate_relevance(found, units, w.after, w.before, w.group)
            + w.source * sources[units.source_indices]
        )
        out += w.column * _named(wanted, units)
        return (strength * out).astype(np.float32), LexicalMatch(found, sources, wanted, known, said)

    def _sources(
        self,
        wanted: dict[str, float],
        hits: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int32],
        weights: Floats,
        units: UnitBatch,
    ) -> Floats:
        """[sources] BM25 of whole sources, what they were asked for included; the best is 1."""
        numbers = {t: i for i, t in enumerate(wanted)}
        asked = [
            (s, c)
            for s, x in enumerate(units.sources)
            for t in terms(x.tool_call_text)
            if (c := numbers.get(t)) is not None
        ]
        extra = np.array(asked, np.int64).reshape(-1, 2)
        lengths = np.bincount(units.source_indices, units.index.lengths, len(units.sources)).astype(np.int32)
        found = bm25(
            np.concatenate([units.source_indices[hits].astype(np.int64), extra[:, 0]]),
            np.concatenate([columns, extra[:, 1].astype(np.int32)]),
            weights,
            lengths,
        )
        scaled: Floats = found / np.float32(max(float(found.max()), 1e-6))
        return scaled


def _named(wanted: Mapping[str, float], units: UnitBatch) -> npt.NDArray[np.bool_]:
    """[n] whether a unit stands in a column whose name has a wanted term."""
    named = np.array([any(t in wanted for t in terms(name)) for name in units.column_names] or [False])
    out: npt.NDArray[np.bool_] = named[units.columns] & (units.columns >= 0)
    return out


def rare_cells(units: UnitBatch) -> npt.NDArray[np.bool_]:
    """[n] cells with a value that at most one row in twenty has, in columns of ten rows or more with few values. A
    value is told by its first word and its number of words."""
    out = np.zeros(len(units), np.bool_)
    index = units.index
    cell = np.flatnonzero((units.columns >= 0) & (index.lengths > 0))
    if len(cell) < 10:
        return out
    starts = np.cumsum(index.lengths) - index.lengths
    value = index.token[starts[cell]].astype(np.int64) * 64 + np.minimum(index.lengths[cell], 63)
    column = units.columns[cell].astype(np.int64)
    pairs, inverse, times = np.unique(column << 40 | value, return_inverse=True, return_counts=True)
    height = np.bincount(column)
    kinds = np.bincount(pairs >> 40, minlength=len(height))
    few = (height >= 10) & (kinds * 5 <= height)
    out[cell] = few[column] & (times[inverse] * 20 <= height[column])
    return out


def column_means(total: npt.NDArray[Any], costs: Floats, columns: npt.NDArray[np.int32]) -> Floats:
    """[n] total / costs; in a table's column the sums are taken over the whole column first."""
    out: npt.NDArray[Any] = total / costs
    cell = columns >= 0
    if cell.any():
        of = columns[cell]
        means = np.bincount(of, total[cell]) / np.maximum(np.bincount(of, costs[cell]), 1e-6)
        out[cell] = means[of]
    means_or_own: Floats = out.astype(np.float32)
    return means_or_own


def propagate_relevance(relevance: Floats, units: UnitBatch, after: float, before: float, group: float) -> Floats:
    """Relevance handed on: from a record to the next and the one before, then from the best of a record, block or
    section to the rest of it. An answer often stands beside the words of the question. What hangs on a table's header
    is no group."""
    out: Floats = relevance.copy()
    records = np.unique(units.rows)
    if len(records) > 1:
        value = relevance[records]
        same = units.source_indices[records[1:]] == units.source_indices[records[:-1]]
        out[records[1:]] = np.maximum(value[1:], np.float32(after) * value[:-1] * same)
        out[records[:-1]] = np.maximum(out[records[:-1]], np.float32(before) * value[1:] * same)
    parents = units.parents
    child = np.flatnonzero(parents >= 0)
    child = child[(units.flags[parents[child]] & UnitFlag.HEADER) == 0]
    if len(child):
        np.maximum.at(out, parents[child], out[child])
        out[child] = np.maximum(out[child], np.float32(group) * out[parents[child]])
    return out

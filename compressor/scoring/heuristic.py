"""The default scorer: lexical, structural and identity features, and a small model for running text in documents.

It needs numpy only. Structure shows what text similarity misses: an agent repeats ids, paths and names of its tool
outputs exactly. So a token's worth starts from how much of it is such strings, and whether they are elsewhere already.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.native import load_kernel
from compressor.scoring import reuse_predictor as reuse_model
from compressor.scoring import word_vectors
from compressor.scoring.answer_relevance import answer_log_odds, relevance
from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.bm25 import QueryTerms, bm25, matches, max_score, weighted_terms
from compressor.scoring.heuristic_weights import HeuristicWeights
from compressor.scoring.name_features import name_features
from compressor.scoring.negation import find_exclusion
from compressor.scoring.propagation import column_means, propagate_relevance, rare_cells
from compressor.scoring.question_match import Turns, question_match
from compressor.scoring.reuse_features import LexicalMatch
from compressor.scoring.reuse_predictor import reuse_likelihood
from compressor.scoring.runtime.file_digest import file_digest
from compressor.scoring.term_counts import TermCounts
from compressor.text.segmenters.base import UnitFlag

_TROUBLE = re.compile(r"\b(?:fail|error|exception|crash|wrong|broke|bug|problem|issue|warn|fault|traceback)", re.I)
MIN_LOG_LINES = 20  # in a shorter log no form of line is rare
MIN_REPEATED_LINES = 0.5  # nor in one where most forms of line occur only once or twice
Floats = npt.NDArray[np.float32]
_kernel = load_kernel("relevance")
_troubles: TwoGenerationCache[bool] = TwoGenerationCache(4 << 20)


ALL_FLAGS = np.uint16(sum(UnitFlag))


@lru_cache(maxsize=16)
def flag_gains(w: HeuristicWeights, trouble: bool) -> Floats:
    """Returns [2, flags] what a unit's flags are worth, outside of JSON and in it.

    Args:
        w: The weights.
        trouble: Whether the query asks for failures.
    """
    flags = np.arange(int(ALL_FLAGS) + 1)
    out = np.zeros((2, len(flags)), np.float32)
    for flag, gain in (
        (UnitFlag.ERROR, w.error * (w.queried_error if trouble else 1)),
        (UnitFlag.WARNING, w.warning),
        (UnitFlag.SUMMARY, [[w.summary_line], [w.summary]]),
        (UnitFlag.CHANGE, w.change),
        (UnitFlag.HEADER, w.header),
        (UnitFlag.SIGNATURE, w.signature),
    ):
        out += np.asarray(gain, np.float32) * ((flags & flag) > 0)
    return out


@lru_cache(maxsize=16)
def flag_factors(w: HeuristicWeights) -> npt.NDArray[np.float64]:
    """Returns [flags] the factor on the worth of a unit with these flags."""
    flags = np.arange(int(ALL_FLAGS) + 1)
    return np.where(flags & UnitFlag.NOISE, w.noise, 1.0) * np.where(flags & UnitFlag.COMMENT, w.comment, 1.0)


@lru_cache(maxsize=16)
def _token_worths(w: HeuristicWeights) -> Floats:
    """Returns [2, classes] what a token's identity is worth by its class, and where it is elsewhere already."""
    worth = np.repeat(np.array(w.identity, np.float32)[None], 2, axis=0)
    worth[1] *= w.retained
    out: Floats = worth ** (1 - w.reuse)
    return out


def _asks_for_failures(text: str) -> bool:
    """Returns whether a part of a query asks for failures. Most parts return with every call."""
    found = _troubles.get(text)
    if found is None:
        found = _TROUBLE.search(text) is not None
        _troubles.put(text, found)
    return found


class HeuristicScorer:
    """`Scorer` of the default tier.

    Args:
        weights: How much each feature counts; None for the defaults.
    """

    name = "fast"

    def __init__(self, weights: HeuristicWeights | None = None) -> None:
        self.weights = weights or HeuristicWeights()

    @property
    def identity(self) -> str:
        """What the scores depend on: the weights, and the files of the shipped models."""
        return f"fast:{self.weights}:{file_digest(reuse_model.PATH)}:{file_digest(word_vectors.PATH)}"

    def score(self, query: Query, units: UnitBatch) -> Scores:
        """Returns the priorities of units, see `Scorer.score`."""
        return self.reweight(query, units, *answer_log_odds(query, units))

    def reweight(
        self,
        query: Query,
        units: UnitBatch,
        odds: Floats,
        is_answer_text: npt.NDArray[np.bool_],
        match: Floats | None = None,
    ) -> Scores:
        """Scores units with given log-odds, for a model that has read some of them.

        Args:
            query: The query.
            units: The units.
            odds: [n] log-odds that a unit holds the answer.
            is_answer_text: [n] which units these log-odds are for.
            match: [n] in [0, 1], how well each of the other units matches the query, in addition to its words.
        """
        n = len(units)
        if n == 0:
            return np.zeros(0, np.float32)
        w = self.weights
        recency = np.exp(-units.ages / w.fade)
        exclusion = find_exclusion(query, units)
        query = query if exclusion is None else exclusion.query
        relevant, found = self.match(query, units)
        has_answers = bool(is_answer_text.any())
        if units.matches is not None and has_answers:
            read = relevance(odds[is_answer_text])
            units.matches[is_answer_text] += np.float32(w.read_match) * (read - units.matches[is_answer_text])
        out = self._repeats(units, found) * (1 + w.recency * recency[units.source_indices])
        if has_answers:
            out[is_answer_text] *= w.read
            relevant[is_answer_text] = w.answer * relevance(odds[is_answer_text])
        if match is not None:
            relevant += w.match * match
        if units.image_matches is not None:
            relevant = np.maximum(relevant, (w.lexical + w.source) * units.image_matches)
            self._reserve_matches(query, units, units.image_matches)
        outliers = self._outliers(query, units)
        if exclusion is not None:
            asked = np.isin(units.rows, units.rows[exclusion.asked])
            outliers[asked] = w.rare + w.queried_rare
            self._reserve_matches(query, units, asked.astype(np.float32))
        out += (relevant + self._structure(query, units) + outliers) / self._sizes(units) ** w.length
        out *= flag_factors(w)[units.flags & ALL_FLAGS]
        scores: Scores = (out * self._speech(units)[units.source_indices]).astype(np.float32)
        return scores

    def _sizes(self, units: UnitBatch) -> Floats:
        """[n] the tokens by which the relevance of units is divided; see `HeuristicWeights.image_tokens`."""
        sizes = np.maximum(units.costs, 4.0)
        if (images := units.image_units) is not None:
            sizes[images] = np.minimum(sizes[images], self.weights.image_tokens)
        out: Floats = sizes
        return out

    def _speech(self, units: UnitBatch) -> Floats:
        """[sources] the factor for the agent's own words."""
        factor = np.ones(len(units.sources), np.float32)
        spoken = [i for i, s in enumerate(units.sources) if s.kind in ("assistant", "thinking")]
        factor[spoken] = self.weights.speech
        if spoken:
            factor[spoken[-1]] *= self.weights.last_word
        return factor

    def _structure(self, query: Query, units: UnitBatch) -> Floats:
        """[n] the worth of a unit's structure; failures count more if the query asks for them."""
        w = self.weights
        trouble = any(_asks_for_failures(text) for text, weight in query.parts if weight >= 1)
        gains = flag_gains(w, trouble)
        out: Floats = gains[units.json_sources.astype(np.intp)[units.source_indices], units.flags & ALL_FLAGS]
        line = np.flatnonzero(units.templates >= 0) if units.has_templates else np.zeros(0, np.intp)
        if len(line) >= MIN_LOG_LINES:
            times = np.bincount(units.templates[line])[units.templates[line]]
            if (times > 2).mean() >= MIN_REPEATED_LINES:
                out[line] += np.float32(w.rare_line) * (times <= 2)
        return out

    def _outliers(self, query: Query, units: UnitBatch) -> Floats:
        """[n] the worth of records that stand out with a rare value in a column of few values."""
        w = self.weights
        out = np.zeros(len(units), np.float32)
        if units.column_names and (rare := rare_cells(units)).any():
            wanted = weighted_terms(tuple(p for p in query.parts if p[1] >= 1))
            np.maximum.at(out, units.rows[rare], w.rare + w.queried_rare * _named(wanted, units)[rare])
            out = out[units.rows]
        return out

    def _repeats(self, units: UnitBatch, match: LexicalMatch) -> Floats:
        """[n] the worth, per token, of the strings in a unit that the agent may have to repeat.

        The cells of a table column get the column's mean, so that they are kept or dropped together.
        """
        w = self.weights
        unit, token = units.index.pairs
        worth = _token_worths(w)[(match.retained | match.written_by_agent).view(np.uint8), units.index.kinds]
        each = reuse_likelihood(units, match) ** w.reuse * worth[token]
        return column_means(np.bincount(unit, each, len(units)), units.costs, units.columns)

    def match(self, query: Query, units: UnitBatch) -> tuple[Floats, LexicalMatch]:
        """Returns [n] how well a unit, its record, column and source match the query, and the matches behind it."""
        w = self.weights
        index = units.index
        retained = index.mask(query.retained_text)
        written = np.zeros(len(index.kinds), np.bool_)
        unit, token = index.pairs
        written[token[units.agent_sources[units.source_indices[unit]]]] = True
        wanted = weighted_terms(query.parts)
        if not wanted:
            nothing = np.zeros(len(units), np.float32)
            return nothing, LexicalMatch(nothing, np.zeros(len(units.sources), np.float32), wanted, retained, written)
        hits, columns, weights = matches(index, wanted)
        self._reserve(query, units)
        counts = TermCounts.count(units.rows[hits].astype(np.int64), columns, len(weights))
        found = counts.bm25(weights, record_lengths(units.rows, units))
        best = float(found.max())
        strength = (best / max(max_score(len(units), counts.found, weights), 1e-6)) ** w.strength
        found /= max(best, 1e-6)
        sources = self._sources(wanted, hits, columns, weights, units)
        out = (
            w.lexical * propagate_relevance(found, units, w.after, w.before, w.group)
            + w.source * sources[units.source_indices]
        )
        out += w.column * _named(wanted, units)
        return (strength * out).astype(np.float32), LexicalMatch(found, sources, wanted, retained, written)

    def _reserve(self, query: Query, units: UnitBatch) -> None:
        """Leaves in `units` what a part of the budget goes to first: the units with the question's own words."""
        w = self.weights
        asked = weighted_terms(((query.question, 1.0),))
        if not asked:
            return
        turns = Turns.of(units)
        own, terms_of, weights = matches(units.index, asked)
        if _asks_for_failures(query.question):  # being an error is a further term of such a question, rare or not
            errors = np.flatnonzero((units.flags & np.uint16(UnitFlag.ERROR) > 0) & ~turns.spoken)
            own = np.concatenate([own, errors])
            terms_of = np.concatenate([terms_of, np.full(len(errors), len(weights), np.int32)])
            weights = np.append(weights, np.float32(w.error_match))
        if not len(own):
            return
        counts = TermCounts.count(turns.rows[own].astype(np.int64), terms_of, len(weights))
        records = counts.bm25(weights, record_lengths(turns.rows, units))
        records /= max(float(records.max()), 1e-6)
        single = bm25(own, terms_of, weights, units.index.lengths)
        reasoning = np.array([s.kind == "thinking" for s in units.sources], np.bool_)
        matched = question_match(records, single, units, turns, w)
        units.matches = np.where(reasoning[units.source_indices], 0, matched)
        of_best = int(np.count_nonzero(counts.row == np.argmax(records)))
        coverage = max(turns.share, min(1.0, of_best / len(weights) / w.covered))
        length = min(1.0, w.question_terms / len(asked))
        reserve = w.reserve + (w.dialogue_reserve - w.reserve) * turns.share
        units.reserved_share = reserve * query.question_weight * coverage * length

    def _reserve_matches(self, query: Query, units: UnitBatch, found: Floats) -> None:
        """Adds units that match by something else than words, such as images, to what a part of the budget goes to."""
        if not query.question.strip():
            return
        if units.matches is None:  # no text has a word of the question
            units.matches = np.zeros(len(units), np.float32)
            units.reserved_share = self.weights.reserve * query.question_weight
        units.matches = np.maximum(units.matches, found)

    def _sources(
        self,
        wanted: QueryTerms,
        hits: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int32],
        weights: Floats,
        units: UnitBatch,
    ) -> Floats:
        """[sources] BM25 of whole sources, the tool calls that they answer included; the best is 1."""
        rows: list[int] = []
        terms_of: list[int] = []
        if units.tool_calls:
            numbers, forms = {term: i for i, term in enumerate(wanted)}, wanted.forms
            for i, call in units.tool_calls:
                for term, times in call.counts.items():
                    own = term if term in numbers else forms.get(term)
                    if own is not None:
                        rows += [i] * times
                        terms_of += [numbers[own]] * times
        lengths = np.bincount(units.source_indices, units.index.lengths, len(units.sources)).astype(np.int32)
        found = bm25(
            np.concatenate([units.source_indices[hits].astype(np.int64), np.array(rows, np.int64)]),
            np.concatenate([columns, np.array(terms_of, np.int32)]),
            weights,
            lengths,
        )
        scaled: Floats = found / np.float32(max(float(found.max()), 1e-6))
        return scaled


def record_lengths(rows: npt.NDArray[np.int32], units: UnitBatch) -> npt.NDArray[np.int32]:
    """Returns [n] the words of each record, at the unit in `rows` that represents it."""
    return np.bincount(rows, units.index.lengths, len(units)).astype(np.int32)


def _named(wanted: QueryTerms, units: UnitBatch) -> npt.NDArray[np.bool_]:
    """[n] whether a unit is in a column whose name has a wanted term."""
    terms, forms = wanted.keys(), wanted.forms.keys()
    if not units.column_names:
        return np.zeros(len(units), np.bool_)
    found = [name_features(name).whole_terms for name in units.column_names]
    named = [not (terms.isdisjoint(name) and forms.isdisjoint(name)) for name in found]
    if not any(named):
        return np.zeros(len(units), np.bool_)
    out: npt.NDArray[np.bool_] = np.array(named)[units.columns] & (units.columns >= 0)
    return out

"""The embedded default scorer: lexical, structural and identity features, no model, no network.

What text similarity misses, structure shows: an agent repeats ids, paths and names of its tool outputs exactly, so a
token's worth starts from how much of it is such strings, and from whether they already stand elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Query, Scores, Units
from compressor.scoring.index import CODE, IDENTIFIER, NAME, NUMBER, PATH, TOKEN, WORD, terms
from compressor.scoring.lexical import bm25, matches, weighted_terms
from compressor.segments.base import Flag

GROUP_SHARE = 0.9  # of a group's best relevance that the rest of the group gets
_CLASSES = (WORD, NAME, NUMBER, IDENTIFIER, CODE, PATH)


@dataclass(frozen=True)
class Weights:
    """How much each feature counts. Chosen on the dev sessions and questions: `benchmarks/LOG.md`."""

    identity: tuple[float, ...] = (0.05, 0.2, 0.3, 1.0, 1.5, 1.5)  # per token, in the order of the classes
    known: float = 0.1  # what remains of an identity that already stands in text which stays
    lexical: float = 1.0  # best matching unit, per token of a typical unit
    after: float = 0.5  # share of a unit's relevance that the next unit gets, and
    before: float = 0.3  # the one before it
    source: float = 1.0  # best matching source
    error: float = 0.6
    warning: float = 0.2
    summary: float = 0.3
    header: float = 0.2
    signature: float = 0.15
    noise: float = 0.1  # factor, not addend
    comment: float = 0.6  # factor
    recency: float = 0.5  # added to newest, fading
    fade: float = 6.0  # sources after which recency has fallen to 1/e
    speech: float = 2.5  # factor on what the agent itself said: its decisions carry the run
    last_word: float = 3.0  # further factor on the newest of that: what the user answered to
    prose: float = 0.5  # exponent of cost for lexical relevance


def share_with_neighbours(
    relevance: npt.NDArray[np.float32], units: Units, after: float, before: float
) -> npt.NDArray[np.float32]:
    """Relevance of a unit, or a share of its neighbour's in the same source, where that is higher: an answer often
    stands next to the words of the question."""
    if len(relevance) < 2:
        return relevance
    out = relevance.copy()
    same = units.source_of[1:] == units.source_of[:-1]
    out[1:] = np.maximum(out[1:], after * relevance[:-1] * same)
    out[:-1] = np.maximum(out[:-1], before * relevance[1:] * same)
    return out


def share_in_groups(relevance: npt.NDArray[np.float32], units: Units) -> npt.NDArray[np.float32]:
    """Relevance of a unit as that of its group, where that is higher: a record's tiers, a statement and its block, a
    heading and its section belong together. Table headers, which every row hangs on, are no group."""
    parents = units.parents
    grouped = parents >= 0
    grouped[grouped] = (units.flags[parents[grouped]] & Flag.HEADER) == 0
    child = np.flatnonzero(grouped)
    if not len(child):
        return relevance
    out = relevance.copy()
    np.maximum.at(out, parents[child], relevance[child])
    out[child] = np.maximum(relevance[child], GROUP_SHARE * out[parents[child]])
    return out


class FastScorer:
    """`Scorer` of the embedded default."""

    name = "fast"

    def __init__(self, weights: Weights | None = None) -> None:
        self.weights = weights or Weights()

    def score(self, query: Query, units: Units) -> Scores:
        """See `Scorer.score`. About 60 microseconds per 1,000 characters."""
        n = len(units)
        if n == 0:
            return np.zeros(0, np.float32)
        w = self.weights
        lexical, source = self._relevance(query, units)
        lexical = share_in_groups(share_with_neighbours(lexical, units, w.after, w.before), units)
        age = np.array([s.age for s in units.sources], np.float32)
        recency = np.exp(-age / w.fade)
        flags = units.flags
        out = self._identity(query, units)
        out *= 1 + w.recency * recency[units.source_of]
        length = np.maximum(units.costs, 4.0) ** w.prose
        out += (w.lexical * lexical + w.source * source[units.source_of]) / length
        for flag, gain in (
            (Flag.ERROR, w.error),
            (Flag.WARNING, w.warning),
            (Flag.SUMMARY, w.summary),
            (Flag.HEADER, w.header),
            (Flag.SIGNATURE, w.signature),
        ):
            out += gain * ((flags & flag) > 0) / length
        out *= np.where(flags & Flag.NOISE, w.noise, 1.0) * np.where(flags & Flag.COMMENT, w.comment, 1.0)
        out *= self._speech(units)[units.source_of]
        return out.astype(np.float32)

    def _speech(self, units: Units) -> npt.NDArray[np.float32]:
        """[sources] factor for the agent's own words."""
        factor = np.ones(len(units.sources), np.float32)
        spoken = [i for i, s in enumerate(units.sources) if s.kind in ("assistant", "thinking")]
        factor[spoken] = self.weights.speech
        if spoken:
            factor[spoken[-1]] *= self.weights.last_word
        return factor

    def _identity(self, query: Query, units: Units) -> npt.NDArray[np.float32]:
        """[n] worth of the exact strings in a unit, per token of its cost."""
        index = units.index
        worth = np.array(self.weights.identity, np.float32)[index.kinds]
        vocabulary = index.vocabulary
        known = [v for text in query.known for t in TOKEN.findall(text) if (v := vocabulary.get(t)) is not None]
        worth[known] *= self.weights.known
        unit, token = index.pairs
        total = np.bincount(unit, worth[token], len(units))
        return (total / units.costs).astype(np.float32)

    def _relevance(self, query: Query, units: Units) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """BM25 of units and of whole sources, each scaled so that the best is 1."""
        wanted = weighted_terms(query.parts)
        rows, columns, weights = matches(units.index, wanted)
        lexical = bm25(rows, columns, weights, units.index.lengths)
        numbers = {t: i for i, t in enumerate(wanted)}
        asked = [
            (s, c) for s, x in enumerate(units.sources) for t in terms(x.asked) if (c := numbers.get(t)) is not None
        ]
        extra = np.array(asked, np.int64).reshape(-1, 2)
        lengths = np.add.reduceat(np.append(units.index.lengths, 0), units.starts[:-1]) * (np.diff(units.starts) > 0)
        source = bm25(
            np.concatenate([units.source_of[rows].astype(np.int64), extra[:, 0]]),
            np.concatenate([columns, extra[:, 1].astype(np.int32)]),
            weights,
            lengths.astype(np.int32),
        )
        return lexical / max(float(lexical.max()), 1e-6), source / max(float(source.max(initial=0.0)), 1e-6)

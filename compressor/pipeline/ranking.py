"""Orders units for selection: best first, each counted only for what those before it do not already say.

P in X' = P(X, E(X)). Knows scores, costs and structure; a budget is spent by taking a prefix of the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Scores, UnitBatch
from compressor.scoring.token_index import CODE, IDENTIFIER, NAME, NUMBER, PATH, WORD

#: What a token's presence contributes to a unit's novelty, by class. Exact strings count more than words.
NOVELTY_WEIGHT = {WORD: 0.3, NAME: 0.6, NUMBER: 0.6, IDENTIFIER: 1.0, CODE: 1.5, PATH: 1.5}
REPEAT_VALUE = 0.15  # what is left of a unit's score when everything in it is said elsewhere
REORDER_ROUNDS = 2  # re-ordering rounds
SIMILAR_COSINE = 0.85  # cosine of a scorer's vectors from which units say the same the more, the nearer it is to 1
MAX_COMPARED_UNITS = 2_000  # units, the best ones, that are compared by vectors


@dataclass(frozen=True, slots=True)
class Ranking:
    """`order`: [n] unit numbers, best first, ancestors before descendants. `novelty`: [n] in [0, 1], the share of a
    unit that no better unit says."""

    order: npt.NDArray[np.int32]
    novelty: npt.NDArray[np.float32]

    def priority(self, scores: Scores) -> npt.NDArray[np.float64]:
        """[n] what units are ordered by: their scores, less where they repeat."""
        return scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * self.novelty.astype(np.float64))


def rank(scores: Scores, units: UnitBatch) -> Ranking:
    """The order in which units are worth their tokens.

    A unit's priority is its score times its novelty: the weighted share of its tokens that no better unit has. That
    is maximal marginal relevance (Carbonell & Goldstein 1998) with token overlap as similarity, solved by a few
    rounds of sorting instead of one unit at a time. Ties go to the newer unit. Ancestors stand right before the
    first of their descendants. Where a scorer has left vectors, what is too like a better unit
    counts for less, too.
    """
    n = len(units)
    index = units.index
    unit, token = index.pairs
    weight = np.array([NOVELTY_WEIGHT[k] for k in range(6)], np.float32)[index.kinds][token]
    total = np.bincount(unit, weight, n)
    priority = scores.astype(np.float64)
    novelty = np.ones(n)
    for _ in range(REORDER_ROUNDS):
        place = _places(priority)
        best = np.full(len(index.kinds), n, np.int64)
        np.minimum.at(best, token, place[unit])
        fresh = np.bincount(unit, weight * (place[unit] == best[token]), n)
        novelty = np.where(total > 0, fresh / np.maximum(total, 1e-9), 1.0)
        priority = scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * novelty)
    if units.vectors is not None:
        novelty = np.minimum(novelty, _apart(units.vectors, _places(priority)))
        priority = scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * novelty)
    place = propagate_to_ancestors(_places(priority), units.parents)
    return Ranking(np.lexsort((np.arange(n), place)).astype(np.int32), novelty.astype(np.float32))


def _apart(vectors: npt.NDArray[np.float32], place: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """[n] 1 where no better unit's vector has a cosine above ALIKE, falling to 0 where one is the same."""
    out = np.ones(len(place))
    best = np.argsort(place)
    best = best[vectors[best].any(1)][:MAX_COMPARED_UNITS]
    if len(best) > 1:
        cosine = vectors[best] @ vectors[best].T
        nearest = np.tril(cosine, -1).max(1)
        out[best] = np.clip((1 - nearest) / (1 - SIMILAR_COSINE), 0.0, 1.0)
    return out


def _places(priority: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """[n] the place of each unit, 0 = highest priority; of equals the newer first."""
    n = len(priority)
    out: npt.NDArray[np.int64] = np.empty(n, np.int64)
    out[np.lexsort((-np.arange(n), -priority))] = np.arange(n)
    return out


def propagate_to_ancestors(place: npt.NDArray[np.int64], parents: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Places with every ancestor at least as good as its best descendant."""
    out: npt.NDArray[np.int64] = np.array(place)
    child = np.flatnonzero(parents >= 0)
    while len(child):
        parent = parents[child]
        before = out[parent]
        np.minimum.at(out, parent, out[child])
        moved = np.unique(parent[out[parent] < before])
        child = moved[parents[moved] >= 0].astype(np.intp)
    return out

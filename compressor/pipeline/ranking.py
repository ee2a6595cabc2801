"""Orders units for selection, best first. Each unit counts only for what better units do not say already.

A budget is spent by keeping a prefix of this order. This is P in X' = P(X, E(X)) (arXiv 2505.18227).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.scoring.base import Scores, UnitBatch
from compressor.scoring.token_index import CODE, IDENTIFIER, NAME, NUMBER, PATH, WORD
from compressor.text.segmenters.base import UnitFlag

#: The weight of a token in a unit's novelty, by the token's class. Exact strings count more than words.
NOVELTY_WEIGHT = {WORD: 0.3, NAME: 0.6, NUMBER: 0.6, IDENTIFIER: 1.0, CODE: 1.5, PATH: 1.5}
_WEIGHTS = np.array([NOVELTY_WEIGHT[k] for k in range(6)], np.float32)
REPEAT_VALUE = 0.15  # The fraction of its score that a unit keeps if better units say everything in it.
TOP_MATCH = 0.8  # Matches this close to the best one may take more than the share that is reserved for matches.
TOP_FACTOR, MAX_RESERVED = 1.8, 0.9
REORDER_ROUNDS = 2  # Novelty depends on the order and the order on novelty; two rounds are close enough.
REPEATED_LINE = 1.0  # How fast the novelty of log lines of one form falls: 1 / (1 + this times their number).
SIMILAR_COSINE = 0.85  # Units whose vectors have a higher cosine begin to count as repeats of each other.
MAX_COMPARED_UNITS = 2_000  # Vectors of only the best units are compared, because time and memory grow quadratically.


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order of units.

    Attributes:
        order: Unit numbers, best first, ancestors before descendants, shape [units].
        novelty: The fraction of each unit that no better unit says, in [0, 1], shape [units].
    """

    order: npt.NDArray[np.int32]
    novelty: npt.NDArray[np.float32]

    def priority(self, scores: Scores) -> npt.NDArray[np.float64]:
        """Returns the value by which units are ordered, shape [units]: their scores, less where they repeat."""
        return scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * self.novelty.astype(np.float64))


def rank(scores: Scores, units: UnitBatch) -> Ranking:
    """Returns the order in which units are worth their tokens.

    A unit's priority is its score times its novelty, the weighted fraction of its tokens that no better unit has. This
    is maximal marginal relevance (Carbonell & Goldstein 1998) with token overlap as similarity, solved by a few
    rounds of sorting instead of one unit at a time. If the scorer left vectors, a unit that is similar to a better one
    counts less, too. Ties go to the newer unit. Ancestors come right before the first of their descendants.

    Args:
        scores: The score of each unit, shape [units].
        units: The units.
    """
    n = len(units)
    index = units.index
    unit, token = index.pairs
    kinds = index.kinds
    if units.image_units is not None:
        unit, token, kinds = _with_own_words(units.image_units, unit, token, kinds)
    priority = scores.astype(np.float64)
    novelty = np.ones(n)
    for _ in range(REORDER_ROUNDS):
        novelty = _find_novelty(_positions(priority), unit, token, kinds, _WEIGHTS)
        priority = scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * novelty)
    if units.has_templates:
        told = np.where(units.flags & np.uint16(UnitFlag.ERROR), np.int32(-1), units.templates)  # each error counts
        novelty *= _template_novelty(told, _positions(priority))
        priority = scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * novelty)
    if units.vectors is not None:
        novelty = np.minimum(novelty, _vector_novelty(units.vectors, _positions(priority)))
        priority = scores * (REPEAT_VALUE + (1 - REPEAT_VALUE) * novelty)
    position = propagate_to_ancestors(_reserved_first(_positions(priority), units), units.parents)
    return Ranking(np.argsort(position, kind="stable").astype(np.int32), novelty.astype(np.float32))


def _with_own_words(
    images: npt.NDArray[np.bool_],
    unit: npt.NDArray[np.int32],
    token: npt.NDArray[np.int32],
    kinds: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Returns the pairs and classes of tokens with other tokens for images.

    The words by which an image is scored are those of the texts beside it. That a text says them does not make the
    image a repeat; another image with the same words does.
    """
    own = np.where(images[unit], token + np.int32(len(kinds)), token)
    return unit, own, np.concatenate([kinds, kinds])


def find_novelty(
    position: npt.NDArray[np.int64],
    unit: npt.NDArray[np.int32],
    token: npt.NDArray[np.int32],
    kinds: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """Returns the weighted fraction of each unit's tokens that no better unit has; the reference for `relevance`.

    Args:
        position: The position of each unit, 0 for the best, shape [units].
        unit: The unit of each pair of a unit and a token that it has.
        token: The token of each pair.
        kinds: The class of each token.
        weights: The weight of each class.
    """
    n = len(position)
    weight = weights[kinds][token]
    total = np.bincount(unit, weight, n)
    best = np.full(len(kinds), n, np.int64)
    np.minimum.at(best, token, position[unit])
    fresh = np.bincount(unit, weight * (position[unit] == best[token]), n)
    return np.where(total > 0, fresh / np.maximum(total, 1e-9), 1.0)


def _reserved_first(position: npt.NDArray[np.int64], units: UnitBatch) -> npt.NDArray[np.int64]:
    """Returns the positions with the best matches of the question in front, for the share that is reserved for them."""
    if units.matches is None or units.reserved_share <= 0:
        return position
    n = len(units)
    value: npt.NDArray[np.floating] = units.matches
    if units.has_templates:  # log lines that match alike: one of each form before the second of any
        order: npt.NDArray[np.int64] = np.empty(n, np.int64)
        order[np.lexsort((position, -value))] = np.arange(n)
        value = value * _template_novelty(units.templates, order)
    first = np.lexsort((position, -value))
    first = first[(units.matches[first] > 0) & units.is_worded[first]]
    top = max(units.reserved_share, min(MAX_RESERVED, TOP_FACTOR * units.reserved_share))
    share = np.where(units.matches[first] >= TOP_MATCH, top, units.reserved_share)
    if units.image_units is not None:  # an image that takes more than all of the share takes nothing of it
        fits = ~units.image_units[first] | (units.costs[first] <= share * units.available_tokens)
        first, share = first[fits], share[fits]
    first = first[np.cumsum(units.costs[first]) <= share * units.available_tokens]
    out: npt.NDArray[np.int64] = position + n
    out[first] = np.arange(len(first))
    return out


def _template_novelty(templates: npt.NDArray[np.int32], position: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns 1 for the best log line of each form, less for each further one, whatever its ids; shape [units]."""
    out = np.ones(len(position))
    line = np.flatnonzero(templates >= 0)
    line = line[np.lexsort((position[line], templates[line]))]
    first = np.flatnonzero(np.diff(templates[line], prepend=-1))
    rank = np.arange(len(line)) - np.repeat(first, np.diff(np.append(first, len(line))))
    out[line] = 1 / (1 + REPEATED_LINE * rank)
    return out


def _vector_novelty(vectors: npt.NDArray[np.float32], position: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns 1 for a unit if no better unit's vector is similar, falling to 0 if one is equal, shape [units]."""
    out = np.ones(len(position))
    best = np.argsort(position)
    best = best[vectors[best].any(1)][:MAX_COMPARED_UNITS]
    if len(best) > 1:
        cosine = vectors[best] @ vectors[best].T
        nearest = np.tril(cosine, -1).max(1)
        out[best] = np.clip((1 - nearest) / (1 - SIMILAR_COSINE), 0.0, 1.0)
    return out


def _positions(priority: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Returns the position of each unit, 0 for the highest priority, shape [units]. Of equals the newer comes first."""
    n = len(priority)
    out: npt.NDArray[np.int64] = np.empty(n, np.int64)
    out[n - 1 - np.argsort(-priority[::-1], kind="stable")] = np.arange(n)
    return out


def propagate_to_ancestors(position: npt.NDArray[np.int64], parents: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Returns positions in which every ancestor is at least as good as its best descendant.

    Args:
        position: The position of each unit, 0 for the best, shape [units].
        parents: The parent of each unit, or -1, shape [units].
    """
    out: npt.NDArray[np.int64] = np.array(position)
    if _kernel is not None:
        _kernel.propagate_to_ancestors(out, parents)
        return out
    child = np.flatnonzero(parents >= 0)
    while len(child):
        parent = parents[child]
        before = out[parent]
        np.minimum.at(out, parent, out[child])
        moved = np.unique(parent[out[parent] < before])
        child = moved[parents[moved] >= 0].astype(np.intp)
    return out


_kernel = load_kernel("relevance")
_find_novelty = find_novelty if _kernel is None else _kernel.find_novelty

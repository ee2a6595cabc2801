"""Selects a relevant and diverse subset by maximal marginal relevance (J. Carbonell, J. Goldstein, 1998).

It is simpler than `dpp`: a candidate is compared with the most similar selected example, not with all of them together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: The weight of relevance; the rest is the weight of novelty.
RELEVANCE_WEIGHT = 0.7


def select_mmr(
    similarity: Floats,
    relevance: Floats,
    max_count: int,
    relevance_weight: float = RELEVANCE_WEIGHT,
    max_similarity: float = 1 - 1e-6,
) -> list[int]:
    """Selects examples greedily by relevance and novelty. Ties go to the lower index; NaN counts as 0.

    Args:
        similarity: [k, k] similarity of each two examples, 0 on the diagonal for an empty example.
        relevance: [k] relevance to the query.
        max_count: The maximum number of examples.
        relevance_weight: The weight of relevance against novelty, from 0 to 1.
        max_similarity: Examples that are at least this similar to a selected one are never taken.

    Returns:
        Indices in the order in which they were taken.
    """
    kernel = np.nan_to_num(similarity, nan=0.0, posinf=1.0, neginf=0.0)
    value = np.nan_to_num(relevance.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    nearest = np.zeros(len(value))
    free = np.diagonal(kernel) > 0
    out: list[int] = []
    while len(out) < max_count and free.any():
        gain = np.where(free, relevance_weight * value - (1 - relevance_weight) * nearest, -np.inf)
        pick = int(np.argmax(gain))
        out.append(pick)
        free[pick] = False
        nearest = np.maximum(nearest, kernel[pick])
        free &= nearest < max_similarity
    return out

"""Maximal marginal relevance: each next example is relevant and unlike those chosen (Carbonell and Goldstein, 1998).

The plainer rule beside `dpp`: it looks at the one chosen example that is most alike, not at all of them together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RELEVANCE_WEIGHT = 0.7  # of relevance


def select_mmr(
    similarity: Floats,
    relevance: Floats,
    max_count: int,
    relevance_weight: float = RELEVANCE_WEIGHT,
    max_similarity: float = 1 - 1e-6,
) -> list[int]:
    """Indices in the order in which they are taken, at most `most`; ties go to the lower index. What is as good as the
    same (`same`) as a chosen one is never taken. Numbers that are none count as 0."""
    kernel = np.nan_to_num(similarity, nan=0.0, posinf=1.0, neginf=0.0)
    worth = np.nan_to_num(relevance.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    nearest = np.zeros(len(worth))
    free = np.diagonal(kernel) > 0
    out: list[int] = []
    while len(out) < max_count and free.any():
        gain = np.where(free, relevance_weight * worth - (1 - relevance_weight) * nearest, -np.inf)
        pick = int(np.argmax(gain))
        out.append(pick)
        free[pick] = False
        nearest = np.maximum(nearest, kernel[pick])
        free &= nearest < max_similarity
    return out

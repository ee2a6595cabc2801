"""Selects a relevant and diverse subset: greedy MAP inference of a determinantal point process, given the query.

L = diag(quality) S diag(quality), where S holds the similarity of each two examples: the determinant of a subset grows
with its quality and shrinks with its redundancy. J. Ye et al., CEIL, 2023, use this for examples; the algorithm is
L. Chen, G. Zhang, E. Zhou, "Fast Greedy MAP Inference for Determinantal Point Process", 2018, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: An example is redundant if less than this of its squared length is outside the span of the selected ones.
EPSILON = 1e-6


def select_dpp(
    similarity: Floats,
    quality: Floats,
    max_count: int,
    aspects: Sequence[tuple[npt.NDArray[np.int64], float]] = (),
    epsilon: float = EPSILON,
) -> list[int]:
    """Selects examples greedily by quality and diversity.

    Each step takes the example with the largest log-gain 2 log q + log d², where d² is the squared part of the example
    (of length 1) outside the span of those selected before. Ties go to the lower index. NaN counts as the lowest
    quality.

    Args:
        similarity: [k, k], symmetric, positive semidefinite up to rounding, with 1 on its diagonal (0 for an empty
            example).
        quality: [k], log q of each example.
        max_count: The maximum number of examples.
        aspects: Pairs of [k] codes (such as labels; -1 for none) and the log-gain of the first example of a code.
        epsilon: Examples with d² of at most this are redundant and never taken.

    Returns:
        Indices in the order in which they were taken.
    """
    k = len(quality)
    max_count = min(max_count, k)
    score = 2.0 * np.nan_to_num(quality.astype(np.float64), nan=-1e3, posinf=1e3, neginf=-1e3)
    kernel = np.nan_to_num(similarity.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    residual = np.diagonal(kernel).copy()
    basis = np.zeros((max_count, k))
    free = np.ones(k, np.bool_)
    is_new = [codes >= 0 for codes, _ in aspects]
    out: list[int] = []
    while len(out) < max_count:
        usable = free & (residual > epsilon)
        if not usable.any():
            break
        gain = np.full(k, -np.inf)
        gain[usable] = score[usable] + np.log(residual[usable])
        for (_, bonus), fresh in zip(aspects, is_new, strict=True):
            gain += bonus * fresh
        pick = int(np.argmax(gain))
        step = len(out)
        out.append(pick)
        free[pick] = False
        for (codes, _), fresh in zip(aspects, is_new, strict=True):
            fresh &= codes != codes[pick]
        # d²[pick] > epsilon, so this never divides by zero.
        row = (kernel[pick] - basis[:step, pick] @ basis[:step]) / np.sqrt(residual[pick])
        basis[step] = row
        residual = np.maximum(residual - row * row, 0.0)
    return out

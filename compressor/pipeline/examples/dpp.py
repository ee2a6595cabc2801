"""Which examples teach most together: greedy MAP inference of a determinantal point process, given the query.

L = diag(quality) S diag(quality), with S how alike two examples are: the determinant of a subset grows with its quality
and shrinks with its repetition (J. Ye et al., CEIL, 2023, for examples; L. Chen, G. Zhang, E. Zhou, "Fast Greedy MAP
Inference for Determinantal Point Process", 2018, algorithm 1, for the k x k work). Knows no tokens and no budget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EPSILON = 1e-6  # what is left of an example's own length, squared, from which on the chosen ones say all of it


def select_dpp(
    similarity: Floats,
    quality: Floats,
    max_count: int,
    aspects: Sequence[tuple[npt.NDArray[np.int64], float]] = (),
    epsilon: float = EPSILON,
) -> list[int]:
    """Indices in the order in which greedy MAP takes them, at most `most`.

    similarity: [k, k], symmetric, positive semidefinite but for rounding, 1 (or 0: an empty example) on its diagonal.
    quality: [k] logarithms: an example's log q. aspects: [k] codes (labels, say; -1 for none) with what the first
    example of a code gains.

    Each step takes the largest log-gain 2 log q + log d², where d² is the part of the example (of length 1) that is
    not in the span of those chosen. It ends when that is at most `epsilon` for all that are left: they are repetitions.
    Ties go to the lower index. Numbers that are none count as the lowest quality.
    """
    k = len(quality)
    max_count = min(max_count, k)
    score = 2.0 * np.nan_to_num(quality.astype(np.float64), nan=-1e3, posinf=1e3, neginf=-1e3)
    kernel = np.nan_to_num(similarity.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    left = np.diagonal(kernel).copy()
    basis = np.zeros((max_count, k))
    free = np.ones(k, np.bool_)
    new = [codes >= 0 for codes, _ in aspects]
    out: list[int] = []
    while len(out) < max_count:
        usable = free & (left > epsilon)
        if not usable.any():
            break
        gain = np.full(k, -np.inf)
        gain[usable] = score[usable] + np.log(left[usable])
        for (_, worth), fresh in zip(aspects, new, strict=True):
            gain += worth * fresh
        pick = int(np.argmax(gain))
        step = len(out)
        out.append(pick)
        free[pick] = False
        for (codes, _), fresh in zip(aspects, new, strict=True):
            fresh &= codes != codes[pick]
        # d[pick]² > epsilon, so the root is of a positive number and the division is by at least its root.
        row = (kernel[pick] - basis[:step, pick] @ basis[:step]) / np.sqrt(left[pick])
        basis[step] = row
        left = np.maximum(left - row * row, 0.0)
    return out

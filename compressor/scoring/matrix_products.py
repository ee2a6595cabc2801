"""Multiplies the small matrices of the shipped models on one thread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Multiplications up to which OpenBLAS, which comes with numpy, uses one thread. To wake others for a small product
#: takes a hundred times as long as the product, and they would take time from other calls.
MAX_MULTIPLICATIONS = 1 << 18


def multiply(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the product of two matrices, which is the same for any number of cores."""
    size = max(1, MAX_MULTIPLICATIONS // max(a.shape[1] * b.shape[1], 1))
    if len(a) <= size:
        return a @ b
    out = np.empty((len(a), b.shape[1]), np.float32)
    for start in range(0, len(a), size):
        np.matmul(a[start : start + size], b, out=out[start : start + size])
    return out

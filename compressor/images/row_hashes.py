"""Gives each row of pixels in each of a few strips of a picture a number, by which equal rows are found.

A strip is a range of columns. A side bar stays where it is while the text beside it scrolls: whole rows would differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Strips that a picture is cut into from left to right.
STRIPS = 8


def hash_rows(packed: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Returns a number for each row of each strip, the same for the same pixels in the same columns.

    Args:
        packed: Pixels as numbers, shape (height, width), see `Picture.packed`.

    Returns:
        Shape (strips, height). There are fewer strips than `STRIPS` if the picture has fewer columns.
    """
    width = packed.shape[1]
    # Odd factors that look random: a multiplicative congruential sequence (Knuth, TAOCP 2, 3.3.4).
    factors = np.cumprod(np.full(width, 0x2C9277B5, np.uint32), dtype=np.uint32)
    starts = np.unique(np.linspace(0, width, STRIPS, endpoint=False, dtype=np.intp))
    sums = np.add.reduceat(packed * factors, starts, axis=1)
    mixed = (sums ^ (sums >> np.uint32(15))) * np.uint32(0x85EBCA6B)
    return np.ascontiguousarray((mixed ^ (mixed >> np.uint32(13))).T)


def find_single_rows(hashes: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Returns the numbers that occur once in a strip, sorted, and their rows. Empty rows, which look alike, drop out.

    Args:
        hashes: The numbers of one strip, shape (height,).
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    differs = np.ones(len(ordered) + 1, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=differs[1:-1])
    single = differs[1:] & differs[:-1]
    return ordered[single], order[single]

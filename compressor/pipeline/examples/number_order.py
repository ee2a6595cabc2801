"""Sorts and ranks arrays of 32-bit numbers, faster than `np.argsort` and `np.unique` and in less memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int32] | npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]

_HIGH = np.uint64(32)


def sort_numbers(numbers: Numbers) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Sorts fewer than 2^32 numbers, none of which is negative.

    Returns:
        The places of the sorted numbers, equal ones in the order given; the sorted numbers; and which of them are the
        first of equal ones.
    """
    key = numbers.astype(np.uint64)
    key <<= _HIGH
    key |= np.arange(len(key), dtype=np.uint64)
    key.sort()
    places = key.astype(np.uint32)  # the lower half
    key >>= _HIGH
    found = key.astype(np.uint32)
    is_first = np.ones(len(found), np.bool_)
    is_first[1:] = found[1:] != found[:-1]
    return places, found, is_first


def rank_numbers(numbers: Numbers) -> tuple[Ints, Ints]:
    """Returns the rank of each number among the distinct numbers, from 0, and how often each of these occurs."""
    places, _, is_first = sort_numbers(numbers)
    rank = np.empty(len(places), np.int64)
    rank[places] = np.cumsum(is_first) - 1
    return rank, np.diff(np.append(np.flatnonzero(is_first), len(places)))

"""Sorting and ranking numbers, against numpy's own functions."""

from __future__ import annotations

import numpy as np

from compressor.pipeline.examples.number_order import rank_numbers, sort_numbers
from support.property_tests import given, st


@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1)), max_size=40))
def test_numbers_are_sorted_and_ranked(values: list[int]) -> None:
    numbers = np.array(values, np.uint32)
    places, found, is_first = sort_numbers(numbers)
    assert places.tolist() == np.argsort(numbers, kind="stable").tolist()
    assert found.tolist() == sorted(values) and found[is_first].tolist() == sorted(set(values))
    rank, counts = rank_numbers(numbers)
    _, inverse, expected = np.unique(numbers, return_inverse=True, return_counts=True)
    assert rank.tolist() == inverse.tolist() and counts.tolist() == expected.tolist()

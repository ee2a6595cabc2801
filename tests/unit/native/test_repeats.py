"""The kernel `repeats` against its twin, on texts of few words and on recorded traces."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from compressor.pipeline.repeated_sentences import MAX_POSTINGS, compare_pairs, compare_terms, find_exact
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st
from support.reasoning_traces import SAMPLES, UNSEEN

NATIVE = kernel_or_skip("repeats")


def same(units: list[list[int]], vocabulary: int, rng: random.Random, share: float = 1.0) -> list[int]:
    """Compares both on units of tokens, of which some are looked at, and returns what they say."""
    assert NATIVE is not None
    tokens = np.array([token for unit in units for token in unit], np.int32)
    ends = np.cumsum([len(unit) for unit in units], dtype=np.int64)
    which = np.array([i for i in range(len(units)) if rng.random() <= share], np.int64)
    overlaps = np.array([rng.choice([0.65, 0.85]) for _ in units], np.float64)
    labels = np.array([rng.randrange(max(1, vocabulary)) for _ in range(vocabulary)], np.int32)
    exactness = np.array([rng.choice([0, 0, 0, 1, 2]) for _ in range(vocabulary)], np.uint8)
    arguments = (tokens, ends, which, overlaps, labels, exactness, rng.choice([1, 2, MAX_POSTINGS]))
    found = NATIVE.find_exact(tokens, ends, which, exactness)
    assert found.tolist() == find_exact(tokens, ends, which, exactness).tolist()
    expected = compare_pairs(*arguments)
    assert NATIVE.compare_pairs(*arguments) == expected
    return expected


@settings(max_examples=300)
@given(st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=30), st.integers(0, 1 << 30))
def test_few_words(units: list[list[int]], seed: int) -> None:
    rng = random.Random(seed)
    same(units, 6, rng, rng.choice([0.0, 0.5, 1.0]))


@given(st.integers(0, 1 << 30))
def test_copies_with_other_words(seed: int) -> None:
    rng = random.Random(seed)
    kinds = [[rng.randrange(60) for _ in range(rng.randint(0, 25))] for _ in range(6)]
    units = [
        [rng.randrange(60) if rng.random() < 0.05 else token for token in rng.choice(kinds)]
        for _ in range(rng.randint(1, 80))
    ]
    same(units, 60, rng)


def test_traces() -> None:
    found = []
    for sample in (*SAMPLES, *UNSEEN):
        sentences = [re.findall(r"\w+", s) for s in re.split(r"(?<=[.!?])\s+", sample.trace)] * 2
        numbers: dict[str, int] = {}
        units = [[numbers.setdefault(word, len(numbers)) for word in words] for words in sentences]
        found += same(units, len(numbers), random.Random(3))
    assert found


def test_nothing_to_compare() -> None:
    assert same([[]], 0, random.Random(0)) == []
    assert same([[], [], []], 3, random.Random(0)) == []
    assert same([[0, 1]] * 3, 2, random.Random(0), 0.0) == []


@settings(max_examples=300)
@given(st.lists(st.lists(st.integers(0, 7), max_size=12), min_size=1, max_size=20), st.integers(0, 1 << 30))
def test_terms_of_other_texts(units: list[list[int]], seed: int) -> None:
    assert NATIVE is not None
    rng = random.Random(seed)
    counts = [rng.choice([0, 1, 1, 1, 2, 3]) for _ in range(8)]
    rows = np.array([rng.randrange(12) * 1000 for _ in range(sum(counts))], np.int32)
    length = {term: rng.randint(1, 9) for term in range(0, 12_000, 1000)}
    texts = [np.array([rng.randrange(14) * 1000 for _ in range(rng.randint(0, 30))], np.int32) for _ in range(3)]
    arguments = (
        np.array([token for unit in units for token in unit], np.int32),
        np.cumsum([len(unit) for unit in units], dtype=np.int64),
        np.array([i for i in range(len(units)) if rng.random() < 0.8], np.int64),
        np.array(counts, np.int32),
        rows,
        np.array([length[term] for term in rows.tolist()], np.int32),
        texts[: rng.randint(0, 3)],
        rng.choice([0.5, 0.8, 1.0]),
        rng.choice([1, 2, 4]),
        4,
    )
    assert NATIVE.compare_terms(*arguments) == compare_terms(*arguments)


def test_units_that_are_not_there_are_refused() -> None:
    assert NATIVE is not None
    tokens, ends, which = np.array([0, 1], np.int32), np.array([2], np.int64), np.array([0], np.int64)
    kinds = np.zeros(2, np.uint8)
    for arguments in (
        (tokens, ends, which + 1, kinds),
        (tokens, ends, which - 1, kinds),
        (tokens, ends + 1, which, kinds),
        (tokens - 1, ends, which, kinds),
        (tokens, ends, which, kinds[:1]),
    ):
        with pytest.raises(ValueError):
            NATIVE.find_exact(*arguments)

"""Compares a text with many examples by their n-grams: cosines of idf weights, from an inverted index.

An index is immutable: adding or removing examples copies it, so a reader never sees half a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples.ngram_features import FeatureRows, Features
from compressor.pipeline.examples.number_order import rank_numbers, sort_numbers

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]

_PART_BITS = 5  # of a hash; an index is built for the n-grams that share them, one part after the other
_BLOCK = 1 << 19  # entries that are summed at a time
_RANK_COST = 16  # ranking an n-gram takes as long as passing over so many entries of the vocabulary


class Postings:
    """Where the n-grams of a query occur, as pairs of an n-gram and an example.

    Attributes:
        sizes: [count] in how many examples each of the query's known n-grams occurs.
        row: [pairs] these examples, those of the first n-gram first.
        idf: [count] the inverse document frequency of each of these n-grams.
        count: The number of the query's n-grams that are in the index.
    """

    def __init__(self, sizes: Ints, row: Ints, idf: Floats) -> None:
        self.sizes, self.row, self.idf = sizes, row, idf
        self.count = len(idf)

    @cached_property
    def number(self) -> Ints:
        """The [pairs] n-grams of the pairs, from 0 to `count` - 1."""
        return np.repeat(np.arange(self.count), self.sizes)


class NgramIndex:
    """An inverted index of the n-grams of examples.

    Attributes:
        vocabulary: [v] the distinct n-grams, sorted.

    Args:
        docs: The features of each example.
        is_owner: Whether the memory of `docs` may be overwritten.
    """

    def __init__(self, docs: FeatureRows | None = None, is_owner: bool = False) -> None:
        sizes = docs.sizes if docs is not None else np.zeros(0, np.int32)
        flat = docs.flat if docs is not None else np.zeros(0, np.uint32)
        self._sizes: SmallInts = sizes  # [n] n-grams of each example
        self._numbers: SmallInts  # [entries] n-grams of the examples in order, as places in the vocabulary
        self._rows: SmallInts  # [entries] the examples of each n-gram in order
        self._starts: Ints  # [v + 1] where the examples of each n-gram start in `_rows`
        self.vocabulary, self._starts, self._rows, self._numbers = _invert(sizes, flat, is_owner)

    @classmethod
    def _from_arrays(
        cls, vocabulary: Features, starts: Ints, rows: SmallInts, sizes: SmallInts, numbers: SmallInts
    ) -> NgramIndex:
        index = cls.__new__(cls)
        index.vocabulary, index._starts, index._rows = vocabulary, starts, rows
        index._sizes, index._numbers = sizes, numbers
        return index

    def __len__(self) -> int:
        return len(self._sizes)

    @cached_property
    def docs(self) -> IndexedFeatures:
        """The features of each example."""
        return IndexedFeatures(self)

    @property
    def sizes(self) -> SmallInts:
        """The [n] numbers of n-grams of the examples."""
        return self._sizes

    def features(self, row: int) -> Features:
        """Returns the sorted n-grams of an example."""
        return self.vocabulary[self._numbers[self._offsets[row] : self._offsets[row + 1]]]

    def select(self, rows: Ints) -> FeatureRows:
        """Returns the n-grams of some examples, in the order of `rows`."""
        return FeatureRows(self.sizes[rows], self.vocabulary[self._entries(rows)[0]])

    def with_added(self, docs: FeatureRows, is_owner: bool = False) -> NgramIndex:
        """Returns an index with more examples at the end; `is_owner` is that of the class."""
        if not len(docs):
            return self
        if not len(self):
            return NgramIndex(docs, is_owner)
        words, starts, rows, numbers = _invert(docs.sizes, docs.flat, is_owner)
        vocabulary = np.union1d(self.vocabulary, words)
        old_place = np.searchsorted(vocabulary, self.vocabulary).astype(np.int32)
        new_place = np.searchsorted(vocabulary, words).astype(np.int32)
        counts = np.zeros(len(vocabulary), np.int64)
        counts[old_place] = np.diff(self._starts)
        ends = np.cumsum(counts)  # where new entries are inserted: after the old ones of the same n-gram
        counts[new_place] += np.diff(starts)
        at = np.repeat(ends[new_place], np.diff(starts))
        return self._from_arrays(
            vocabulary,
            np.concatenate([[0], np.cumsum(counts)]),
            np.insert(self._rows, at, rows + np.int32(len(self))),
            np.concatenate([self._sizes, docs.sizes]),
            np.concatenate([old_place[self._numbers], new_place[numbers]]),
        )

    def without(self, removed: npt.NDArray[np.bool_]) -> NgramIndex:
        """Returns an index without the examples for which `removed` [n] is true; the rows of the others move up."""
        stays = ~removed[self._rows]
        counts = np.zeros(len(self.vocabulary), np.int64)
        np.add.at(counts, self._entry_numbers()[stays], 1)
        used = counts > 0
        row_place = (np.cumsum(~removed) - 1).astype(np.int32)
        number_place = (np.cumsum(used) - 1).astype(np.int32)
        numbers = self._numbers[np.repeat(~removed, self._sizes)]
        return self._from_arrays(
            self.vocabulary[used],
            np.concatenate([[0], np.cumsum(counts[used])]),
            row_place[self._rows[stays]],
            self._sizes[~removed],
            number_place[numbers],
        )

    def _entry_numbers(self) -> SmallInts:
        """The [entries] n-gram of each entry of `_rows`, as a place in the vocabulary."""
        return np.repeat(np.arange(len(self.vocabulary), dtype=np.int32), np.diff(self._starts))

    @cached_property
    def _offsets(self) -> Ints:
        return np.concatenate([[0], np.cumsum(self._sizes, dtype=np.int64)])

    @cached_property
    def idf(self) -> Floats:
        """The [v] inverse document frequencies: 1 + ln((1 + examples) / (1 + examples with the n-gram))."""
        out: Floats = (1 + np.log((1 + len(self)) / (1 + np.diff(self._starts)))).astype(np.float32)
        return out

    @cached_property
    def lengths(self) -> Floats:
        """The [n] lengths of the vectors of the examples."""
        square = self.idf**2
        sums = np.zeros(len(self), np.float64)
        owner = np.arange(len(self), dtype=np.int32)
        first = 0
        while first < len(self):  # some examples at a time
            after = int(np.searchsorted(self._offsets, self._offsets[first] + _BLOCK))
            after = min(max(first + 1, after), len(self))
            weights = square[self._numbers[self._offsets[first] : self._offsets[after]]]
            rows = np.repeat(owner[: after - first], self._sizes[first:after])
            sums[first:after] = np.bincount(rows, weights, after - first)
            first = after
        out: Floats = np.sqrt(sums).astype(np.float32)
        return out

    def vocabulary_indices(self, features: Features) -> Ints:
        """Returns the positions in the vocabulary of those features that are in it."""
        if not len(self.vocabulary):
            return np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.vocabulary, features), len(self.vocabulary) - 1)
        return np.asarray(at[self.vocabulary[at] == features], np.int64)

    def find_postings(self, features: Features, max_frequency: int | None = None) -> Postings:
        """Returns where n-grams occur, without those that occur in more than `max_frequency` examples."""
        numbers = self.vocabulary_indices(features)
        if max_frequency is not None:
            numbers = numbers[self._starts[numbers + 1] - self._starts[numbers] <= max_frequency]
        starts, stops = self._starts[numbers].tolist(), self._starts[numbers + 1].tolist()
        parts = [self._rows[a:b] for a, b in zip(starts, stops, strict=True)]
        rows = np.concatenate([*parts, np.zeros(0, np.int32)], dtype=np.int64)
        return Postings(np.array([len(part) for part in parts], np.int64), rows, self.idf[numbers])

    def cosines(self, postings: Postings) -> Floats:
        """Returns the [n] cosines of the examples with the query, 0 if they share no n-gram."""
        weights = postings.idf**2
        dots = np.bincount(postings.row, np.repeat(weights.astype(np.float64), postings.sizes), len(self))
        length = float(np.sqrt(weights.sum())) or 1.0
        out: Floats = (dots / np.maximum(self.lengths * length, 1e-9)).astype(np.float32)
        return out

    def pairwise_cosines(self, rows: Ints) -> Floats:
        """Returns the [k, k] cosines of examples with each other; 1 on the diagonal, 0 for one without n-grams."""
        matrix = self._matrix(rows, 2)  # an n-gram of a single example adds nothing to a cosine of two
        out: Floats = np.clip(matrix @ matrix.T, 0.0, 1.0)
        np.fill_diagonal(out, (self.lengths[rows] > 0).astype(np.float32))
        return out

    def sum_vectors(self, rows: Ints) -> tuple[Floats, Floats]:
        """Returns the [u] sum of the vectors (of length 1) of k examples, and these [k, u] vectors."""
        matrix = self._matrix(rows, 1)
        return matrix.sum(0), matrix

    def typicality(self, rows: Ints) -> tuple[Floats, float]:
        """Returns the [k] cosines of examples with the sum of their vectors, and the length of that sum.

        The cosine of an example without n-grams is 0.
        """
        numbers, owner = self._entries(rows)
        values = self.idf[numbers] / np.maximum(self.lengths[rows], 1e-9)[owner]
        place = rank_numbers(numbers)[0] if _RANK_COST * len(numbers) < len(self.vocabulary) else numbers
        sums = np.bincount(place, values)
        length = float(np.linalg.norm(sums))
        dots = np.bincount(owner, values * sums[place], len(rows))
        return (dots / max(length, 1e-9)).astype(np.float32), length

    def _entries(self, rows: Ints) -> tuple[SmallInts, Ints]:
        """The n-grams of k examples as places in the vocabulary, and the example of each, from 0 to k - 1."""
        starts, stops = self._offsets[rows].tolist(), self._offsets[rows + 1].tolist()
        parts = [self._numbers[a:b] for a, b in zip(starts, stops, strict=True)]
        return np.concatenate([*parts, np.zeros(0, np.int32)]), np.repeat(np.arange(len(rows)), self._sizes[rows])

    def _matrix(self, rows: Ints, min_count: int) -> Floats:
        """The [k, u] vectors of k examples, over the n-grams that occur in at least `min_count` of them."""
        numbers, owner = self._entries(rows)
        rank, counts = rank_numbers(numbers)
        is_column = counts >= min_count
        place = np.cumsum(is_column) - 1
        here = is_column[rank]
        matrix = np.zeros((len(rows), int(place[-1]) + 1 if len(place) else 0), np.float32)
        matrix[owner[here], place[rank[here]]] = self.idf[numbers[here]]
        matrix /= np.maximum(self.lengths[rows], 1e-9)[:, None]
        return matrix


class IndexedFeatures(Sequence[Features]):
    """The sorted n-grams of each example of an index, collected when they are asked for."""

    def __init__(self, index: NgramIndex) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, row: int) -> Features: ...

    @overload
    def __getitem__(self, row: slice) -> list[Features]: ...

    def __getitem__(self, row: int | slice) -> Features | list[Features]:
        """Returns the n-grams of an example, or of a slice of them."""
        if isinstance(row, slice):
            return [self._index.features(i) for i in range(*row.indices(len(self)))]
        return self._index.features(range(len(self))[row])


def _invert(sizes: SmallInts, flat: Features, is_owner: bool) -> tuple[Features, Ints, SmallInts, SmallInts]:
    """Returns vocabulary, starts, rows and numbers of an index.

    It works on a part of all n-grams at a time, whose arrays fit into the CPU's cache.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    rows = np.empty(len(flat), np.int32)
    numbers = flat.view(np.int32) if is_owner else np.empty(len(flat), np.int32)  # each part is read, then written
    words: list[Features] = [np.zeros(0, np.uint32)]
    counts: list[Ints] = [np.zeros(1, np.int64)]
    done = known = 0
    bits = _PART_BITS if len(flat) > _BLOCK else 0
    part_numbers = np.zeros(len(flat), np.uint8)
    np.right_shift(flat, np.uint32(32 - bits), out=part_numbers, casting="unsafe", where=bits > 0)
    for part in range(1 << bits):
        entry = np.flatnonzero(part_numbers == part)
        owner = np.repeat(
            np.arange(len(sizes), dtype=np.int32), np.diff(np.searchsorted(entry, ends), prepend=np.int64(0))
        )
        place, word, is_first = sort_numbers(flat[entry])  # by n-gram, then by entry, so by example
        rows[done : done + len(entry)] = owner[place]
        numbers[entry[place]] = known + np.cumsum(is_first, dtype=np.int32) - 1
        words.append(word[is_first])
        counts.append(np.diff(np.append(np.flatnonzero(is_first), len(word))))
        done, known = done + len(entry), known + len(words[-1])
    return np.concatenate(words), np.cumsum(np.concatenate(counts)), rows, numbers

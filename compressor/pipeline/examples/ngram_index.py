"""Compares a text with many examples by their n-grams: cosines of idf weights, from an inverted index.

An index is immutable: adding or removing examples copies it, so a reader never sees half a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples.ngram_features import Features

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Postings:
    """Where the n-grams of a query occur, as pairs of an n-gram and an example.

    Attributes:
        number: [pairs] which of the query's known n-grams, from 0 to `count` - 1.
        row: [pairs] the example.
        idf: [count] the inverse document frequency of each of these n-grams.
        count: The number of the query's n-grams that are in the index.
    """

    def __init__(self, number: Ints, row: npt.NDArray[np.int32], idf: Floats) -> None:
        self.number, self.row, self.idf = number, row, idf
        self.count = len(idf)


class NgramIndex:
    """An inverted index of the n-grams of examples.

    Attributes:
        docs: The features of each example.

    Args:
        docs: The features of each example.
        entries: The sorted entries of the index, if they are known.
    """

    def __init__(
        self, docs: Sequence[Features] = (), entries: tuple[Features, npt.NDArray[np.int32]] | None = None
    ) -> None:
        self.docs = list(docs)
        if entries is None:
            entries = _entries(self.docs, 0)
        self._keys, self._rows = entries  # sorted by key, then by row

    def __len__(self) -> int:
        return len(self.docs)

    def with_added(self, docs: Sequence[Features]) -> NgramIndex:
        """Returns an index with more examples at the end."""
        if not docs:
            return self
        keys, rows = _entries(docs, len(self))
        at = np.searchsorted(self._keys, keys, side="right")
        return NgramIndex([*self.docs, *docs], (np.insert(self._keys, at, keys), np.insert(self._rows, at, rows)))

    def without(self, removed: npt.NDArray[np.bool_]) -> NgramIndex:
        """Returns an index without the examples for which `removed` [n] is true; the rows of the others move up."""
        stays = ~removed[self._rows]
        place = (np.cumsum(~removed) - 1).astype(np.int32)
        docs = [doc for doc, out in zip(self.docs, removed.tolist(), strict=True) if not out]
        return NgramIndex(docs, (self._keys[stays], place[self._rows[stays]]))

    @cached_property
    def _starts(self) -> Ints:
        new = np.ones(len(self._keys) + 1, np.bool_)
        new[1:-1] = self._keys[1:] != self._keys[:-1]
        return np.flatnonzero(new) if len(self._keys) else np.zeros(1, np.int64)

    @cached_property
    def vocabulary(self) -> Features:
        """The [v] distinct n-grams, sorted."""
        return self._keys[self._starts[:-1]]

    @cached_property
    def idf(self) -> Floats:
        """The [v] inverse document frequencies: 1 + ln((1 + examples) / (1 + examples with the n-gram))."""
        out: Floats = (1 + np.log((1 + len(self)) / (1 + np.diff(self._starts)))).astype(np.float32)
        return out

    @cached_property
    def lengths(self) -> Floats:
        """The [n] lengths of the vectors of the examples."""
        square = np.repeat(self.idf**2, np.diff(self._starts))
        out: Floats = np.sqrt(np.bincount(self._rows, square, len(self))).astype(np.float32)
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
        rows = np.concatenate([*parts, np.zeros(0, np.int32)])
        which = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return Postings(which, rows, self.idf[numbers])

    def cosines(self, postings: Postings) -> Floats:
        """Returns the [n] cosines of the examples with the query, 0 if they share no n-gram."""
        weights = postings.idf**2
        dots = np.bincount(postings.row, weights[postings.number], len(self))
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

    def _matrix(self, rows: Ints, min_count: int) -> Floats:
        """The [k, u] vectors of k examples, over the n-grams that occur in at least `min_count` of them."""
        docs = [self.docs[row] for row in rows.tolist()]
        flat = np.concatenate([*docs, np.zeros(0, np.uint32)])
        shared, column, times = np.unique(flat, return_inverse=True, return_counts=True)
        owner = np.repeat(np.arange(len(docs)), [len(doc) for doc in docs])
        column = column.reshape(-1)
        here = times[column] >= min_count
        place = np.cumsum(times >= min_count) - 1
        idf = self.idf[np.searchsorted(self.vocabulary, shared)]
        matrix = np.zeros((len(docs), int((times >= min_count).sum())), np.float32)
        matrix[owner[here], place[column[here]]] = idf[column[here]]
        matrix /= np.maximum(self.lengths[rows], 1e-9)[:, None]
        return matrix


def _entries(docs: Sequence[Features], first: int) -> tuple[Features, npt.NDArray[np.int32]]:
    keys = np.concatenate([*docs, np.zeros(0, np.uint32)])
    rows = np.repeat(np.arange(first, first + len(docs), dtype=np.int32), [len(doc) for doc in docs])
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]

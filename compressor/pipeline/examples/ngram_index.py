"""How alike a text and many examples are by their n-grams: cosines of idf weights from an inverted index.

An index never changes: what adds or removes gives a new one, in time that grows with the index only by copying, so a
reader never sees half a change. Knows neither texts nor labels.
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
    """Where a query's n-grams stand: pairs of `number` (which of the query's `count` known n-grams) and `row`."""

    def __init__(self, number: Ints, row: npt.NDArray[np.int32], idf: Floats) -> None:
        self.number, self.row, self.idf = number, row, idf
        self.count = len(idf)


class NgramIndex:
    """N-grams of examples, by example and by n-gram. `docs` has each example's features."""

    def __init__(
        self, docs: Sequence[Features] = (), entries: tuple[Features, npt.NDArray[np.int32]] | None = None
    ) -> None:
        self.docs = list(docs)
        if entries is None:
            entries = _entries(self.docs, 0)
        self._keys, self._rows = entries  # in order of keys, and of rows within a key

    def __len__(self) -> int:
        return len(self.docs)

    def with_added(self, docs: Sequence[Features]) -> NgramIndex:
        """The index with more examples behind the others."""
        if not docs:
            return self
        keys, rows = _entries(docs, len(self))
        at = np.searchsorted(self._keys, keys, side="right")
        return NgramIndex([*self.docs, *docs], (np.insert(self._keys, at, keys), np.insert(self._rows, at, rows)))

    def without(self, removed: npt.NDArray[np.bool_]) -> NgramIndex:
        """The index without the examples where `gone` [n] is true; the others move up."""
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
        """[v] the distinct n-grams, sorted."""
        return self._keys[self._starts[:-1]]

    @cached_property
    def idf(self) -> Floats:
        """[v] 1 + ln((1 + examples) / (1 + examples with the n-gram))."""
        out: Floats = (1 + np.log((1 + len(self)) / (1 + np.diff(self._starts)))).astype(np.float32)
        return out

    @cached_property
    def lengths(self) -> Floats:
        """[n] of the examples' vectors."""
        square = np.repeat(self.idf**2, np.diff(self._starts))
        out: Floats = np.sqrt(np.bincount(self._rows, square, len(self))).astype(np.float32)
        return out

    def vocabulary_indices(self, features: Features) -> Ints:
        """Numbers of those features that are in the vocabulary."""
        if not len(self.vocabulary):
            return np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.vocabulary, features), len(self.vocabulary) - 1)
        return np.asarray(at[self.vocabulary[at] == features], np.int64)

    def find_postings(self, features: Features, max_frequency: int | None = None) -> Postings:
        """Where these n-grams stand; without those that stand in more than `most` examples."""
        numbers = self.vocabulary_indices(features)
        if max_frequency is not None:
            numbers = numbers[self._starts[numbers + 1] - self._starts[numbers] <= max_frequency]
        starts, stops = self._starts[numbers].tolist(), self._starts[numbers + 1].tolist()
        parts = [self._rows[a:b] for a, b in zip(starts, stops, strict=True)]
        rows = np.concatenate([*parts, np.zeros(0, np.int32)])
        which = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return Postings(which, rows, self.idf[numbers])

    def cosines(self, postings: Postings) -> Floats:
        """[n] the cosine of each example with the query, 0 where they share nothing."""
        weights = postings.idf**2
        dots = np.bincount(postings.row, weights[postings.number], len(self))
        length = float(np.sqrt(weights.sum())) or 1.0
        out: Floats = (dots / np.maximum(self.lengths * length, 1e-9)).astype(np.float32)
        return out

    def pairwise_cosines(self, rows: Ints) -> Floats:
        """[k, k] cosines of some examples with each other; 1 on the diagonal, but 0 for one without any n-gram."""
        matrix = self._matrix(rows, 2)  # an n-gram of one example only tells nothing of two
        out: Floats = np.clip(matrix @ matrix.T, 0.0, 1.0)
        np.fill_diagonal(out, (self.lengths[rows] > 0).astype(np.float32))
        return out

    def sum_vectors(self, rows: Ints) -> tuple[Floats, Floats]:
        """[u] the sum of some examples' vectors (of length 1), and [k, u] the vectors, over the n-grams they hold."""
        matrix = self._matrix(rows, 1)
        return matrix.sum(0), matrix

    def _matrix(self, rows: Ints, least: int) -> Floats:
        """[k, u] the vectors of some examples, over the n-grams that at least so many of them hold."""
        docs = [self.docs[row] for row in rows.tolist()]
        flat = np.concatenate([*docs, np.zeros(0, np.uint32)])
        shared, column, times = np.unique(flat, return_inverse=True, return_counts=True)
        owner = np.repeat(np.arange(len(docs)), [len(doc) for doc in docs])
        column = column.reshape(-1)
        here = times[column] >= least
        place = np.cumsum(times >= least) - 1
        idf = self.idf[np.searchsorted(self.vocabulary, shared)]
        matrix = np.zeros((len(docs), int((times >= least).sum())), np.float32)
        matrix[owner[here], place[column[here]]] = idf[column[here]]
        matrix /= np.maximum(self.lengths[rows], 1e-9)[:, None]
        return matrix


def _entries(docs: Sequence[Features], first: int) -> tuple[Features, npt.NDArray[np.int32]]:
    keys = np.concatenate([*docs, np.zeros(0, np.uint32)])
    rows = np.repeat(np.arange(first, first + len(docs), dtype=np.int32), [len(doc) for doc in docs])
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]

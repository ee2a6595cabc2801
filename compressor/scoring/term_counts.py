"""Counts how often units or documents have the terms of a query, for BM25."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel

K1 = 1.2
#: Weaker length normalization than the usual 0.75, as units are short and their lengths say little.
B = 0.4
_kernel = load_kernel("relevance")


@dataclass(frozen=True, slots=True)
class TermCounts:
    """How often each row, which is a unit or a document, has each query term.

    Attributes:
        row: [pairs] the row of each pair of a row and a term that it has, in order.
        column: [pairs] the term of each pair; terms of a row are in order.
        times: [pairs] how often the row has the term.
        found: [terms] the number of rows that have each term.
    """

    row: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]
    times: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]

    @staticmethod
    def count(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int32], width: int) -> TermCounts:
        """Counts matches.

        Args:
            rows: The row of each match, with repetitions.
            columns: The query term of each match.
            width: The number of query terms.
        """
        if _kernel is None or not len(rows):
            keys, times = np.unique(rows * width + columns, return_counts=True)
            column = (keys % max(width, 1)).astype(np.int32)
            found = np.bincount(column, minlength=width)
            return TermCounts((keys // max(width, 1)).astype(np.int32), column, times, found)
        row, column = np.empty((2, len(rows)), np.int32)
        times, found = np.empty(len(rows), np.int64), np.zeros(width, np.int64)
        size = _kernel.count_terms(rows, columns, row, column, times, found)
        return TermCounts(row[:size], column[:size], times[:size], found)

    def bm25(self, weights: npt.NDArray[np.float32], lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Returns [len(lengths)] float32 BM25 of rows.

        Args:
            weights: The weight of each query term.
            lengths: The length of each row in words.
        """
        n = len(lengths)
        out = np.zeros(n, np.float32)
        if not len(self.row) or not n:
            return out
        idf = np.log1p((n - self.found + 0.5) / (self.found + 0.5)) * weights
        mean_length = max(1.0, float(lengths.mean()))
        if _kernel is None:
            norm = K1 * (1 - B + B * lengths[self.row] / mean_length)
            scores = idf[self.column] * self.times * (K1 + 1) / (self.times + norm)
            np.add.at(out, self.row, scores.astype(np.float32))
        else:
            _kernel.add_scores(out, self.row, self.column, self.times, idf, lengths, mean_length, K1, B)
        return out

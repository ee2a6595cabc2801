"""Compares texts by the shipped word vectors, so that a query and a class can match without sharing a word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import terms
from compressor.scoring.word_vectors import load_word_vectors

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MAX_CHARS = 600  # only the beginning of a text is read


def embed_words(texts: Sequence[str]) -> Floats:
    """Returns the [n, d] weighted means of the word vectors of texts, of length 1, or 0 for a text without words."""
    model = load_word_vectors()
    found = [model.rows(terms(text[:MAX_CHARS])) for text in texts]
    out = np.zeros((len(texts), model.term.shape[1]), np.float32)
    for place, rows in enumerate(found):
        if len(rows):
            out[place] = model.bag[rows] @ model.term[rows]
    return _unit(out)


class WordCentroids:
    """The mean word vectors of classes.

    Args:
        vectors: [n, d] vectors of examples, by `embed_words`.
        names: [classes, d] vectors of the names of the classes, each of which counts as an example.
        codes: [n] the class of each example.
    """

    def __init__(self, vectors: Floats, names: Floats, codes: Ints) -> None:
        self._mean = np.round(vectors.astype(np.float64).mean(0), 6).astype(np.float32)
        self._codes = codes
        self.vectors = self.centred(vectors)
        self._sums = self.centred(names).astype(np.float64)
        present, added = self._totals(np.arange(len(codes)))
        self._sums[present] += added

    def centred(self, vectors: Floats) -> Floats:
        """Returns [n, d] vectors without what is common to all examples."""
        return _unit(vectors - self._mean)

    def cosines(self, vector: Floats, without: Ints | None = None) -> npt.NDArray[np.float64]:
        """Returns the [classes] cosines of a centred vector with the classes.

        Args:
            vector: The vector, [d].
            without: Examples that are left out of their classes.
        """
        sums = self._sums
        if without is not None:
            present, removed = self._totals(without)
            sums = sums.copy()
            sums[present] -= removed
        found: npt.NDArray[np.float64] = sums @ vector / np.maximum(np.linalg.norm(sums, axis=1), 1e-6)
        return found

    def _totals(self, rows: Ints) -> tuple[Ints, npt.NDArray[np.float64]]:
        """The classes of some examples, and the [classes, d] sums of their vectors."""
        order = rows[np.argsort(self._codes[rows], kind="stable")]
        present, starts = np.unique(self._codes[order], return_index=True)
        return present, np.add.reduceat(self.vectors[order].astype(np.float64), starts)


def _unit(vectors: Floats) -> Floats:
    out: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))
    return out

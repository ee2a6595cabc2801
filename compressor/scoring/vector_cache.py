"""Keeps vectors of texts in a store, so that a text is embedded once and not once a process.

A vector that cannot be read or written is computed again, so no store error leaves this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from compressor.errors import StoreError
from compressor.storage.base import BlobStore, get_many

Vector = npt.NDArray[np.float16]


class VectorCache:
    """A cache of vectors by text and model. A value in the store is the vector's float16 bytes, little endian.

    Args:
        store: Opens the store; called on first use.
    """

    def __init__(self, store: Callable[[], BlobStore]) -> None:
        self._store = store

    def get(self, fingerprint: str, texts: Sequence[str]) -> dict[str, Vector]:
        """Returns the cached vectors [d] by text.

        Args:
            fingerprint: Names what the vectors depend on, except the text.
            texts: The texts to look up.
        """
        keys = {_key(fingerprint, text): text for text in texts}
        with suppress(StoreError):
            found = get_many(self._store(), list(keys))
            return {keys[key]: np.frombuffer(value, "<f2") for key, value in found.items() if len(value) % 2 == 0}
        return {}

    def put(self, fingerprint: str, vectors: Mapping[str, Vector]) -> None:
        """Stores vectors by their texts, in one transaction.

        If another process has stored a vector with other bytes meanwhile, none of these is stored. This can happen on
        GPUs, where batches round differently.

        Args:
            fingerprint: Names what the vectors depend on, except the text.
            vectors: The vectors [d] by text.
        """
        with suppress(StoreError):
            self._store().put({_key(fingerprint, t): v.astype("<f2").tobytes() for t, v in vectors.items()})


def _key(fingerprint: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"vector:{fingerprint}:{digest.hexdigest()}"

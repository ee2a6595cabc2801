"""Unit vectors in a store, so that a text is embedded once and not once a process. Computes none.

A cache, not an account: what cannot be read or written here is computed again, so no store error leaves this module.
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
    """Vectors of texts under a model's fingerprint: whatever changes a model's vectors must change its fingerprint.

    `store` opens the store, on first use. A value is the vector's float16 bytes, little endian.
    """

    def __init__(self, store: Callable[[], BlobStore]) -> None:
        self._store = store

    def get(self, fingerprint: str, texts: Sequence[str]) -> dict[str, Vector]:
        """Vectors [d] of those texts that are there."""
        keys = {_key(fingerprint, text): text for text in texts}
        with suppress(StoreError):
            found = get_many(self._store(), list(keys))
            return {keys[key]: np.frombuffer(value, "<f2") for key, value in found.items() if len(value) % 2 == 0}
        return {}

    def put(self, fingerprint: str, vectors: Mapping[str, Vector]) -> None:
        """Stores vectors by their texts, in one transaction. A vector that another process has stored meanwhile with
        other bytes stays, and none of these is stored: it can happen on GPUs, where batches round differently."""
        with suppress(StoreError):
            self._store().put({_key(fingerprint, t): v.astype("<f2").tobytes() for t, v in vectors.items()})


def _key(fingerprint: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"vector:{fingerprint}:{digest.hexdigest()}"

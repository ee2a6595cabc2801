"""Caches what is expensive to compute about stored examples: n-grams, token counts and vectors.

Values are packed by record of the example store's log. Values that cannot be read are computed again, so no store error
leaves this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.errors import StoreError
from compressor.pipeline.examples.example_set import ComputeRows, ExampleSet
from compressor.pipeline.examples.ngram_features import (
    VERSION,
    FeatureRows,
    join_features,
    pack_features,
    unpack_features,
)
from compressor.storage.base import BlobStore, get_many

Array = npt.NDArray[Any]
_TYPES = {"i": "<i4", "f": "<f2"}  # of token counts; of vectors, as `VectorCache` stores them


@dataclass
class FeatureBatch:
    """The examples that one record of the log has added.

    Attributes:
        digest: The digest of the record.
        ids: The ids of the examples in order; None for one that was removed.
    """

    digest: str
    ids: list[str | None]


class FeatureCache:
    """The cache in one store.

    Args:
        store: Returns the store.
    """

    def __init__(self, store: Callable[[], BlobStore]) -> None:
        self._store = store

    def features(self, texts: Sequence[list[str]], compute: Callable[[list[str]], FeatureRows]) -> FeatureRows:
        """Returns the n-grams of the texts of several batches, concatenated.

        Args:
            texts: The texts of each batch.
            compute: Computes the n-grams of texts that are not cached.
        """
        keys = [f"examples-ngrams:{VERSION}:{digest_texts(some)}" for some in texts]
        stored = self._read(keys)
        parts: list[FeatureRows] = []
        for key, some in zip(keys, texts, strict=True):
            found = unpack_features(stored[key]) if key in stored else None
            if found is None or len(found) != len(some):
                found = compute(some)
                self._write({key: pack_features(found)})
            parts.append(found)
        return join_features(parts)

    def column(
        self, pool: ExampleSet, name: str, start: int, compute: ComputeRows, batches: Sequence[FeatureBatch]
    ) -> Array:
        """Returns the values of a set's rows from `start` on, [rows, ...].

        Args:
            pool: The set of examples.
            name: The name of the values.
            start: The first row.
            compute: Computes the values of rows that are not cached.
            batches: The batches that the rows are from.
        """
        rows = {id: row for row, id in enumerate(pool.ids) if row >= start}
        here = [batch for batch in batches if any(id in rows for id in batch.ids)]
        keys = [f"examples-values:{digest_texts([name])}:{batch.digest}" for batch in here]
        is_shareable = not callable(pool.template.given)  # a function has no identity that other processes know
        stored = self._read(keys) if is_shareable else {}
        new: dict[str, bytes] = {}
        parts: list[tuple[list[int], Array]] = []
        for key, batch in zip(keys, here, strict=True):
            own = [rows.get(id, -1) if id is not None else -1 for id in batch.ids]
            values = _unpack(stored.get(key, b""), len(own))
            if values is None and min(own) >= 0:
                new[key] = _pack(compute(own))
                values = _unpack(new[key], len(own))  # rounded as it will be when it is read from the store
            if values is not None:
                kept = [row for row in own if row >= 0]
                parts.append((kept, values if len(kept) == len(own) else values[[row >= 0 for row in own]]))
        if is_shareable:
            self._write(new)
        known = {row for some, _ in parts for row in some}
        missing = [row for row in range(start, len(pool)) if row not in known]
        if missing or not parts:
            parts.append((missing, compute(missing)))
        out = np.empty((len(pool) - start, *parts[-1][1].shape[1:]), parts[-1][1].dtype)
        for some, values in parts:
            out[np.array(some, np.int64) - start] = values
        return out

    def _read(self, keys: Sequence[str]) -> dict[str, bytes]:
        with suppress(StoreError):
            return get_many(self._store(), list(dict.fromkeys(keys)))
        return {}

    def _write(self, items: Mapping[str, bytes]) -> None:
        for key, value in items.items():
            with suppress(StoreError):  # another process may have written it, rounded differently
                self._store().put({key: value})


def digest_bytes(data: bytes) -> str:
    """Returns the digest of a record of the log: 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def digest_texts(texts: Sequence[str]) -> str:
    """Returns the digest of several texts in order: 32 hexadecimal digits."""
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def _pack(values: Array) -> bytes:
    """Packs the type of the values, their number in each row, and the values."""
    kind = "f" if values.dtype.kind == "f" else "i"
    matrix = values.reshape(len(values), -1)
    return b"%s%d:" % (kind.encode(), matrix.shape[1] if values.ndim > 1 else 0) + matrix.astype(_TYPES[kind]).tobytes()


def _unpack(data: bytes, rows: int) -> Array | None:
    """Unpacks what `_pack` has packed; returns None for anything else."""
    head, _, body = data.partition(b":")
    kind, width = head[:1].decode("latin-1"), head[1:]
    if kind not in _TYPES or not width.isdigit():
        return None
    if len(body) != rows * max(1, int(width)) * np.dtype(_TYPES[kind]).itemsize:
        return None
    flat = np.frombuffer(body, _TYPES[kind]).astype(np.float32 if kind == "f" else np.int64)
    return flat.reshape(rows, int(width)) if int(width) else flat

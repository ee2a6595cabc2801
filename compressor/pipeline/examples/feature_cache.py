"""What is dear to work out about a bank's examples, packed by record in the store: n-grams, token counts, vectors.

A cache, not an account: what cannot be read or written is worked out again, so no store error leaves this module.
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
from compressor.pipeline.examples.ngram_features import VERSION, Features, pack_features, unpack_features
from compressor.storage.base import BlobStore, get_many

Array = npt.NDArray[Any]
_TYPES = {"i": "<i4", "f": "<f2"}  # of token counts, and of vectors, as `VectorCache` keeps them


@dataclass
class FeatureBatch:
    """Examples added by one record. digest: of what they hold; ids: in order, None for one that has been removed."""

    digest: str
    ids: list[str | None]


class FeatureCache:
    """The cache of one store."""

    def __init__(self, store: Callable[[], BlobStore]) -> None:
        self._store = store

    def features(self, texts: Sequence[list[str]], compute: Callable[[list[str]], list[Features]]) -> list[Features]:
        """N-grams of the texts of several batches, end to end."""
        keys = [f"examples-ngrams:{VERSION}:{digest_texts(some)}" for some in texts]
        stored = self._read(keys)
        new: dict[str, bytes] = {}
        out: list[Features] = []
        for key, some in zip(keys, texts, strict=True):
            found = unpack_features(stored[key]) if key in stored else None
            if found is None or len(found) != len(some):
                found = compute(some)
                new[key] = pack_features(found)
            out += found
        self._write(new)
        return out

    def column(
        self, pool: ExampleSet, name: str, start: int, compute: ComputeRows, batches: Sequence[FeatureBatch]
    ) -> Array:
        """The values of a pool's rows from `start` on, [rows, ...]; see `pool.Load`."""
        rows = {id: row for row, id in enumerate(pool.ids) if row >= start}
        here = [batch for batch in batches if any(id in rows for id in batch.ids)]
        keys = [f"examples-values:{digest_texts([name])}:{batch.digest}" for batch in here]
        stored = {} if callable(pool.template.given) else self._read(keys)  # a function has no name that lasts
        out: dict[int, Array] = {}
        new: dict[str, bytes] = {}
        for key, batch in zip(keys, here, strict=True):
            mine = [(i, rows[id]) for i, id in enumerate(batch.ids) if id in rows]
            values = _unpacked(stored.get(key, b""), len(batch.ids))
            if values is None and len(mine) == len(batch.ids):
                new[key] = _packed(compute([row for _, row in mine]))
                values = _unpacked(new[key], len(mine))  # as it will come from the store
            if values is not None:
                out |= {row: values[i] for i, row in mine}
        if not callable(pool.template.given):
            self._write(new)
        left = [row for row in range(start, len(pool)) if row not in out]
        if left or not out:
            out |= dict(zip(left, made := compute(left), strict=True))
            if not out:
                return made
        return np.stack([out[row] for row in range(start, len(pool))])

    def _read(self, keys: Sequence[str]) -> dict[str, bytes]:
        with suppress(StoreError):
            return get_many(self._store(), list(dict.fromkeys(keys)))
        return {}

    def _write(self, items: Mapping[str, bytes]) -> None:
        for key, value in items.items():
            with suppress(StoreError):  # another process may have written it, rounded differently
                self._store().put({key: value})


def digest_texts(texts: Sequence[str]) -> str:
    """Of several texts, in order: 32 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        found.update(b"%d:" % len(data))
        found.update(data)
    return found.hexdigest()


def _packed(values: Array) -> bytes:
    """The kind of the values, how many each row has, and the values."""
    kind = "f" if values.dtype.kind == "f" else "i"
    wide = values.reshape(len(values), -1)
    return b"%s%d:" % (kind.encode(), wide.shape[1] if values.ndim > 1 else 0) + wide.astype(_TYPES[kind]).tobytes()


def _unpacked(data: bytes, rows: int) -> Array | None:
    """What `_packed` has packed; None for anything else."""
    head, _, body = data.partition(b":")
    kind, width = head[:1].decode("latin-1"), head[1:]
    if kind not in _TYPES or not width.isdigit():
        return None
    if len(body) != rows * max(1, int(width)) * np.dtype(_TYPES[kind]).itemsize:
        return None
    flat = np.frombuffer(body, _TYPES[kind]).astype(np.float32 if kind == "f" else np.int64)
    return flat.reshape(rows, int(width)) if int(width) else flat

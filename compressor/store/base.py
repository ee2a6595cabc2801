"""What a store is: bytes under short keys, for a while. Knows nothing of contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from compressor.errors import RefError


@dataclass(frozen=True, slots=True)
class StoreStats:
    """`entries` live values of `size` bytes together (as stored), under `limit` bytes; `where` names the place."""

    entries: int
    size: int
    limit: int
    where: str


class Store(Protocol):
    """Keeps originals. Every method is safe from several threads; persistent stores from several processes too."""

    def put(self, items: Mapping[str, bytes]) -> None:
        """Stores all items in one transaction, renewing those already there. A key is never overwritten with other
        bytes: `StoreError` (content-derived keys make that a collision)."""
        ...

    def get(self, key: str) -> bytes:
        """The exact bytes; renews the TTL. `UnknownRef` if never stored, `ExpiredRef` if gone."""
        ...

    def stats(self) -> StoreStats: ...

    def close(self) -> None: ...


class BatchStore(Store, Protocol):
    """A store that reads many keys at once. `get_many` below does with any store."""

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The exact bytes of those keys that are there; renews their TTL."""
        ...


def get_many(store: Store, keys: Sequence[str]) -> dict[str, bytes]:
    """The values of those keys that are there, in one go where the store can."""
    many = getattr(store, "get_many", None)
    if many is not None:
        found: dict[str, bytes] = many(keys)
        return found
    out = {}
    for key in keys:
        with suppress(RefError):
            out[key] = store.get(key)
    return out

"""What a store is: bytes under short keys, for a while. Knows nothing of contexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


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

"""What a store is: bytes under short keys, and logs under names, for a while. Knows nothing of contexts or sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

from compressor.errors import RefError, StoreError


@dataclass(frozen=True, slots=True)
class StoreStats:
    """`entries` live values and `logs` live logs, of `size` bytes together (as stored), under `limit` bytes; `where`
    names the place."""

    entries: int
    size: int
    limit: int
    location: str
    logs: int = 0


class BlobStore(Protocol):
    """Keeps originals. Every method is safe from several threads; persistent stores from several processes too."""

    def put(self, items: Mapping[str, bytes]) -> None:
        """Stores all items in one transaction, renewing those already there. A key is never overwritten with other
        bytes: `StoreError` (content-derived keys make that a collision)."""
        ...

    def get(self, key: str) -> bytes:
        """The exact bytes; renews the TTL. `UnknownRefError` if never stored, `ExpiredRefError` if gone."""
        ...

    def stats(self) -> StoreStats: ...

    def close(self) -> None: ...


class AppendLog(Protocol):
    """Append-only logs under names, with compare-and-set: who writes record n first has written it.

    A log's records are numbered from 1. Its TTL slides: it ends that long after the log's last read or append. Logs
    count in the size limit, but values go first, and a log that was used within the last hour never goes
    (`values.LOG_IN_USE`): where that leaves too little, `StoreError`. Names are no keys: a log and a value may share
    one. As safe from threads and processes as a `BlobStore`; a process killed at any point has written all of a call or
    nothing.
    """

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """Records numbered above `after`, in order, with their numbers; renews the log's TTL. An empty list: nothing
        new. `UnknownRefError` if there never was such a log; `ExpiredRefError` if it is gone (its time, the size limit,
        `drop_log`), also where another was begun in its place and does not reach `after`.

        Where the first number is not `after` + 1, what lies between went with a `fresh` append."""
        ...

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """Writes `records` as numbers `at` + 1, `at` + 2, ... in one transaction, and with them `values` under the
        rules of `BlobStore.put`; renews the TTL.

        False, and nothing is written, unless the log's last number is `at` (0: there is no log, or no more).
        `fresh`: what the log held before these records is no longer needed and goes; the numbers go on. Without
        records no log is begun; `at` counts all the same, and `fresh` and `values` do what they do."""
        ...

    def drop_log(self, name: str) -> None:
        """Removes a log; nothing happens if there is none. Reading it is an `ExpiredRefError` from then on."""
        ...


class LeaseStore(Protocol):
    """Which of several processes does something: at most one at a time, for a while. Nothing is safe by it: a lease
    may end before the work does."""

    def lease(self, name: str, seconds: float) -> str | None:
        """A token, if nobody has this lease, which is the caller's for so long; None if somebody has it. `StoreError`
        where that cannot be told."""
        ...

    def release(self, name: str, token: str) -> None:
        """Ends a lease early; nothing happens if it is not the one of this token."""
        ...


class BatchStore(BlobStore, Protocol):
    """A store that reads many keys at once. `get_many` below does with any store."""

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The exact bytes of those keys that are there; renews their TTL."""
        ...


def get_many(store: BlobStore, keys: Sequence[str]) -> dict[str, bytes]:
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


def require_log(store: BlobStore) -> AppendLog:
    """The store's journal. StoreError for a store that has none, and so cannot keep sessions."""
    if not hasattr(store, "append_log"):
        raise StoreError(f"{type(store).__name__} cannot keep sessions: it has no journal (see Journal in store/base)")
    return cast(AppendLog, store)

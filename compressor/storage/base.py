"""The protocols of a store: values under short keys, append-only logs, and leases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

from compressor.errors import RefError, StoreError


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds.

    Attributes:
        entries: The number of values that have not expired.
        size: The bytes of values and logs together, in their stored (compressed) form.
        limit: The largest `size` in bytes; 0 means that the store has no limit.
        location: The place of the store: a path, a URL without password, or "memory".
        logs: The number of logs that have not expired.
    """

    entries: int
    size: int
    limit: int
    location: str
    logs: int = 0


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """What a store knows about a value, without its content.

    Attributes:
        size: Its bytes in stored (compressed) form; 0 if it has expired.
        expires_in: The seconds until it expires if nobody uses it; 0 if it has expired.
    """

    size: int
    expires_in: float


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased.

    Attributes:
        values: The number of values.
        logs: The number of logs.
        size: The bytes of both, in stored form.
    """

    values: int = 0
    logs: int = 0
    size: int = 0

    def __add__(self, other: Erasure) -> Erasure:
        return Erasure(self.values + other.values, self.logs + other.logs, self.size + other.size)


class BlobStore(Protocol):
    """Stores values (the originals) under keys, each until its TTL ends.

    Every method is safe to call from several threads. Persistent stores are safe to use from several processes too.
    """

    def put(self, items: Mapping[str, bytes]) -> None:
        """Stores all items in one transaction and renews the TTL of those that are already stored.

        Args:
            items: The values by key.

        Raises:
            StoreError: If a key already holds other bytes, because a value is never overwritten. Keys are derived from
                content, so this is a hash collision.
        """
        ...

    def get(self, key: str) -> bytes:
        """Returns the exact bytes and renews their TTL.

        Raises:
            UnknownRefError: If the key was never stored.
            ExpiredRefError: If the value has expired or was evicted.
        """
        ...

    def stats(self) -> StoreStats:
        """Returns what the store holds."""
        ...

    def close(self) -> None:
        """Releases files and connections. A closed store raises StoreError."""
        ...


class AppendLog(Protocol):
    """Stores append-only logs under names, with compare-and-append: the first writer of record n wins.

    The records of a log are numbered from 1. The TTL of a log is renewed by every read and append. Logs count towards
    the size limit, but values are evicted first, and a log that was used within the last hour (`codec.LOG_IN_USE`) is
    never evicted; if that leaves too little space, the call raises StoreError. Logs and values have separate names, so
    a log and a value may share one. Threads and processes may share a log as they may share a `BlobStore`. A process
    that is killed at any point has written either all of a call or nothing.
    """

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """Returns the records after a number, in order, and renews the TTL of the log.

        Args:
            name: The name of the log.
            after: The number of the last record that the caller has.

        Returns:
            Pairs of number and record; an empty list if there are no new records. If the first number is not
            `after + 1`, a `truncate_before` append has removed the records between them.

        Raises:
            UnknownRefError: If there never was such a log.
            ExpiredRefError: If the log has expired, was evicted or was dropped; also if a new log has taken its place
                and has fewer than `after` records.
        """
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
        """Appends records in one transaction, and stores values with them; renews the TTL of the log.

        Args:
            name: The name of the log.
            expected_last: The number of the last record, as the caller knows it; 0 if there is no log.
            records: The records, which get the numbers `expected_last + 1` and up. An empty sequence starts no log,
                but `expected_last`, `truncate_before` and `values` have their usual effect.
            truncate_before: Whether the older records are no longer needed and are removed. The numbering continues.
            values: Values to store in the same transaction, as `BlobStore.put` stores them.

        Returns:
            False, with nothing written, if the last number of the log is not `expected_last`.
        """
        ...

    def drop_log(self, name: str) -> None:
        """Removes a log, so that reading it raises ExpiredRefError. Does nothing if there is no such log."""
        ...


class LeaseStore(Protocol):
    """Advisory locks with a TTL.

    They save duplicate work of several processes, but do not guarantee exclusion: a lease may end before the work does.
    """

    def lease(self, name: str, seconds: float) -> str | None:
        """Takes a lease for some seconds.

        Returns:
            The token of the lease, or None if somebody else holds it.

        Raises:
            StoreError: If the store cannot tell.
        """
        ...

    def release(self, name: str, token: str) -> None:
        """Ends a lease early. Does nothing if the lease has another token."""
        ...


class ErasableStore(Protocol):
    """A store that shows and removes what it holds, for its operator. Nothing here renews a TTL."""

    def describe(self, key: str) -> StoredEntry | None:
        """Returns what the store knows about a value, or None if it was never stored or is forgotten."""
        ...

    def list_keys(self, prefix: str) -> list[str]:
        """Returns the keys of the values that begin with a prefix and have not expired, in no certain order."""
        ...

    def remove(self, keys: Sequence[str]) -> int:
        """Removes values, so that reading them raises ExpiredRefError. Returns how many there were."""
        ...

    def erase(self, prefix: str = "") -> Erasure:
        """Erases the values and logs whose names begin with a prefix, without a trace.

        Without a prefix it erases everything but the values and logs of tenants, which have a namespace.
        """
        ...


class BatchStore(BlobStore, Protocol):
    """A store that reads many keys at once. `get_many` below works with any store."""

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Returns the exact bytes of the keys that are stored, and renews their TTL."""
        ...


def get_many(store: BlobStore, keys: Sequence[str]) -> dict[str, bytes]:
    """Returns the values of the keys that are stored, in one call if the store supports it."""
    read_batch = getattr(store, "get_many", None)
    if read_batch is not None:
        found: dict[str, bytes] = read_batch(keys)
        return found
    out = {}
    for key in keys:
        with suppress(RefError):
            out[key] = store.get(key)
    return out


def require_erasable(store: BlobStore) -> ErasableStore:
    """Returns the store as an `ErasableStore`.

    Raises:
        StoreError: If the store cannot erase.
    """
    if not hasattr(store, "erase"):
        raise StoreError(
            f"{type(store).__name__} cannot erase what it holds: use a store that implements ErasableStore "
            "(compressor.storage.base)"
        )
    return cast(ErasableStore, store)


def require_log(store: BlobStore) -> AppendLog:
    """Returns the store as an `AppendLog`.

    Raises:
        StoreError: If the store has no logs, and so cannot hold sessions.
    """
    if not hasattr(store, "append_log"):
        raise StoreError(
            f"{type(store).__name__} cannot store sessions because it has no logs: use a store that implements "
            "AppendLog (compressor.storage.base)"
        )
    return cast(AppendLog, store)

"""The base class of stores that wrap another store: it forwards all calls, and subclasses override some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from compressor.storage.base import (
    AppendLog,
    BlobStore,
    Erasure,
    StoredEntry,
    StoreStats,
    get_many,
    require_erasable,
    require_log,
)


@dataclass(frozen=True, slots=True)
class LogAppend:
    """The arguments of one `AppendLog.append_log`.

    Attributes:
        name: The name of the log.
        expected_last: The number that the last record of the log must have.
        records: The records to append.
        truncate_before: Whether the records before these are dropped.
        values: The values that are stored in the same transaction.
    """

    name: str
    expected_last: int
    records: Sequence[bytes]
    truncate_before: bool = False
    values: Mapping[str, bytes] = field(default_factory=dict)

    def apply(self, log: AppendLog) -> bool:
        """Appends to a log and returns whether that was done."""
        values, truncate = self.values or None, self.truncate_before
        return log.append_log(self.name, self.expected_last, self.records, truncate_before=truncate, values=values)


class StoreWrapper:
    """Forwards every method to an inner store.

    Logs are forwarded too; they raise StoreError if the inner store has none. Leases and health are forwarded if the
    inner store has them.

    Args:
        store: The inner store.

    Attributes:
        forwarded: The optional attributes that are passed on. Any other attribute would be a way around the wrapper.
    """

    forwarded: ClassVar[tuple[str, ...]] = ("health", "lease", "release")

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._store.put(items)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        return self._store.get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        return get_many(self._store, keys)

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        return self._log.read_log(name, after)

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`."""
        return self._append(LogAppend(name, expected_last, records, truncate_before, values or {}))

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        self._log.drop_log(name)

    def describe(self, key: str) -> StoredEntry | None:
        """See `ErasableStore.describe`."""
        return require_erasable(self._store).describe(key)

    def list_keys(self, prefix: str) -> list[str]:
        """See `ErasableStore.list_keys`."""
        return require_erasable(self._store).list_keys(prefix)

    def remove(self, keys: Sequence[str]) -> int:
        """See `ErasableStore.remove`."""
        return require_erasable(self._store).remove(keys)

    def erase(self, prefix: str = "") -> Erasure:
        """See `ErasableStore.erase`."""
        return require_erasable(self._store).erase(prefix)

    def stats(self) -> StoreStats:
        """Returns the statistics of the inner store."""
        return self._store.stats()

    def close(self) -> None:
        """Closes the inner store."""
        self._store.close()

    def __getattr__(self, name: str) -> Any:
        if name not in self.forwarded:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._store, name)

    def _append(self, append: LogAppend) -> bool:
        """Appends; the one method to override for `append_log`."""
        return append.apply(self._log)

    @property
    def _log(self) -> AppendLog:
        return require_log(self._store)

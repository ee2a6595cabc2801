"""A store in the memory of this process: fast, and lost when the process ends."""

from __future__ import annotations

import copy
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import codec
from compressor.storage.base import Erasure, StoredEntry, StoreStats
from compressor.storage.codec import compress_log
from compressor.storage.retention import TtlPolicy, as_policy

LIMIT = 64 * 2**20  # bytes; holds the originals of a long conversation and is small beside a service


@dataclass(slots=True)
class _Value:
    stored: bytes  # the stored form
    used: float  # the time of the last use

    @property
    def size(self) -> int:
        return len(self.stored)


@dataclass(slots=True)
class _Log:
    first: int  # the number of records[0]
    records: list[bytes]  # in their stored form
    size: int
    used: float

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1


_Entry = TypeVar("_Entry", _Value, _Log)


class MemoryStore:
    """Stores values and logs in dicts. A forked child has a copy of what was stored at the fork.

    A pickle holds everything that is stored. `copy.deepcopy` returns the same store.

    Args:
        ttl: The seconds after the last use (a put, get, append or read) at which a value or log expires; or the TTLs by
            key.
        limit: The largest size in bytes, in stored (compressed) form. Above it the least recently used values are
            evicted first, then logs that nobody used for an hour.
        clock: Returns the time in seconds.
    """

    def __init__(
        self, *, ttl: float | TtlPolicy = codec.DEFAULT_TTL, limit: int = LIMIT, clock: Callable[[], float] = time.time
    ) -> None:
        codec.validate_limit(limit)
        self._policy, self._limit, self._clock = as_policy(ttl), limit, clock
        self._lock = threading.Lock()
        self._values: _LruWithTombstones[_Value] = _LruWithTombstones()
        self._logs: _LruWithTombstones[_Log] = _LruWithTombstones()
        self._closed = False
        _stores.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the settings and everything that is stored."""
        with self._lock:
            state = {**vars(self), "_values": copy.deepcopy(self._values), "_logs": copy.deepcopy(self._logs)}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())
        _stores.add(self)

    def __copy__(self) -> MemoryStore:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> MemoryStore:
        """Returns this store itself: copies of what uses a store share it."""
        return self

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`. Also raises StoreError, with nothing stored, if the items alone exceed the limit."""
        codec.validate_items(items)
        with self._lock:
            now = self._purge_expired()
            packed = self._compress(items)
            self._evict(packed, 0, now)
            self._put(packed, now)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        with self._lock:
            value = self._values.use(key, self._purge_expired(), self._policy.ttl(key))
        return codec.decompress(value.stored, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        with self._lock:
            now = self._purge_expired()
            found = {
                key: self._values.use(key, now, self._policy.ttl(key)).stored
                for key in keys
                if key in self._values.live
            }
        return {key: codec.decompress(stored, key) for key, stored in found.items()}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        with self._lock:
            now = self._purge_expired()
            log = self._logs.live.get(name)
            if log is not None and log.last < after:
                raise ExpiredRefError(name)
            log = self._logs.use(name, now, self._policy.ttl(name))
            start = max(after + 1, log.first)
            records = log.records[start - log.first :]
        return [(number, codec.decompress(record, name)) for number, record in enumerate(records, start)]

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`. Also raises StoreError, with nothing written, if it does not fit the limit."""
        return self._append(name, expected_last, compress_log(name, records), truncate_before, values or {})

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        with self._lock:
            now = self._purge_expired()
            if name in self._logs.live:
                self._logs.tombstone(name, now)

    def describe(self, key: str) -> StoredEntry | None:
        """See `ErasableStore.describe`."""
        with self._lock:
            now = self._purge_expired()
            value = self._values.live.get(key)
            if value is None:
                return StoredEntry(0, 0.0) if key in self._values.tombstones else None
            return StoredEntry(value.size, value.used + self._values.ttl(key) - now)

    def list_keys(self, prefix: str) -> list[str]:
        """See `ErasableStore.list_keys`."""
        with self._lock:
            self._purge_expired()
            return [key for key in self._values.live if key.startswith(prefix)]

    def remove(self, keys: Sequence[str]) -> int:
        """See `ErasableStore.remove`."""
        with self._lock:
            now = self._purge_expired()
            found = [key for key in dict.fromkeys(keys) if key in self._values.live]
            for key in found:
                self._values.tombstone(key, now)
            return len(found)

    def erase(self, prefix: str = "") -> Erasure:
        """See `ErasableStore.erase`."""
        with self._lock:
            self._purge_expired()
            before = self._size
            values, logs = (
                entries.erase(lambda name: codec.is_below(prefix, name)) for entries in (self._values, self._logs)
            )
            return Erasure(values, logs, before - self._size)

    def stats(self) -> StoreStats:
        """See `BlobStore.stats`."""
        with self._lock:
            self._purge_expired()
            return StoreStats(len(self._values.live), self._size, self._limit, "memory", len(self._logs.live))

    def close(self) -> None:
        """Drops everything. A closed store raises StoreError."""
        with self._lock:
            self._closed = True
            self._values, self._logs = _LruWithTombstones(), _LruWithTombstones()

    def empty_copy(self) -> MemoryStore:
        """Returns an empty store with the same settings."""
        return MemoryStore(ttl=self._policy, limit=self._limit, clock=self._clock)

    @property
    def _size(self) -> int:
        return self._values.size + self._logs.size

    def _append(
        self, name: str, expected_last: int, packed: list[bytes], truncate: bool, items: Mapping[str, bytes]
    ) -> bool:
        codec.validate_items(items)
        with self._lock:
            now = self._purge_expired()
            log = self._logs.live.get(name)
            if expected_last != (0 if log is None else log.last):
                return False
            new = self._compress(items)
            freed = log.size if log is not None and truncate else 0
            added = sum(map(len, packed))
            self._evict(new, added - freed, now, name)
            self._put(new, now)
            if log is not None or packed:
                records = [] if log is None or truncate else log.records
                first = expected_last + 1 if log is None or truncate else log.first
                size = (0 if log is None else log.size) - freed + added
                records.extend(packed)  # in place, so that the cost does not grow with the log
                self._logs.put(name, _Log(first, records, size, now), self._policy.ttl(name))
        return True

    def _compress(self, items: Mapping[str, bytes]) -> dict[str, bytes]:
        """Returns the stored forms of the items; raises StoreError if a key holds other bytes."""
        packed: dict[str, bytes] = {}
        for key, value in items.items():
            current = self._values.live.get(key)
            if current is None:
                packed[key] = codec.compress(value)
            elif codec.decompress(current.stored, key) != value:
                raise codec.collision_error(key)
            else:
                packed[key] = current.stored
        return packed

    def _put(self, packed: Mapping[str, bytes], now: float) -> None:
        for key, stored in packed.items():
            self._values.put(key, _Value(stored, now), self._policy.ttl(key))

    def _evict(self, packed: Mapping[str, bytes], log_growth: int, now: float, name: str | None = None) -> None:
        """Evicts what is needed to store these values and to let the log `name` grow: values first, then idle logs.

        Raises StoreError, with nothing evicted, if that does not free enough.
        """
        live = self._values.live
        excess = self._size + sum(len(s) for key, s in packed.items() if key not in live) + log_growth - self._limit
        if excess <= 0:
            return
        evictable = [key for key in live if key not in packed]
        idle = [n for n, log in self._logs.live.items() if n != name and log.used < now - codec.LOG_IN_USE]
        free = sum(live[key].size for key in evictable) + sum(self._logs.live[n].size for n in idle)
        if excess > free:
            raise codec.too_large_error(self._limit + excess - free, self._limit)
        for entries, names in ((self._values, evictable), (self._logs, idle)):
            for each in names:
                if excess <= 0:
                    return
                excess -= entries.tombstone(each, now)

    def _purge_expired(self) -> float:
        """Replaces expired entries by tombstones, drops old tombstones, and returns the time."""
        if self._closed:
            raise StoreError("this store has been closed")
        now = self._clock()
        self._values.purge_expired(now, self._policy.longest)
        self._logs.purge_expired(now, self._policy.longest)
        return now


class _LruWithTombstones(Generic[_Entry]):
    """Entries by name and the tombstones of removed ones, both in the order of last use.

    This is not `compressor.caches.LruCache`: the store reads the entries in their order to expire them, and decides
    itself which ones a limit evicts.
    """

    def __init__(self) -> None:
        self.live: OrderedDict[str, _Entry] = OrderedDict()
        self.tombstones: OrderedDict[str, float] = OrderedDict()  # name -> when the entry was removed
        self.size = 0
        self._ttls: dict[str, float] = {}  # name -> the TTL of the entry
        self._by_ttl: dict[float, OrderedDict[str, None]] = {}  # the names of each TTL, in the order of last use

    def put(self, name: str, entry: _Entry, ttl: float) -> None:
        """Stores an entry, in place of a former one of this name."""
        self.size += entry.size - (self.live[name].size if name in self.live else 0)
        self.tombstones.pop(name, None)
        self.live[name] = entry
        self._note_use(name, ttl)

    def use(self, name: str, now: float, ttl: float) -> _Entry:
        """Returns an entry and notes its use; raises UnknownRefError or ExpiredRefError if there is none."""
        entry = self.live.get(name)
        if entry is None:
            raise ExpiredRefError(name) if name in self.tombstones else UnknownRefError(name)
        entry.used = now
        self._note_use(name, ttl)
        return entry

    def ttl(self, name: str) -> float:
        """Returns the TTL of an entry."""
        return self._ttls[name]

    def tombstone(self, name: str, now: float) -> int:
        """Replaces an entry by a tombstone; returns the bytes that this frees."""
        size = self._remove(name)
        self.tombstones[name] = now
        self.tombstones.move_to_end(name)
        return size

    def erase(self, is_meant: Callable[[str], bool]) -> int:
        """Erases entries and tombstones by name; returns the number of entries."""
        for name in [name for name in self.tombstones if is_meant(name)]:
            del self.tombstones[name]
        names = [name for name in self.live if is_meant(name)]
        for name in names:
            self._remove(name)
        return len(names)

    def purge_expired(self, now: float, longest: float) -> None:
        """Replaces expired entries by tombstones, and drops old or surplus tombstones."""
        for ttl in list(self._by_ttl):
            names = self._by_ttl[ttl]
            while names and self.live[next(iter(names))].used < now - ttl:
                self.tombstone(next(iter(names)), now)
            if not names:
                del self._by_ttl[ttl]
        oldest = now - codec.TOMBSTONE_TTLS * longest
        while self.tombstones and (
            len(self.tombstones) > codec.MAX_TOMBSTONES or next(iter(self.tombstones.values())) < oldest
        ):
            self.tombstones.popitem(last=False)

    def _note_use(self, name: str, ttl: float) -> None:
        self.live.move_to_end(name)
        former = self._ttls.get(name)
        if former is not None and former != ttl:
            del self._by_ttl[former][name]
        self._ttls[name] = ttl
        names = self._by_ttl.setdefault(ttl, OrderedDict())
        names[name] = None
        names.move_to_end(name)

    def _remove(self, name: str) -> int:
        entry = self.live.pop(name)
        self.size -= entry.size
        del self._by_ttl[self._ttls.pop(name)][name]
        return entry.size


_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()
_forking: list[MemoryStore] = []


def _before_fork() -> None:
    """Takes all locks, so that no other thread is in the middle of a change when the child gets its copy."""
    for store in list(_stores):
        store._lock.acquire()
        _forking.append(store)


def _after_in_parent() -> None:
    while _forking:
        _forking.pop()._lock.release()


def _after_in_child() -> None:
    while _forking:
        _forking.pop()._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)

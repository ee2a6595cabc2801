"""A store in this process's memory: fast, and gone with the process. Touches no file."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import codec
from compressor.storage.base import StoreStats
from compressor.storage.codec import compress_log

LIMIT = 64 * 2**20  # bytes; a long conversation's originals, without being noticed in a service's memory


@dataclass(slots=True)
class _Value:
    stored: bytes  # as packed
    used: float

    @property
    def size(self) -> int:
        return len(self.stored)


@dataclass(slots=True)
class _Log:
    first: int  # the number of records[0]
    records: list[bytes]  # as packed
    size: int
    used: float

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1


_Held = TypeVar("_Held", _Value, _Log)


class MemoryStore:
    """Values and logs in dicts, least recently used first.

    `ttl` seconds after its last put or get a value expires, a log after its last append or read. When more than
    `limit` bytes (as stored, that is compressed) are held, the least recently used values go; when there are none left
    the logs that nobody used for an hour. Child processes see a copy of what was there at the fork.
    """

    def __init__(
        self, *, ttl: float = codec.DEFAULT_TTL, limit: int = LIMIT, clock: Callable[[], float] = time.time
    ) -> None:
        codec.validate_limits(ttl, limit)
        self._ttl, self._limit, self._clock = ttl, limit, clock
        self._lock = threading.Lock()
        self._values: _LruWithTombstones[_Value] = _LruWithTombstones()
        self._logs: _LruWithTombstones[_Log] = _LruWithTombstones()
        self._closed = False
        _stores.add(self)

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`. `StoreError` also when the items alone exceed the limit; nothing is stored then."""
        codec.validate_items(items)
        with self._lock:
            now = self._sweep()
            packed = self._pack(items)
            self._make_room(packed, 0, 0, now)
            self._put(packed, now)

    def get(self, key: str) -> bytes:
        with self._lock:
            held = self._values.use(key, self._sweep())
        return codec.decompress(held.stored, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        with self._lock:
            now = self._sweep()
            held = {key: self._values.use(key, now).stored for key in keys if key in self._values.live}
        return {key: codec.decompress(stored, key) for key, stored in held.items()}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        with self._lock:
            now = self._sweep()
            log = self._logs.live.get(name)
            if log is not None and log.last < after:
                raise ExpiredRefError(name)
            log = self._logs.use(name, now)
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
        """See `AppendLog.append_log`. `StoreError` also when there is no room; nothing is written then."""
        return self._append(name, expected_last, compress_log(name, records), truncate_before, values or {})

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        with self._lock:
            now = self._sweep()
            if name in self._logs.live:
                self._logs.tombstone(name, now)

    def stats(self) -> StoreStats:
        with self._lock:
            self._sweep()
            return StoreStats(len(self._values.live), self._size, self._limit, "memory", len(self._logs.live))

    def close(self) -> None:
        """Forgets everything. Using the store afterwards is a `StoreError`."""
        with self._lock:
            self._closed = True
            self._values, self._logs = _LruWithTombstones(), _LruWithTombstones()

    @property
    def _size(self) -> int:
        return self._values.size + self._logs.size

    def _append(self, name: str, at: int, packed: list[bytes], fresh: bool, items: Mapping[str, bytes]) -> bool:
        codec.validate_items(items)
        with self._lock:
            now = self._sweep()
            log = self._logs.live.get(name)
            if at != (0 if log is None else log.last):
                return False
            new = self._pack(items)
            less = log.size if log is not None and fresh else 0
            more = sum(map(len, packed))
            self._make_room(new, more, less, now, name)
            self._put(new, now)
            if log is not None or packed:
                kept = [] if log is None or fresh else log.records
                first = at + 1 if log is None or fresh else log.first
                size = (0 if log is None else log.size) - less + more
                kept.extend(packed)  # in place: an append costs the same however long the log is
                self._logs.put(name, _Log(first, kept, size, now))
        return True

    def _pack(self, items: Mapping[str, bytes]) -> dict[str, bytes]:
        """The items' stored forms. `StoreError` where a key holds other bytes."""
        packed: dict[str, bytes] = {}
        for key, value in items.items():
            held = self._values.live.get(key)
            if held is None:
                packed[key] = codec.compress(value)
            elif codec.decompress(held.stored, key) != value:
                raise codec.collision_error(key)
            else:
                packed[key] = held.stored
        return packed

    def _put(self, packed: Mapping[str, bytes], now: float) -> None:
        for key, stored in packed.items():
            self._values.put(key, _Value(stored, now))

    def _make_room(
        self, packed: Mapping[str, bytes], more: int, less: int, now: float, name: str | None = None
    ) -> None:
        """Buries what has to go for these values, and for `more` bytes of the log `name` in place of `less`: values
        first. `StoreError`, with nothing buried, where that is not enough."""
        live = self._values.live
        excess = self._size + sum(len(s) for key, s in packed.items() if key not in live) + more - less - self._limit
        if excess <= 0:
            return
        going = [key for key in live if key not in packed]
        idle = [n for n, log in self._logs.live.items() if n != name and log.used < now - codec.LOG_IN_USE]
        free = sum(live[key].size for key in going) + sum(self._logs.live[n].size for n in idle)
        if excess > free:
            raise codec.too_large_error(self._limit + excess - free, self._limit)
        for shelf, names in ((self._values, going), (self._logs, idle)):
            for each in names:
                if excess <= 0:
                    return
                excess -= shelf.tombstone(each, now)

    def _sweep(self) -> float:
        """Buries what has expired, forgets old tombstones; returns the time."""
        if self._closed:
            raise StoreError("this store has been closed")
        now = self._clock()
        self._values.purge_expired(now, self._ttl)
        self._logs.purge_expired(now, self._ttl)
        return now


class _LruWithTombstones(Generic[_Held]):
    """Things by name and tombstones of those that went, both least recently used first. Knows no limit."""

    def __init__(self) -> None:
        self.live: OrderedDict[str, _Held] = OrderedDict()
        self.gone: OrderedDict[str, float] = OrderedDict()  # name -> when it went
        self.size = 0

    def put(self, name: str, held: _Held) -> None:
        """In the place of what is there."""
        self.size += held.size - (self.live[name].size if name in self.live else 0)
        self.gone.pop(name, None)
        self.live[name] = held
        self.live.move_to_end(name)

    def use(self, name: str, now: float) -> _Held:
        """`UnknownRefError`, `ExpiredRefError`."""
        held = self.live.get(name)
        if held is None:
            raise ExpiredRefError(name) if name in self.gone else UnknownRefError(name)
        held.used = now
        self.live.move_to_end(name)
        return held

    def tombstone(self, name: str, now: float) -> int:
        """Leaves a tombstone; returns the bytes freed."""
        held = self.live.pop(name)
        self.size -= held.size
        self.gone[name] = now
        self.gone.move_to_end(name)
        return held.size

    def purge_expired(self, now: float, ttl: float) -> None:
        while self.live and next(iter(self.live.values())).used < now - ttl:
            self.tombstone(next(iter(self.live)), now)
        forget = now - codec.TOMBSTONE_TTLS * ttl
        while self.gone and (len(self.gone) > codec.MAX_TOMBSTONES or next(iter(self.gone.values())) < forget):
            self.gone.popitem(last=False)


_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()
_forking: list[MemoryStore] = []


def _before_fork() -> None:
    """Another thread may be at work: what it holds is whole in the child, and the lock is free there."""
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

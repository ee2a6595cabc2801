"""A store in this process's memory: fast, and gone with the process. Touches no file."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from compressor.errors import ExpiredRef, StoreError, UnknownRef
from compressor.store import values
from compressor.store.base import StoreStats

LIMIT = 64 * 2**20  # bytes; a long conversation's originals, without being noticed in a service's memory


class MemoryStore:
    """Values in a dict, least recently used first.

    `ttl` seconds after its last put or get a value expires. When more than `limit` bytes (as stored, that is
    compressed) are held, the least recently used values go. Child processes see a copy of what was there at the fork.
    """

    def __init__(self, *, ttl: float = values.TTL, limit: int = LIMIT, clock: Callable[[], float] = time.time) -> None:
        values.check_limits(ttl, limit)
        self._ttl, self._limit, self._clock = ttl, limit, clock
        self._lock = threading.Lock()
        self._live: OrderedDict[str, tuple[bytes, float]] = OrderedDict()  # key -> (stored form, last use)
        self._gone: OrderedDict[str, float] = OrderedDict()  # tombstones: key -> when it went
        self._size = 0
        self._closed = False

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `Store.put`. `StoreError` also when the items alone exceed the limit; nothing is stored then."""
        values.check_items(items)
        with self._lock:
            now = self._sweep()
            packed: dict[str, bytes] = {}
            for key, value in items.items():
                held = self._live.get(key)
                if held is None:
                    packed[key] = values.pack(value)
                elif values.unpack(held[0], key) != value:
                    raise values.collision(key)
                else:
                    packed[key] = held[0]
            need = sum(map(len, packed.values()))
            if need > self._limit:
                raise values.too_large(need, self._limit)
            for key, stored in packed.items():
                if key not in self._live:
                    self._size += len(stored)
                    self._gone.pop(key, None)
                self._live[key] = (stored, now)
                self._live.move_to_end(key)
            while self._size > self._limit:
                self._bury(now)

    def get(self, key: str) -> bytes:
        with self._lock:
            now = self._sweep()
            held = self._live.get(key)
            if held is None:
                raise ExpiredRef(key) if key in self._gone else UnknownRef(key)
            self._live[key] = (held[0], now)
            self._live.move_to_end(key)
        return values.unpack(held[0], key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        with self._lock:
            now = self._sweep()
            held = {key: self._live[key][0] for key in keys if key in self._live}
            for key, stored in held.items():
                self._live[key] = (stored, now)
                self._live.move_to_end(key)
        return {key: values.unpack(stored, key) for key, stored in held.items()}

    def stats(self) -> StoreStats:
        with self._lock:
            self._sweep()
            return StoreStats(len(self._live), self._size, self._limit, "memory")

    def close(self) -> None:
        """Forgets everything. Using the store afterwards is a `StoreError`."""
        with self._lock:
            self._closed = True
            self._live.clear()
            self._gone.clear()
            self._size = 0

    def _sweep(self) -> float:
        """Buries what has expired, forgets old tombstones; returns the time."""
        if self._closed:
            raise StoreError("this store has been closed")
        now = self._clock()
        while self._live and next(iter(self._live.values()))[1] < now - self._ttl:
            self._bury(now)
        forget = now - values.TOMBSTONE_TTLS * self._ttl
        while self._gone and (len(self._gone) > values.MAX_TOMBSTONES or next(iter(self._gone.values())) < forget):
            self._gone.popitem(last=False)
        return now

    def _bury(self, now: float) -> None:
        """Replaces the least recently used value by a tombstone."""
        key, (stored, _) = self._live.popitem(last=False)
        self._size -= len(stored)
        self._gone[key] = now
        self._gone.move_to_end(key)

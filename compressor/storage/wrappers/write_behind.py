"""The queue of values that are still to be written to a remote store, oldest first, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

_ENTRY_BYTES = 200  # what Python needs for an entry beside the bytes of key and value
_BATCH_BYTES = 2**20  # written in one call


class WriteBehindBuffer:
    """A queue of values by key. Safe from several threads.

    It is an OrderedDict rather than `compressor.caches.LruCache`, because reads must not change the order, and dropped
    values must be counted.

    Args:
        limit: The bytes of memory to use. If they are full, the oldest values are dropped.

    Attributes:
        dropped: The number of values that will never be written, since the start.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, items: Mapping[str, bytes]) -> None:
        """Adds values at the end; they replace queued values of the same keys."""
        with self._lock:
            for key, value in items.items():
                self._remove(key)
                self._values[key] = value
                self._size += _size(key, value)
            while self._size > self._limit:
                self._remove(next(iter(self._values)))
                self.dropped += 1

    def find(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Returns the queued values of these keys."""
        if not self._values:
            return {}
        with self._lock:
            return {key: self._values[key] for key in keys if key in self._values}

    def next_batch(self) -> dict[str, bytes]:
        """Returns the oldest values, about 1 MB of them; at least one, if any is queued."""
        out: dict[str, bytes] = {}
        size = 0
        with self._lock:
            for key, value in self._values.items():
                size += _size(key, value)
                if out and size > _BATCH_BYTES:
                    break
                out[key] = value
        return out

    def settle(self, items: Mapping[str, bytes], dropped: bool = False) -> None:
        """Removes values that were written, unless a new value was queued under their key meanwhile.

        Args:
            items: The values, as `next_batch` returned them.
            dropped: Whether they were given up rather than written; they are counted then.
        """
        with self._lock:
            for key, value in items.items():
                if self._values.get(key) is value:
                    self._remove(key)
                    self.dropped += dropped

    def drop_all(self) -> int:
        """Drops all queued values and returns how many there were."""
        with self._lock:
            lost = len(self._values)
            self.dropped += lost
            self._values.clear()
            self._size = 0
        return lost

    def list_keys(self) -> list[str]:
        """Returns the keys of all queued values."""
        with self._lock:
            return list(self._values)

    def discard(self, keys: Sequence[str]) -> None:
        """Removes queued values that are not wanted any more. They do not count as dropped."""
        with self._lock:
            for key in keys:
                self._remove(key)

    def after_fork(self) -> None:
        """Replaces the lock in a forked child, where the thread that held it does not exist."""
        self._lock = threading.Lock()

    def _remove(self, key: str) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._size -= _size(key, value)


def _size(key: str, value: bytes) -> int:
    return _ENTRY_BYTES + len(key) + len(value)

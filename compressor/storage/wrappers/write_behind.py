"""Values that wait to be written to a remote store, oldest first, in bounded memory. Writes nothing itself."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

_ENTRY = 200  # bytes that Python needs for a key and a value beside their own
_BATCH = 2**20  # bytes written in one call


class WriteBehindBuffer:
    """Values by key. `limit`: bytes of memory; for newer values the oldest are dropped. Safe from several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        #: Values that will not be written any more, since the start.
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, items: Mapping[str, bytes]) -> None:
        """As the newest, in the place of what waits under these keys."""
        with self._lock:
            for key, value in items.items():
                self._remove(key)
                self._values[key] = value
                self._size += _size(key, value)
            while self._size > self._limit:
                self._remove(next(iter(self._values)))
                self.dropped += 1

    def find(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that wait."""
        if not self._values:
            return {}
        with self._lock:
            return {key: self._values[key] for key in keys if key in self._values}

    def next_batch(self) -> dict[str, bytes]:
        """The oldest, some megabyte of them; at least one, if any waits."""
        out: dict[str, bytes] = {}
        size = 0
        with self._lock:
            for key, value in self._values.items():
                size += _size(key, value)
                if out and size > _BATCH:
                    break
                out[key] = value
        return out

    def settle(self, items: Mapping[str, bytes], dropped: bool = False) -> None:
        """These wait no more, unless they have been added again meanwhile: they were written, or `dropped`."""
        with self._lock:
            for key, value in items.items():
                if self._values.get(key) is value:
                    self._remove(key)
                    self.dropped += dropped

    def drop_all(self) -> int:
        """Nothing waits any more; how many values that cost."""
        with self._lock:
            lost = len(self._values)
            self.dropped += lost
            self._values.clear()
            self._size = 0
        return lost

    def after_fork(self) -> None:
        """In the child: who held the lock does not exist here."""
        self._lock = threading.Lock()

    def _remove(self, key: str) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._size -= _size(key, value)


def _size(key: str, value: bytes) -> int:
    return _ENTRY + len(key) + len(value)

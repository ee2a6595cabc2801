"""What was worked out about texts, remembered. Bounded by memory, safe to share between threads; knows no tokenizer."""

from __future__ import annotations

import sys
import threading
from typing import Generic, TypeVar

V = TypeVar("V")

#: Bytes of remembered texts in one cache, both generations together.
LIMIT = 32 << 20
_ENTRY = 120  # a dict entry and its value


class Memo(Generic[V]):
    """Text -> value, for about the `limit` bytes of texts that were used last. `weight` are the bytes of a value.

    Two generations: what is used moves to the young one; when that holds half the limit, it becomes the old one and
    the old one goes. A lookup is one dict access, with neither a lock nor an order to keep up.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._half = limit // 2
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}
        self._held = 0
        self._lock = threading.Lock()

    def get(self, text: str) -> V | None:
        value = self._young.get(text)
        if value is None:
            value = self._old.get(text)
            if value is not None:
                self.put(text, value)
        return value

    def put(self, text: str, value: V, weight: int = 0) -> None:
        size = sys.getsizeof(text) + _ENTRY + weight
        if size > self._half:
            return
        with self._lock:
            if text in self._young:
                return
            if self._held + size > self._half:
                self._old, self._young, self._held = self._young, {}, 0
            self._young[text] = value
            self._held += size

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

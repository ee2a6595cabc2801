"""Bounded in-memory caches that threads can share: one for computed texts, one for everything else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K")
V = TypeVar("V")

#: Bytes that one `TwoGenerationCache` or `TextMemo` holds, both generations together, unless it has a limit of its own.
DEFAULT_CACHE_BYTES = 8 << 20
_ENTRY_BYTES = 120  # a dict entry and a number


def held_bytes(value: Any) -> int:
    """Returns about how many bytes of memory a value keeps from being freed.

    Args:
        value: A text, a number, an array, a tuple or list of them, or an object that says so itself in `size_bytes`.
    """
    kind = type(value)
    if kind is tuple or kind is list:
        return sys.getsizeof(value) + sum(map(held_bytes, value))
    if kind is str or kind is bytes or kind is int:
        return sys.getsizeof(value)
    size: int | None = getattr(value, "size_bytes", None)
    if size is not None:
        return size
    own = sys.getsizeof(value)
    base = getattr(value, "base", None)  # a part of an array keeps all of that array
    return own if base is None else own + held_bytes(base)


class LruCache(Generic[K, V]):
    """Keeps the entries that were used last, up to `max_size`; safe to share between threads.

    A wrapper of `cachetools.LRUCache` with a lock, because cachetools leaves locking to its users.

    Args:
        max_size: The number of entries, or, with `size_of`, the sum of their sizes.
        size_of: Returns the size of a value. A value larger than `max_size` is not kept.
    """

    def __init__(self, max_size: float, size_of: Callable[[V], float] | None = None) -> None:
        self._entries: LRUCache[K, V] = LRUCache(max_size, getsizeof=size_of)
        self._size_of = size_of
        self._lock = threading.RLock()

    def __reduce__(self) -> Any:
        """Pickles the settings: a copy starts empty."""
        return type(self), (self._entries.maxsize, self._size_of)

    def get(self, key: K) -> V | None:
        """Returns the value of `key` and marks it as used, or None."""
        with self._lock:
            return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Stores a value; the entries used longest ago make room for it."""
        with self._lock:
            try:
                self._entries[key] = value
            except ValueError:  # larger than the whole cache
                self._entries.pop(key, None)

    def get_or_create(self, key: K, create: Callable[[], V]) -> V:
        """Returns the value of `key`; creates and stores it under the lock if it is missing."""
        with self._lock:
            value = self._entries.get(key)
            if value is None:
                value = create()
                self.put(key, value)
            return value

    def pop(self, key: K) -> V | None:
        """Removes an entry and returns its value, or None."""
        with self._lock:
            return self._entries.pop(key, None)

    def clear(self) -> None:
        """Removes all entries."""
        with self._lock:
            self._entries.clear()

    @property
    def size(self) -> float:
        """The number of entries, or, with `size_of`, the sum of their sizes."""
        with self._lock:
            return self._entries.currsize

    def list_keys(self) -> list[K]:
        """Returns the keys of all entries, the oldest first."""
        with self._lock:
            return list(self._entries)

    def values(self) -> list[V]:
        """Returns all values, the one used longest ago first."""
        with self._lock:
            return list(self._entries.values())

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._entries

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)


class TwoGenerationCache(Generic[V]):
    """Remembers what was computed about texts, for about the `max_bytes` of texts that were used last.

    Kept beside `LruCache` because it is read once per token count: a lookup is one dict access, with neither a lock nor
    an order to maintain. Entries that are used move to the young generation. When that holds half of the limit, it
    becomes the old generation, and the previous old one is dropped. What an entry weighs is what it keeps from being
    freed, see `held_bytes`; it must not change while the entry is there.

    Args:
        max_bytes: The size of both generations together.
    """

    def __init__(self, max_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self._half = max_bytes // 2
        self._young: dict[Hashable, V] = {}
        self._old: dict[Hashable, V] = {}
        self._held = 0
        self._old_held = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        """Pickles the settings: a copy starts empty."""
        return type(self), (2 * self._half,)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds. What both generations hold counts twice."""
        return self._held + self._old_held

    def get(self, text: Hashable) -> V | None:
        """Returns the value of `text`, or None."""
        value = self._young.get(text)
        if value is None:
            value = self._old.get(text)
            if value is not None:
                self.put(text, value)
        return value

    def put(self, text: Hashable, value: V) -> None:
        """Stores the value of `text`, or of a tuple with it, unless there is one."""
        self._put(text, value, replace=False)

    def replace(self, text: Hashable, value: V) -> None:
        """Stores the value of `text`, in place of another one if there is one."""
        self._put(text, value, replace=True)

    def _put(self, text: Hashable, value: V, replace: bool) -> None:
        key_size = held_bytes(text) + _ENTRY_BYTES
        size = key_size + held_bytes(value)
        with self._lock:
            known = self._young.get(text)
            if known is not None:
                if not replace:
                    return
                del self._young[text]
                self._held -= key_size + held_bytes(known)
            if size > 2 * self._half:
                return
            if self._held + size > self._half:
                self._old, self._old_held = self._young, self._held
                self._young, self._held = {}, 0
            if self._old_held + self._held + size > 2 * self._half:  # one of them is larger than half of the limit
                self._old, self._old_held = {}, 0
            self._young[text] = value
            self._held += size

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())


class TextMemo(dict[str, V]):
    """The values of a function of texts, for about the `max_bytes` of texts that were used last.

    `memo[text]` computes what is missing. It is a `dict`, so that looking up a known text runs no Python code. The dict
    is the young generation of a `TwoGenerationCache`.

    Args:
        compute: Returns the value of a text. Threads may compute the same one at once.
        max_bytes: The size of both generations together.
    """

    def __init__(self, compute: Callable[[str], V], max_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        super().__init__()
        self._compute = compute
        self._half = max_bytes // 2
        self._old: dict[str, V] = {}
        self._held = 0
        self._old_held = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        """Pickles the settings: a copy starts empty."""
        return type(self), (self._compute, 2 * self._half)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds. What both generations hold counts twice."""
        return self._held + self._old_held

    def __missing__(self, text: str) -> V:
        value = self._old.get(text)
        if value is None:
            value = self._compute(text)
        self.put(text, value)
        return value

    def put(self, text: str, value: V) -> None:
        """Stores the value of `text`, if it is known already."""
        size = sys.getsizeof(text) + _ENTRY_BYTES
        if size > 2 * self._half:
            return
        with self._lock:
            if text in self:
                return
            if self._held + size > self._half:
                self._old, self._old_held = dict(self), self._held
                self.clear()  # Readers hold on to this very dict, so that it cannot be replaced.
                self._held = 0
            if self._old_held + self._held + size > 2 * self._half:  # one of them is larger than half of the limit
                self._old, self._old_held = {}, 0
            self[text] = value
            self._held += size

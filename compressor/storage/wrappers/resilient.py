"""A wrapper of a remote store that may be slow or unavailable for a while, with a local cache in front of it.

While the circuit breaker is closed, calls go to the remote. While it is open, no call waits for the remote: values are
kept here and written behind when it is back, and reading what only the remote has raises StoreError. Logs are never
faked: while the breaker is open every call of a log raises StoreError at once, because a compare-and-append that the
remote does not see would lose messages. A record is also not appended before the values that are queued here are
written, so no acknowledged record refers to an original that only this process has. The remote is probed every few
seconds by a thread, not by a caller; the thread lives only as long as there is something to wait for.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from compressor.caches import LruCache
from compressor.errors import RefError, StoreError
from compressor.storage import codec
from compressor.storage.base import (
    AppendLog,
    BatchStore,
    ErasableStore,
    Erasure,
    LeaseStore,
    StoredEntry,
    StoreStats,
    require_erasable,
)
from compressor.storage.circuit_breaker import CircuitBreaker, StoreUnavailableError
from compressor.storage.memory import MemoryStore
from compressor.storage.retention import TtlPolicy, as_policy
from compressor.storage.wrappers.base import LogAppend, StoreWrapper
from compressor.storage.wrappers.write_behind import WriteBehindBuffer

T = TypeVar("T")
PROBE_INTERVAL = 2.0  # seconds
LOCAL_BYTES = 64 * 2**20  # of values, in stored form, in the local cache
MAX_PENDING_BYTES = 16 * 2**20  # of keys and values in the write-behind queue
_MAX_CONFIRMED = 50_000  # keys that the remote is known to have; for others it is asked


class RemoteStore(BatchStore, AppendLog, LeaseStore, ErasableStore, Protocol):
    """A store that raises StoreUnavailableError when it cannot be used now."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The state of a remote store.

    Attributes:
        state: That of the circuit breaker; "open" means that calls do not go to the remote.
        failures: The number of calls that found the remote unavailable, since the start.
        opened: The number of times that the breaker opened, since the start.
        pending: The number of values that are still to be written.
        dropped: The number of values that were accepted and could not be written behind, because the queue was full or
            the remote has other bytes.
        error: The message of the last failure; "" if the remote has worked since.
    """

    state: Literal["closed", "open"]
    failures: int
    opened: int
    pending: int
    dropped: int
    error: str


class ResilientStore(StoreWrapper):
    """Guards a remote store with a circuit breaker, a local cache and a write-behind queue.

    One object may be used from any thread, and before and after a fork.

    Args:
        remote: The remote store.
        local: The local cache; 64 MB of this process's memory by default.
        ttl: The TTL of the remote in seconds, or its TTLs by key; `local` should have the same. A value in `local` is
            read without the remote for a hundredth of its TTL or 60 seconds, whichever is shorter, so the TTL is
            renewed at most that often.
        breaker: The circuit breaker, which several stores of one server may share.
        probe_interval: The seconds between attempts to reach a remote that is unavailable or full.
        max_pending_bytes: The memory of the write-behind queue. If it is full the oldest values are dropped.
        clock: Returns the time in seconds.
    """

    forwarded = ()

    def __init__(
        self,
        remote: RemoteStore,
        local: BatchStore | None = None,
        *,
        ttl: float | TtlPolicy = codec.DEFAULT_TTL,
        breaker: CircuitBreaker | None = None,
        probe_interval: float = PROBE_INTERVAL,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        policy = as_policy(ttl)
        codec.validate_limit(max_pending_bytes)
        if not probe_interval > 0:
            raise StoreError(f"probe_interval must be a positive number of seconds, not {probe_interval!r}")
        super().__init__(remote)
        self._remote = remote
        self._local: BatchStore = local if local is not None else MemoryStore(ttl=policy, limit=LOCAL_BYTES)
        self._breaker = breaker if breaker is not None else CircuitBreaker()
        self._probe_interval, self._clock = probe_interval, clock
        self._policy, self._max_pending_bytes = policy, max_pending_bytes
        self._pending = WriteBehindBuffer(max_pending_bytes)
        self._confirmed: LruCache[str, float] = LruCache(_MAX_CONFIRMED)  # key -> when the remote was known to have it
        self._closed = False
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        _stores.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the stores and the settings. What is still to be written stays with this object."""
        local = self._local
        return {
            "remote": self._remote,
            "local": local.empty_copy() if isinstance(local, MemoryStore) else local,
            "ttl": self._policy,
            "breaker": self._breaker,
            "probe_interval": self._probe_interval,
            "max_pending_bytes": self._max_pending_bytes,
            "clock": self._clock,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __deepcopy__(self, memo: dict[int, Any]) -> ResilientStore:
        """Returns this store itself: copies of what uses a store share it."""
        return self

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`. If the remote cannot be used, the values are kept here and written later."""
        codec.validate_items(items)
        if not self._is_open():
            with suppress(StoreUnavailableError):
                self._call_remote(lambda: self._remote.put(items))
                self._put_local(items)
                return
        self._local.put(items)
        self._pending.add(items)
        self._start_thread()

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`. Raises StoreError if only the remote may have the value and cannot be used."""
        found = self._local_get([key], accept_unconfirmed=self._is_open())
        return found[key] if found else self._remote_get([key], lambda: {key: self._remote.get(key)})[key]

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`. Raises StoreError if only the remote may have a value and cannot be used."""
        found = self._local_get(keys, accept_unconfirmed=self._is_open())
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        return found | self._remote_get(missing, lambda: self._remote.get_many(missing)) if missing else found

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(lambda: self._remote.read_log(name, after))

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        self._call_remote(lambda: self._remote.drop_log(name))

    def lease(self, name: str, seconds: float) -> str | None:
        """See `LeaseStore.lease`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(lambda: self._remote.lease(name, seconds))

    def release(self, name: str, token: str) -> None:
        """See `LeaseStore.release`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        self._call_remote(lambda: self._remote.release(name, token))

    def stats(self) -> StoreStats:
        """Returns the statistics of the remote. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(self._remote.stats)

    def health(self) -> StoreHealth:
        """Returns the state of the remote without calling it."""
        breaker, pending = self._breaker, self._pending
        state: Literal["closed", "open"] = "open" if breaker.is_open else "closed"
        return StoreHealth(state, breaker.failures, breaker.opened, len(pending), pending.dropped, breaker.error)

    def describe(self, key: str) -> StoredEntry | None:
        """See `ErasableStore.describe`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(lambda: self._remote.describe(key))

    def list_keys(self, prefix: str) -> list[str]:
        """See `ErasableStore.list_keys`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(lambda: self._remote.list_keys(prefix))

    def remove(self, keys: Sequence[str]) -> int:
        """See `ErasableStore.remove`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        self.forget(keys)
        removed = self._call_remote(lambda: self._remote.remove(keys))
        self.forget(keys)
        return removed

    def erase(self, prefix: str = "") -> Erasure:
        """See `ErasableStore.erase`. Raises StoreError at once while the breaker is open."""
        self._refuse_if_open()
        self._forget_prefix(prefix)
        erased = self._call_remote(lambda: self._remote.erase(prefix))
        self._forget_prefix(prefix)
        return erased

    def forget(self, keys: Sequence[str] | None = None) -> None:
        """Drops values that this process has or was going to write, because another process has removed them.

        Args:
            keys: The keys; None for all.
        """
        if keys is None:
            self._forget_prefix("")
            return
        require_erasable(self._local).remove(keys)
        self._pending.discard(keys)

    def _forget_prefix(self, prefix: str) -> None:
        require_erasable(self._local).erase(prefix)
        self._confirmed.clear()
        self._pending.discard([key for key in self._pending.list_keys() if codec.is_below(prefix, key)])

    def close(self) -> None:
        """Tries once to write the queued values, counts the rest as dropped, and closes both stores.

        Raises:
            StoreError: If values could not be written; these originals are lost.
        """
        lost = 0
        with self._lock:
            was_closed, self._closed = self._closed, True
        self._stop.set()
        if not was_closed:
            with suppress(StoreError):
                while batch := self._pending.next_batch():
                    self._write_behind(batch)
            lost = self._pending.drop_all()
        self._remote.close()
        self._local.close()
        if lost:
            raise StoreError(
                f"{lost} values were never written to the remote store and are lost: "
                f"{self._breaker.error or 'it is unavailable'}"
            )

    # -- the remote

    def _append(self, append: LogAppend) -> bool:
        """Raises StoreError at once while the breaker is open, or if the queued values still cannot be written."""
        self._refuse_if_open()
        while batch := self._pending.next_batch():
            self._write_behind(batch)
        done = self._call_remote(lambda: append.apply(self._remote))
        if done and append.values:
            self._put_local(append.values)
        return done

    def _is_open(self) -> bool:
        if self._closed:
            raise StoreError("this store has been closed")
        self._start_thread()
        return self._breaker.is_open

    def _refuse_if_open(self) -> None:
        if self._is_open():
            raise self._unavailable()

    def _unavailable(self) -> StoreError:
        return StoreUnavailableError(
            f"the remote store is unavailable and is tried again within seconds: {self._breaker.error}"
        )

    def _call_remote(self, call: Callable[[], T], probe: bool = False) -> T:
        """Calls the remote and reports the outcome to the breaker."""
        try:
            result = call()
        except StoreUnavailableError as error:
            self._breaker.record_failure(error)
            raise
        except (RefError, StoreError):
            self._breaker.record_success(probe)
            raise
        self._breaker.record_success(probe)
        return result

    def _remote_get(self, keys: Sequence[str], read: Callable[[], dict[str, bytes]]) -> dict[str, bytes]:
        """Returns the values that the remote has, and from the local cache those that it lacks."""
        try:
            if self._breaker.is_open:
                raise self._unavailable()
            new = self._call_remote(read)
        except (RefError, StoreUnavailableError):
            found = self._local_get(keys, accept_unconfirmed=True)
            if len(found) < len(keys):
                raise
            return found
        self._put_local(new)
        return self._local_get([key for key in keys if key not in new], accept_unconfirmed=True) | new

    # -- this process

    def _local_get(self, keys: Sequence[str], accept_unconfirmed: bool) -> dict[str, bytes]:
        """Returns the local values; only those that the remote had lately, unless unconfirmed ones are accepted."""
        now, ttl = self._clock(), self._policy.ttl
        found = self._pending.find(keys)
        if not accept_unconfirmed:
            keys = [
                key
                for key in keys
                if (then := self._confirmed.get(key)) is not None
                and then > now - min(ttl(key) / 100, codec.RENEW_SECONDS)
            ]
        return self._local.get_many([key for key in keys if key not in found]) | found

    def _put_local(self, items: Mapping[str, bytes]) -> None:
        """Stores values here that the remote has."""
        with suppress(StoreError):  # too large for the local cache
            self._local.put(items)
        now = self._clock()
        for key in items:
            self._confirmed.put(key, now)

    def _write_behind(self, batch: Mapping[str, bytes]) -> None:
        """Writes queued values. They stay queued if the remote is unavailable; those that it rejects are dropped."""
        try:
            self._call_remote(lambda: self._remote.put(batch))
        except StoreUnavailableError:
            raise
        except StoreError:
            if len(batch) == 1:
                self._pending.settle(batch, dropped=True)
                return
            for key, value in batch.items():
                self._write_behind({key: value})
        else:
            self._pending.settle(batch)

    # -- the thread

    def _start_thread(self) -> None:
        """Starts the thread if there is something to wait for."""
        if not (self._pending or self._breaker.is_open):
            return
        with self._lock:
            if (self._thread is None or not self._thread.is_alive()) and not self._closed:
                self._thread = threading.Thread(target=self._probe_and_write, name="compressor-store", daemon=True)
                self._thread.start()

    def _probe_and_write(self) -> None:
        while not self._stop.wait(self._probe_interval):
            with suppress(StoreError):
                self._probe()
                while batch := self._pending.next_batch():
                    self._write_behind(batch)
            with self._lock:
                if not (self._pending or self._breaker.is_open):
                    self._thread = None
                    return

    def _probe(self) -> None:
        """Calls the remote; raises StoreUnavailableError if it is still unavailable."""
        try:
            self._call_remote(lambda: self._remote.get_many([""]), probe=True)
        except StoreUnavailableError:
            raise
        except StoreError:
            pass  # any other error is an answer

    def _after_fork(self) -> None:
        """Replaces locks and thread in a forked child, where the threads that held or ran them do not exist."""
        self._lock, self._end, self._thread = threading.Lock(), threading.Event(), None
        self._confirmed = LruCache(_MAX_CONFIRMED)  # the lock of the old one may be held
        self._pending.after_fork()


_stores: weakref.WeakSet[ResilientStore] = weakref.WeakSet()


def _after_in_child() -> None:
    for store in list(_stores):
        store._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)

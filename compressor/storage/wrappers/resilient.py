"""A remote store that may be slow or gone for a while, with what this process has used last in front of it.

While the breaker is closed calls go to the remote. While it is open no call waits for it: values are kept here and
written behind when it is back, reading what only the remote has is a `StoreError`. Journals are never faked: while it
is open every call of one is a `StoreError` at once, for a compare-and-set that is not the remote's would lose messages.
Nor is a record appended before the values that wait here are written, so that no acknowledged record refers to an
original that only this process has. A thread asks the remote every few seconds, and not a caller; it lives only while
there is something to wait for.

Knows no Redis.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from compressor.errors import RefError, StoreError
from compressor.storage import codec
from compressor.storage.base import AppendLog, BatchStore, LeaseStore, StoreStats
from compressor.storage.circuit_breaker import CircuitBreaker, StoreUnavailableError
from compressor.storage.memory import MemoryStore
from compressor.storage.wrappers.write_behind import WriteBehindBuffer

T = TypeVar("T")
PROBE_INTERVAL = 2.0  # seconds
LOCAL_BYTES = 64 * 2**20  # bytes of values, packed, in front of the remote
MAX_PENDING_BYTES = 16 * 2**20  # bytes of keys and values that wait to be written
_SEEN = 50_000  # keys; for others the remote is asked


class RemoteStore(BatchStore, AppendLog, LeaseStore, Protocol):
    """What can be guarded: it raises `StoreUnavailableError` when it cannot be used now."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How it is with a remote store. `failures`: calls that found it unavailable, since the start; `opened`: times that
    were too many; `pending`: values that wait to be written; `dropped`: values that were acknowledged and could not be
    written behind (too many waited, or the remote has other bytes); `error`: what the last failure said, "" when the
    remote has worked since."""

    state: Literal["closed", "open"]
    failures: int
    opened: int
    pending: int
    dropped: int
    error: str


class ResilientStore:
    """`remote`, guarded, with `local` in front of it (64 MB of this process's memory by default).

    ttl: the remote's, in seconds, which `local` should have too; a value that is here is read without asking the remote
    for `ttl`/100, at most a minute, so the TTL slides no finer than that. pause: seconds between attempts to reach a
    remote that is gone or full. pending_limit: bytes of memory for what waits to be written; for newer values the
    oldest are dropped, and counted. One object may be used from any thread, and before and after a fork.
    """

    def __init__(
        self,
        remote: RemoteStore,
        local: BatchStore | None = None,
        *,
        ttl: float = codec.DEFAULT_TTL,
        breaker: CircuitBreaker | None = None,
        probe_interval: float = PROBE_INTERVAL,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        codec.validate_limits(ttl, max_pending_bytes)
        if not probe_interval > 0:
            raise StoreError(f"a guarded store's pause is a positive number of seconds, not {probe_interval!r}")
        self._remote = remote
        self._local: BatchStore = local if local is not None else MemoryStore(ttl=ttl, limit=LOCAL_BYTES)
        self._breaker = breaker if breaker is not None else CircuitBreaker()
        self._pause, self._clock = probe_interval, clock
        self._renew = min(ttl / 100, codec.RENEW_SECONDS)
        self._pending = WriteBehindBuffer(max_pending_bytes)
        self._seen: OrderedDict[str, float] = OrderedDict()  # when the remote was known to have it
        self._closed = False
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        _stores.add(self)

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`. Where the remote cannot be used the values are kept here, and written when it can be."""
        codec.validate_items(items)
        if not self._is_open():
            with suppress(StoreUnavailableError):
                self._call_remote(lambda: self._remote.put(items))
                self._keep(items)
                return
        self._local.put(items)
        self._pending.add(items)
        self._watch()

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`. `StoreError` where only the remote may have it and cannot be used."""
        found = self._local_get([key], all_of_it=self._is_open())
        return found[key] if found else self._remote_get([key], lambda: {key: self._remote.get(key)})[key]

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`. `StoreError` where only the remote may have one and cannot be used."""
        found = self._local_get(keys, all_of_it=self._is_open())
        left = [key for key in dict.fromkeys(keys) if key not in found]
        return found | self._remote_get(left, lambda: self._remote.get_many(left)) if left else found

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`. `StoreError` at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(lambda: self._remote.read_log(name, after))

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`. `StoreError` at once while the breaker is open, and where values that wait to be
        written still cannot be."""
        self._refuse_if_open()
        while batch := self._pending.next_batch():
            self._write_behind(batch)
        done = self._call_remote(
            lambda: self._remote.append_log(
                name, expected_last, records, truncate_before=truncate_before, values=values
            )
        )
        if done and values:
            self._keep(values)
        return done

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`. `StoreError` at once while the breaker is open."""
        self._refuse_if_open()
        self._call_remote(lambda: self._remote.drop_log(name))

    def lease(self, name: str, seconds: float) -> str | None:
        """See `LeaseStore.lease`. `StoreError` at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(lambda: self._remote.lease(name, seconds))

    def release(self, name: str, token: str) -> None:
        """See `LeaseStore.release`. `StoreError` at once while the breaker is open."""
        self._refuse_if_open()
        self._call_remote(lambda: self._remote.release(name, token))

    def stats(self) -> StoreStats:
        """The remote's. `StoreError` at once while the breaker is open."""
        self._refuse_if_open()
        return self._call_remote(self._remote.stats)

    def health(self) -> StoreHealth:
        """How it is with the remote, without asking it."""
        b, w = self._breaker, self._pending
        return StoreHealth("open" if b.is_open else "closed", b.failures, b.opened, len(w), w.dropped, b.error)

    def close(self) -> None:
        """Tries once to write what waits, counts the rest as dropped, and closes both stores. `StoreError` if there was
        a rest: originals that nobody can give back any more."""
        lost = 0
        with self._lock:
            was, self._closed = self._closed, True
        self._end.set()
        if not was:
            with suppress(StoreError):
                while batch := self._pending.next_batch():
                    self._write_behind(batch)
            lost = self._pending.drop_all()
        self._remote.close()
        self._local.close()
        if lost:
            raise StoreError(
                f"{lost} values were never written to the remote store: {self._breaker.error or 'it is gone'}"
            )

    # -- the remote

    def _is_open(self) -> bool:
        if self._closed:
            raise StoreError("this store has been closed")
        self._watch()
        return self._breaker.is_open

    def _refuse_if_open(self) -> None:
        if self._is_open():
            raise self._unavailable()

    def _unavailable(self) -> StoreError:
        return StoreUnavailableError(f"the remote store is given up for some seconds: {self._breaker.error}")

    def _call_remote(self, call: Callable[[], T], probe: bool = False) -> T:
        """A call of the remote; what comes of it goes to the breaker."""
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
        """What the remote has of these, and what is here still of the others."""
        try:
            if self._breaker.is_open:
                raise self._unavailable()
            new = self._call_remote(read)
        except (RefError, StoreUnavailableError):
            found = self._local_get(keys, all_of_it=True)
            if len(found) < len(keys):
                raise
            return found
        self._keep(new)
        return self._local_get([key for key in keys if key not in new], all_of_it=True) | new

    # -- this process

    def _local_get(self, keys: Sequence[str], all_of_it: bool) -> dict[str, bytes]:
        """What is here of these; without `all_of_it` only what the remote need not be asked about."""
        since = self._clock() - self._renew
        found = self._pending.find(keys)
        with self._lock:
            rest = [key for key in keys if all_of_it or self._seen.get(key, since) > since]
        return self._local.get_many([key for key in rest if key not in found]) | found

    def _keep(self, items: Mapping[str, bytes]) -> None:
        """The remote has these."""
        with suppress(StoreError):  # too large to be kept here
            self._local.put(items)
        now = self._clock()
        with self._lock:
            for key in items:
                self._seen[key] = now
                self._seen.move_to_end(key)
            while len(self._seen) > _SEEN:
                self._seen.popitem(last=False)

    def _write_behind(self, batch: Mapping[str, bytes]) -> None:
        """Writes what waited. `StoreUnavailableError`: it waits on. What the remote refuses for good is dropped."""
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

    def _watch(self) -> None:
        """Begins the thread where there is something to wait for."""
        if not (self._pending or self._breaker.is_open):
            return
        with self._lock:
            if (self._thread is None or not self._thread.is_alive()) and not self._closed:
                self._thread = threading.Thread(target=self._work, name="compressor-store", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while not self._end.wait(self._pause):
            with suppress(StoreError):
                self._probe()
                while batch := self._pending.next_batch():
                    self._write_behind(batch)
            with self._lock:
                if not (self._pending or self._breaker.is_open):
                    self._thread = None
                    return

    def _probe(self) -> None:
        """`StoreUnavailableError` if it is."""
        try:
            self._call_remote(lambda: self._remote.get_many([""]), probe=True)
        except StoreUnavailableError:
            raise
        except StoreError:
            pass  # an answer

    def _after_fork(self) -> None:
        """In the child: the old locks' holders and the thread do not exist here."""
        self._lock, self._end, self._thread = threading.Lock(), threading.Event(), None
        self._pending.after_fork()


_stores: weakref.WeakSet[ResilientStore] = weakref.WeakSet()


def _after_in_child() -> None:
    for store in list(_stores):
        store._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)

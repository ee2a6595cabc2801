"""The counters that several processes share, and what this process does while they do not answer.

One thread of each process sends all operations, those that have gathered while it was busy together: under load many
requests share one round trip. While the backend does not answer, this process counts alone, within its share of each
limit: the limit divided by the number of processes that were last seen. What it admits meanwhile is kept and added to
the shared counts when they are back.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from compressor.errors import StoreError
from compressor.service.limits.counter_state import LEASE, CounterState
from compressor.service.limits.limit import Booking, Demand, Verdict
from compressor.service.limits.local_counters import WALL_CLOCK, LocalCounters, shares
from compressor.service.limits.operations import (
    WORKER_TTL,
    Admit,
    Backend,
    Operation,
    Read,
    Renew,
    Reset,
    Settle,
    UnknownOutcomeError,
)
from compressor.storage.circuit_breaker import CircuitBreaker, StoreUnavailableError

log = logging.getLogger("compressor.service")
MAX_FAILURES = 2  # failed batches in a row after which no request waits any more
MAX_WAIT = 1.0  # seconds that a request waits for the shared counters
PROBE_INTERVAL = 2.0  # seconds between attempts to reach a backend that does not answer
RENEW_INTERVAL = LEASE / 3
CLOSE_TIMEOUT = 2.0  # seconds in which the last operations are sent at the end
_MAX_BATCH = 256
_UNKNOWN = object()  # the outcome of an operation that the backend may have executed
_MAX_BACKLOG = 10_000  # buckets whose counts wait for the backend


class SharedCounters:
    """The counters of all tenants that a backend holds. For one event loop. Starts its thread with the first request.

    Args:
        backend: The server or file.
        where: Its name for the log, without a password.
        workers: How many processes use the counters at least.
    """

    def __init__(self, backend: Backend, where: str, workers: int = 1) -> None:
        self._backend, self._where, self._is_failing = backend, where, False
        self._worker = secrets.token_hex(8)
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._breaker = CircuitBreaker(MAX_FAILURES)
        self._tenants: dict[str, _TenantCounters] = {}
        self._backlog: dict[tuple[str, str, int], Booking] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = self._is_done = False
        self._renewed = self._probed = 0.0  # when these were last done
        self.offset = 0.0  # seconds that the backend's clock is ahead of ours
        self.workers = workers

    @property
    def is_available(self) -> bool:
        """Whether requests go to the backend now."""
        return not (self._breaker.is_open or self._closed)

    def for_tenant(self, tenant: str) -> _TenantCounters:
        """Returns the counters of a tenant."""
        with self._lock:
            return self._tenants.setdefault(tenant, _TenantCounters(self, tenant))

    def submit(self, operation: Operation) -> None:
        """Hands an operation to the thread."""
        if self._closed:
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="compressor-limits", daemon=True)
                    self._thread.start()
        self._queue.put(operation)

    def defer(self, tenant: str, bookings: Sequence[Booking]) -> None:
        """Keeps what was used until the backend answers again."""
        with self._lock:
            for booking in bookings:
                key = tenant, booking.name, booking.bucket
                known = self._backlog.pop(key, None)
                self._backlog[key] = replace(booking, amount=booking.amount + (known.amount if known else 0))
                if len(self._backlog) > _MAX_BACKLOG:
                    del self._backlog[next(iter(self._backlog))]  # the oldest

    def close(self) -> None:
        """Sends what is waiting, if the backend answers, and ends the thread."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_TIMEOUT)
        self._backend.close()

    # -- the thread

    def _run(self) -> None:
        while not self._is_done:
            self._step()

    def _step(self) -> None:
        """Takes what is waiting. Does not raise: without the thread every request would wait for it."""
        try:
            batch = self._next_batch()
            self._is_done = None in batch
            operations = [one for one in batch if one is not None and not one.is_abandoned]
            now = time.monotonic()
            if self._breaker.is_open:
                self._fail(operations)
                if now - self._probed >= PROBE_INTERVAL or self._is_done:
                    self._probed = now
                    self._probe()
                return
            if now - self._renewed >= RENEW_INTERVAL:
                self._renewed = now
                operations += self._renewals()
            if operations and not self._execute(operations):
                self._probed = now
        except Exception:
            log.exception("the thread that counts limits goes on after an error")

    def _next_batch(self) -> list[Operation | None]:
        if self._breaker.is_open:
            timeout: float | None = PROBE_INTERVAL
        else:
            timeout = RENEW_INTERVAL if self._renewals() else None
        batch: list[Operation | None] = []
        with suppress(queue.Empty):
            batch.append(self._queue.get(timeout=timeout))
            while len(batch) < _MAX_BATCH and batch[-1] is not None:
                batch.append(self._queue.get_nowait())
        return batch

    def _renewals(self) -> list[Operation]:
        with self._lock:
            tenants = [*self._tenants.items()]
        return [Renew(name, own.local.held_places, self._worker) for name, own in tenants if own.is_active]

    def _execute(self, operations: list[Operation], probe: bool = False) -> bool:
        try:
            outcomes = self._backend.execute(operations)
        except Exception as error:
            unavailable = error if isinstance(error, StoreUnavailableError) else StoreUnavailableError(repr(error))
            self._breaker.record_failure(unavailable)
            if not self._is_failing:
                self._is_failing = True
                text = "limits are counted by each process alone until %s answers again: %s"
                log.warning(text, self._where, unavailable)
            if isinstance(error, UnknownOutcomeError):
                self._deliver(operations, [_UNKNOWN] * len(operations))
            else:
                self._fail(operations)
            return False
        self._breaker.record_success(probe)
        if self._is_failing:
            self._is_failing = False
            log.warning("limits are shared again: %s answers", self._where)
        for operation, outcome in zip(operations, outcomes, strict=True):
            if isinstance(operation, Renew):
                self.for_tenant(operation.tenant).workers = max(self.workers, outcome)
        self._deliver(operations, outcomes)
        if self._backlog and not probe:
            self._flush_backlog()
        return True

    def _probe(self) -> None:
        """Tries the backend; the renewals of all tenants are what it asks."""
        if self._execute(self._renewals() or [Read("")], probe=True):
            self._flush_backlog()

    def _flush_backlog(self) -> None:
        with self._lock:
            waiting, self._backlog = self._backlog, {}
        by_tenant: dict[str, list[Booking]] = {}
        for (tenant, _, _), booking in waiting.items():
            by_tenant.setdefault(tenant, []).append(booking)
        operations: list[Operation] = [Settle(tenant, "", bookings) for tenant, bookings in by_tenant.items()]
        if operations:
            self._execute(operations, probe=True)

    def _fail(self, operations: list[Operation]) -> None:
        for operation in operations:
            if isinstance(operation, Settle):
                self.defer(operation.tenant, operation.bookings)
        self._deliver(operations, [None] * len(operations))

    def _deliver(self, operations: list[Operation], outcomes: list[Any]) -> None:
        waited = [(one, outcome) for one, outcome in zip(operations, outcomes, strict=True) if one.result is not None]
        if waited:
            loop = waited[0][0].result.get_loop()  # type: ignore[union-attr]
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._set_results, waited)

    def _set_results(self, waited: list[tuple[Operation, Any]]) -> None:
        for operation, outcome in waited:
            if operation.result is not None and not operation.result.done():
                operation.result.set_result(outcome)
            elif isinstance(operation, Admit) and isinstance(outcome, Verdict) and not outcome.refused_by:
                # Nobody waits any more, so nothing will give back what was just taken.
                self.submit(Settle(operation.tenant, operation.demand.place, _bookings(operation.demand, outcome, -1)))


class _TenantCounters:
    """The counters of one tenant (`Counters`)."""

    def __init__(self, shared: SharedCounters, tenant: str) -> None:
        self._shared, self._tenant = shared, tenant
        self.local, self.workers, self._last_used = LocalCounters(), shared.workers, -WORKER_TTL

    @property
    def is_active(self) -> bool:
        """Whether this process holds places, or has asked lately."""
        return bool(self.local.held_places) or time.monotonic() - self._last_used < WORKER_TTL

    async def admit(self, demand: Demand) -> Verdict:
        """See `Counters.admit`."""
        self._last_used, is_unknown = time.monotonic(), False
        if self._shared.is_available:
            outcome = await self._ask(Admit(self._tenant, demand))
            is_unknown = outcome is _UNKNOWN
            if isinstance(outcome, Verdict):
                verdict = outcome
                self._shared.offset = verdict.time - WALL_CLOCK()
                if not verdict.refused_by:
                    self.local.note(demand)  # so that this process knows its own share if it has to count alone
                return verdict
        verdict = await self.local.admit(shares(demand, self.workers))
        verdict = replace(verdict, time=verdict.time + self._shared.offset, is_local=True)
        if not verdict.refused_by and not is_unknown:
            self._shared.defer(self._tenant, _bookings(demand, verdict, 1))
        return verdict

    def settle(self, place: str, bookings: Sequence[Booking]) -> None:
        """See `Counters.settle`."""
        self.local.settle(place, [replace(one, time=one.time - self._shared.offset) for one in bookings])
        if self._shared.is_available:
            self._shared.submit(Settle(self._tenant, place, bookings))
        else:
            self._shared.defer(self._tenant, bookings)

    async def read(self) -> tuple[CounterState, float]:
        """See `Counters.read`."""
        found = await self._ask(Read(self._tenant)) if self._shared.is_available else None
        return found if isinstance(found, tuple) else await self.local.read()

    async def reset(self, names: Sequence[str]) -> None:
        """See `Counters.reset`.

        Raises:
            StoreError: The shared counters do not answer.
        """
        await self.local.reset(names)
        if not self._shared.is_available or await self._ask(Reset(self._tenant, names)) is not True:
            raise StoreError("the shared counters do not answer, so they were not reset: retry later")

    async def _ask(self, operation: Operation) -> Any:
        """Returns the outcome of an operation, or None if it takes too long."""
        operation.result = asyncio.get_running_loop().create_future()
        self._shared.submit(operation)
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(operation.result, MAX_WAIT)
        return None


def _bookings(demand: Demand, verdict: Verdict, sign: int) -> list[Booking]:
    """Returns what an admission has booked."""
    return [Booking(limit.name, limit.window, verdict.time, sign * cost) for limit, cost in demand.costs]

"""Records what the service did over time, for each tenant, in the tenant's part of the store.

It listens to `Metrics`, and a call costs it one lock and no I/O. Every half minute (every few seconds while somebody
looks at the dashboard), and at the end, a thread appends what is new as one record to a log that all workers share
(compare-and-append). Now and then a record is a snapshot of
everything, and replaces the records before it. If the store is down, the record is written later; a record that was
written but not confirmed is not written twice. It holds no content.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from compressor.errors import CompressorError
from compressor.service.dashboard.tenant_usage import TenantUsage
from compressor.service.dashboard.time_series import TimeSeries
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.sessions.cost_report import CostReport

log = logging.getLogger("compressor.service")
WRITE_INTERVAL = 30.0  # seconds
TICK = 1.0  # seconds between two writes while somebody looks at the dashboard

#: Returns a tenant's store, and the cost reports of its sessions by id; None for a tenant without a request yet.
UsageSource = Callable[[str], tuple[Any, Mapping[str, CostReport]] | None]


class UsageRecorder:
    """Records the usage of all tenants. Safe to share between threads.

    Args:
        metrics: Reports compressions, fallbacks and expansions.
        source: Returns where to store a tenant's usage.
        interval: Seconds between two writes.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(
        self,
        metrics: Metrics,
        source: UsageSource,
        interval: float = WRITE_INTERVAL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source, self._interval, self._clock = source, interval, clock
        self._worker = uuid4().hex[:12]
        self._tenants: dict[str, TenantUsage] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        metrics.listeners.append(self.record)
        metrics.fallback_listeners.append(self._record_fallback)
        metrics.expansion_listeners.append(self._record_expansion)

    def start(self) -> None:
        """Starts the thread that writes."""
        self._thread = threading.Thread(target=self._run, name="compressor-usage", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread, and writes what is new."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._try(self.flush)

    def record(self, event: CompressionEvent) -> None:
        """Takes a compression."""
        now = self._clock()
        self._of(event.tenant).record(event, now)

    def flush(self) -> None:
        """Writes what is new. What cannot be written is kept for the next time."""
        with self._lock:
            usages = list(self._tenants.items())
        for name, usage in usages:
            journal, known = self._find(name)
            if journal is not None:
                usage.write(journal, known, self._clock())

    def series(self, tenant: str) -> tuple[TimeSeries, bool]:
        """Returns a tenant's usage, of all workers, and whether the store answered. May wait for the store."""
        journal, known = self._find(tenant)
        return self._of(tenant).read(journal, known, self._clock())

    def calls(self, tenant: str) -> list[dict[str, Any]]:
        """Returns the last single calls of this worker, the newest first."""
        return self._of(tenant).calls()

    def forget(self, tenant: str) -> None:
        """Drops what this process knows of a tenant, because it is erased from the store."""
        with self._lock:
            self._tenants.pop(tenant, None)

    def forget_session(self, tenant: str, id: str, in_store: bool = False) -> None:
        """Removes a session from the usage of a tenant.

        Args:
            tenant: The tenant.
            id: The id of the session.
            in_store: Whether to remove it from the store too, not only from the memory of this process.
        """
        journal = self._find(tenant)[0] if in_store else None
        try:
            self._of(tenant).forget_session(journal, id, self._clock())
        except CompressorError as error:  # the session itself is gone, and its figures are no content
            log.warning("usage of a deleted session stays: %s", type(error).__name__)

    def breakdown(self, tenant: str, seconds: int) -> dict[str, list[dict[str, Any]]]:
        """Returns a tenant's usage by tool, by model and by reason of a fallback, of all workers, the largest first.

        Args:
            tenant: The tenant's name.
            seconds: How much time the figures cover.
        """
        series, _ = self.series(tenant)
        return series.breakdown.tables(self._clock(), seconds)

    def recent_calls(self, tenant: str, after: int = 0, limit: int = 100) -> dict[str, Any]:
        """Returns a tenant's last calls: of all workers, if the store can be reached. See `CallLog.read`.

        Args:
            tenant: The tenant's name.
            after: Return calls with larger ids.
            limit: The maximum number of calls.
        """
        journal, _ = self._find(tenant)
        return self._of(tenant).recent_calls(journal, after, limit, self._clock())

    def _of(self, tenant: str) -> TenantUsage:
        found = self._tenants.get(tenant)
        if found is None:
            with self._lock:
                found = self._tenants.setdefault(tenant, TenantUsage(self._worker))
        return found

    def _find(self, tenant: str) -> tuple[Any, Mapping[str, CostReport]]:
        try:
            return self._source(tenant) or (None, {})
        except CompressorError:  # the store cannot be opened
            return None, {}

    def _record_fallback(self, tenant: str, reason: str) -> None:
        self._of(tenant).record_fallback(reason, self._clock())

    def _record_expansion(self, tenant: str) -> None:
        self._of(tenant).record_expansion(self._clock())

    def _run(self) -> None:
        next_flush = time.monotonic() + self._interval
        while not self._end.wait(min(TICK, self._interval)):
            self._try(self._write_for_watchers)
            if time.monotonic() >= next_flush:
                self._try(self.flush)
                next_flush = time.monotonic() + self._interval

    def _write_for_watchers(self) -> None:
        with self._lock:
            usages = list(self._tenants.items())
        for name, usage in usages:
            if usage.is_worth_a_look:
                usage.write_for_watchers(*self._find(name), self._clock())

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # usage is not vital: the service goes on
            log.warning("usage was not stored, it is retried: %s", type(error).__name__)

"""Records what the service did over time, for each tenant, in the tenant's part of the store.

It listens to `Metrics`, and a call costs it one lock and no I/O. Every half minute, and at the end, a thread appends
what is new as one record to a log that all workers share (compare-and-append). Now and then a record is a snapshot of
everything, and replaces the records before it. If the store is down, the record is written later; a record that was
written but not confirmed is not written twice. It holds no content.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast
from uuid import uuid4

from compressor.errors import CompressorError, RefError, StoreError
from compressor.service.dashboard.time_series import FIELDS, MAX_SESSIONS, TimeSeries, duration_column
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.sessions.cost_report import CostReport
from compressor.storage.base import AppendLog

log = logging.getLogger("compressor.service")
WRITE_INTERVAL = 30.0  # seconds
READ_INTERVAL = 2.0  # seconds between two reads of the store for the dashboard
SNAPSHOT_INTERVAL = 256  # records between two snapshots
MAX_ATTEMPTS = 10  # of one write, where other workers are first
MAX_CALLS = 50  # single calls that are kept, in this process only
MAX_WORKERS = 64  # workers whose last record number is kept
_CONVERSATION_KINDS = ("conversation", "session")  # events that belong to more than one call
LOG_NAME = "ledger:1"  # with the version of its records; it names stored data, so it does not change
_CACHE_COLUMNS = {"hit": "hits", "coalesced": "coalesced", "miss": "misses"}
_COLUMN = {name: i for i, name in enumerate(FIELDS)}

#: Returns a tenant's store, and the cost reports of its sessions by id; None for a tenant without a request yet.
UsageSource = Callable[[str], tuple[Any, Mapping[str, CostReport]] | None]


class UsageRecorder:
    """Records the usage of all tenants. Safe to share between threads.

    Args:
        metrics: Reports compressions, and has the counters of fallbacks and expansions.
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
        self._metrics, self._source, self._interval, self._clock = metrics, source, interval, clock
        self._worker = uuid4().hex[:12]
        self._tenants: dict[str, _Tenant] = {}
        self._counted: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        metrics.listeners.append(self.record)

    def start(self) -> None:
        """Starts the thread that writes."""
        self._thread = threading.Thread(target=self._run, name="compressor-usage", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread, and writes what is new."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._try()

    def record(self, event: CompressionEvent) -> None:
        """Takes a compression."""
        now = self._clock()
        self._of(event.tenant).record(event, now)

    def flush(self) -> None:
        """Writes what is new. What cannot be written is kept for the next time."""
        self._sample()
        with self._lock:
            usages = list(self._tenants.items())
        for name, usage in usages:
            journal, known = self._find(name)
            if journal is not None:
                usage.write(journal, known, self._clock())

    def series(self, tenant: str) -> tuple[TimeSeries, bool]:
        """Returns a tenant's usage, of all workers, and whether the store answered. May wait for the store."""
        self._sample()
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

    def _of(self, tenant: str) -> _Tenant:
        found = self._tenants.get(tenant)
        if found is None:
            with self._lock:
                found = self._tenants.setdefault(tenant, _Tenant(self._worker))
        return found

    def _find(self, tenant: str) -> tuple[Any, Mapping[str, CostReport]]:
        try:
            return self._source(tenant) or (None, {})
        except CompressorError:  # the store cannot be opened
            return None, {}

    def _sample(self) -> None:
        """Adds what only the counters of the metrics know."""
        with self._lock:
            for name, counter in (("fallbacks", self._metrics.fallbacks), ("expansions", self._metrics.expansions)):
                sums: dict[str, float] = {}
                for metric in counter.collect():
                    for sample in metric.samples:
                        if sample.name.endswith("_total"):
                            tenant = sample.labels["tenant"]
                            sums[tenant] = sums.get(tenant, 0.0) + sample.value
                for tenant, value in sums.items():
                    more = value - self._counted.get((name, tenant), 0.0)
                    self._counted[name, tenant] = value
                    if more:
                        usage = self._tenants.setdefault(tenant, _Tenant(self._worker))
                        usage.count(name, more, self._clock())

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            self._try()

    def _try(self) -> None:
        try:
            self.flush()
        except Exception as error:  # usage is not vital: the service goes on
            log.warning("usage was not stored, it is retried: %s", type(error).__name__)


class _Tenant:
    """The usage of one tenant: `_stored` is in the log, `_sealed` is being written, `_open` is newer."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._lock = threading.Lock()  # for data in memory
        self._storing = threading.Lock()  # for calls of the store
        self._calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)
        self._open, self._sealed, self._stored = TimeSeries(), TimeSeries(), TimeSeries()
        self._sealed_number = 0  # of the sealed record, among the records of this worker
        # Identifies the log, the last record read, and the number of records since a snapshot.
        self._log, self._last, self._since = "", 0, 0
        self._seen: dict[str, int] = {}
        self._read_time = -1e9

    def record(self, event: CompressionEvent, now: float) -> None:
        """Takes a compression."""
        with self._lock:
            row = self._open.row(int(now // 60))
            for name, value in (
                ("calls", 1),
                ("before", event.tokens_before),
                ("after", event.tokens_after),
                ("saved", event.saved),
            ):
                row[_COLUMN[name]] += value
            if event.cache:
                row[_COLUMN[_CACHE_COLUMNS[event.cache]]] += 1
            row[duration_column(event.seconds)] += 1
            if event.session:
                usage = self._open.session(event.session, now)
                if len(self._open.sessions) > 2 * MAX_SESSIONS:  # nothing else limits them while the store is down
                    self._open.prune(now)
                usage["calls"] += 1
                usage["before"] += event.tokens_before
                usage["after"] += event.tokens_after
                usage["saved"] += event.saved
                if event.warnings:
                    usage["warnings"] = [warning[:200] for warning in event.warnings[:5]]
            elif event.kind not in _CONVERSATION_KINDS:
                call = {"time": now, "kind": event.kind, "before": event.tokens_before, "after": event.tokens_after}
                more = {"seconds": round(event.seconds, 6), "cache": event.cache, "tier": event.tier}
                self._calls.append({**call, **more, "refs": list(event.refs), "warnings": list(event.warnings)})

    def count(self, name: str, more: float, now: float) -> None:
        """Adds to one column."""
        with self._lock:
            self._open.row(int(now // 60))[_COLUMN[name]] += more

    def calls(self) -> list[dict[str, Any]]:
        """Returns the last single calls, the newest first."""
        with self._lock:
            return list(reversed(self._calls))

    def read(self, journal: Any, known: Mapping[str, CostReport], now: float) -> tuple[TimeSeries, bool]:
        """Returns all usage, and whether the store answered."""
        is_reachable = True
        with self._storing:
            if journal is not None and not 0 <= now - self._read_time < READ_INTERVAL:
                try:
                    self._catch_up(journal)
                    self._read_time = now
                except CompressorError:
                    is_reachable = False
            with self._lock:
                _describe_sessions(self._open, known)
                series = self._stored.copy()
                series.add(self._sealed)
                series.add(self._open)
        series.prune(now)
        return series, is_reachable

    def forget_session(self, journal: Any, id: str, now: float) -> None:
        """Removes a session from memory, and from the log by a snapshot."""
        with self._storing:
            for _ in range(MAX_ATTEMPTS):
                self._catch_up(journal)
                with self._lock:
                    found = [series.sessions.pop(id, None) for series in (self._open, self._sealed, self._stored)]
                is_stored = journal is not None and found[2] is not None and self._last
                if not is_stored or self._append(journal, now, rewrite=True):
                    return

    def write(self, journal: Any, known: Mapping[str, CostReport], now: float) -> None:
        """Writes what is new, if the store answers."""
        with self._storing:
            with self._lock:
                _describe_sessions(self._open, known)
                if not self._sealed and self._open:
                    self._sealed, self._open = self._open, TimeSeries()
                    self._sealed_number += 1
            if not self._sealed:
                return
            try:
                for _ in range(MAX_ATTEMPTS):
                    self._catch_up(journal)
                    if not self._sealed or self._append(journal, now):
                        return
            except CompressorError as error:
                log.warning("usage was not stored, it is retried: %s", type(error).__name__)

    def _append(self, journal: Any, now: float, rewrite: bool = False) -> bool:
        """Appends the sealed record, as a snapshot on request; returns False if another worker was first."""
        is_snapshot = rewrite or not self._last or self._since >= SNAPSHOT_INTERVAL
        seen = {**self._seen, self._worker: self._sealed_number}
        new = self._sealed
        if is_snapshot:
            new = self._stored.copy()
            new.add(self._sealed)
            new.prune(now)
        name = self._log if self._last else uuid4().hex[:12]
        record = {"log": name, "worker": self._worker, "number": self._sealed_number, **new.to_json()}
        if is_snapshot:
            record["seen"] = seen
        packed = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if not cast(AppendLog, journal).append_log(LOG_NAME, self._last, [packed], truncate_before=is_snapshot):
            return False
        self._take(self._last + 1, record)
        with self._lock:
            self._stored.prune(now)
        return True

    def _catch_up(self, journal: Any) -> None:
        """Reads what all workers have written."""
        if not hasattr(journal, "read_log"):
            return
        try:
            # Include the last known record: after the log has expired, another worker may have started a new one.
            records = cast(AppendLog, journal).read_log(LOG_NAME, after=max(0, self._last - 1))
            if self._last and not (records and json.loads(records[0][1]).get("log") == self._log):
                self._last = 0
                records = cast(AppendLog, journal).read_log(LOG_NAME)
        except RefError:
            self._last, self._since = 0, 0  # the data in memory starts a new log
            return
        for number, packed in records:
            if number > self._last:
                self._take(number, json.loads(packed))

    def _take(self, number: int, record: Mapping[str, Any]) -> None:
        try:
            new = TimeSeries.from_json(record)
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"the log {LOG_NAME!r} is damaged: delete it to let the dashboard start anew") from None
        with self._lock:
            if "seen" in record:
                self._stored, self._seen, self._since = new, dict(record["seen"]), 0
            else:
                self._stored.add(new)
                self._seen.pop(record["worker"], None)  # so that the newest are last
                self._seen[record["worker"]] = record["number"]
                self._since += 1
                while len(self._seen) > MAX_WORKERS:
                    self._seen.pop(next(iter(self._seen)))
            self._log, self._last = record["log"], number
            if self._sealed and self._seen.get(self._worker, 0) >= self._sealed_number:
                self._sealed = TimeSeries()


def _describe_sessions(series: TimeSeries, known: Mapping[str, CostReport]) -> None:
    """Adds what the cost reports of sessions say."""
    for id, usage in series.sessions.items():
        if (report := known.get(id)) is not None:
            usage["model"] = report.model
            usage["cached_fraction"] = round(report.cached_fraction, 4)
            usage["compactions"] = report.compactions
            usage["expansions"] = report.expansions
            usage["view"] = report.view_tokens

"""The usage of one tenant: what this worker has counted, and what all workers have written to the tenant's store."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from compressor.errors import CompressorError, RefError, StoreError
from compressor.service.dashboard.call_log import CallLog
from compressor.service.dashboard.time_series import FIELDS, MAX_SESSIONS, TimeSeries
from compressor.service.dashboard.tool_shares import ToolShares, tool_fractions
from compressor.service.dashboard.watch_mark import WatchMark
from compressor.service.telemetry.records import CompressionEvent
from compressor.sessions.cost_report import CostReport
from compressor.storage.base import AppendLog

log = logging.getLogger("compressor.service")
READ_INTERVAL = 2.0  # seconds between two reads of the store for the dashboard
WATCHED_INTERVAL = 3.0  # seconds between two writes while somebody looks at the dashboard
SNAPSHOT_INTERVAL = 256  # records between two snapshots
MAX_ATTEMPTS = 10  # of one write, where other workers are first
MAX_CALLS = 50  # single calls that are kept, in this process only
MAX_WORKERS = 64  # workers whose last record number is kept
_CONVERSATION_KINDS = ("conversation", "session")  # events that belong to more than one call
LOG_NAME = "ledger:1"  # with the version of its records; it names stored data, so it does not change
_CACHE_COLUMNS = {"hit": "hits", "coalesced": "coalesced", "miss": "misses"}
_COLUMN = {name: i for i, name in enumerate(FIELDS)}


class TenantUsage:
    """The usage of one tenant. Safe to share between threads.

    `_stored` is in the log, `_sealed` is being written, `_open` is newer.

    Args:
        worker: The name of this worker in the log.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._lock = threading.Lock()  # for data in memory
        self._storing = threading.Lock()  # for calls of the store
        self._single_calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)
        self._mark, self._tool_shares, self._write_time = WatchMark(), ToolShares(), 0.0
        self._calls = CallLog(self._mark)
        self._open, self._sealed, self._stored = TimeSeries(), TimeSeries(), TimeSeries()
        self._sealed_number = 0  # of the sealed record, among the records of this worker
        # Identifies the log, the last record read, and the number of records since a snapshot.
        self._log, self._last, self._since = "", 0, 0
        self._seen: dict[str, int] = {}
        self._read_time = -1e9

    def record(self, event: CompressionEvent, now: float) -> None:
        """Takes an event."""
        with self._lock:
            if event.is_compression:
                self._record_compression(event, now)
            if event.saved and not event.is_compression:
                self._open.row(int(now // 60))[_COLUMN["saved"]] += event.saved
            if event.kind != "answer":
                self._open.add_duration(int(now // 60), event.seconds)
            if event.session and not event.is_compression and event.saved:
                self._open.session(event.session, now)["saved"] += event.saved
            self._record_names(event, now)
            if len(self._open.sessions) > 2 * MAX_SESSIONS:  # nothing else limits them while the store is down
                self._open.prune(now)
        if event.is_compression:
            self._calls.add(describe_call(event, now))
        self._mark.note_call()

    def _record_compression(self, event: CompressionEvent, now: float) -> None:
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
        if event.session:
            usage = self._open.session(event.session, now)
            usage["calls"] += 1
            usage["before"] += event.tokens_before
            usage["after"] += event.tokens_after
            usage["saved"] += event.saved
            if event.warnings:
                usage["warnings"] = [warning[:200] for warning in event.warnings[:5]]
        elif event.kind not in _CONVERSATION_KINDS:
            call = {"time": now, "kind": event.kind, "before": event.tokens_before, "after": event.tokens_after}
            more = {"seconds": round(event.seconds, 6), "cache": event.cache, "tier": event.tier}
            self._single_calls.append({**call, **more, "refs": list(event.refs), "warnings": list(event.warnings)})

    def _record_names(self, event: CompressionEvent, now: float) -> None:
        """Counts an event by tool and by model."""
        count = self._open.breakdown.count
        for use in event.tools:
            sizes = {"tokens_before": use.tokens_before, "tokens_after": use.tokens_after}
            count("tools", use.name, now, results=use.results, expansions=use.expansions, **sizes)
        sizes_by_tool = self._tool_shares.add(event.session, event.tools)
        if event.saved:
            fractions = tool_fractions(sizes_by_tool, event.tokens_before - event.tokens_after)
            for name, fraction in fractions.items():
                count("tools", name, now, saved_usd=event.saved * fraction)
        if event.is_compression or event.saved or event.billed_tokens:
            count(
                "models",
                event.model,
                now,
                calls=event.is_compression,
                tokens_before=event.tokens_before,
                tokens_after=event.tokens_after,
                saved_usd=event.saved,
                billed_tokens=event.billed_tokens,
                billed_cached=event.billed_cached,
                calls_over_window=event.over_window,
            )

    def record_fallback(self, reason: str, now: float) -> None:
        """Takes a request that was forwarded uncompressed."""
        with self._lock:
            self._open.row(int(now // 60))[_COLUMN["fallbacks"]] += 1
            self._open.breakdown.count("reasons", reason, now, count=1, last=now)
        self._mark.note_call()

    def record_expansion(self, now: float) -> None:
        """Takes a hidden round."""
        with self._lock:
            self._open.row(int(now // 60))[_COLUMN["expansions"]] += 1

    def recent_calls(self, journal: Any, after: int, limit: int, now: float) -> dict[str, Any]:
        """Returns the last calls, see `CallLog.read`."""
        return self._calls.read(journal, after, limit, now)

    @property
    def is_worth_a_look(self) -> bool:
        """Returns whether there has been a call lately, so that somebody may look at the dashboard."""
        return self._mark.is_worth_a_look

    def write_for_watchers(self, journal: Any, known: Mapping[str, CostReport], now: float) -> None:
        """Writes what is new, if somebody looks at the dashboard, in this process or another one."""
        try:
            if not self._mark.is_set(journal, now):
                return
        except CompressorError:
            return
        self._calls.write(journal, now)
        if not 0 <= now - self._write_time < WATCHED_INTERVAL:
            self.write(journal, known, now)

    def calls(self) -> list[dict[str, Any]]:
        """Returns the last single calls, the newest first."""
        with self._lock:
            return list(reversed(self._single_calls))

    def read(self, journal: Any, known: Mapping[str, CostReport], now: float) -> tuple[TimeSeries, bool]:
        """Returns all usage, and whether the store answered."""
        is_reachable = True
        with self._storing:
            if journal is not None and not 0 <= now - self._read_time < READ_INTERVAL:
                try:
                    self._mark.set(journal, now)
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
        """Removes a session from memory, and with a journal from the log, by a snapshot."""
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
        self._write_time = now
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


def describe_call(event: CompressionEvent, now: float) -> dict[str, Any]:
    """Returns a call as the live view shows it."""
    call: dict[str, Any] = {"time": now, "kind": event.kind, "session": event.session, "model": event.model}
    call |= {"tokens_before": event.tokens_before, "tokens_after": event.tokens_after}
    call |= {"saved_usd": round(event.saved, 8), "seconds": round(event.seconds, 6)}
    return {**call, "warnings": [warning[:200] for warning in event.warnings[:5]]}

"""What the service did, for each tenant, over time: kept in the tenant's part of the store, where workers add up.

Listens to `Metrics`; a call costs it one lock and no store. Every half minute, and at the end, a thread of its own
writes what is new as one record into a log that all workers of the tenant share (compare-and-set). Now and then such
a record holds everything, and takes the place of those before it. Where the store is down, it is written later; what
was written and not confirmed is not written twice. Knows no content.
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
from compressor.service.dashboard.time_series import FIELDS, SESSIONS, TimeSeries, duration_column
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.sessions.cost_report import CostReport
from compressor.storage.base import AppendLog

log = logging.getLogger("compressor.service")
EVERY = 30.0  # seconds between two writes
READ = 2.0  # seconds for which what was read of the store is good enough to be shown
WHOLE = 256  # records between two that hold everything
ATTEMPTS = 10  # at a write, where other workers are first
CALLS = 50  # single calls that are remembered, here only
WORKERS = 64  # whose last records are remembered
SEVERAL = ("conversation", "session")  # kinds of work that belong to more than one call
NAME = "ledger:1"  # of the log, with the form of its records
_CACHE = {"hit": "hits", "coalesced": "coalesced", "miss": "misses"}
_AT = {name: i for i, name in enumerate(FIELDS)}

#: A tenant's journal, and what is known of its sessions by their ids; None for a tenant that has not come yet.
Look = Callable[[str], tuple[Any, Mapping[str, CostReport]] | None]


class UsageRecorder:
    """All tenants'. Safe to share between threads."""

    def __init__(
        self, metrics: Metrics, look: Look, every: float = EVERY, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics, self._look, self._every, self._clock = metrics, look, every, clock
        self._worker = uuid4().hex[:12]
        self._accounts: dict[str, _Tenant] = {}
        self._counted: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        metrics.listeners.append(self.record)

    def start(self) -> None:
        """Begins to write."""
        self._thread = threading.Thread(target=self._run, name="compressor-ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what is new, for the last time."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._try()

    def record(self, work: CompressionEvent) -> None:
        """Takes a call that is done."""
        now = self._clock()
        self._of(work.tenant).note(work, now)

    def flush(self) -> None:
        """Writes what is new. What cannot be written stays for the next time."""
        self._sample()
        with self._lock:
            accounts = list(self._accounts.items())
        for name, account in accounts:
            journal, known = self._find(name)
            if journal is not None:
                account.write(journal, known, self._clock())

    def series(self, tenant: str) -> tuple[TimeSeries, bool]:
        """All that is known of a tenant, from all workers, and whether the store answered. May wait for the store."""
        self._sample()
        journal, known = self._find(tenant)
        return self._of(tenant).read(journal, known, self._clock())

    def calls(self, tenant: str) -> list[dict[str, Any]]:
        """The single calls that this worker did last, newest first."""
        return self._of(tenant).calls()

    def _of(self, tenant: str) -> _Tenant:
        found = self._accounts.get(tenant)
        if found is None:
            with self._lock:
                found = self._accounts.setdefault(tenant, _Tenant(self._worker))
        return found

    def _find(self, tenant: str) -> tuple[Any, Mapping[str, CostReport]]:
        try:
            return self._look(tenant) or (None, {})
        except CompressorError:  # a store that cannot be opened
            return None, {}

    def _sample(self) -> None:
        """Takes over what only the counters know."""
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
                        account = self._accounts.setdefault(tenant, _Tenant(self._worker))
                        account.count(name, more, self._clock())

    def _run(self) -> None:
        while not self._end.wait(self._every):
            self._try()

    def _try(self) -> None:
        try:
            self.flush()
        except Exception as error:  # it is only a record of what was done: the service goes on
            log.warning("the ledger was not written: %s", type(error).__name__)


class _Tenant:
    """One tenant's: `_book` is what the log has, `_sealed` what is being written, `_open` what came since."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._lock = threading.Lock()  # for what is in memory
        self._storing = threading.Lock()  # for who asks the store
        self._calls: deque[dict[str, Any]] = deque(maxlen=CALLS)
        self._open, self._sealed, self._book = TimeSeries(), TimeSeries(), TimeSeries()
        self._sealed_as = 0  # the number of the sealed record among this worker's
        self._log, self._at, self._since = "", 0, 0  # the log that is read, up to which record, how many since a whole
        self._seen: dict[str, int] = {}
        self._read_at = -1e9

    # -- in memory

    def note(self, work: CompressionEvent, now: float) -> None:
        """Takes a call that is done."""
        with self._lock:
            row = self._open.row(int(now // 60))
            for name, value in (
                ("calls", 1),
                ("before", work.tokens_before),
                ("after", work.tokens_after),
                ("saved", work.saved),
            ):
                row[_AT[name]] += value
            if work.cache:
                row[_AT[_CACHE[work.cache]]] += 1
            row[duration_column(work.seconds)] += 1
            if work.session:
                account = self._open.session(work.session, now)
                if len(self._open.sessions) > 2 * SESSIONS:  # while the store is away nothing else takes them
                    self._open.prune(now)
                account["calls"] += 1
                account["before"] += work.tokens_before
                account["after"] += work.tokens_after
                account["saved"] += work.saved
                if work.warnings:
                    account["warnings"] = [warning[:200] for warning in work.warnings[:5]]
            elif work.kind not in SEVERAL:
                call = {"at": now, "kind": work.kind, "before": work.tokens_before, "after": work.tokens_after}
                more = {"seconds": round(work.seconds, 6), "cache": work.cache, "tier": work.tier}
                self._calls.append({**call, **more, "refs": list(work.refs), "warnings": list(work.warnings)})

    def count(self, name: str, more: float, now: float) -> None:
        """Adds to one number."""
        with self._lock:
            self._open.row(int(now // 60))[_AT[name]] += more

    def calls(self) -> list[dict[str, Any]]:
        """See `UsageRecorder.calls`."""
        with self._lock:
            return list(reversed(self._calls))

    # -- in the store

    def read(self, journal: Any, known: Mapping[str, CostReport], now: float) -> tuple[TimeSeries, bool]:
        """All there is, and whether the store answered."""
        well = True
        with self._storing:
            if journal is not None and not 0 <= now - self._read_at < READ:
                try:
                    self._catch_up(journal)
                    self._read_at = now
                except CompressorError:
                    well = False
            with self._lock:
                _describe(self._open, known)
                book = self._book.copy()
                book.add(self._sealed)
                book.add(self._open)
        book.prune(now)
        return book, well

    def write(self, journal: Any, known: Mapping[str, CostReport], now: float) -> None:
        """Writes what is new, if the store answers."""
        with self._storing:
            with self._lock:
                _describe(self._open, known)
                if not self._sealed and self._open:
                    self._sealed, self._open = self._open, TimeSeries()
                    self._sealed_as += 1
            if not self._sealed:
                return
            try:
                for _ in range(ATTEMPTS):
                    self._catch_up(journal)
                    if not self._sealed or self._append(journal, now):
                        return
            except CompressorError as error:
                log.warning("the ledger was not written: %s", type(error).__name__)

    def _append(self, journal: Any, now: float) -> bool:
        """Writes the sealed record, unless another worker was first."""
        whole = not self._at or self._since >= WHOLE
        seen = {**self._seen, self._worker: self._sealed_as}
        new = self._sealed
        if whole:
            new = self._book.copy()
            new.add(self._sealed)
            new.prune(now)
        name = self._log if self._at else uuid4().hex[:12]
        record = {"log": name, "worker": self._worker, "number": self._sealed_as, **new.to_json()}
        if whole:
            record["seen"] = seen
        packed = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if not cast(AppendLog, journal).append_log(NAME, self._at, [packed], truncate_before=whole):
            return False
        self._take(self._at + 1, record)
        with self._lock:
            self._book.prune(now)
        return True

    def _catch_up(self, journal: Any) -> None:
        """Takes over what all workers have written."""
        if not hasattr(journal, "read_log"):
            return
        try:
            # With the record that is known: another log may have been begun in the place of one that is gone.
            records = cast(AppendLog, journal).read_log(NAME, after=max(0, self._at - 1))
            if self._at and not (records and json.loads(records[0][1]).get("log") == self._log):
                self._at = 0
                records = cast(AppendLog, journal).read_log(NAME)
        except RefError:
            self._at, self._since = 0, 0  # what is in memory begins a new one
            return
        for number, packed in records:
            if number > self._at:
                self._take(number, json.loads(packed))

    def _take(self, number: int, record: Mapping[str, Any]) -> None:
        try:
            new = TimeSeries.from_json(record)
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"the log {NAME!r} is damaged: drop it, and the dashboard begins anew") from None
        with self._lock:
            if "seen" in record:
                self._book, self._seen, self._since = new, dict(record["seen"]), 0
            else:
                self._book.add(new)
                self._seen.pop(record["worker"], None)  # the newest stand last
                self._seen[record["worker"]] = record["number"]
                self._since += 1
                while len(self._seen) > WORKERS:
                    self._seen.pop(next(iter(self._seen)))
            self._log, self._at = record["log"], number
            if self._sealed and self._seen.get(self._worker, 0) >= self._sealed_as:
                self._sealed = TimeSeries()


def _describe(book: TimeSeries, known: Mapping[str, CostReport]) -> None:
    """What sessions' balances say of them."""
    for id, account in book.sessions.items():
        if (balance := known.get(id)) is not None:
            account["model"] = balance.model
            account["cached_fraction"] = round(balance.cached_fraction, 4)
            account["compactions"] = balance.compactions
            account["expansions"] = balance.expansions
            account["view"] = balance.view_tokens

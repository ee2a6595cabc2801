"""The last calls of one tenant, for a live view: of all workers, if the store keeps logs.

Nothing is written while nobody looks. Whoever reads the calls leaves a mark in the store; a worker that finds it writes
its new calls to a log that all workers share, every second. Calls have no content.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import uuid4

from compressor.errors import CompressorError, RefError
from compressor.service.dashboard.watch_mark import WatchMark
from compressor.storage.base import AppendLog

log = logging.getLogger("compressor.service")
LOG_NAME = "calls:1"
MAX_CALLS = 200  # that are kept
RECORDS_PER_SNAPSHOT = 50
MAX_ATTEMPTS = 5  # of one write, where other workers are first


class CallLog:
    """The last calls of a tenant. Safe to share between threads.

    Args:
        mark: Tells whether somebody looks.
    """

    def __init__(self, mark: WatchMark | None = None) -> None:
        self._mark = mark or WatchMark()
        self._lock = threading.Lock()  # for data in memory
        self._storing = threading.Lock()  # for calls of the store
        self._new: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)
        self._known: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)
        self._log = ""  # identifies the log
        self._last_record, self._since_snapshot, self._last_id = 0, 0, 0

    def add(self, call: Mapping[str, Any]) -> None:
        """Takes a call. Its id is made when it is written."""
        with self._lock:
            self._new.append(dict(call))

    def write(self, journal: Any, now: float) -> None:
        """Writes new calls if somebody looks. Errors of the store are ignored: the next call tries again."""
        if not self._new or not hasattr(journal, "append_log"):
            return
        try:
            if self._mark.is_set(journal, now):
                with self._storing:
                    self._write(journal, now)
        except (CompressorError, ValueError, KeyError, TypeError) as error:
            log.debug("the last calls were not stored: %s", type(error).__name__)

    def read(self, journal: Any, after: int, limit: int, now: float) -> dict[str, Any]:
        """Returns calls, oldest first, the id of the last one, and whose calls they are.

        Args:
            journal: The tenant's store, or None if it has no store yet.
            after: Return calls with larger ids.
            limit: The maximum number of calls; the newest are returned.
            now: The time.
        """
        is_shared = hasattr(journal, "append_log")
        with self._storing:
            if is_shared:
                try:
                    self._mark.set(journal, now)
                    self._catch_up(journal)
                    self._write(journal, now)
                except (CompressorError, ValueError, KeyError, TypeError):
                    is_shared = False
            if not is_shared:
                with self._lock:
                    for call in self._numbered(self._new, now):
                        self._keep(call)
                    self._new.clear()
            with self._lock:
                calls = [call for call in self._known if call["id"] > after][-limit:]
                last = self._last_id
        return {"calls": calls, "last": last, "workers": "all" if is_shared else "this"}

    def _write(self, journal: Any, now: float) -> None:
        with self._lock:
            taken = list(self._new)
            self._new.clear()
        is_written = not taken
        try:
            for _ in range(MAX_ATTEMPTS):
                if is_written := is_written or self._append(journal, taken, now):
                    return
                self._catch_up(journal)
        finally:
            if not is_written:
                with self._lock:
                    self._new = deque([*taken, *self._new], maxlen=MAX_CALLS)

    def _append(self, journal: Any, calls: Sequence[Mapping[str, Any]], now: float) -> bool:
        """Appends calls to the log; returns False if another worker was first."""
        with self._lock:
            new = self._numbered(calls, now)
            is_snapshot = not self._last_record or self._since_snapshot >= RECORDS_PER_SNAPSHOT
            written = [*self._known, *new][-MAX_CALLS:] if is_snapshot else new
        name = self._log if self._last_record else uuid4().hex[:12]
        packed = json.dumps({"log": name, "calls": written}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        store = cast(AppendLog, journal)
        if not store.append_log(LOG_NAME, self._last_record, [packed], truncate_before=is_snapshot):
            return False
        with self._lock:
            for call in new:
                self._keep(call)
            self._log, self._last_record = name, self._last_record + 1
            self._since_snapshot = 0 if is_snapshot else self._since_snapshot + 1
        return True

    def _catch_up(self, journal: Any) -> None:
        """Reads what all workers have written."""
        try:
            # With the last record that is known: another worker may have started a new log.
            records = cast(AppendLog, journal).read_log(LOG_NAME, after=max(0, self._last_record - 1))
            if self._last_record and not (records and json.loads(records[0][1]).get("log") == self._log):
                self._last_record = 0
                records = cast(AppendLog, journal).read_log(LOG_NAME)
        except RefError:  # no log yet, or it has expired
            is_known, self._last_record = self._last_record > 0, 0
            if is_known:  # there may be a new one
                self._catch_up(journal)
            return
        for number, packed in records:
            if number <= self._last_record:
                continue
            record = json.loads(packed)
            with self._lock:
                self._log, self._last_record = record["log"], number
                self._since_snapshot += 1
                for call in record["calls"]:
                    if isinstance(call, dict) and isinstance(call.get("id"), int) and call["id"] > self._last_id:
                        self._keep(call)

    def _numbered(self, calls: Iterable[Mapping[str, Any]], now: float) -> list[dict[str, Any]]:
        """Returns calls with the next ids. They follow the time, so that they also grow if the log is lost."""
        first = max(self._last_id + 1, int(now * 1000))
        return [{"id": first + i, **call} for i, call in enumerate(calls)]

    def _keep(self, call: dict[str, Any]) -> None:
        self._known.append(call)
        self._last_id = max(self._last_id, call["id"])

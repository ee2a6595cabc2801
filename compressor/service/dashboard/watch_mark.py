"""A mark in a tenant's store that says that somebody looks at the dashboard, so that all workers write more often."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

from compressor.errors import RefError
from compressor.storage.base import AppendLog

LOG_NAME = "calls-watched:1"  # a log, because values of a store may be cached
INTERVAL = 10.0  # seconds between two looks for the mark, and between two marks
HOLDS = 60.0  # seconds for which a mark holds
KEEP_LOOKING = 300.0  # seconds after the last call in which a worker looks for the mark


class WatchMark:
    """The mark of one tenant. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until, self._next_look, self._next_mark, self._last_call = 0.0, 0.0, 0.0, 0.0

    def note_call(self) -> None:
        """Takes note that there is something to see."""
        self._last_call = time.monotonic()

    @property
    def is_worth_a_look(self) -> bool:
        """Returns whether there has been a call lately."""
        return time.monotonic() - self._last_call < KEEP_LOOKING

    def set(self, journal: Any, now: float) -> None:
        """Leaves the mark in a store, if the last one is some time ago.

        Raises:
            StoreError: The store cannot be used.
        """
        with self._lock:
            self._until, is_due = now + HOLDS, not 0 < self._next_mark - now <= INTERVAL
            if is_due:
                self._next_mark = now + INTERVAL
        if is_due and hasattr(journal, "append_log"):
            last = max(number for number, _ in _read(journal))
            cast(AppendLog, journal).append_log(LOG_NAME, last, [str(now + HOLDS).encode()], truncate_before=True)

    def is_set(self, journal: Any, now: float) -> bool:
        """Returns whether somebody looks, in this process or in another one. Reads the store now and then.

        Raises:
            StoreError: The store cannot be used.
        """
        with self._lock:
            is_due = not 0 < self._next_look - now <= INTERVAL
            if is_due:
                self._next_look = now + INTERVAL
        if is_due and hasattr(journal, "read_log"):
            found = max(until for _, until in _read(journal))
            with self._lock:
                self._until = max(self._until, min(found, now + 2 * HOLDS))
        return now < self._until


def _read(journal: Any) -> list[tuple[int, float]]:
    """Returns the numbers of the marks in a store, and until when they hold; 0 for a store without marks."""
    try:
        marks = cast(AppendLog, journal).read_log(LOG_NAME)
        return [(number, float(mark)) for number, mark in marks] or [(0, 0.0)]
    except (RefError, ValueError):
        return [(0, 0.0)]

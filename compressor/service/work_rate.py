"""Estimates how long the compression of a body takes, from what this process has measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Bytes a second that the fast tier reads, before anything was measured: half of what one core of 2026 does, so that
#: the first large body is tried rather than not (benchmarks/LOG.md, 2026-11-30).
INITIAL_RATE = 1_000_000.0
MIN_SAMPLE_BYTES = 100_000  # smaller bodies say nothing: most of their time does not depend on their size
_WEIGHT = 0.3  # of a new measurement


class WorkRate:
    """The rate of one scorer in this process. Safe to share between threads.

    Threads that compute at the same time share one core, so the time of a body is its own computing time, multiplied by
    how many are under way. A model scorer computes in other threads, where only the elapsed time can be measured.

    Args:
        shares_core: Whether the work is Python's own.
        rate: Bytes a second before anything was measured; None means that nothing is estimated until then.
    """

    def __init__(self, shares_core: bool, rate: float | None = None) -> None:
        self._shares_core, self._rate = shares_core, rate
        self._running = 0
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, size: int) -> Iterator[None]:
        """Measures the work on `size` new bytes, if it succeeds."""
        clock = time.thread_time if self._shares_core else time.perf_counter
        is_large = size >= MIN_SAMPLE_BYTES
        with self._lock:
            self._running += is_large
        start = clock()
        try:
            yield
            if is_large:
                new = size / max(1e-6, clock() - start)
                with self._lock:
                    self._rate = new if self._rate is None else (1 - _WEIGHT) * self._rate + _WEIGHT * new
        finally:
            with self._lock:
                self._running -= is_large

    def estimate(self, size: int) -> float | None:
        """Returns the seconds that the work on `size` new bytes would take if it began now; None if not known."""
        with self._lock:
            if self._rate is None:
                return None
            return size / self._rate * (1 + self._running if self._shares_core else 1)

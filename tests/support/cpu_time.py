"""Bounds on the CPU time of what a test does."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cpu_time_below(seconds: float, what: object = "it") -> Iterator[None]:
    """Fails where what is done inside takes this thread more CPU time; what it waits for does not count.

    A bound is ten times what is normal, or more: CPUs differ, and a busy one is slower. Meanwhile no garbage is
    collected, because in a process with torch one collection can take more than a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    start = time.thread_time()
    try:
        yield
        taken = time.thread_time() - start
    finally:
        if was_enabled:
            gc.enable()
    assert taken < seconds, f"{what} took {taken:.2f} s of CPU time"

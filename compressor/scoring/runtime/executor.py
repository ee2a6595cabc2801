"""Runs blocking calls for asyncio in a thread pool that is large enough to fill a model's batches.

On a small machine, asyncio's default pool has only a few threads, so most requests would wait where no batch can use
them.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")
#: Calls that run at once; others wait.
MAX_THREADS = 64

#: Called with "thread" or "scorer" and the seconds that a call waited for it. None by default.
QUEUE_WAIT_HOOK: contextvars.ContextVar[Callable[[str, float], None] | None] = contextvars.ContextVar(
    "WAITED", default=None
)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, "compressor")


async def run_in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Runs a function in a worker thread, with the caller's context variables, and returns its result."""
    import asyncio  # there already if there is a loop; all others do without it and its 3 MB

    run, report = contextvars.copy_context().run, QUEUE_WAIT_HOOK.get()
    work = partial(run, function, *args, **options)
    if report is not None:
        work = partial(_report_wait, report, time.perf_counter(), work)
    return await asyncio.get_running_loop().run_in_executor(_pool(), work)


def start_in_thread(work: Callable[[], object]) -> None:
    """Starts work in a worker thread and does not wait for it. Its exceptions are lost."""
    _pool().submit(work)


def _report_wait(report: Callable[[str, float], None], since: float, work: Callable[[], T]) -> T:
    report("thread", time.perf_counter() - since)
    return work()

"""Runs blocking calls for asyncio in threads of our own: as many as requests that a model's batches can gather.

asyncio's default pool has a handful of threads on a small machine, so that most requests would wait where no batch can
see them.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")
MAX_THREADS = 64  # calls at once; more wait their turn

#: Whom to tell how long a call waited its turn: for a "thread" or a "scorer", and seconds. Nobody by default.
QUEUE_WAIT_HOOK: contextvars.ContextVar[Callable[[str, float], None] | None] = contextvars.ContextVar(
    "WAITED", default=None
)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, "compressor")


async def run_in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """`function(*args, **options)` in a worker thread, in the caller's context variables."""
    run, tell = contextvars.copy_context().run, QUEUE_WAIT_HOOK.get()
    work = partial(run, function, *args, **options)
    if tell is not None:
        work = partial(_told, tell, time.perf_counter(), work)
    return await asyncio.get_running_loop().run_in_executor(_pool(), work)


def _told(tell: Callable[[str, float], None], since: float, work: Callable[[], T]) -> T:
    tell("thread", time.perf_counter() - since)
    return work()

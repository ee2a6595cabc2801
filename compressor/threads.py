"""Runs blocking calls for asyncio in threads of our own: as many as requests that a model's batches can gather.

asyncio's default pool has a handful of threads on a small machine, so that most requests would wait where no batch can
see them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 64  # calls at once; more wait their turn


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST, "compressor")


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """`function(*args, **options)` in a worker thread, in the caller's context variables."""
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(_pool(), partial(run, function, *args, **options))

"""Work of a tenant's in worker threads: so much at a time, and for so long. A thread cannot be ended, so what nobody
waits for any more (it took too long, its client has gone) counts until it is over: one tenant's slow work does not take
the threads of the others, however often it is sent. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from compressor.service.problems import Refused
from compressor.threads import MOST, WAITED, in_thread

T = TypeVar("T")
SHARE = MOST // 2  # of the threads, that one tenant may have


class Hands:
    """For one event loop. most: threads at a time; seconds: that a call may take, its turn included."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._free = asyncio.Semaphore(most)
        self.left = 0  # threads at work for nobody

    async def work(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)` in a thread. asyncio.TimeoutError if it takes too long; Refused (503), at once, while all
        threads are still at work on what took too long."""
        if self.left >= self._most:
            raise Refused(503, "overloaded", "earlier requests still keep all threads busy", {"retry-after": "5"})
        begun = False

        def run() -> T:
            nonlocal begun
            begun = True
            return function(*args)

        task = asyncio.ensure_future(self._turn(run))
        try:
            await asyncio.wait({task}, timeout=self._seconds)
        finally:
            if not task.done():
                if begun:
                    self.left += 1
                    task.add_done_callback(self._over)
                else:
                    task.cancel()
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()

    async def _turn(self, run: Callable[[], T]) -> T:
        if self._free.locked() and (tell := WAITED.get()) is not None:
            since = time.perf_counter()
            async with self._free:
                tell("tenant", time.perf_counter() - since)
                return await in_thread(run)
        async with self._free:
            return await in_thread(run)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.left -= 1
        if not task.cancelled():
            task.exception()  # nobody waits for this one either

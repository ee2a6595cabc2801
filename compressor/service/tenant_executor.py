"""Work of a tenant's in worker threads: so much at a time, and for so long. A thread cannot be ended, so what nobody
waits for any more (it took too long, its client has gone) counts until it is over: one tenant's slow work does not take
the threads of the others, however often it is sent. Knows no HTTP.

Where the work is Python's own, one thread computes at a time whatever their number, and dozens that want to only make
each other, and the event loop, wait (half the requests a second: benchmarks/LOG.md, 2026-11-23). All tenants' work then
goes through `slots`, first come first served. Models gather what many threads ask of them, and need none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from compressor.scoring.runtime.executor import MAX_THREADS, QUEUE_WAIT_HOOK, run_in_thread
from compressor.service.http_errors import HttpError

T = TypeVar("T")
MAX_FRACTION_PER_TENANT = MAX_THREADS // 2  # of the threads, that one tenant may have
SLOTS = 1
SLOT_TIMEOUT = 0.25  # seconds a call has a slot for: a long one, or a slow store, holds nobody up


class TenantExecutor:
    """For one event loop. most: threads at a time; seconds: that a call may take, its turn included; slots: shared with
    the hands of others, None: as many as there are threads."""

    def __init__(self, most: int, seconds: float, slots: asyncio.Semaphore | None = None) -> None:
        self._most, self._seconds = most, seconds
        self._slots = slots or asyncio.Semaphore(most)
        self._free = asyncio.Semaphore(most)
        self.abandoned = 0  # threads at work for nobody

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)` in a thread. Refused: 504 if it takes too long; 503, at once, while all threads are still
        at work on what took too long."""
        if self.abandoned >= self._most:
            raise HttpError(503, "overloaded", "earlier requests still keep all threads busy", {"retry-after": "5"})
        begun = False
        slot = _Slot(self._slots)

        def run() -> T:
            nonlocal begun
            begun = True
            return function(*args)

        task = asyncio.ensure_future(self._turn(run, slot))
        try:
            await asyncio.wait({task}, timeout=self._seconds)
        finally:
            if not task.done():
                if begun:
                    slot.free()
                    self.abandoned += 1
                    task.add_done_callback(self._over)
                else:
                    task.cancel()
        if not task.done():
            raise HttpError(504, "timeout", f"this took longer than {self._seconds:g} s")
        return task.result()

    async def _turn(self, run: Callable[[], T], slot: _Slot) -> T:
        tell, since = QUEUE_WAIT_HOOK.get(), time.perf_counter()
        async with self._free, slot:
            if tell is not None:
                tell("tenant", time.perf_counter() - since)
            return await run_in_thread(run)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.abandoned -= 1
        if not task.cancelled():
            task.exception()  # nobody waits for this one either


class _Slot:
    """A slot that can be given back before the work in it is over."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots, self._held = slots, False

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        self._held = True
        self._timer = asyncio.get_running_loop().call_later(SLOT_TIMEOUT, self.free)

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        self.free()

    def free(self) -> None:
        """Gives it back, once."""
        if self._held:
            self._held = False
            self._slots.release()

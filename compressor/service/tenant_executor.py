"""Runs a tenant's work in threads, with a concurrency limit and a timeout.

A thread cannot be ended. So work that was abandoned (it took too long, or its client has gone) counts against the
tenant's limit until it is over, and one tenant's slow work cannot take the threads of the others. A `Delivery` lets the
work know whether anybody still waits for its result.

Python computes in one thread at a time. Dozens of threads that want to compute only make each other, and the event
loop, wait (half the requests a second: benchmarks/LOG.md, 2026-11-23). So where the work is Python's own, all tenants
share the slots of a `WorkQueue`, which lets small calls go first. Model scorers batch the work of many threads, and
need no slots.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from compressor.scoring.runtime.executor import MAX_THREADS, QUEUE_WAIT_HOOK, run_in_thread
from compressor.service.http_errors import HttpError
from compressor.service.work_queue import Lane, WorkQueue, WorkSlot

T = TypeVar("T")
MAX_THREADS_PER_TENANT = MAX_THREADS // 2


class Delivery:
    """Decides, once, whether the result of some work is used: by the work that takes it in, or by whoever waits.

    Args:
        timeout: Seconds to wait for the result; None leaves it to the executor.
        late: Makes the error that is raised after `timeout`.

    Attributes:
        late: As given.
        was_cancelled: Whether the client has gone, so that nothing at all is sent.
        holds_background: Whether the work occupies the room for work that nobody waits for.
    """

    def __init__(self, timeout: float | None = None, late: Callable[[], HttpError] | None = None) -> None:
        self.late = late
        self.was_cancelled = self.holds_background = False
        self._is_decided = self._is_taken = False
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._declined: asyncio.Future[HttpError] = self._loop.create_future()
        self._end = time.monotonic() + timeout if timeout is not None else None

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, or None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def take(self) -> bool:
        """Takes the result, in the thread; returns False if nobody waits for it any more."""
        with self._lock:
            if not self._is_decided:
                self._is_decided = self._is_taken = True
            return self._is_taken

    def decline(self, error: HttpError) -> bool:
        """Lets the waiting request go on with an error, while the thread works on; False if nobody waits any more."""
        if not self._abandon():
            return False
        self._loop.call_soon_threadsafe(self._set_declined, error)
        return True

    def expire(self, was_cancelled: bool = False) -> bool:
        """Stops waiting, in the event loop; returns False if the result was taken, so that it is about to come."""
        self.was_cancelled = self.was_cancelled or was_cancelled
        return self._abandon()

    def _abandon(self) -> bool:
        with self._lock:
            if self._is_taken:
                return False
            self._is_decided = True
            return True

    def _set_declined(self, error: HttpError) -> None:
        if not self._declined.done():
            self._declined.set_result(error)

    @property
    def declined(self) -> asyncio.Future[HttpError]:
        """The error with which the thread has let the request go on."""
        return self._declined


class TenantExecutor:
    """Runs functions in threads. For one event loop.

    Args:
        max_threads: How many calls may run at a time.
        timeout: Seconds that a call may take, waiting included.
        queue: Shared with other executors, to limit how many calls compute at a time; None means no limit.

    Attributes:
        abandoned: Calls that still run although nobody waits for them.
    """

    def __init__(self, max_threads: int, timeout: float, queue: WorkQueue | None = None) -> None:
        self._max_threads, self._timeout = max_threads, timeout
        self._free_threads = Lane(max_threads)
        self.abandoned = 0
        self.use_queue(queue)

    def use_queue(self, queue: WorkQueue | None) -> None:
        """Shares another queue from the next call on."""
        self._queue = queue or WorkQueue(self._max_threads, self._max_threads)

    async def run(self, function: Callable[..., T], *args: Any, delivery: Delivery | None = None, size: int = 0) -> T:
        """Returns the result of `function(*args)`, called in a thread.

        Args:
            function: The function.
            args: Its arguments.
            delivery: Bounds the wait further, and tells the function whether somebody still waits.
            size: The new bytes that the call works on, as far as they are known: small calls go first.

        Raises:
            HttpError: 504 after the timeout, or the delivery's own error; 503, at once, if all threads are busy with
                abandoned calls.
        """
        if self.abandoned >= self._max_threads:
            message = "All threads of this tenant are busy with earlier requests that took too long: retry later"
            raise HttpError(503, "overloaded", message, {"retry-after": "5"})
        has_begun = False
        queue, slot = self._queue, WorkSlot(size, self)
        delivery = delivery or Delivery()
        remaining = delivery.remaining
        timeout = self._timeout if remaining is None else min(self._timeout, remaining)

        def run() -> T:
            nonlocal has_begun
            has_begun = True
            return function(*args)

        task = asyncio.ensure_future(self._wait_and_run(run, queue, slot))
        try:
            ends: set[asyncio.Future[Any]] = {task, delivery.declined}
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not delivery.declined.done() and not delivery.expire():
                await asyncio.wait({task}, timeout=self._timeout)  # the function is about to return
        except asyncio.CancelledError:
            delivery.expire(was_cancelled=True)
            raise
        finally:
            if not task.done():
                if has_begun:
                    slot.release()
                    self.abandoned += 1
                    task.add_done_callback(self._on_abandoned_end)
                else:
                    task.cancel()
        if delivery.declined.done():
            raise delivery.declined.result()
        if not task.done():
            if delivery.late is not None and timeout < self._timeout:
                raise delivery.late()
            raise HttpError(504, "timeout", f"The request took longer than {self._timeout:g} s")
        return task.result()

    async def _wait_and_run(self, run: Callable[[], T], queue: WorkQueue, slot: WorkSlot) -> T:
        notify, start = QUEUE_WAIT_HOOK.get(), time.perf_counter()
        try:
            await queue.enter_large(slot)  # first of all, so that large calls that wait occupy no thread
            await self._free_threads.acquire(slot.size, self)
            try:
                await queue.enter(slot)
                if notify is not None:
                    notify("tenant", time.perf_counter() - start)
                return await run_in_thread(run)
            finally:
                self._free_threads.release()
        finally:
            slot.release()

    def _on_abandoned_end(self, task: asyncio.Task[Any]) -> None:
        self.abandoned -= 1
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it

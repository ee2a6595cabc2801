"""Calls that must be over in time: in a daemon thread of their own, which is left behind when it is late.

A late call cannot be ended, only abandoned. At most so many run at once, abandoned ones included; while all are busy,
a new call waits, within its own time, and then fails like a late one.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from compressor.errors import CompressorError

T = TypeVar("T")
MAX_CONCURRENT_CALLS = 4
POLL = 0.02  # seconds between two looks for a free place, in asyncio


class SummaryTimeoutError(CompressorError):
    """The call was not over in its time."""


class DeadlineExecutor:
    """Runs calls, `most` at a time. Safe to share between threads and event loops."""

    def __init__(self, max_concurrent: int = MAX_CONCURRENT_CALLS) -> None:
        self._most = max_concurrent
        self._places = threading.BoundedSemaphore(max_concurrent)

    def run(self, function: Callable[[float], T], seconds: float) -> T:
        """What function(seconds left) returns or raises; SummaryTimeoutError after `seconds`."""
        end = time.monotonic() + seconds
        if not self._places.acquire(timeout=seconds):
            raise self._busy()
        try:
            return self._start(function, end).result(max(0.0, end - time.monotonic()))
        except FutureTimeout as e:
            raise SummaryTimeoutError(f"no answer within {seconds:g} s") from e

    async def arun(self, function: Callable[[float], T], seconds: float) -> T:
        """`run` for asyncio."""
        end = time.monotonic() + seconds
        while not self._places.acquire(blocking=False):
            if time.monotonic() >= end:
                raise self._busy()
            await asyncio.sleep(POLL)
        future = asyncio.wrap_future(self._start(function, end))
        done, _ = await asyncio.wait({future}, timeout=max(0.0, end - time.monotonic()))
        if not done:
            future.cancel()
            raise SummaryTimeoutError(f"no answer within {seconds:g} s")
        return future.result()

    def _busy(self) -> SummaryTimeoutError:
        return SummaryTimeoutError(f"{self._most} earlier calls of the model are still running")

    def _start(self, function: Callable[[float], T], end: float) -> Future[T]:
        """Starts the thread; it gives its place back when it is over, late or not."""
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                result = context.run(function, max(0.0, end - time.monotonic()))
            except BaseException as e:  # a writer that raises SystemExit has failed, the process has not
                self._places.release()
                told = _as_call_error(e)
                _settle(future, lambda: future.set_exception(told))
            else:
                self._places.release()
                _settle(future, lambda: future.set_result(result))

        try:
            threading.Thread(target=work, name="compressor-summary", daemon=True).start()
        except BaseException:
            self._places.release()
            raise
        return future


def _as_call_error(error: BaseException) -> Exception:
    # What asyncio and TimeoutError mean to the caller, they do not mean here: the call itself has failed.
    if isinstance(error, Exception) and not isinstance(error, (TimeoutError, FutureTimeout, StopIteration)):
        return error
    return CompressorError(f"{type(error).__name__}: {error}")


def _settle(future: Future[T], settle: Callable[[], None]) -> None:
    if future.set_running_or_notify_cancel():
        settle()

"""Runs calls with a timeout: each in a daemon thread of its own, which is abandoned when it is late.

A late call cannot be stopped, only abandoned. A limited number of calls run at once, abandoned ones included. While all
places are taken, a new call waits within its own time and then fails like a late one.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from compressor.errors import CompressorError

T = TypeVar("T")
MAX_CONCURRENT_CALLS = 4


class SummaryTimeoutError(CompressorError):
    """The call was not complete in time."""


class DeadlineExecutor:
    """Runs a limited number of calls at once. Safe to share between threads."""

    def __init__(self, max_concurrent: int = MAX_CONCURRENT_CALLS) -> None:
        """Takes how many calls may run at once."""
        self._max_concurrent = max_concurrent
        self._places = threading.BoundedSemaphore(max_concurrent)

    def __reduce__(self) -> Any:
        """Pickles the settings: a copy starts without calls."""
        return type(self), (self._max_concurrent,)

    def run(self, function: Callable[[float], T], seconds: float) -> T:
        """Returns what `function(seconds_left)` returns, and raises what it raises.

        Raises:
            SummaryTimeoutError: The call was not complete after `seconds`, or no place was free.
        """
        end = time.monotonic() + seconds
        if not self._places.acquire(timeout=seconds):
            raise SummaryTimeoutError(f"{self._max_concurrent} earlier calls of the model are still running")
        try:
            return self._start(function, end).result(max(0.0, end - time.monotonic()))
        except FutureTimeout as e:
            raise SummaryTimeoutError(f"there was no answer within {seconds:g} s") from e

    def _start(self, function: Callable[[float], T], end: float) -> Future[T]:
        """Starts the thread. It frees its place when it ends, late or not."""
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                result = context.run(function, max(0.0, end - time.monotonic()))
            except BaseException as e:  # an LLM that raises SystemExit has failed, but the process goes on
                self._places.release()
                error = _as_call_error(e)
                _settle(future, lambda: future.set_exception(error))
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
    """Returns an exception that the caller cannot mistake for its own timeout or for the end of an iteration."""
    if isinstance(error, Exception) and not isinstance(error, (TimeoutError, FutureTimeout, StopIteration)):
        return error
    return CompressorError(f"{type(error).__name__}: {error}")


def _settle(future: Future[T], settle: Callable[[], None]) -> None:
    if future.set_running_or_notify_cancel():
        settle()

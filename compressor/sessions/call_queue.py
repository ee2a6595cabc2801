"""Runs the calls of one session one after the other, in the order in which they were made.

Worker threads may overtake each other, so calls that an event loop makes at once would reach the session in any order.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from compressor.scoring.runtime.executor import QUEUE_WAIT_HOOK, start_in_thread

T = TypeVar("T")


class CallQueue:
    """A queue of calls that one worker thread at a time takes from. Safe to share between threads and event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Callable[[], None]] = deque()
        self._is_running = False

    async def run(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Runs a function after all functions that were passed before, and returns its result.

        It runs in a worker thread, with the caller's context variables. A call that is cancelled before its turn is
        left out.
        """
        future: Future[T] = Future()
        context, since = contextvars.copy_context(), time.perf_counter()
        call = partial(_settle, future, partial(context.run, _run, since, function, *args, **options))
        with self._lock:
            self._calls.append(call)
            must_start, self._is_running = not self._is_running, True
        if must_start:
            start_in_thread(self._work)
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        """Makes the calls until none is left."""
        while True:
            with self._lock:
                if not self._calls:
                    self._is_running = False
                    return
                call = self._calls.popleft()
            call()


def _settle(future: Future[T], run: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = run()
    except BaseException as error:  # the worker goes on with the next call
        future.set_exception(error)
    else:
        future.set_result(result)


def _run(since: float, function: Callable[..., T], *args: Any, **options: Any) -> T:
    report = QUEUE_WAIT_HOOK.get()
    if report is not None:
        report("thread", time.perf_counter() - since)
    return function(*args, **options)

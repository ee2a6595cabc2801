"""Lets concurrent threads of a process share one computation of the same result."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The computations that are in flight now, by key.

    Safe to share between threads. A forked child ignores computations that were in flight in its parent.
    """

    def __init__(self) -> None:
        self._in_flight: dict[tuple[int, str], Future[T]] = {}

    def __reduce__(self) -> Any:
        """Pickles nothing: a copy starts without computations."""
        return type(self), ()

    def begin(self, key: str) -> tuple[Future[T], bool]:
        """Joins the computation of a key, or starts it.

        Returns:
            The future of the outcome, and whether the caller is the leader, who must compute it and call `finish`.
        """
        own: Future[T] = Future()
        future = self._in_flight.setdefault((os.getpid(), key), own)  # `setdefault` is atomic, so no lock is needed.
        return future, future is own

    def finish(self, key: str, outcome: T | BaseException) -> None:
        """Gives the outcome, a result or an exception, to all waiting threads. The next caller starts anew."""
        future = self._in_flight.pop((os.getpid(), key))
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

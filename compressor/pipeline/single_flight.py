"""One computation for all threads of a process that want the same at the same time. Computes and stores nothing."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """What is being worked out now, by key. Safe to share between threads, before and after a fork: what the parent
    was at is nobody's business in a child."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[int, str], Future[T]] = {}

    def begin(self, key: str) -> tuple[Future[T], bool]:
        """What will hold the outcome, and whether it is the caller who has to work it out, and then to `land` it."""
        mine: Future[T] = Future()
        found = self._under_way.setdefault((os.getpid(), key), mine)  # one step, without a lock
        return found, found is mine

    def finish(self, key: str, outcome: T | BaseException) -> None:
        """Gives the outcome to all who wait. Who comes from now on begins anew."""
        flight = self._under_way.pop((os.getpid(), key))
        if isinstance(outcome, BaseException):
            flight.set_exception(outcome)
        else:
            flight.set_result(outcome)

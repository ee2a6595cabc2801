"""Whether a remote store is asked at all: after several failures in a row it is not, until a probe says it works again.

A remote store says that it cannot be used now with `StoreUnavailableError`. Starts nothing and asks nobody.
"""

from __future__ import annotations

import os
import threading
import time
import weakref

from compressor.errors import StoreError

FAILURES, WITHIN = 5, 10.0


class StoreUnavailableError(StoreError):
    """A remote store cannot be used now. What was to be written may have been, or may still come."""


class StoreFullError(StoreUnavailableError):
    """It can be read, and has no room for more. No reason to stop asking it."""


class CircuitBreaker:
    """Closed (the normal state) until `failures` calls in a row, within so many seconds, have found the remote
    unavailable; then open. May be shared by the stores that use one server. Safe from several threads."""

    def __init__(self, failures: int = FAILURES, within: float = WITHIN) -> None:
        if failures < 1 or not within > 0:
            raise StoreError("a breaker's number of failures and its time are positive")
        self._failures, self._within = failures, within
        self._in_a_row: list[float] = []
        self._lock = threading.Lock()
        #: Calls that found the remote unavailable, and how often that made it open, since the start.
        self.failures, self.opened = 0, 0
        self.is_open = False
        #: What the last failure said; "" when the remote has worked since.
        self.error = ""
        _breakers.add(self)

    def record_failure(self, error: StoreUnavailableError) -> None:
        """A call found the remote unavailable."""
        now = time.monotonic()
        with self._lock:
            self.failures += 1
            self.error = str(error)
            if isinstance(error, StoreFullError):
                return
            self._in_a_row = [*(t for t in self._in_a_row if t > now - self._within), now][-self._failures :]
            if len(self._in_a_row) >= self._failures and not self.is_open:
                self.is_open = True
                self.opened += 1

    def record_success(self, probe: bool = False) -> None:
        """A call was answered. Only a probe's closes the breaker: what was on its way when it opened says nothing."""
        if not self._in_a_row and not self.error:
            return
        with self._lock:
            if probe:
                self.is_open = False
            if not self.is_open:
                self._in_a_row.clear()
                self.error = ""


_breakers: weakref.WeakSet[CircuitBreaker] = weakref.WeakSet()


def _after_in_child() -> None:
    for breaker in list(_breakers):
        breaker._lock = threading.Lock()  # who held the old one does not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)

"""A circuit breaker: it stops calls to a remote store after several failures in a row, until a probe succeeds.

It is own code rather than pybreaker or purgatory, because it must work in forked children, only a probe may close it,
and a store that is merely full must not open it. It only counts: `ResilientStore` makes the calls and the probes.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any

from compressor.errors import StoreError

MAX_FAILURES, WINDOW_SECONDS = 5, 10.0


class StoreUnavailableError(StoreError):
    """A remote store cannot be used now. A write may have been done, or may still be done later."""

    code = "unavailable"


class StoreFullError(StoreUnavailableError):
    """A remote store can be read but is full. This does not open the circuit breaker."""

    code = "no_room"


class CircuitBreaker:
    """Opens after several failed calls in a row, and closes when a probe succeeds. Safe from several threads.

    Stores that use the same server may share one breaker.

    Args:
        max_failures: The number of failed calls in a row that opens the breaker.
        window: The seconds within which these failures must happen.

    Attributes:
        failures: The number of calls that found the remote unavailable, since the start.
        opened: The number of times that the breaker opened, since the start.
        is_open: Whether calls must not be made.
        error: The message of the last failure; "" if the remote has worked since.
    """

    def __init__(self, max_failures: int = MAX_FAILURES, window: float = WINDOW_SECONDS) -> None:
        if max_failures < 1 or not window > 0:
            raise StoreError("a circuit breaker needs at least 1 failure to open, within a positive number of seconds")
        self._max_failures, self._window = max_failures, window
        self._recent_failures: list[float] = []
        self._lock = threading.Lock()
        self.failures, self.opened = 0, 0
        self.is_open = False
        self.error = ""
        _breakers.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the settings. The copy starts closed."""
        return {"max_failures": self._max_failures, "window": self._window}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def record_failure(self, error: StoreUnavailableError) -> None:
        """Records a call that found the remote unavailable."""
        now = time.monotonic()
        with self._lock:
            self.failures += 1
            self.error = str(error)
            if isinstance(error, StoreFullError):
                return
            recent = [*(t for t in self._recent_failures if t > now - self._window), now]
            self._recent_failures = recent[-self._max_failures :]
            if len(self._recent_failures) >= self._max_failures and not self.is_open:
                self.is_open = True
                self.opened += 1

    def record_success(self, probe: bool = False) -> None:
        """Records a call that the remote answered.

        Only a probe closes an open breaker: other calls may have been sent before it opened.
        """
        if not self._recent_failures and not self.error:
            return
        with self._lock:
            if probe:
                self.is_open = False
            if not self.is_open:
                self._recent_failures.clear()
                self.error = ""


_breakers: weakref.WeakSet[CircuitBreaker] = weakref.WeakSet()


def _after_in_child() -> None:
    for breaker in list(_breakers):
        breaker._lock = threading.Lock()  # the thread that held the old one does not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)

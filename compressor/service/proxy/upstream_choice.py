"""Chooses the provider of a request among several, and remembers which of them failed.

The first one that serves the model is asked; where it cannot answer, the next. One that failed several times in a row,
or said how long to wait, is passed over for a while, unless all are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from compressor.service.upstream_settings import UpstreamSettings

#: Statuses after which another provider may do better.
FAILOVER_STATUS = (429, 500, 502, 503, 504, 529)
MAX_FAILURES = 3  # in a row; after that it is passed over
PAUSE = 10.0  # seconds that it is passed over
MAX_PAUSE = 60.0  # seconds: the longest `retry-after` that is taken at its word


@dataclass
class _Health:
    failures: int = 0
    until: float = 0.0


class UpstreamChoice:
    """Orders upstreams by their place in the settings and by their health. For one event loop.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._health: dict[str, _Health] = {}

    def order(self, upstreams: Sequence[UpstreamSettings]) -> list[UpstreamSettings]:
        """Returns upstreams in the order in which to ask them: those that are passed over come last."""
        now = self._clock()
        return sorted(upstreams, key=lambda one: self._health.get(one.name, _Health()).until > now)

    def record(self, upstream: UpstreamSettings, response: httpx.Response | None) -> bool:
        """Records an outcome.

        Args:
            upstream: Who was asked.
            response: The response, or None if there was none.

        Returns:
            Whether another provider may do better.
        """
        if response is not None and response.status_code not in FAILOVER_STATUS:
            self._health.pop(upstream.name, None)
            return False
        health = self._health.setdefault(upstream.name, _Health())
        health.failures += 1
        pause = PAUSE if health.failures >= MAX_FAILURES else 0.0
        if response is not None and response.status_code in (429, 503, 529):
            pause = max(pause, min(MAX_PAUSE, _retry_after(response)))
        health.until = max(health.until, self._clock() + pause) if pause else health.until
        return True


def _retry_after(response: httpx.Response) -> float:
    """Returns the seconds that a provider asks to wait; 0 if it names no number."""
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isdigit() else 0.0

"""What all counters of a tenant do, and the counters that are in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from compressor.service.limits.counter_state import CounterState
from compressor.service.limits.limit import Booking, Demand, Limit, Verdict

WALL_CLOCK = time.time


class Counters(Protocol):
    """The counts of one tenant, for one event loop."""

    async def admit(self, demand: Demand) -> Verdict:
        """Admits a request if every limit has room, and counts it. Never raises, and never waits long."""

    def settle(self, place: str, bookings: Sequence[Booking]) -> None:
        """Gives a place back ("" for none), and corrects what was used. Does not wait."""

    async def read(self) -> tuple[CounterState, float]:
        """Returns the counts, and the time that they are of."""

    async def reset(self, names: Sequence[str]) -> None:
        """Forgets what was used of some limits."""


class LocalCounters:
    """The counts of one tenant in one process.

    Args:
        clock: Returns the time in seconds since 1970.

    Attributes:
        state: The counts.
    """

    def __init__(self, clock: Callable[[], float] = WALL_CLOCK) -> None:
        self.state, self._clock = CounterState(), clock
        self._held: set[str] = set()

    async def admit(self, demand: Demand) -> Verdict:
        """See `Counters.admit`."""
        now = self._clock()
        self.state.renew(self._held, now)  # this process is alive, so its places are
        verdict = self.state.admit(demand, now)
        if demand.place and not verdict.refused_by:
            self._held.add(demand.place)
        return verdict

    def note(self, demand: Demand) -> None:
        """Counts a request that was admitted elsewhere."""
        self.state.add(demand, self._clock())
        if demand.place:
            self._held.add(demand.place)

    def settle(self, place: str, bookings: Sequence[Booking]) -> None:
        """See `Counters.settle`."""
        self._held.discard(place)
        self.state.release(place)
        now = self._clock()
        for booking in bookings:
            self.state.book(booking, now)

    async def read(self) -> tuple[CounterState, float]:
        """See `Counters.read`."""
        return self.state, self._clock()

    async def reset(self, names: Sequence[str]) -> None:
        """See `Counters.reset`."""
        self.state.reset(names)

    @property
    def held_places(self) -> list[str]:
        """The places that this process holds."""
        return [*self._held]


def shares(demand: Demand, parts: int) -> Demand:
    """Returns a demand whose limits are the share of one of several processes."""
    costs: tuple[tuple[Limit, int], ...] = tuple((limit.divided(parts), cost) for limit, cost in demand.costs)
    return Demand(costs, demand.place, -(-demand.max_places // parts))

"""Lets few calls compute at a time: small ones first, fair between tenants, and none waits for ever.

A call is due at its arrival plus the time that it needs and that what its tenant has waiting before it needs, at most
`MAX_HEAD_START`; the call that is due first goes first. So a small call overtakes large ones, and a tenant's long queue
does not delay another tenant. Nothing that arrives `MAX_HEAD_START` later overtakes a call, however large that is.

Large calls wait for each other as well, so that at most one of them shares the core with small ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

SLOTS = 1
SLOT_TIMEOUT = 0.25  # seconds that a call keeps its slot, so that a long one, or a slow store, delays nobody
LARGE_BYTES = 500_000  # about 0.2 seconds
LARGE_TIMEOUT = 10.0  # seconds that a large call keeps other large ones waiting
MAX_HEAD_START = 2.0  # seconds
BYTES_A_SECOND = 2_000_000.0  # rough: it only compares calls with each other
CALL_SECONDS = 0.002  # what a call takes at least


@dataclass(order=True)
class _Waiter:
    due: float
    number: int
    size: int = field(compare=False)
    tenant: object = field(compare=False)
    ready: asyncio.Future[None] = field(compare=False)


class Lane:
    """Some slots, and those who wait for them.

    Args:
        slots: How many there are.
        clock: Returns the time in seconds.
    """

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free, self._clock = slots, clock
        self._heap: list[_Waiter] = []
        self._numbers = count()

    async def acquire(self, size: int, tenant: object) -> None:
        """Waits for a slot."""
        if self._free > 0:
            self._free -= 1
            return
        waiter = _Waiter(
            self._due(size, tenant), next(self._numbers), size, tenant, asyncio.get_running_loop().create_future()
        )
        heappush(self._heap, waiter)
        try:
            await waiter.ready
        except asyncio.CancelledError:
            if waiter.ready.done() and not waiter.ready.cancelled():
                self.release()  # it was given a slot at the same moment
            raise

    def release(self) -> None:
        """Gives a slot to whoever is due first."""
        while self._heap:
            waiter = heappop(self._heap)
            if not waiter.ready.done():
                waiter.ready.set_result(None)
                return
        self._free += 1

    def _due(self, size: int, tenant: object) -> float:
        ahead = (
            other.size
            for other in self._heap
            if other.tenant is tenant and other.size <= size and not other.ready.done()
        )
        seconds = sum((_seconds(other) for other in ahead), _seconds(size))
        return self._clock() + min(MAX_HEAD_START, seconds)


class WorkQueue:
    """The slots of one event loop, which several executors share.

    Args:
        slots: How many calls may compute at a time.
        large: How many of them may be large.
        clock: Returns the time in seconds.
    """

    def __init__(self, slots: int = SLOTS, large: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._lane, self._large_lane = Lane(slots, clock), Lane(large, clock)

    async def enter_large(self, slot: WorkSlot) -> None:
        """Waits until no other large call holds this one up. A small call does not wait."""
        if slot.size >= LARGE_BYTES:
            await slot.take(self._large_lane, LARGE_TIMEOUT)

    async def enter(self, slot: WorkSlot) -> None:
        """Waits until a call may compute."""
        await slot.take(self._lane, SLOT_TIMEOUT)


class WorkSlot:
    """What a call occupies: until it is over, for a limited time, or until nobody waits for the call any more.

    Args:
        size: The new bytes of the call.
        tenant: Whose call it is.
    """

    def __init__(self, size: int, tenant: object) -> None:
        self.size, self.tenant = size, tenant
        self._held: dict[Lane, asyncio.TimerHandle] = {}

    async def take(self, lane: Lane, timeout: float) -> None:
        """Waits for a slot of a lane, and holds it for so many seconds at most."""
        await lane.acquire(self.size, self.tenant)
        self._held[lane] = asyncio.get_running_loop().call_later(timeout, self._free, lane)

    def release(self) -> None:
        """Frees everything."""
        for lane in [*self._held]:
            self._free(lane)

    def _free(self, lane: Lane) -> None:
        timer = self._held.pop(lane, None)
        if timer is not None:
            timer.cancel()
            lane.release()


def _seconds(size: int) -> float:
    return CALL_SECONDS + size / BYTES_A_SECOND

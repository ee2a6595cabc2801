"""Who may compute next: small calls first, no tenant before all others, nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from compressor.service.work_queue import LARGE_BYTES, MAX_HEAD_START, Lane, WorkQueue, WorkSlot


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def order_of(calls: list[tuple[str, int, str, float]], leaves: int = -1) -> list[str]:
    """Has calls (name, size, tenant, arrival) wait for one slot that is taken; returns who got it, in turn."""
    seen: list[str] = []

    async def main() -> None:
        clock = Clock()
        lane = Lane(1, clock)
        await lane.acquire(0, "")

        async def wait(name: str, size: int, tenant: str) -> None:
            await lane.acquire(size, tenant)
            seen.append(name)
            lane.release()

        tasks = []
        for name, size, tenant, arrival in calls:
            clock.now = arrival
            tasks.append(asyncio.ensure_future(wait(name, size, tenant)))
            await asyncio.sleep(0)
        if leaves >= 0:
            tasks[leaves].cancel()
        lane.release()
        await asyncio.wait(tasks)
        await lane.acquire(0, "")  # the slot is free again

    run(main)
    return seen


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 60))


def test_small_calls_overtake_large_ones() -> None:
    assert order_of([("large", 20_000_000, "a", 0), ("middle", 1_000_000, "a", 0.1), ("small", 10, "a", 0.2)]) == [
        "small",
        "middle",
        "large",
    ]


def test_equal_calls_go_in_the_order_of_their_arrival() -> None:
    calls = [(str(n), 1_000, "a", n / 1000) for n in range(10)]
    assert order_of(calls) == [name for name, *_ in calls]


def test_nothing_overtakes_a_call_that_has_waited_long_enough() -> None:
    late = MAX_HEAD_START + 0.1
    calls = [("large", 10**9, "a", 0.0), ("soon", 10, "a", 1.0), ("late", 10, "b", late), ("later", 20, "c", late)]
    assert order_of(calls) == ["soon", "large", "late", "later"]


def test_the_long_queue_of_one_tenant_does_not_delay_another() -> None:
    busy = [(f"busy{n}", 100_000, "a", 0.0) for n in range(20)]
    order = order_of([*busy, ("other", 100_000, "b", 0.1)])
    assert order.index("other") <= 3


def test_a_call_whose_client_has_gone_is_left_out() -> None:
    assert order_of([("one", 10, "a", 0), ("two", 20, "a", 0), ("three", 30, "a", 0)], leaves=1) == ["one", "three"]


def test_a_call_that_is_cancelled_as_it_gets_its_slot_gives_it_back() -> None:
    async def main() -> None:
        lane = Lane(1)
        await lane.acquire(0, "")
        task = asyncio.ensure_future(lane.acquire(0, ""))
        await asyncio.sleep(0)
        lane.release()
        task.cancel()
        await asyncio.wait([task])
        await lane.acquire(0, "")

    run(main)


def test_large_calls_wait_for_each_other_and_small_ones_do_not() -> None:
    async def main() -> None:
        queue = WorkQueue(slots=4)
        first, second, small = WorkSlot(LARGE_BYTES, "a"), WorkSlot(LARGE_BYTES, "b"), WorkSlot(10, "a")
        for slot in (first, small):
            await queue.enter_large(slot)
            await queue.enter(slot)
        waiting = asyncio.ensure_future(queue.enter_large(second))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        first.release()
        await waiting

    run(main)


def test_a_long_call_does_not_keep_its_slot() -> None:
    async def main() -> None:
        queue = WorkQueue()
        long, next_one = WorkSlot(10, "a"), WorkSlot(10, "b")
        await queue.enter(long)
        await queue.enter(next_one)  # after the timeout of the slot
        long.release()
        long.release()  # has no effect, or two calls would have one slot
        third = asyncio.ensure_future(queue.enter(WorkSlot(10, "c")))
        await asyncio.sleep(0.01)
        assert not third.done()
        next_one.release()
        await third

    run(main)

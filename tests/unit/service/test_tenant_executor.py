"""Work that is waited for only so long, and knows whether it still is."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from compressor.service.http_errors import HttpError
from compressor.service.latency import check_size, make_delivery, working_in_background
from compressor.service.tenant_executor import Delivery, TenantExecutor
from compressor.service.work_rate import MIN_SAMPLE_BYTES, WorkRate


def run(work: Any) -> Any:
    return asyncio.run(work)


def test_work_in_time_is_taken_and_returned() -> None:
    async def go() -> tuple[str, bool]:
        delivery = Delivery(5.0)
        made = await TenantExecutor(4, 60.0).run(lambda: "done" if delivery.take() else "late", delivery=delivery)
        return made, delivery.expire()

    assert run(go()) == ("done", False)


def test_late_work_learns_that_nobody_waits() -> None:
    async def go() -> tuple[str, list[bool], int]:
        executor, delivery, free, seen = TenantExecutor(4, 60.0), make_delivery(0.05), threading.Event(), []

        def work() -> None:
            free.wait(60)
            seen.append(delivery.take())

        with pytest.raises(HttpError) as error:
            await executor.run(work, delivery=delivery)
        during = executor.abandoned
        free.set()
        while executor.abandoned:
            await asyncio.sleep(0.005)
        return error.value.kind, seen, during

    assert run(go()) == ("latency_exceeded", [False], 1)


def test_a_client_that_goes_leaves_work_that_knows_it() -> None:
    async def go() -> tuple[bool, bool]:
        executor, delivery, begun, free = TenantExecutor(4, 60.0), Delivery(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            free.wait(60)

        task = asyncio.ensure_future(executor.run(work, delivery=delivery))
        while not begun.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
        free.set()
        return delivery.was_cancelled, delivery.take()

    assert run(go()) == (True, False)


def test_the_executors_own_timeout_has_its_own_error() -> None:
    async def go() -> str:
        free = threading.Event()
        with pytest.raises(HttpError) as error:
            await TenantExecutor(4, 0.05).run(free.wait, 60, delivery=make_delivery(60.0))
        free.set()
        return error.value.kind

    assert run(go()) == "timeout"


def test_only_one_body_that_is_too_large_is_worked_on_in_the_background() -> None:
    async def go() -> list[Any]:
        rate, executor, free, done = WorkRate(True, 1_000.0), TenantExecutor(4, 60.0), threading.Event(), []

        def work(delivery: Delivery) -> None:
            with working_in_background(delivery):
                check_size(rate, 100_000, delivery)
                free.wait(60)
                done.append(delivery.take())

        async def ask() -> str:
            delivery = make_delivery(20.0)
            with pytest.raises(HttpError) as error:
                await executor.run(work, delivery, delivery=delivery)
            return error.value.kind

        kinds = [await ask() for _ in range(3)]
        during = executor.abandoned
        free.set()
        while executor.abandoned:
            await asyncio.sleep(0.005)
        return [*kinds, during, list(done), await ask()]

    assert run(go()) == [*["too_large_for_latency"] * 3, 1, [False], "too_large_for_latency"]


def test_a_rate_follows_what_was_measured_and_what_is_under_way() -> None:
    rate = WorkRate(False)
    assert rate.estimate(10**9) is None, "nothing is known yet"
    with rate.measure(MIN_SAMPLE_BYTES - 1):
        pass
    assert rate.estimate(10**9) is None, "a small body says nothing"
    with pytest.raises(KeyError), rate.measure(10**6):
        raise KeyError
    assert rate.estimate(10**9) is None, "nor does one that failed"
    with rate.measure(10**6):
        time.sleep(0.05)
    seconds = rate.estimate(10**6)
    assert seconds is not None and 0.04 < seconds < 10
    shared = WorkRate(True, 10**6)
    with shared.measure(10**6):
        assert shared.estimate(10**6) == 2.0
    assert shared.estimate(0) == 0.0

"""How requests are admitted: by what was used before them, with a reservation, a queue, and errors that help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.service.limits.local_counters import LocalCounters
from compressor.service.limits.rate_limiter import MAX_MISSES_PER_MINUTE, RateLimiter
from compressor.service.limits.rejection import RateLimitedError
from compressor.service.limits.request_cost import RequestCost, price_tokens
from compressor.service.tenant_settings import TenantSettings

NOON = 1_772_366_400.0  # UTC


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def make(**limits: Any) -> tuple[RateLimiter, Clock]:
    clock = Clock()
    return RateLimiter(TenantSettings(**limits), LocalCounters(clock)), clock


async def request(limiter: RateLimiter, size: int = 0, tokens: int | None = None, dollars: float = 0.0) -> None:
    with limiter.open_request() as admission:
        await admission.admit(b"x" * size, "api" if size else "")
        if tokens is not None:
            admission.settle(RequestCost(tokens, dollars))


async def refused(work: Coroutine[Any, Any, None]) -> RateLimitedError:
    with pytest.raises(RateLimitedError) as caught:
        await work
    return caught.value


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_refusal_says_whose_it_is_and_when_to_retry() -> None:
    limiter, clock = make(requests_per_minute=3)

    async def test() -> None:
        for _ in range(3):
            await request(limiter)
        clock.now += 20.25
        error = await refused(request(limiter))
        assert error.status == 429 and error.body["error"] == {
            "type": "too_many_requests",
            "message": "This tenant's limit of 3 requests per minute is used up (setting requests_per_minute)",
            "limit": "requests_per_minute",
            "limited_by": "compressor",
            "retry_after": 40,
        }
        assert error.headers == {
            "retry-after": "40",
            "retry-after-ms": "39750",
            "x-compressor-limited-by": "compressor",
            "x-compressor-limit": "requests_per_minute",
        }
        clock.now += 39.75
        await request(limiter)

    run(test)


def test_a_days_limit_tells_sdks_not_to_retry() -> None:
    limiter, _ = make(dollars_per_day=0.5)

    async def test() -> None:
        await request(limiter, 10, 5, 0.75)
        error = await refused(request(limiter, 10, 5))
        assert error.headers["x-should-retry"] == "false" and error.headers["retry-after"] == str(12 * 3600)
        assert "limit of $0.5 per day" in str(error)

    run(test)


def test_fifty_at_once_pass_a_limit_by_one_request_at_most() -> None:
    limiter, _ = make(tokens_per_minute=10_000)

    async def one(results: list[str]) -> None:
        with limiter.open_request() as admission:
            try:
                await admission.admit(b"x" * 4_000, "proxy")
            except RateLimitedError:
                results.append("refused")
                return
            await asyncio.sleep(0.01)
            admission.settle(RequestCost(1_000))
            results.append("served")

    async def test() -> None:
        results: list[str] = []
        await asyncio.gather(*(one(results) for _ in range(50)))
        assert results.count("served") == 10
        assert (await limiter.usage())[0]["used"] == 10_000

    run(test)


def test_a_reservation_becomes_what_was_used() -> None:
    limiter, clock = make(tokens_per_minute=1_000, dollars_per_day=1)

    async def test() -> None:
        with limiter.open_request() as admission:
            await admission.admit(b'{"model": "gpt-4o"}' + b" " * 2_000, "proxy")
            minute, day = await limiter.usage()
            assert minute["used"] == 505 and day["used"] == pytest.approx(price_tokens(505, 0, "gpt-4o").dollars)
            clock.now += 5
            admission.settle(price_tokens(100, 20, "gpt-4o"))
        minute, day = await limiter.usage()
        assert (minute["used"], minute["left"], minute["amount"], minute["resets"]) == (120, 880, 1_000, 55.0)
        assert day["used"] == pytest.approx(100 * 2.5e-6 + 20 * 10e-6) and day["resets"] == 12 * 3600 - 5
        assert limiter.estimate("proxy", 2_019) == 120 and limiter.estimate("api", 400) == 100

    run(test)


def test_a_request_that_fails_costs_nothing_but_itself() -> None:
    limiter, _ = make(tokens_per_minute=100, requests_per_minute=9, max_concurrent_requests=1)

    async def test() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="broken"), limiter.open_request() as admission:
                await admission.admit(b"x" * 4_000, "proxy")
                raise ValueError("broken")
        assert [one["used"] for one in await limiter.usage()] == [3, 0, 0]
        assert limiter.in_flight == 0

    run(test)


def test_a_request_larger_than_the_limit_is_admitted_alone() -> None:
    limiter, clock = make(tokens_per_minute=100)

    async def test() -> None:
        await request(limiter, 4_000, 1_000)
        error = await refused(request(limiter, 4))
        assert error.headers["retry-after"] == "60"
        clock.now += 60
        await request(limiter, 4_000, 1_000)

    run(test)


def test_places_are_queued_for_and_given_back() -> None:
    limiter, _ = make(max_concurrent_requests=2, max_queue_seconds=60)

    async def one(most: list[int], answered: asyncio.Event) -> None:
        with limiter.open_request() as admission:
            await admission.admit()
            most.append((await limiter.usage())[0]["used"])
            await asyncio.sleep(0.005)
            admission.release_place()
            admission.release_place()  # once more does nothing
            if len(most) == 40:
                answered.set()
            await answered.wait()  # the provider's answer comes when all of them have had a place

    async def test() -> None:
        most: list[int] = []
        answered = asyncio.Event()
        await asyncio.gather(*(one(most, answered) for _ in range(40)))
        assert len(most) == 40 and max(most) == 2
        assert (await limiter.usage())[0]["used"] == 0

    run(test)


def test_a_queue_ends() -> None:
    limiter, _ = make(max_concurrent_requests=1, max_queue_seconds=0.1)

    async def test() -> None:
        with limiter.open_request() as admission:
            await admission.admit()
            start = time.perf_counter()
            errors = await asyncio.gather(*(refused(request(limiter)) for _ in range(5)))
            assert 0.09 < time.perf_counter() - start < 10
            assert {error.headers["x-compressor-limit"] for error in errors} == {"max_concurrent_requests"}
            limiter.reconfigure(TenantSettings(max_concurrent_requests=1, max_queue_seconds=0))
            await refused(request(limiter))
        await request(limiter)

    run(test)


def test_open_requests_are_bounded() -> None:
    limiter, _ = make(max_open_requests=2)
    with limiter.open_request(), limiter.open_request():
        with pytest.raises(RateLimitedError) as caught:
            limiter.open_request()
        assert caught.value.limit == "max_open_requests"
    with limiter.open_request():
        assert limiter.in_flight == 1


def test_the_bodies_of_open_requests_are_bounded() -> None:
    limiter, _ = make(max_open_bytes=1_000)

    async def test() -> None:
        with limiter.open_request(1_200) as first:  # alone, any body is read
            with pytest.raises(RateLimitedError) as caught:
                limiter.open_request(1)
            assert caught.value.limit == "max_open_bytes"
            await first.admit(b"x" * 900)  # shorter than it might have been
            with limiter.open_request(100):
                assert limiter.open_bytes == 1_000
        assert limiter.open_bytes == 0

    run(test)


def test_other_settings_hold_from_the_next_request_on_and_what_was_used_counts() -> None:
    limiter, _ = make(requests_per_minute=5)

    async def test() -> None:
        for _ in range(5):
            await request(limiter)
        limiter.reconfigure(TenantSettings(requests_per_minute=8))
        for _ in range(3):
            await request(limiter)
        limiter.reconfigure(TenantSettings(requests_per_minute=2))
        error = await refused(request(limiter))
        assert error.headers["retry-after"] == "60"
        limiter.reconfigure(TenantSettings())
        await request(limiter)
        assert await limiter.usage() == []

    run(test)


def test_a_reset_forgets_what_was_used() -> None:
    limiter, _ = make(requests_per_minute=1, tokens_per_day=1)

    async def test() -> None:
        await request(limiter, 40, 10)
        await refused(request(limiter))
        await limiter.reset()
        assert [(one["used"], one["resets"]) for one in await limiter.usage()] == [(0, 0.0), (0, 0.0)]
        await request(limiter, 40, 10)

    run(test)


def test_guesses_come_back_with_time() -> None:
    now = [0.0]
    limiter = RateLimiter(TenantSettings(), LocalCounters(), lambda: now[0])
    for _ in range(MAX_MISSES_PER_MINUTE):
        limiter.check_ref_lookups()
        limiter.record_miss()
    with pytest.raises(RateLimitedError, match="unknown refs"):
        limiter.check_ref_lookups()
    now[0] += 60 / MAX_MISSES_PER_MINUTE
    limiter.check_ref_lookups()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("tokens_per_day", -1), ("dollars_per_minute", "nan"), ("requests_per_minute", True), ("max_open_requests", 0)],
)
def test_a_wrong_limit_is_refused(setting: str, value: Any) -> None:
    with pytest.raises(CompressorError, match=setting):
        TenantSettings(**{setting: value})
    assert TenantSettings(tokens_per_day=None, dollars_per_day=None).tokens_per_day == 0

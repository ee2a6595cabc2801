"""Limits that several processes share through a real Redis: exact, by its clock, and safe when it goes away."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.redis_tools import RedisServer, shared_server
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.limits import redis_counters, shared_counters, sqlite_counters
from compressor.service.limits.counter_state import LEASE, CounterState
from compressor.service.limits.counter_store import CounterStore
from compressor.service.limits.limit import WINDOW_LIMITS, Booking, Demand, Limit, Verdict
from compressor.service.limits.operations import Admit, Operation, Read, Renew, Reset, Settle, apply
from compressor.service.limits.rate_limiter import RateLimiter
from compressor.service.limits.redis_counters import RedisCounters
from compressor.service.limits.rejection import RateLimitedError
from compressor.service.limits.request_cost import RequestCost
from compressor.service.limits.sqlite_counters import SqliteCounters
from compressor.service.settings import Settings
from compressor.service.tenant_settings import TenantSettings
from support.service_tools import Service, two_tenants

_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be so busy that Redis gets no turn for a while, which is not what these tests are about."""
    be_patient(monkeypatch.setattr)


def be_patient(set_attribute: Callable[[Any, str, Any], None]) -> None:
    for module, name in (
        (redis_counters, "TIMEOUT"),
        (redis_counters, "CONNECT_TIMEOUT"),
        (sqlite_counters, "TIMEOUT"),
        (shared_counters, "MAX_WAIT"),
    ):
        set_attribute(module, name, 20.0)


@pytest.fixture(params=["redis", "cluster", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server = shared_server(cluster=request.param == "cluster")
    server.admin.execute_command("FLUSHALL")
    return server.url


@pytest.fixture
def url() -> str:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    return server.url


@contextmanager
def limiter(store: str, tenant: str = "red", **limits: Any) -> Iterator[RateLimiter]:
    counters = CounterStore(Settings(store=store))
    try:
        yield RateLimiter(TenantSettings(**limits), counters.for_tenant(tenant))
    finally:
        counters.close()


async def request(limiter: RateLimiter, tokens: int = 0, body: bytes = b"") -> bool:
    """Whether it was admitted, and counted where all processes see it."""
    with limiter.open_request() as admission:
        await admission.admit(body, "proxy" if tokens else "")
        admission.settle(RequestCost(tokens))
        return not admission.is_local


async def is_refused(limiter: RateLimiter, tokens: int = 0) -> RateLimitedError | None:
    try:
        await request(limiter, tokens)
    except RateLimitedError as error:
        return error
    return None


def run(test: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(test())


# -- the scripts do what the plain dictionaries do


@pytest.mark.parametrize("seed", range(3))
def test_the_scripts_count_as_the_plain_code_does(url: str, seed: int) -> None:
    chance, state, redis = random.Random(seed), CounterState(), RedisCounters(url)
    start = redis.execute([Read("red")])[0][1]
    first = Admit("red", Demand()), Settle("red", "", ()), Renew("red", (), "w"), Reset("red", WINDOW_LIMITS)
    redis.execute(first)  # the server has all scripts now, so batches run in order
    apply(first[2], state, start)

    def operation() -> Operation:
        names = chance.sample(WINDOW_LIMITS, chance.randint(0, 3))
        kind = chance.random()
        if kind < 0.6:
            costs = tuple(
                (Limit(name, chance.choice([5, 50, 10**15])), chance.choice([0, 1, 7, 10**12])) for name in names
            )
            place = chance.choice(["", "a", "b", "c", "d"])
            return Admit("red", Demand(costs, place, 2))
        if kind < 0.85:
            when = start - chance.choice([0, 1, 30, 59, 61, 86_400, 90_000])
            windows = [(name, Limit(name, 1).window) for name in names]
            amounts = [chance.choice([-3, -(10**12), 4, 60]) for _ in names]
            bookings = [Booking(*pair, when, amount) for pair, amount in zip(windows, amounts, strict=True)]
            return Settle("red", chance.choice(["", "a", "b", "c"]), bookings)
        if kind < 0.95:
            return Renew("red", chance.sample(["a", "b"], 1), chance.choice("wv"))
        return Reset("red", names or WINDOW_LIMITS)

    for _ in range(150):
        one = operation()
        found, (theirs, now) = redis.execute([one, Read("red")])
        mine = apply(one, state, now)
        if isinstance(mine, Verdict):
            assert found.refused_by == mine.refused_by, one
            assert found.retry_after == pytest.approx(mine.retry_after, abs=0.05)
        elif not isinstance(one, Reset):
            assert isinstance(one, Settle) or found == mine
        limits = [Limit(name, 1) for name in WINDOW_LIMITS]
        # A second may have begun between the two readings of the clock, so buckets are compared as sums.
        assert [theirs.used(limit, now) for limit in limits] == [state.used(limit, now) for limit in limits], one
        assert theirs.places.keys() == state.places.keys() and theirs.workers.keys() == state.workers.keys()
    for name in shared_server().names():
        assert shared_server().admin.execute_command("PTTL", name) > 0, name
        assert name.startswith(b"acr:1:red:{q:red}:")
    redis.close()


def test_what_is_old_is_no_longer_counted(url: str) -> None:
    server, redis = shared_server(), RedisCounters(url)
    limit = Limit("tokens_per_minute", 5)
    now = int(redis.execute([Read("red")])[0][1])
    key = "acr:1:red:{q:red}:tokens_per_minute"
    server.admin.execute_command("HSET", key, now - 60, 100, now - 30, 3, now - 20, 4)
    verdict = redis.execute([Admit("red", Demand(((limit, 1),)))])[0]
    assert verdict.refused_by == limit.name and 28.0 <= verdict.retry_after <= 30.0
    assert server.admin.execute_command("HLEN", key) == 2
    redis.close()


# -- in all kinds of shared counters


def test_two_processes_count_together(store: str) -> None:
    async def test() -> None:
        with limiter(store, requests_per_minute=6) as one, limiter(store, requests_per_minute=6) as other:
            for _ in range(3):
                assert await request(one) and await request(other)
            error = await is_refused(other)
            assert error is not None and error.limit == "requests_per_minute"
            assert 30 < float(error.headers["retry-after-ms"]) / 1000 <= 60
            (used,) = await one.usage()
            assert used["used"] == 6 and used["left"] == 0 and 30 < used["resets"] <= 60
            await one.reset()
            assert await request(other) and (await one.usage())[0]["used"] == 1
            with limiter(store, "blue", requests_per_minute=1) as blue:
                assert await request(blue)

    run(test)


def test_settled_costs_are_seen_by_all(store: str) -> None:
    async def test() -> None:
        limits: dict[str, Any] = {"tokens_per_minute": 1_000, "tokens_per_day": 10_000, "max_concurrent_requests": 3}
        with limiter(store, **limits) as one, limiter(store, **limits) as other:
            with one.open_request() as admission:
                await admission.admit(b"x" * 2_000, "proxy")
                assert [row["used"] for row in await other.usage()] == [500, 500, 1]
                admission.release_place()
                admission.settle(RequestCost(1_200))
            await seen(lambda: other.usage(), [1_200, 1_200, 0])
            assert await is_refused(other, 10)

    run(test)


async def seen(usage: Callable[[], Coroutine[Any, Any, list[dict[str, Any]]]], wanted: list[float]) -> None:
    for _ in range(6_000):
        if [row["used"] for row in await usage()] == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(await usage())


def test_whoever_stops_waiting_leaves_nothing_behind(store: str) -> None:
    async def test() -> None:
        limits: dict[str, Any] = {"tokens_per_day": 100, "max_concurrent_requests": 2}
        with limiter(store, **limits) as one:
            await request(one)
            for wait in (0, 0, 0.0005, 0.001, 0.002, 0.004):
                task = asyncio.ensure_future(request(one, 40, b"x" * 160))
                await asyncio.sleep(wait)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                for _ in range(6_000):
                    day, places = await one.usage()
                    if places["used"] == 0 and day["used"] in (0, 40):
                        break
                    await asyncio.sleep(0.01)
                else:
                    raise AssertionError(await one.usage())
                await one.reset()

    run(test)


# -- several processes hammer one Redis


SCENARIOS: dict[str, tuple[int, dict[str, Any]]] = {  # tokens of a request, and the limits
    "requests": (0, {"requests_per_minute": 300}),
    "tokens": (100, {"tokens_per_minute": 20_000, "dollars_per_day": 1_000}),
    "work": (0, {"max_concurrent_requests": 8}),
}


def _hammer(store: str, results: Any, start: Any) -> None:
    async def hammer(name: str) -> tuple[int, int, int]:
        served = most = refused = 0
        tokens, limits = SCENARIOS[name]
        with limiter(store, name, max_queue_seconds=0, **limits) as own:
            await own.usage()
            start.wait(60)
            begun = time.monotonic()

            def is_enough() -> bool:
                """On a busy machine it takes this process longer to have its share, but never a limit's minute."""
                seconds = time.monotonic() - begun
                return seconds > 25 or (seconds > 1 and refused > 60 and (served > 10 or name != "work"))

            async def client() -> None:
                nonlocal served, refused, most
                while not is_enough():
                    try:
                        with own.open_request() as admission:
                            await admission.admit(b"x" * 4 * tokens, "proxy" if tokens else "")
                            assert not admission.is_local
                            await asyncio.sleep(0.002)
                            admission.settle(RequestCost(tokens))
                            if name == "work" and served % 10 == 0:
                                most = max(most, (await own.usage())[-1]["used"])
                            served += 1
                    except RateLimitedError:  # noqa: PERF203
                        refused += 1
                        await asyncio.sleep(0.002)

            await asyncio.gather(*(client() for _ in range(16)))
        return served, refused, most

    be_patient(setattr)
    results.put({name: asyncio.run(hammer(name)) for name in SCENARIOS})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "processes"), [("redis", 2), ("redis", 4), ("sqlite", 4)])
def test_limits_are_exact_while_processes_hammer_them(kind: str, processes: int, url: str, tmp_path: Path) -> None:
    results, start = _SPAWN.Queue(), _SPAWN.Barrier(processes)
    store = url if kind == "redis" else str(tmp_path / "store.db")
    workers = [_SPAWN.Process(target=_hammer, args=(store, results, start), daemon=True) for _ in range(processes)]
    for one in workers:
        one.start()
    found = [results.get(timeout=120) for _ in workers]
    for one in workers:
        one.join(60)
        assert one.exitcode == 0
    sums = {name: [sum(each) for each in zip(*(one[name] for one in found), strict=True)] for name in SCENARIOS}
    assert sums["requests"][0] == 300 and sums["requests"][1] > 100
    assert 20_000 <= 100 * sums["tokens"][0] <= 20_400 and sums["tokens"][1] > 100
    assert max(one["work"][2] for one in found) == 8 and all(min(one["work"][:2]) > 10 for one in found)


# -- a process dies, Redis goes away


def _hold(url: str, ready: Any) -> None:
    async def main() -> None:
        with limiter(url, max_concurrent_requests=3) as own, own.open_request() as one, own.open_request() as other:
            await one.admit()
            await other.admit()
            ready.set()
            await asyncio.sleep(60)

    asyncio.run(main())


@pytest.mark.slow
def test_places_of_a_killed_process_come_back_and_those_of_a_busy_one_stay(url: str) -> None:
    ready = _SPAWN.Event()
    process = _SPAWN.Process(target=_hold, args=(url, ready))
    process.start()
    assert ready.wait(60)

    async def test() -> None:
        with limiter(url, max_concurrent_requests=3, max_queue_seconds=0) as own:
            assert (await own.usage())[0]["used"] == 2
            await asyncio.sleep(LEASE + 1)  # the other process renews its places meanwhile
            assert (await own.usage())[0]["used"] == 2
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            await seen_within(own, 0, LEASE + 30)

    run(test)


async def seen_within(own: RateLimiter, wanted: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (await own.usage())[0]["used"] != wanted:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


def test_without_redis_each_process_counts_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_counters, "PROBE_INTERVAL", 0.2)
    monkeypatch.setattr(shared_counters, "RENEW_INTERVAL", 0.05)
    server = RedisServer(tmp_path / "r")
    limits: dict[str, Any] = {"requests_per_minute": 10, "tokens_per_day": 1_000}

    async def test() -> None:
        with limiter(server.url, **limits) as one, limiter(server.url, **limits) as other:
            for own in (one, other):
                for _ in range(2):
                    assert await request(own, 10)
            shared = [own._counters._shared for own in (one, other)]  # type: ignore[attr-defined]
            while one._counters.workers < 2:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
            await seen(one.usage, [4, 40])
            server.kill()
            start = time.perf_counter()
            for _ in range(3):  # its share of 10 is 5, and 2 were sent before
                assert not await request(one, 10)
            assert time.perf_counter() - start < 15  # none waited as long as it may for one that answers
            error = await is_refused(one, 10)
            assert error is not None and error.limit == "requests_per_minute"
            assert [row["used"] for row in await one.usage()] == [5, 50]
            server.start()
            while not all(counters.is_available for counters in shared):
                await asyncio.sleep(0.01)
            await seen(one.usage, [3, 30])  # what was used before is lost with Redis, what was used without it is not
            assert await request(one, 10) and await request(other, 10)
        with limiter(server.url, **limits) as third:
            await seen(third.usage, [5, 50])

    run(test)
    server.stop()
    assert any("limits are counted by each process alone until" in record.message for record in caplog.records)
    assert any("limits are shared again" in record.message for record in caplog.records)


def test_a_redis_that_stalls_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_counters, "PROBE_INTERVAL", 0.2)
    monkeypatch.setattr(redis_counters, "TIMEOUT", 1.0)
    server = RedisServer(tmp_path / "r")

    async def test() -> None:
        with limiter(server.url, requests_per_minute=1_000) as one:
            assert await request(one)
            with server.stalled():
                start = time.perf_counter()
                assert not any(await asyncio.gather(*(request(one) for _ in range(50))))
                assert time.perf_counter() - start < 15
                await request(one)  # the second failure opens the circuit breaker
                start = time.perf_counter()
                assert not any(await asyncio.gather(*(request(one) for _ in range(50))))
                assert time.perf_counter() - start < 0.9  # less than one of them would have waited
            while not one._counters._shared.is_available:  # type: ignore[attr-defined]
                await asyncio.sleep(0.05)
            assert await request(one)

    run(test)
    server.stop()


def test_a_key_of_another_kind_stops_no_request(url: str) -> None:
    shared_server().admin.execute_command("SET", "acr:1:red:{q:red}:requests_per_minute", "x")

    async def test() -> None:
        with limiter(url, requests_per_minute=2) as one:
            assert not await request(one) and not await request(one)
            assert await is_refused(one)

    run(test)


def test_a_file_that_is_no_database_stops_no_request(tmp_path: Path) -> None:
    (tmp_path / "store.db.limits").write_text("no database at all" * 100)

    async def test() -> None:
        with limiter(str(tmp_path / "store.db"), requests_per_minute=2) as one:
            assert not await request(one) and not await request(one)
            assert await is_refused(one)

    run(test)


def test_a_days_limit_survives_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")

    async def test() -> None:
        with limiter(path, tokens_per_day=100) as one:
            assert await request(one, 120)
        with limiter(path, tokens_per_day=100) as one:
            assert await is_refused(one, 10)

    run(test)
    assert (tmp_path / "store.db.limits").stat().st_mode & 0o077 == 0
    assert SqliteCounters(path).execute([Read("red")])[0][0].used(Limit("tokens_per_day", 1), time.time()) == 120


def test_two_services_share_a_tenants_limits(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "r")
    keys, settings = two_tenants()
    heads = {"x-compressor-key": keys["red"]}
    settings |= {"store": server.url, "tenants": {"red": {"requests_per_minute": 4}}}
    with Service(**settings) as one, Service(**settings) as other:
        answers = [service.http.get("/v1/stats", headers=heads) for service in (one, other, one, other, one, other)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
        assert answers[-1].headers["x-compressor-limit"] == "requests_per_minute"
        assert other.http.get("/v1/stats", headers={"x-compressor-key": keys["blue"]}).status_code == 200
        assert one.metric("limit_fallbacks_total") == 0
        server.kill()
        start = time.perf_counter()
        assert one.http.get("/v1/stats", headers=heads).status_code in (200, 429)
        assert time.perf_counter() - start < 15
        wait_for(lambda: one.metric("limit_fallbacks_total", tenant="red") + one.metric("limited_total") >= 2)


def test_no_limit_opens_no_connection(url: str) -> None:
    async def test() -> None:
        with limiter(url) as one:
            await request(one, 10)
            assert one._counters._shared._thread is None  # type: ignore[attr-defined]

    run(test)

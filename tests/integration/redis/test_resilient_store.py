"""ResilientStore in front of a real Redis that goes away and comes back."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import MemoryStore, ResilientStore
from compressor.storage.circuit_breaker import CircuitBreaker, StoreFullError, StoreUnavailableError
from compressor.storage.redis.keys import RedisKeys
from compressor.storage.redis.store import RedisStore
from compressor.storage.wrappers.resilient import StoreHealth
from compressor.storage.wrappers.write_behind import WriteBehindBuffer
from support.redis_tools import RedisServer, shared_server
from support.store_tools import Clock, noise
from support.waiting import wait_for

JOURNAL: list[Callable[[ResilientStore], object]] = [
    lambda store: store.append_log("log", 0, [b"1"]),
    lambda store: store.read_log("log"),
    lambda store: store.drop_log("log"),
]


@pytest.fixture
def other(server: RedisServer) -> Iterator[RedisStore]:
    """Another process's view of what is there."""
    store = RedisStore(server.url)
    yield store
    store.close()


def guard(server: RedisServer, **options: object) -> ResilientStore:
    given = {"probe_interval": 0.2, "breaker": CircuitBreaker(3, 10.0)} | options
    return ResilientStore(RedisStore(server.url, connect_timeout=0.2, timeout=0.3), **given)  # type: ignore[arg-type]


# --- gone, and back --------------------------------------------------------------------------------------------------


def test_stalled_and_back(server: RedisServer, other: RedisStore) -> None:
    store = guard(server)
    store.put({"known": b"1"})
    other.put({"elsewhere": b"2"})
    assert store.append_log("log", 0, [b"1"])
    assert store.health() == StoreHealth("closed", 0, 0, 0, 0, "")
    with server.stalled():
        start = time.monotonic()
        for i in range(3):
            store.put({f"new{i}": noise(i, 2000)})  # kept, after the time limit
        assert 0.8 < time.monotonic() - start < 30
        assert store.health().state == "open"
        start = time.monotonic()
        for i in range(3, 200):
            store.put({f"new{i}": noise(i, 2000)})
        for i in range(200):
            assert store.get(f"new{i}") == noise(i, 2000)
        assert time.monotonic() - start < 20  # each of them at once
        start = time.monotonic()
        assert store.get_many(["known", "new0"]) == {"known": b"1", "new0": noise(0, 2000)}
        for call in (lambda: store.get("elsewhere"), lambda: store.get_many(["known", "elsewhere"]), store.stats):
            with pytest.raises(StoreError, match=r"unavailable and is tried again .*did not answer"):
                call()
        for ask in JOURNAL:
            with pytest.raises(StoreError, match="is tried again"):
                ask(store)
        assert time.monotonic() - start < 2  # not as long as these would wait for answers
        with pytest.raises(StoreError, match="other bytes"):
            store.put({"new0": b"other"})
        time.sleep(0.8)  # several probes
        health = store.health()
        assert (health.state, health.opened, health.pending, health.dropped) == ("open", 1, 200, 0)
        assert "did not answer" in health.error
    wait_for(lambda: store.health().state == "closed" and store.health().pending == 0)
    assert store.health().error == ""
    for i in range(200):
        assert other.get(f"new{i}") == noise(i, 2000)
    assert store.get("elsewhere") == b"2"
    assert store.append_log("log", 1, [b"2"])
    assert other.read_log("log") == [(1, b"1"), (2, b"2")]
    wait_for(lambda: not any(t.name == "compressor-store" for t in threading.enumerate()))
    store.close()


def test_killed_and_restarted(server: RedisServer, other: RedisStore) -> None:
    store = guard(server)
    for turn in range(3):
        assert store.append_log("log", turn, [b"%d" % turn], values={f"with{turn}": b"v"})
        server.kill()
        while store.health().state == "closed":
            store.put({f"a{turn}": b"v"})
        store.put({f"b{turn}": b"v"})
        with pytest.raises(StoreError):
            store.append_log("log", turn + 1, [b"lost?"])
        server.start()
        wait_for(lambda: store.health().state == "closed")
    store.put({"last": b"v"})
    assert store.append_log("log", 3, [b"3"])
    assert other.read_log("log") == [(n + 1, b"%d" % n) for n in range(4)]
    assert len(other.get_many([f"{name}{turn}" for turn in range(3) for name in ("a", "b", "with")])) == 9
    assert store.health().opened == 3
    store.close()


def test_no_record_is_appended_before_pending_values(server: RedisServer, other: RedisStore) -> None:
    store = guard(
        server, probe_interval=1000.0, breaker=CircuitBreaker(100, 10.0)
    )  # nobody writes behind but the append
    server.kill()
    many = {f"k{i}": noise(i, 30_000) for i in range(100)}  # several batches
    store.put(many)
    assert store.health().pending == 100
    with pytest.raises(StoreError):
        store.append_log("log", 0, [b"refers to them"])
    server.start()
    assert store.append_log("log", 0, [b"refers to them"])
    assert other.get_many(list(many)) == many
    assert store.health().pending == 0
    store.close()


def test_a_full_remote_keeps_the_breaker_closed(server: RedisServer, other: RedisStore) -> None:
    store = guard(server)
    store.put({"known": b"1"})
    server.admin.execute_command("CONFIG", "SET", "maxmemory", "1")
    for i in range(10):
        store.put({f"k{i}": b"v"})
    health = store.health()
    assert (health.state, health.pending) == ("closed", 10)
    assert "is full" in health.error
    assert other.get("known") == b"1"
    assert store.get("k3") == b"v"
    with pytest.raises(StoreFullError, match="is full"):
        store.append_log("log", 0, [b"1"])  # what it may refer to is not there
    server.admin.execute_command("CONFIG", "SET", "maxmemory", "0")
    wait_for(lambda: store.health().pending == 0)
    assert len(other.get_many([f"k{i}" for i in range(10)])) == 10
    store.close()


def test_pending_values_are_bounded_and_dropped_ones_counted(server: RedisServer, other: RedisStore) -> None:
    store = guard(server, max_pending_bytes=100_000)
    server.kill()
    for i in range(50):
        store.put({f"k{i}": noise(i, 10_000)})
    health = store.health()
    assert health.pending + health.dropped == 50
    assert 5 < health.pending < 10
    assert store.get("k0") == noise(0, 10_000)  # this process has it still
    server.start()
    wait_for(lambda: store.health().pending == 0)
    assert other.get("k49") == noise(49, 10_000)
    with pytest.raises(UnknownRefError):
        other.get("k0")
    assert store.health().dropped == health.dropped
    store.close()


def test_other_bytes_meanwhile_do_not_stop_the_rest(server: RedisServer, other: RedisStore) -> None:
    store = guard(server)
    server.kill()
    store.put({"a": b"1", "k": b"mine", "z": b"2"})
    server.start()
    other.put({"k": b"theirs"})
    wait_for(lambda: store.health().pending == 0)
    assert store.health().dropped == 1
    assert other.get_many(["a", "k", "z"]) == {"a": b"1", "k": b"theirs", "z": b"2"}
    assert store.get("k") == b"theirs"
    store.close()


def test_closing_writes_pending_values(server: RedisServer, other: RedisStore) -> None:
    store = guard(server, probe_interval=1000.0)
    server.kill()
    store.put({"k": b"v"})
    server.start()
    store.close()
    assert other.get("k") == b"v"
    assert store.health().dropped == 0
    lost = guard(server, probe_interval=1000.0)
    server.kill()
    lost.put({"l": b"v"})
    with pytest.raises(StoreError, match="1 values were never written"):
        lost.close()
    lost.close()
    assert (lost.health().pending, lost.health().dropped) == (0, 1)
    server.start()


def test_a_child_writes_pending_values(server: RedisServer, other: RedisStore) -> None:
    store = guard(server)
    server.kill()
    store.put({"before": b"1"})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            server.process = None  # the parent's
            store.put({"child": b"2"})
            wait_for(lambda: store.health().pending == 0)
            code = 0 if store.append_log("child", 0, [b"1"]) else 2
        finally:
            os._exit(code)
    server.start()
    assert os.waitpid(child, 0)[1] == 0
    assert other.get_many(["before", "child"]) == {"before": b"1", "child": b"2"}
    wait_for(lambda: store.health().pending == 0)
    store.close()


def test_many_threads_while_it_comes_and_goes(server: RedisServer, other: RedisStore) -> None:
    """What was put is readable here at once and everywhere in the end; logs lose and double nothing."""
    store = guard(server, probe_interval=0.05)
    end = threading.Event()
    put: list[set[str]] = [set() for _ in range(4)]
    appended: list[dict[int, bytes]] = [{} for _ in range(4)]
    unexpected: list[BaseException] = []

    def work(n: int) -> None:
        i = at = 0
        try:
            while not end.is_set():
                key, value = f"{n}-{i}", f"{n} {i} ".encode() * 100
                store.put({key: value})
                put[n].add(key)
                assert store.get(key) == value
                try:
                    if store.append_log(f"log{n}", at, [key.encode()]):
                        at += 1
                        appended[n][at] = key.encode()
                    else:
                        at = ([(at, b""), *store.read_log(f"log{n}", at)])[-1][0]
                except StoreError:
                    time.sleep(0.01)
                i += 1
        except BaseException as exc:
            unexpected.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()

    def more() -> None:
        """Waits until all have written some more."""
        before = [len(each) for each in appended]
        wait_for(lambda: bool(unexpected) or all(len(a) >= b + 5 for a, b in zip(appended, before, strict=True)), 60)

    for _ in range(2):
        more()
        server.kill()
        time.sleep(0.3)
        server.start()
        more()
        with server.stalled():
            wait_for(lambda: store.health().state == "open")
    more()
    end.set()
    for thread in threads:
        thread.join()
    assert not unexpected
    wait_for(lambda: store.health().state == "closed" and store.health().pending == 0)
    assert store.health().opened >= 2
    assert store.health().dropped == 0
    for n in range(4):
        assert set(other.get_many(list(put[n]))) == put[n]
        log = dict(other.read_log(f"log{n}"))
        assert appended[n].items() <= log.items()
    store.close()


# --- in front --------------------------------------------------------------------------------------------------------


def test_local_values_are_not_read_from_the_remote() -> None:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    clock = Clock()
    store = ResilientStore(RedisStore(server.url), clock=clock)
    store.put({"k": b"v", "l": b"w"})

    def commands() -> int:
        stats = server.admin.execute_command("INFO", "commandstats").decode()
        return sum(int(line.split("calls=")[1].split(",")[0]) for line in stats.splitlines() if "cmdstat_get:" in line)

    before = commands()
    for _ in range(5):
        assert store.get("k") == b"v"
        assert store.get_many(["k", "l"]) == {"k": b"v", "l": b"w"}
    assert commands() == before
    clock.now += 61  # its use has to be noted there now and then
    assert store.get("k") == b"v"
    assert store.get("k") == b"v"
    assert commands() == before + 1
    server.admin.execute_command("DEL", *RedisKeys("acr", "").value("k"))
    clock.now += 61
    assert store.get("k") == b"v"  # evicted there, here still
    with pytest.raises(UnknownRefError):
        store.get("never there")
    store.close()


def test_a_value_too_large_for_the_local_cache() -> None:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    store = ResilientStore(RedisStore(server.url), MemoryStore(limit=1000))
    store.put({"large": noise(1, 5000), "small": b"v"})
    assert store.get("large") == noise(1, 5000)
    assert store.get_many(["large", "small"]) == {"large": noise(1, 5000), "small": b"v"}
    server.admin.execute_command("DEL", RedisKeys("acr", "").value("large")[0])
    with pytest.raises(ExpiredRefError):
        store.get("large")
    store.close()


@pytest.mark.parametrize("bad", [{"ttl": 0.0}, {"probe_interval": 0.0}, {"max_pending_bytes": 0}])
def test_senseless_options(bad: dict[str, float]) -> None:
    with pytest.raises(StoreError, match="positive"):
        ResilientStore(RedisStore("redis://localhost"), **bad)  # type: ignore[arg-type]


# --- the breaker and what waits --------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row() -> None:
    breaker = CircuitBreaker(3, 10.0)
    for _ in range(5):
        breaker.record_failure(StoreUnavailableError("away"))
        breaker.record_failure(StoreUnavailableError("away"))
        breaker.record_success()
    assert (breaker.is_open, breaker.failures, breaker.error) == (False, 10, "")
    for _ in range(10):
        breaker.record_failure(StoreFullError("full"))
    assert not breaker.is_open
    for _ in range(5):
        breaker.record_failure(StoreUnavailableError("away"))
    assert (breaker.is_open, breaker.opened, breaker.error) == (True, 1, "away")
    breaker.record_success()  # was on its way
    assert breaker.is_open
    breaker.record_success(probe=True)
    assert (breaker.is_open, breaker.error) == (False, "")
    breaker.record_failure(StoreUnavailableError("away"))
    assert not breaker.is_open


def test_a_breaker_forgets_old_failures() -> None:
    breaker = CircuitBreaker(2, 0.05)
    for _ in range(4):
        breaker.record_failure(StoreUnavailableError("away"))
        time.sleep(0.06)
    assert not breaker.is_open
    for bad in ((0, 1.0), (1, 0.0)):
        with pytest.raises(StoreError, match="positive"):
            CircuitBreaker(*bad)


def test_the_oldest_pending_value_is_dropped_first() -> None:
    waiting = WriteBehindBuffer(1000)
    waiting.add({f"k{i}": b"" for i in range(10)})  # empty values take room too
    assert len(waiting) + waiting.dropped == 10
    assert 3 < len(waiting) < 6
    assert list(waiting.next_batch())[-1] == "k9"
    waiting.add({"k9": b"new"})
    assert waiting.find(["k9", "k0"]) == {"k9": b"new"}
    waiting.settle({"k9": b"old"})  # written before it was replaced
    assert waiting.find(["k9"]) == {"k9": b"new"}
    dropped = waiting.dropped
    waiting.settle(waiting.next_batch())
    assert (len(waiting), waiting.dropped) == (0, dropped)
    waiting.add({"large": b"x" * 2000})
    assert (len(waiting), waiting.dropped) == (0, dropped + 1)

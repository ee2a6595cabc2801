"""Leases in Redis: one holder at a time, only its holder ends it, and it ends by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor.errors import StoreError
from compressor.storage import ResilientStore
from compressor.storage.circuit_breaker import CircuitBreaker, StoreUnavailableError
from compressor.storage.redis import lua_scripts
from compressor.storage.redis.store import RedisStore
from support.redis_tools import RedisServer, shared_server


@pytest.fixture(params=[False, True], ids=["server", "cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    server = shared_server(cluster=request.param)
    server.admin.execute_command("FLUSHALL")
    store = RedisStore(server.url, timeout=10.0, connect_timeout=5.0)
    yield store
    store.close()


def test_one_at_a_time_and_only_its_holder_ends_it(store: RedisStore) -> None:
    token = store.lease("a", 60)
    assert token and store.lease("a", 60) is None and store.lease("b", 60)
    store.release("a", "another's")
    assert store.lease("a", 60) is None
    store.release("a", token)
    store.release("a", token)
    assert (again := store.lease("a", 60)) and again != token


def test_tenants_have_their_own(store: RedisStore) -> None:
    assert store.lease("a", 60) and store.for_tenant("red").lease("a", 60)
    store.put({"a": b"1"})  # a value's key, and a log's, is another
    assert store.append_log("a", 0, [b"1"]) and store.lease("a", 60) is None


def test_it_ends_by_itself(store: RedisStore) -> None:
    late = store.lease("a", 0.05)
    time.sleep(0.1)
    token = store.lease("a", 60)
    assert late and token
    store.release("a", late)  # too late: it is another's now
    assert store.lease("a", 60) is None


def test_only_one_of_many_callers_gets_it(store: RedisStore) -> None:
    gate, found = threading.Barrier(16), []

    def take() -> None:
        gate.wait()
        found.append(store.lease("a", 60))

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16 and sum(token is not None for token in found) == 1


def test_a_lease_that_is_requested_twice_is_granted_once() -> None:
    """As when the connection breaks before the answer."""
    server = shared_server()
    server.admin.execute_command("FLUSHALL")

    def run(script: lua_scripts.LuaScript, *args: str) -> object:
        return server.admin.execute_command("EVAL", script.text, 1, "{k}", *args)

    assert [run(lua_scripts.LEASE, "mine", "60000") for _ in range(2)] == [1, 1]
    assert run(lua_scripts.LEASE, "yours", "60000") == 0
    assert run(lua_scripts.RELEASE, "yours") == 0
    assert [run(lua_scripts.RELEASE, "mine") for _ in range(2)] == [1, 0]


def test_behind_a_resilient_store(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "r")
    store = ResilientStore(
        RedisStore(server.url, connect_timeout=0.2, timeout=0.3), breaker=CircuitBreaker(2, 10.0), probe_interval=60
    )
    token = store.lease("a", 60)
    assert token and store.lease("a", 60) is None
    server.kill()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            store.release("a", token)
    with pytest.raises(StoreError, match="is tried again"):
        store.lease("a", 60)
    with pytest.raises(StoreError, match="is tried again"):
        store.release("a", token)
    store.close()

"""The Redis store: its keys, its scripts, a full server, several processes. Faults are in test_redis_faults.py."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from compressor.errors import ExpiredRefError, MissingDependencyError, RefError, StoreError, UnknownRefError
from compressor.storage import ResilientStore, codec, open_store
from compressor.storage.circuit_breaker import StoreFullError
from compressor.storage.redis.keys import RedisKeys
from compressor.storage.redis.store import RedisStore
from support.log_writers import append_from_many_processes, check_that_no_append_is_lost
from support.redis_tools import ALL_SLOTS, RedisServer, free_port, missing, shared_server
from support.store_tools import noise
from support.waiting import wait_for

ODD = ["", "k", "ключ", "\ud800", "a\x00b", "}", "{", "{}", "a}b{c", "*", "[x]?\\", ":was", "x}:was", "k" * 200]


@pytest.fixture
def server() -> RedisServer:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    return server


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = RedisStore(server.url)
    yield store
    store.close()


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_value_or_log_shares_a_slot_with_its_tombstone() -> None:
    admin = shared_server(cluster=True).admin

    def slot(key: bytes) -> int:
        return int(admin.execute_command("CLUSTER", "KEYSLOT", key))

    keys = RedisKeys("acr", "team {1}")
    slots = set()
    for name in ODD:
        for value, was in (keys.value(name), keys.log(name)):
            assert slot(value) == slot(was)
            slots.add(slot(value))
    assert len(slots) > len(ODD)  # and what does not is spread


def test_no_two_things_have_one_key() -> None:
    tenants = ["", "-", "%2D", "a", "a:b", "a%3Ab", "{v:a}", "a:1", "\ud800"]
    made = [
        key
        for prefix in ("acr", "acr:1", "x")
        for tenant in tenants
        for name in ODD
        for keys in [RedisKeys(prefix, tenant)]
        for key in (*keys.value(name), *keys.log(name))
    ]
    assert len(made) == len(set(made)) == 3 * len(tenants) * len(ODD) * 4


@pytest.mark.parametrize(
    "bad", [{"prefix": ""}, {"prefix": "a{b}"}, {"tenant": None}, {"timeout": 0.0}, {"retries": -1}]
)
def test_senseless_options(bad: dict[str, Any]) -> None:
    with pytest.raises(StoreError):
        RedisStore("redis://localhost", **bad)


def test_tenants_share_nothing(server: RedisServer) -> None:
    a, b, none = (RedisStore(server.url, tenant=tenant) for tenant in ("a*", "ab", ""))
    a.put({"k": b"a"})
    assert a.append_log("log", 0, [b"a"])
    for other in (b, none):
        with pytest.raises(UnknownRefError):
            other.get("k")
        with pytest.raises(UnknownRefError):
            other.read_log("log")
        other.drop_log("log")
    b.put({"k": b"b"})
    assert (a.get("k"), b.get("k"), a.read_log("log")) == (b"a", b"b", [(1, b"a")])
    assert [s.stats().entries for s in (a, b, none)] == [1, 1, 0]  # a*'s pattern does not take in ab's
    assert all(key.startswith((b"acr:1:a*:{", b"acr:1:ab:{")) for key in server.names())


def test_tenants_over_the_same_connections(server: RedisServer) -> None:
    first = RedisStore(server.url, tenant="a", ttl=1000.0)
    clients = []
    for i in range(20):
        store = first.for_tenant(f"t{i}")
        store.put({"k": b"%d" % i})
        assert store.append_log("log", 0, [b"%d" % i])
        clients.append(len(server.admin.execute_command("CLIENT", "LIST").splitlines()))
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.get("k")
    assert clients[0] == clients[-1]
    with pytest.raises(UnknownRefError):
        first.get("k")
    again = RedisStore(server.url, tenant="t7")
    assert (again.get("k"), again.read_log("log")) == (b"7", [(1, b"7")])
    for each in (first, again):
        each.close()


# --- time, by the server's own clock ---------------------------------------------------------------------------------


def test_ttl_by_the_servers_clock(server: RedisServer) -> None:
    store = RedisStore(server.url, ttl=4.0)
    store.put({"used": b"1", "left": b"2"})
    assert store.append_log("used", 0, [b"1"])
    assert store.append_log("left", 0, [b"1"])
    for _ in range(6):
        time.sleep(0.8)
        assert store.get("used") == b"1"
        assert store.read_log("used", 1) == []
    for gone in (lambda: store.get("left"), lambda: store.read_log("left")):
        with pytest.raises(ExpiredRefError):
            gone()
    assert (store.stats().entries, store.stats().logs) == (1, 1)
    server.age(60)
    wait_for(lambda: not server.names())  # nothing is left behind
    with pytest.raises(UnknownRefError):
        store.get("used")


def test_uses_are_noted_cheaply(store: RedisStore, server: RedisServer) -> None:
    store.put({"k": b"v"})
    assert store.append_log("log", 0, [b"1"])
    value, log = RedisKeys("acr", "").value("k")[0], RedisKeys("acr", "").log("log")[0]
    ttl = codec.DEFAULT_TTL * 1000

    def left(key: bytes) -> int:
        return int(server.admin.execute_command("PTTL", key))

    for seconds, renewed in ((codec.RENEW_SECONDS - 5, False), (10, True)):
        server.age(seconds)
        assert store.get("k") == b"v"
        assert store.read_log("log") == [(1, b"1")]
        for key in (value, log):
            assert (left(key) > ttl - 5_000) == renewed


# --- what was packed otherwise ---------------------------------------------------------------------------------------


def test_a_value_in_another_stored_form_is_the_same_value(store: RedisStore, server: RedisServer) -> None:
    text = b"the same text, packed by another version of zstd " * 100
    other = b"Z" + zstandard.ZstdCompressor(level=19, write_checksum=True).compress(text)
    assert other != codec.compress(text)
    server.admin.execute_command("SET", RedisKeys("acr", "").value("k")[0], other, "PX", 50_000)
    store.put({"a": b"1", "k": text, "b": b"2"})
    assert store.append_log("log", 0, [b"1"], values={"c": b"3", "k": text})
    assert [store.get(key) for key in "akbc"] == [b"1", text, b"2", b"3"]
    assert server.admin.execute_command("GET", RedisKeys("acr", "").value("k")[0]) == other
    assert server.admin.execute_command("PTTL", RedisKeys("acr", "").value("k")[0]) > 100_000
    with pytest.raises(StoreError, match="other bytes"):
        store.put({"k": text + b"!"})


def test_foreign_content_is_a_clear_error(store: RedisStore, server: RedisServer) -> None:
    key = RedisKeys("acr", "").value("k")[0]
    server.admin.execute_command("SET", key, b"Qwhat is that")
    for call in (lambda: store.get("k"), lambda: store.put({"k": b"v"})):
        with pytest.raises(StoreError, match="damaged"):
            call()
    server.admin.execute_command("DEL", key)
    server.admin.execute_command("HSET", key, "a", "b")
    for call in (lambda: store.get("k"), lambda: store.put({"k": b"v"})):
        with pytest.raises(StoreError, match="another prefix"):
            call()


def test_scripts_are_sent_again_to_a_server_that_forgot_them(store: RedisStore, server: RedisServer) -> None:
    assert store.append_log("log", 0, [b"1"])
    server.admin.execute_command("SCRIPT", "FLUSH")
    assert store.append_log("log", 1, [b"2"])
    server.admin.execute_command("SCRIPT", "FLUSH")
    assert store.read_log("log") == [(1, b"1"), (2, b"2")]


# --- a full server ---------------------------------------------------------------------------------------------------


def test_an_evicted_value_raises_a_ref_error_and_never_other_bytes(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "r", maxmemory="4mb", maxmemory_policy="allkeys-lru")
    store = RedisStore(server.url)
    last = 0
    for i in range(600):
        store.put({f"k{i}": noise(i, 20_000)})
        if not store.append_log("log", last, [noise(i, 300)]):
            last = 0  # the log was evicted
            assert store.append_log("log", last, [noise(i, 300)])
        last += 1

    def read(i: int) -> bytes | None:
        try:
            return store.get(f"k{i}")
        except (ExpiredRefError, UnknownRefError):  # the latter if Redis has evicted the tombstone too
            return None

    found = {i: value for i in range(600) if (value := read(i)) is not None}
    assert 20 < len(found) < 580
    assert all(value == noise(i, 20_000) for i, value in found.items())

    # From here on nothing more is evicted, so what an evicted value or log raises depends on its tombstone alone.
    server.admin.execute_command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "64mb")
    assert store.append_log("log", last, [b"1"]) or store.append_log("log", 0, [b"1"])
    assert server.admin.execute_command("DEL", RedisKeys("acr", "").log("log")[0]) == 1
    with pytest.raises(ExpiredRefError):
        store.read_log("log")
    server.admin.execute_command("DEL", *RedisKeys("acr", "").log("log"))
    with pytest.raises(UnknownRefError):
        store.read_log("log")
    store.put({"v": b"1"})
    server.admin.execute_command("DEL", RedisKeys("acr", "").value("v")[0])
    with pytest.raises(ExpiredRefError):
        store.get("v")
    server.admin.execute_command("DEL", *RedisKeys("acr", "").value("v"))
    with pytest.raises(UnknownRefError):
        store.get("v")
    assert store.stats().limit == 64 * 2**20
    store.close()
    server.stop()


@pytest.mark.parametrize("cluster", [False, True])
def test_a_full_server_that_evicts_nothing_says_so(tmp_path: Path, cluster: bool) -> None:
    slots = ALL_SLOTS if cluster else ""
    server = RedisServer(tmp_path / "r", slots, maxmemory="4mb", maxmemory_policy="noeviction")
    store = RedisStore(server.url, ttl=1000.0)
    assert store.append_log("log", 0, [b"1"])
    put = 0
    with pytest.raises(StoreFullError, match=r"is full .*maxmemory") as error:
        for put in range(1000):
            store.put({f"k{put}": noise(put, 20_000)})
    assert len(str(error.value)) < 300  # nothing of what is stored
    server.admin.execute_command("CONFIG", "SET", "maxmemory", "1mb")  # no room for small ones either
    with pytest.raises(StoreFullError):
        store.append_log("log", 1, [b"2"])
    with pytest.raises(StoreFullError):
        store.append_log("log", 1, [b"2"], truncate_before=True, values={"new": noise(1, 50)})
    with pytest.raises(StoreFullError):
        store.append_log("other", 0, [b"1"], values={"new": b"v"})
    server.age(100)  # uses have to be noted, and cannot all be
    assert store.read_log("log") == [(1, b"1")]
    assert put > 20
    for i in range(put):
        assert store.get(f"k{i}") == noise(i, 20_000)
    for absent in (lambda: store.get("new"), lambda: store.get(f"k{put}"), lambda: store.read_log("other")):
        with pytest.raises(RefError):
            absent()
    assert not store.append_log("log", 0, [b"late"])
    assert store.append_log("log", 1, [b"2"], truncate_before=True)  # makes its own room
    server.admin.execute_command("CONFIG", "SET", "maxmemory", "20mb")
    store.put({f"k{put}": noise(put, 20_000)})
    assert store.append_log("log", 2, [b"3"])
    assert store.read_log("log") == [(2, b"2"), (3, b"3")]
    store.close()
    server.stop()


# --- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", [False, True])
def test_many_processes_append_to_one_log(cluster: bool) -> None:
    server = shared_server(cluster=cluster)
    server.admin.execute_command("FLUSHALL")

    def connect() -> RedisStore:
        store = RedisStore(server.url, timeout=10.0)
        store.get_many(["k"])
        return store

    append_from_many_processes(connect)
    store = RedisStore(server.url)
    check_that_no_append_is_lost(store)
    store.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_fork(cluster: bool) -> None:
    server = shared_server(cluster=cluster)
    server.admin.execute_command("FLUSHALL")
    store = ResilientStore(RedisStore(server.url))
    store.put({"before": b"1"})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.put({"child": store.get("before") + b"2"})
            code = 0 if store.append_log("child", 0, [b"1"]) else 2
        finally:
            os._exit(code)
    for i in range(20):
        store.put({f"parent{i}": b"3"})
        assert store.append_log("parent", i, [b"1"])
    assert os.waitpid(child, 0)[1] == 0
    assert (store.get("child"), store.read_log("child")) == (b"12", [(1, b"1")])
    store.close()


# --- how it is opened ------------------------------------------------------------------------------------------------


def test_open_store_returns_a_resilient_store_for_redis(server: RedisServer) -> None:
    store = open_store(server.url)
    assert isinstance(store, ResilientStore)
    store.put({"a": b"1"})
    assert store.get("a") == b"1"
    assert store.stats().location == server.url
    store.close()


def test_without_redis_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"agentic-compressor\[redis\]"):
        open_store("redis://localhost")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://localhost:1", "names no service"),
        ("redis://:pw#secret@localhost:1", "percent-encode"),
        ("redis://:pw/secret@localhost:1", "percent-encode"),
        ("redis+cluster://:pw?secret@localhost:1", "percent-encode"),
        ("unix://:pw/secret@/tmp/redis.sock", "percent-encode"),
        ("redis+cluster://:pw@a b:c", "names no host"),
        ("redis://:secret@localhost:1/?decode_responses=1", "not the URL of a Redis store"),
        ("redis://:secret@localhost:port", "cannot be used: .*[Pp]ort"),
        ("redis://:secret@localhost?sokcet_timeout=3", "cannot be used: .*sokcet_timeout"),
    ],
)
def test_urls_that_cannot_be_used(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as error:
        RedisStore(url).get("k")
    assert "secret" not in str(error.value) and "pw" not in str(error.value)


def test_a_unix_socket_a_database_and_a_password(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = RedisServer(tmp_path / "r", unixsocket=str(path), requirepass="pass word")
    stores = [
        RedisStore(url)
        for url in (
            f"unix://:pass%20word@{path}",
            f"redis://:pass%20word@127.0.0.1:{server.port}",
            f"redis://:pass%20word@127.0.0.1:{server.port}/3",
        )
    ]
    stores[0].put({"k": b"v"})
    assert stores[1].get("k") == b"v"
    with pytest.raises(UnknownRefError):
        stores[2].get("k")
    for store in stores:
        assert "pass" not in store.stats().location
        store.close()
    server.stop()


def test_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("a certificate is needed: apt-get install openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    port = free_port()
    server = RedisServer(
        tmp_path / "r",
        tls_port=str(port),
        tls_auth_clients="no",
        tls_cert_file=str(cert),
        tls_key_file=str(key),
        tls_ca_cert_file=str(cert),
    )
    store = RedisStore(f"rediss://127.0.0.1:{port}?ssl_ca_certs={cert}")
    assert store.append_log("log", 0, [b"1"], values={"k": noise(1, 100_000)})
    assert store.get("k") == noise(1, 100_000)
    store.close()
    with pytest.raises(StoreError, match=r"cannot be reached .*certificate"):  # nobody vouches for it
        RedisStore(f"rediss://127.0.0.1:{port}").get("k")
    server.stop()


# --- clusters and sentinels ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cluster_of_three(tmp_path: Path) -> None:
    """Values and logs on different nodes, and a slot that moves meanwhile."""
    nodes = [RedisServer(tmp_path / f"n{n}", slots) for n, slots in enumerate(("0-5000", "5001-11000", "11001-16383"))]
    for node in nodes[1:]:
        nodes[0].admin.execute_command("CLUSTER", "MEET", "127.0.0.1", str(node.port))
    for node in nodes:
        wait_for(lambda: b"cluster_state:ok" in node.admin.execute_command("CLUSTER INFO"))  # noqa: B023
        wait_for(lambda: len(node.admin.execute_command("CLUSTER NODES").splitlines()) == 3)  # noqa: B023
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{nodes[1].port}"  # the first is not there
    store = RedisStore(url, timeout=5.0)
    stored = {f"k{i}": noise(i, 900) for i in range(200)}
    store.put(stored)
    store.put(stored)
    assert store.get_many([*stored, "not there"]) == stored
    for i in range(30):
        assert store.append_log(f"log{i}", 0, [b"1"], values={f"k{i}": stored[f"k{i}"], f"new{i}": b"v"})
        assert store.read_log(f"log{i}") == [(1, b"1")]
    with pytest.raises(StoreError, match="other bytes"):
        store.append_log("log0", 1, [b"2"], values={**{f"late{i}": b"v" for i in range(30)}, "k1": b"other"})
    assert not store.append_log("log0", 0, [b"2"], values={"late": b"v"})
    assert not any(store.get_many([f"late{i}" for i in range(30)] + ["late"]))
    assert (store.stats().entries, store.stats().logs) == (230, 30)
    assert all(len(node.names()) > 50 for node in nodes)
    # An empty slot changes hands behind the client's back; its node then says MOVED.
    key = RedisKeys("acr", "").log("moving")[0]
    slot = str(nodes[0].admin.execute_command("CLUSTER", "KEYSLOT", key))
    owner = next(n for n, node in enumerate(nodes) if _owns(node, int(slot)))
    heir = nodes[(owner + 1) % 3]
    for node in (heir, *nodes):
        node.admin.execute_command("CLUSTER", "SETSLOT", slot, "NODE", heir.admin.execute_command("CLUSTER", "MYID"))
    assert store.append_log("moving", 0, [b"1"])
    assert store.read_log("moving") == [(1, b"1")]
    assert key in heir.names()
    store.close()
    for node in nodes:
        node.stop()


def _owns(node: RedisServer, slot: int) -> bool:
    mine = next(line for line in node.admin.execute_command("CLUSTER NODES").splitlines() if b"myself" in line)
    ranges = [part.split(b"-") for part in mine.split()[8:]]
    return any(
        int(first) <= slot <= int(last or first) for first, *rest in ranges for last in [rest[0] if rest else b""]
    )


def _info(sentinel: RedisServer) -> bytes:
    return bytes(sentinel.admin.execute_command("INFO", "sentinel"))


@pytest.mark.slow
def test_a_sentinel_names_the_new_master(tmp_path: Path) -> None:
    master = RedisServer(tmp_path / "m", requirepass="pw", masterauth="pw")
    replica = RedisServer(
        tmp_path / "r",
        replicaof=f"127.0.0.1 {master.port}",
        requirepass="pw",
        masterauth="pw",
        repl_diskless_sync_delay="0",
    )
    wait_for(lambda: b"master_link_status:up" in replica.admin.execute_command("INFO", "replication"))
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor main 127.0.0.1 {master.port} 1\nsentinel auth-pass main pw\n"
        # Not less: a sentinel that has not reached a master yet takes it for down, and moves on while we still write.
        "sentinel down-after-milliseconds main 3000\nsentinel failover-timeout main 5000\n"
    )
    sentinel = RedisServer(tmp_path / "s", config=str(config))
    wait_for(
        lambda: b"status=ok" in (info := sentinel.admin.execute_command("INFO", "sentinel")) and b"slaves=1" in info
    )
    store = RedisStore(f"redis+sentinel://:pw@127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/main")
    assert store.append_log("log", 0, [b"1"], values={"k": b"v"})
    master.admin.execute_command("SET", "later", "1")  # WAIT waits for what its own connection has written, and before
    assert master.admin.execute_command("WAIT", "1", "10000") == 1
    master.kill()

    def moved() -> bool:
        try:
            return store.append_log("log", 1, [b"2"])
        except StoreError:
            return False

    wait_for(moved, seconds=90)  # a sentinel that a busy machine has held up does nothing for 30 s
    assert store.read_log("log") == [(1, b"1"), (2, b"2")]
    assert store.get("k") == b"v"
    assert b"role:master" in replica.admin.execute_command("INFO", "replication")
    store.close()
    for each in (sentinel, replica):
        each.stop()

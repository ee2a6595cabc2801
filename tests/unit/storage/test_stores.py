"""Stores: the same behaviour in memory and in SQLite (in Redis: tests/integration/redis), and how a store is named.

What only a file has to survive is in sqlite/test_store.py, what only Redis has to in test_redis_store.py.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from compressor.errors import ExpiredRefError, RefError, StoreError, UnknownRefError
from compressor.storage import BlobStore, MemoryStore, SQLiteStore, codec, default_path, open_store
from compressor.storage.base import get_many
from support.property_tests import given, settings, st
from support.store_tools import LOCAL, Clock, noise

Make = Callable[..., BlobStore]


# --- all kinds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"R",
        b"\x00" * 511,
        b"\x00" * 512,
        b"ab" * 5000,
        bytes(range(256)) * 9,
        noise(0, 3000),
        b"\x28\xb5\x2f\xfd",
    ],
)
def test_exact_bytes_come_back(make: Make, value: bytes) -> None:
    store = make()
    store.put({"k": value})
    assert store.get("k") == value


@pytest.mark.parametrize("key", ["", "123456789012", "ключ", "\ud800", "a\x00b", "k" * 200, "' OR 1=1 --"])
def test_any_key(make: Make, key: str) -> None:
    store = make()
    store.put({key: b"v"})
    assert store.get(key) == b"v"
    with pytest.raises(UnknownRefError):
        store.get(key[:-1] + "?")


def test_bad_items_store_nothing(make: Make) -> None:
    store = make()
    with pytest.raises(StoreError, match="200 characters"):
        store.put({"fine": b"1", "k" * 201: b"v"})
    with pytest.raises(StoreError, match="not bytes"):
        store.put({"fine": b"1", "text": "v"})  # type: ignore[dict-item]
    with pytest.raises(UnknownRefError):
        store.get("fine")


def test_text_is_stored_compressed(make: Make) -> None:
    store = make()
    store.put({"log": b"INFO request served in 12 ms\n" * 1000})
    assert store.stats().entries == 1
    assert store.stats().size < 1000


def test_no_key_is_overwritten(make: Make) -> None:
    store = make()
    store.put({"a": b"one"})
    store.put({"a": b"one"})
    with pytest.raises(StoreError, match="other bytes"):
        store.put({"b": b"new", "a": b"two"})
    assert store.get("a") == b"one"
    with pytest.raises(UnknownRefError):  # nothing of the refused put was stored
        store.get("b")
    assert store.stats().entries == 1


def test_ttl_slides_on_get_and_put(make: Make, clock: Clock) -> None:
    store = make(ttl=100.0, clock=clock)
    store.put({"got": b"1", "put": b"2", "left": b"3"})
    for _ in range(4):
        clock.now += 60
        store.put({"put": b"2"})
        assert store.get("got") == b"1"
    assert store.stats().entries == 2
    with pytest.raises(ExpiredRefError):
        store.get("left")
    clock.now += 101
    for key in ("got", "put"):
        with pytest.raises(ExpiredRefError):
            store.get(key)
    assert store.stats().size == 0


def test_many_keys_at_once(make: Make, clock: Clock) -> None:
    store = make(ttl=100.0, clock=clock)
    stored = {f"k{i}": noise(i, 300 + i) for i in range(1_200)} | {"\ud800": b"x" * 900}
    store.put(stored)
    assert get_many(store, [*stored, "not there"]) == stored
    assert get_many(store, []) == {}
    clock.now += 60
    assert set(get_many(store, ["k1", "k2", "k1"])) == {"k1", "k2"}
    clock.now += 60
    assert get_many(store, ["k1", "k2", "k3"]) == {"k1": stored["k1"], "k2": stored["k2"]}  # k3 was not renewed


def test_many_keys_from_a_store_that_gives_one_at_a_time() -> None:
    class Plain:
        """As `BlobStore` asks, and no more."""

        held = MemoryStore()
        put, get, stats, close = held.put, held.get, held.stats, held.close

    store = Plain()
    store.put({"a": b"1", "b": b"2"})
    assert get_many(store, ["a", "x", "b"]) == {"a": b"1", "b": b"2"}


def test_what_expired_may_be_stored_again(make: Make, clock: Clock) -> None:
    store = make(ttl=100.0, clock=clock)
    store.put({"a": b"1"})
    clock.now += 101
    store.put({"a": b"1", "b": b"2"})
    assert store.get("a") == b"1"
    assert store.stats().entries == 2


def test_tombstones_are_forgotten(make: Make, clock: Clock) -> None:
    store = make(ttl=100.0, clock=clock)
    store.put({"a": b"1"})
    clock.now += 101
    store.put({"b": b"1"})  # buries a
    clock.now += 399
    with pytest.raises(ExpiredRefError):
        store.get("a")
    clock.now += 2
    store.put({"c": b"1"})
    with pytest.raises(UnknownRefError):
        store.get("a")


@pytest.mark.parametrize("kind", LOCAL)
def test_tombstones_are_capped(make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_TOMBSTONES", 3)
    store = make(ttl=100.0, clock=clock)
    for i in range(6):
        store.put({f"k{i}": b"v"})
        clock.now += 101
    for i in range(2):
        store.put({f"last{i}": b"v"})
    with pytest.raises(UnknownRefError):
        store.get("k0")
    with pytest.raises(ExpiredRefError):
        store.get("k5")


@pytest.mark.parametrize("kind", LOCAL)
def test_least_recently_used_goes_first(make: Make, clock: Clock) -> None:
    store = make(limit=1000, clock=clock)
    for i in range(9):
        store.put({f"k{i}": noise(i, 99)})  # 100 bytes each as stored
        clock.now += codec.RENEW_SECONDS + 1
    store.get("k0")
    clock.now += 1
    store.put({"k9": noise(9, 99)})
    assert store.stats().size == 1000
    store.put({"k10": noise(10, 199)})
    for i in (1, 2):
        with pytest.raises(ExpiredRefError):
            store.get(f"k{i}")
    for i in (0, *range(3, 11)):
        store.get(f"k{i}")
    assert store.stats().size == 1000


@pytest.mark.parametrize("kind", LOCAL)
def test_a_put_never_evicts_its_own_items(make: Make, clock: Clock) -> None:
    store = make(limit=1000, clock=clock)
    store.put({"old": noise(1, 399)})
    store.put({"other": noise(2, 399)})
    store.put({"new": noise(3, 499), "old": noise(1, 399)})  # the oldest value is part of this put
    assert store.get("old") == noise(1, 399)
    with pytest.raises(ExpiredRefError):
        store.get("other")


@pytest.mark.parametrize("kind", LOCAL)
def test_more_than_the_limit_is_refused(make: Make) -> None:
    store = make(limit=1000)
    store.put({"a": noise(1, 500)})
    with pytest.raises(StoreError, match="limit of 1,000"):
        store.put({"b": noise(2, 600), "c": noise(3, 600)})
    assert store.get("a") == noise(1, 500)
    with pytest.raises(UnknownRefError):
        store.get("b")


@pytest.mark.parametrize("kind", LOCAL)
def test_a_senseless_size_limit(make: Make) -> None:
    with pytest.raises(StoreError, match="positive"):
        make(limit=0)


@pytest.mark.parametrize("options", [{"ttl": 0.0}, {"ttl": float("nan")}])
def test_senseless_limits(make: Make, options: dict[str, float]) -> None:
    with pytest.raises(StoreError, match="positive"):
        make(**options)


def test_closed(make: Make) -> None:
    store = make()
    store.put({"a": b"1"})
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.get("a")


def test_many_threads(make: Make) -> None:
    store = make()
    errors: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for i in range(30):
                store.put({f"shared{i}": b"same" * 200, f"{n}-{i}": f"{n} {i}".encode() * 300})
                assert store.get(f"{n}-{i}") == f"{n} {i}".encode() * 300
                assert store.get(f"shared{i}") == b"same" * 200
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert store.stats().entries == 30 + 6 * 30


@pytest.mark.moderate
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["put", "get", "wait"]), st.integers(0, 12)), max_size=30))
def test_both_kinds_agree(steps: list[tuple[str, int]]) -> None:
    """One key a put: of several put together, which goes first is each store's own affair."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        file = SQLiteStore(Path(folder) / "s.db", ttl=100.0, limit=1000, clock=clock)
        stores: list[BlobStore] = [MemoryStore(ttl=100.0, limit=1000, clock=clock), file]

        def outcome(store: BlobStore, what: str, n: int) -> object:
            try:
                if what == "get":
                    return store.get(f"k{n}")
                store.put({f"k{n}": noise(n, 99 + 20 * n)})
                return "put"
            except RefError:
                return "gone"

        for what, n in steps:
            clock.now += 1.5 + (n * 5 if what == "wait" else 0)  # more than the grain at which SQLite notes uses
            if what != "wait":
                assert outcome(stores[0], what, n) == outcome(stores[1], what, n)
            assert stores[0].stats().entries == stores[1].stats().entries
            assert stores[0].stats().size == stores[1].stats().size <= 1000
        for store in stores:
            store.close()


@pytest.mark.moderate
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_can_use_a_store_that_another_thread_was_at_when_it_was_forked() -> None:
    store, end = MemoryStore(), threading.Event()

    held = {f"n{n}": noise(n, 3_000) for n in range(40)}

    def again() -> None:
        while not end.is_set():
            store.put(held)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        for _ in range(15):
            child = os.fork()
            if child == 0:
                signal.alarm(5)
                store.get_many(["n0"])
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        end.set()
        thread.join()


# --- names -----------------------------------------------------------------------------------------------------------


def test_open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CACHE_DIR", str(tmp_path / "cache"))
    default = open_store(None)
    default.put({"a": b"1"})
    assert default.stats().location == default_path() == str(tmp_path / "cache" / "store.db")
    default.close()
    monkeypatch.delenv("COMPRESSOR_CACHE_DIR")
    assert "agentic-compressor" in default_path()
    memory = open_store("memory")
    assert memory.stats().location == "memory"
    assert open_store(memory) is memory
    monkeypatch.chdir(tmp_path)
    for spec, path in [
        ("sqlite:///x.db", "x.db"),
        (f"sqlite:///{tmp_path}/noext", "noext"),
        ("y.sqlite", "y.sqlite"),
        (f"{tmp_path}/z.db", "z.db"),
    ]:
        store = open_store(spec)
        assert store.stats().location == str(tmp_path / path)
        store.close()


@pytest.mark.parametrize("spec", ["", "redis:localhost", "memroy", "sqlite:///", "sqlite:///:memory:", "postgres://x"])
def test_open_store_refuses(spec: str) -> None:
    with pytest.raises(StoreError, match="unknown store"):
        open_store(spec)

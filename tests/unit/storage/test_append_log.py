"""Logs in a store behave the same in memory and in SQLite (for Redis see tests/integration/redis).

Tests of files alone are in sqlite/test_log.py, tests of Redis alone in test_redis_store.py.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import MemoryStore, SQLiteStore, codec
from support.property_tests import given, settings, st
from support.store_tools import LOCAL, Both, Clock, clock_for, make_store, noise

HOUR = 3600.0


Make = Callable[..., Both]


# --- compare and set -------------------------------------------------------------------------------------------------


def test_records_come_back_in_order_with_their_numbers(make: Make) -> None:
    store = make()
    records = [b"", b"Z", b"text " * 900, noise(1, 3000), bytes(range(256)) * 4]
    assert store.append_log("a", 0, records[:2])
    assert store.append_log("a", 2, records[2:])
    assert store.append_log("b", 0, [b"other"])
    assert store.read_log("a") == list(enumerate(records, 1))
    assert store.read_log("a", 3) == [(4, records[3]), (5, records[4])]
    assert store.read_log("a", 5) == []
    assert store.read_log("b") == [(1, b"other")]
    assert store.stats().logs == 2


def test_the_first_writer_of_record_n_wins(make: Make) -> None:
    store = make()
    assert store.append_log("a", 0, [b"1", b"2"])
    for at in (0, 1, 3, -1):
        assert not store.append_log("a", at, [b"late"], values={f"late{at}": b"v"})
        assert not store.append_log("a", at, [b"late"], truncate_before=True)
        assert not store.append_log("a", at, [])
        with pytest.raises(UnknownRefError):
            store.get(f"late{at}")
    assert not store.append_log("not there", 1, [b"x"])
    with pytest.raises(UnknownRefError, match="not there"):
        store.read_log("not there")
    assert store.read_log("a") == [(1, b"1"), (2, b"2")]
    assert store.stats().size == 4


def test_truncate_before_drops_older_records_and_numbering_continues(make: Make) -> None:
    store = make()
    assert store.append_log("a", 0, [noise(1, 500)] * 3, truncate_before=True)
    assert store.append_log("a", 3, [b"snapshot", b"next"], truncate_before=True)
    assert store.read_log("a") == store.read_log("a", 3) == [(4, b"snapshot"), (5, b"next")]
    assert store.read_log("a", 4) == [(5, b"next")]
    assert store.stats().size == len(b"snapshot") + len(b"next") + 2
    assert store.append_log("a", 5, [], truncate_before=True)
    assert store.read_log("a") == []
    assert store.stats().size == 0
    assert not store.append_log("a", 0, [b"x"])
    assert store.append_log("a", 5, [b"6"])
    assert store.read_log("a") == [(6, b"6")]


def test_without_records_no_log_begins(make: Make) -> None:
    store = make()
    assert store.append_log("a", 0, [], values={"k": b"v"})
    assert store.get("k") == b"v"
    with pytest.raises(UnknownRefError):
        store.read_log("a")
    assert store.stats().logs == 0


def test_drop(make: Make) -> None:
    store = make()
    store.drop_log("never there")
    with pytest.raises(UnknownRefError):
        store.read_log("never there")
    assert store.append_log("a", 0, [b"1", b"2"])
    assert store.append_log("b", 0, [b"1"])
    store.drop_log("a")
    store.drop_log("a")
    with pytest.raises(ExpiredRefError):
        store.read_log("a")
    assert (store.stats().logs, store.stats().size) == (1, 2)
    assert not store.append_log("a", 2, [b"3"])
    assert store.append_log("a", 0, [b"again"])
    assert store.read_log("a") == [(1, b"again")]
    with pytest.raises(ExpiredRefError):  # who knew two records must not believe that there is nothing new
        store.read_log("a", 2)


@pytest.mark.moderate
@pytest.mark.parametrize("name", ["", "сессия", "\ud800", "a\x00b", "n" * 200, "' OR 1=1 --"])
def test_any_name_and_no_key_is_in_the_way(make: Make, name: str) -> None:
    store = make()
    store.put({name: b"value"})
    assert store.append_log(name, 0, [b"record"])
    with pytest.raises(UnknownRefError):
        store.read_log(name[:-1] + "?")
    assert store.read_log(name) == [(1, b"record")]
    store.drop_log(name)
    assert store.get(name) == b"value"


def test_bad_names_and_records_write_nothing(make: Make) -> None:
    store = make()
    with pytest.raises(StoreError, match="200 characters"):
        store.append_log("n" * 201, 0, [b"x"])
    with pytest.raises(StoreError, match="record of the log 'a' is str"):
        store.append_log("a", 0, [b"x", "text"])  # type: ignore[list-item]
    with pytest.raises(StoreError, match="not bytes"):
        store.append_log("a", 0, [b"x"], values={"fine": b"1", "text": "v"})  # type: ignore[dict-item]
    with pytest.raises(UnknownRefError):
        store.read_log("a")
    assert store.stats().size == 0


def test_records_are_stored_compressed(make: Make) -> None:
    store = make()
    assert store.append_log("a", 0, [b"INFO request served in 12 ms\n" * 1000])
    assert store.stats().size < 1000


def test_closed(make: Make) -> None:
    store = make()
    assert store.append_log("a", 0, [b"1"])
    store.close()
    for call in (lambda: store.read_log("a"), lambda: store.append_log("a", 1, [b"2"]), lambda: store.drop_log("a")):
        with pytest.raises(StoreError, match="closed"):
            call()


# --- values in the same transaction ----------------------------------------------------------------------------------


def test_values_are_written_with_the_records(make: Make) -> None:
    store = make()
    assert store.append_log("a", 0, [b"1"], values={"k": b"text " * 300, "l": b"2"})
    assert store.append_log("a", 1, [b"2"], values={"k": b"text " * 300})
    assert (store.get("k"), store.get("l")) == (b"text " * 300, b"2")
    assert (store.stats().entries, store.stats().logs) == (2, 1)


def test_a_value_that_collides_leaves_nothing_of_the_records(make: Make) -> None:
    store = make()
    store.put({"k": b"one"})
    assert store.append_log("a", 0, [b"1"])
    before = store.stats()
    for fresh in (False, True):
        with pytest.raises(StoreError, match="other bytes"):
            store.append_log("a", 1, [b"2"], truncate_before=fresh, values={"new": b"v", "k": b"two"})
    with pytest.raises(StoreError, match="other bytes"):
        store.append_log("b", 0, [b"1"], values={"k": b"two"})
    assert store.read_log("a") == [(1, b"1")]
    assert store.stats() == before
    for gone in (lambda: store.get("new"), lambda: store.read_log("b")):
        with pytest.raises(UnknownRefError):
            gone()


# --- time ------------------------------------------------------------------------------------------------------------


def test_ttl_slides_on_read_and_append(make: Make, clock: Clock) -> None:
    store = make(ttl=100.0, clock=clock)
    for name in ("read", "written", "left"):
        assert store.append_log(name, 0, [b"1"])
    for n in range(1, 5):
        clock.now += 60
        assert store.append_log("written", n, [b"more"])
        assert store.read_log("read") == [(1, b"1")]
        assert store.read_log("read", 1) == []
    assert not store.append_log("left", 1, [b"2"])
    assert store.stats().logs == 2
    with pytest.raises(ExpiredRefError):
        store.read_log("left")
    clock.now += 101
    for name in ("read", "written"):
        with pytest.raises(ExpiredRefError):
            store.read_log(name)
    assert (store.stats().logs, store.stats().size) == (0, 0)
    assert store.append_log("read", 0, [b"from one again"])  # its old record is not there any more
    assert store.read_log("read") == [(1, b"from one again")]
    assert store.stats().size == len(b"from one again") + 1


def test_old_tombstones_are_deleted(make: Make, clock: Clock) -> None:
    store = make(ttl=100.0, clock=clock)
    assert store.append_log("a", 0, [b"1"])
    clock.now += 101
    store.put({"b": b"1"})  # buries the log
    clock.now += 399
    with pytest.raises(ExpiredRefError):
        store.read_log("a")
    clock.now += 2
    store.put({"c": b"1"})
    with pytest.raises(UnknownRefError):
        store.read_log("a")


@pytest.mark.parametrize("kind", LOCAL)
def test_tombstones_are_capped(make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_TOMBSTONES", 3)
    store = make(clock=clock)
    for i in range(6):
        assert store.append_log(f"log{i}", 0, [b"1"])
        clock.now += 1
        store.drop_log(f"log{i}")
    for i in range(2):
        store.put({f"last{i}": b"v"})
    with pytest.raises(UnknownRefError):
        store.read_log("log0")
    with pytest.raises(ExpiredRefError):
        store.read_log("log5")


# --- size ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOCAL)
def test_values_go_before_logs(make: Make, clock: Clock) -> None:
    store = make(limit=1000, clock=clock)
    assert store.append_log("old", 0, [noise(1, 299)])  # 300 bytes as stored
    clock.now += 2 * HOUR
    store.put({"young": noise(2, 399)})
    clock.now += 1
    assert store.append_log("new", 0, [noise(3, 399)])
    with pytest.raises(ExpiredRefError):
        store.get("young")
    assert (store.stats().logs, store.stats().size) == (2, 700)


@pytest.mark.parametrize("kind", LOCAL)
def test_a_log_in_use_never_goes(make: Make, clock: Clock) -> None:
    store = make(limit=1000, clock=clock)
    for name in ("first", "read"):
        assert store.append_log(name, 0, [noise(1, 299)])
    clock.now += HOUR
    store.read_log("read")
    assert store.append_log("second", 0, [noise(2, 299)])
    before = store.stats()
    for refused in (
        lambda: store.put({"k": noise(3, 149)}),
        lambda: store.append_log("second", 1, [noise(3, 149)]),
        lambda: store.append_log("third", 0, [b"x"], values={"k": noise(3, 149)}),
    ):
        with pytest.raises(StoreError, match=r"sessions in use take 1,05[02] bytes, .* limit of 1,000"):
            refused()
    assert store.stats() == before
    for gone in (lambda: store.get("k"), lambda: store.read_log("third")):
        with pytest.raises(UnknownRefError):
            gone()
    clock.now += codec.RENEW_SECONDS + 1
    store.put({"k": noise(3, 149)})  # "first" has rested long enough now, whatever the grain of noting uses
    with pytest.raises(ExpiredRefError):
        store.read_log("first")
    assert store.read_log("second") == [(1, noise(2, 299))]
    assert (store.stats().logs, store.stats().size) == (2, 750)


@pytest.mark.parametrize("kind", LOCAL)
def test_the_oldest_log_goes_first_and_never_the_one_written(make: Make, clock: Clock) -> None:
    store = make(limit=1000, clock=clock)
    for name in "abc":
        assert store.append_log(name, 0, [noise(1, 299)])
        clock.now += 100
    clock.now += 2 * HOUR
    assert store.append_log("a", 1, [noise(2, 199)])
    with pytest.raises(ExpiredRefError):
        store.read_log("b")
    assert [number for number, _ in store.read_log("a")] == [1, 2]
    assert store.read_log("c") == [(1, noise(1, 299))]


@pytest.mark.parametrize("kind", LOCAL)
def test_truncate_before_frees_space_for_its_own_records(make: Make) -> None:
    store = make(limit=1000)
    assert store.append_log("a", 0, [noise(1, 499)])
    store.put({"k": noise(2, 399)})
    assert store.append_log("a", 1, [noise(3, 549)], truncate_before=True)
    assert store.get("k") == noise(2, 399)
    with pytest.raises(StoreError, match="limit of 1,000"):
        store.append_log("a", 2, [noise(4, 1000)], truncate_before=True)
    assert store.read_log("a") == [(2, noise(3, 549))]
    assert store.get("k") == noise(2, 399)


@pytest.mark.parametrize("kind", LOCAL)
def test_an_append_never_evicts_its_own_values(make: Make) -> None:
    store = make(limit=1000)
    store.put({"old": noise(1, 399)})
    store.put({"other": noise(2, 399)})
    assert store.append_log("a", 0, [noise(3, 499)], values={"old": noise(1, 399)})
    assert store.get("old") == noise(1, 399)
    with pytest.raises(ExpiredRefError):
        store.get("other")


@pytest.mark.parametrize("kind", LOCAL)
def test_expired_logs_go_before_values(make: Make, clock: Clock) -> None:
    store = make(limit=1000, ttl=100.0, clock=clock)
    for n in range(20):
        assert store.append_log(f"log{n}", 0, [noise(n, 39)])
    clock.now += 101
    store.put({"k": noise(1, 899)})
    assert store.append_log("new", 0, [noise(2, 99)])
    assert store.get("k") == noise(1, 899)
    assert (store.stats().logs, store.stats().size) == (1, 1000)


# --- together --------------------------------------------------------------------------------------------------------


def test_many_threads_on_one_log(make: Make) -> None:
    store = make()
    errors: list[BaseException] = []

    def work(writer: int) -> None:
        try:
            at = 0
            for i in range(40):
                while not store.append_log("log", at, [f"{writer} {i} {part}".encode() for part in range(2)]):
                    at = (store.read_log("log", at) or [(at, b"")])[-1][0]
                at += 2
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    log = store.read_log("log")
    assert [number for number, _ in log] == list(range(1, 4 * 40 * 2 + 1))
    records = [tuple(map(int, record.split())) for _, record in log]
    for first, second in zip(records[::2], records[1::2], strict=True):  # no call's records were torn apart
        assert (first[2], second) == (0, (*first[:2], 1))
    for writer in range(4):
        assert [i for w, i, part in records if w == writer and part == 0] == list(range(40))


@pytest.mark.moderate
def test_a_long_log_costs_no_more_than_a_short_one(make: Make) -> None:
    """Appends of 2 KB and reads of the newest records, on logs of 10 and of 2,000: the same within five times."""
    store = make()
    at = {"short": 10, "long": 2000}
    for name, size in at.items():
        assert store.append_log(name, 0, [noise(n, 2000) for n in range(size)])
    times: dict[tuple[str, str], list[float]] = {(what, name): [] for what in ("append", "read") for name in at}
    for _ in range(40):
        for name in at:
            start = time.perf_counter()
            assert store.append_log(name, at[name], [noise(0, 2000)])
            middle = time.perf_counter()
            assert len(store.read_log(name, at[name] - 4)) == 5
            times["append", name].append(middle - start)
            times["read", name].append(time.perf_counter() - middle)
            at[name] += 1
    for what in ("append", "read"):
        short, long = (min(times[what, name]) for name in at)
        assert long < 5 * short + 20e-6, (what, short, long)


class Model:
    """The simplest possible log, without a size limit, as the model of the others."""

    def __init__(self, clock: Clock, ttl: float) -> None:
        self.clock, self.ttl = clock, ttl
        self.logs: dict[str, tuple[float, int, dict[int, bytes]]] = {}  # name -> (last use, last number, records)
        self.values: dict[str, tuple[float, bytes]] = {}

    def last(self, name: str) -> int:
        used, last, _ = self.logs.get(name, (0.0, 0, {}))
        return last if used >= self.clock.now - self.ttl else 0

    def read(self, name: str, after: int) -> object:
        if name not in self.logs:
            return UnknownRefError
        if self.last(name) < max(after, 1):
            return ExpiredRefError
        _, last, records = self.logs[name]
        self.logs[name] = (self.clock.now, last, records)
        return [(n, record) for n, record in records.items() if n > after]

    def append(self, name: str, at: int, new: list[bytes], fresh: bool, items: dict[str, bytes]) -> object:
        if at != self.last(name):
            return False
        for key, value in items.items():
            if key in self.values and self.values[key][0] >= self.clock.now - self.ttl and self.values[key][1] != value:
                return StoreError
        self.values |= {key: (self.clock.now, value) for key, value in items.items()}
        if at or new:
            records = {} if fresh or at == 0 else self.logs[name][2]
            self.logs[name] = (self.clock.now, at + len(new), records | dict(enumerate(new, at + 1)))
        return True

    def drop(self, name: str) -> object:
        if name in self.logs:
            self.logs[name] = (0.0, 0, {})
        return None

    def get(self, key: str) -> object:
        if key not in self.values:
            return UnknownRefError
        if self.values[key][0] < self.clock.now - self.ttl:
            return ExpiredRefError
        self.values[key] = (self.clock.now, self.values[key][1])
        return self.values[key][1]


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except StoreError:
        return StoreError
    except (UnknownRefError, ExpiredRefError) as exc:
        return type(exc)


NAMES = st.sampled_from("ab")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), NAMES, st.sampled_from([0, 0, 0, 0, -1, 1]), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("read"), NAMES, st.integers(-3, 2)),
        st.tuples(st.just("drop"), NAMES),
        st.tuples(st.just("get"), st.sampled_from("kl")),
        st.tuples(st.just("wait"), st.integers(0, 120)),
    ),
    max_size=40,
)


@pytest.mark.moderate
@settings(max_examples=60, deadline=None)
@given(
    steps=STEPS,
    items=st.lists(st.dictionaries(st.sampled_from("kl"), st.sampled_from([b"1", b"1", b"2"])), min_size=40),
)
def test_behaves_like_the_model(
    kinds: tuple[str, ...], steps: list[tuple[object, ...]], items: list[dict[str, bytes]]
) -> None:
    clock = clock_for(kinds[0])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "TOMBSTONE_TTLS", 1e9)
        stores = [make_store(kind, Path(folder), ttl=100.0, clock=clock) for kind in kinds]
        model = Model(clock, 100.0)
        for n, step in enumerate(steps):
            clock.now += 1.5  # more than the grain at which SQLite notes uses
            match step:
                case ("wait", int(seconds)):
                    clock.now += seconds
                    continue
                case ("append", str(name), int(off), int(count), bool(fresh)):
                    at, new, with_them = model.last(name) + off, [b"%d %d" % (n, i) for i in range(count)], items[n]
                    expected = model.append(name, at, new, fresh, with_them)
                    got = [
                        outcome(lambda: s.append_log(name, at, new, truncate_before=fresh, values=with_them))  # noqa: B023
                        for s in stores
                    ]
                case ("read", str(name), int(off)):
                    after = max(0, model.last(name) + off)
                    expected = model.read(name, after)
                    got = [outcome(lambda: s.read_log(name, after)) for s in stores]  # noqa: B023
                case ("drop", str(name)):
                    expected = model.drop(name)
                    got = [outcome(lambda: s.drop_log(name)) for s in stores]  # noqa: B023
                case ("get", str(key)):
                    expected = model.get(key)
                    got = [outcome(lambda: s.get(key)) for s in stores]  # noqa: B023
            assert got == [expected] * len(stores), step
            for store in stores:
                stats = store.stats()
                alive = [n for n in model.logs if model.last(n)]
                assert stats.logs == len(alive)
                live_values = [v for used, v in model.values.values() if used >= clock.now - 100]
                records = [r for name in alive for r in model.logs[name][2].values()]
                assert (stats.entries, stats.size) == (
                    len(live_values),
                    sum(len(x) + 1 for x in [*live_values, *records]),
                )
        for store in stores:
            store.close()


@pytest.mark.moderate
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "get", "append", "fresh", "read", "drop", "wait"]),
            st.integers(0, 5),
            st.integers(0, 4),
        ),
        max_size=40,
    )
)
def test_both_kinds_agree_on_what_the_size_limit_takes(steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        file = SQLiteStore(Path(folder) / "s.db", ttl=20_000.0, limit=1000, clock=clock)
        stores: list[Both] = [MemoryStore(ttl=20_000.0, limit=1000, clock=clock), file]
        at: dict[int, int] = {}

        def run(store: Both, what: str, n: int, size: int) -> object:
            if what == "put":
                return store.put({f"k{n}": noise(n, 99 + 20 * n)})  # type: ignore[func-returns-value]
            if what == "get":
                return store.get(f"k{n}")
            if what == "read":
                return store.read_log(f"log{n}")
            if what == "drop":
                return store.drop_log(f"log{n}")  # type: ignore[func-returns-value]
            return store.append_log(f"log{n}", at.get(n, 0), [noise(size, 60 * size)], truncate_before=what == "fresh")

        for what, n, size in steps:
            clock.now += 100.0 + (size * 1000 if what == "wait" else 0)  # whole grains of SQLite's notes on uses
            if what != "wait":
                first, second = (outcome(lambda: run(s, what, n, size)) for s in stores)  # noqa: B023
                assert first == second
                if what in ("append", "fresh"):
                    if first is True:
                        at[n] = at.get(n, 0) + 1
                    elif first is False:
                        at[n] = 0  # it went
            assert stores[0].stats().size <= 1000
            a, b = (store.stats() for store in stores)
            assert (a.entries, a.logs, a.size) == (b.entries, b.logs, b.size)
        for store in stores:
            store.close()

"""The live view of calls, of all workers."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from compressor import StoreError
from compressor.service.dashboard.call_log import LOG_NAME, MAX_CALLS, CallLog
from compressor.service.dashboard.watch_mark import HOLDS, INTERVAL
from compressor.storage import MemoryStore

NOW = 1_800_000_000.0


def names(answer: dict[str, Any]) -> list[str]:
    return [call["session"] for call in answer["calls"]]


def test_calls_of_all_workers_are_seen_in_one_order() -> None:
    store, one, other = MemoryStore(), CallLog(), CallLog()
    one.read(store, 0, 100, NOW)  # somebody looks
    for i in range(30):
        worker = (one, other)[i % 2]
        worker.add({"session": f"s{i}"})
        worker.write(store, NOW - 5 * (i % 2))  # the clocks differ
    first, second = one.read(store, 0, 100, NOW + 1), other.read(store, 0, 100, NOW + 1)
    assert first == second and first["workers"] == "all"
    assert names(first) == [f"s{i}" for i in range(30)]
    ids = [call["id"] for call in first["calls"]]
    assert ids == sorted(set(ids)) and first["last"] == ids[-1]
    assert names(other.read(store, ids[26], 100, NOW + 2)) == ["s27", "s28", "s29"]
    assert names(other.read(store, 0, 2, NOW + 2)) == ["s28", "s29"]
    assert other.read(store, ids[-1], 100, NOW + 2) == {"calls": [], "last": ids[-1], "workers": "all"}
    assert CallLog().read(store, 0, 100, NOW + 2) == first  # a new worker, too


def test_nothing_is_written_while_nobody_looks() -> None:
    store, one, other = MemoryStore(), CallLog(), CallLog()
    for i in range(5):
        one.add({"session": f"s{i}"})
        one.write(store, NOW + i)
    assert not other.read(store, 0, 100, NOW + 5)["calls"]  # but from now on somebody looks
    one.write(store, NOW + INTERVAL)
    assert len(other.read(store, 0, 100, NOW + INTERVAL)["calls"]) == 5
    one.add({"session": "late"})
    one.write(store, NOW + 3 * HOLDS)
    assert len(one.read(store, 0, 100, NOW + 3 * HOLDS)["calls"]) == 6


def test_it_stays_short() -> None:
    store, one = MemoryStore(), CallLog()
    one.read(store, 0, 1, NOW)
    for i in range(3 * MAX_CALLS):
        one.add({"session": f"s{i}"})
        one.write(store, NOW)
    assert len(one.read(store, 0, 10_000, NOW)["calls"]) == MAX_CALLS
    assert len(store.read_log(LOG_NAME)) <= 60
    assert len(CallLog().read(store, 0, 10_000, NOW)["calls"]) == MAX_CALLS


def test_a_log_that_is_lost_begins_again() -> None:
    store, one, other = MemoryStore(), CallLog(), CallLog()
    for worker in (one, other):
        worker.add({"session": "before"})
        last = worker.read(store, 0, 100, NOW)["last"]
    store.drop_log(LOG_NAME)
    other.add({"session": "after"})
    assert names(other.read(store, last, 100, NOW + 1)) == ["after"]
    assert names(one.read(store, last, 100, NOW + 2)) == ["after"]


class _Away(MemoryStore):
    away = True

    def append_log(self, *given: Any, **more: Any) -> bool:
        if self.away:
            raise StoreError("away")
        return super().append_log(*given, **more)


def test_without_the_store_it_is_this_worker() -> None:
    store, one = _Away(), CallLog()
    one.add({"session": "a"})
    found = one.read(store, 0, 100, NOW)
    assert names(found) == ["a"] and found["workers"] == "this"
    one.add({"session": "b"})
    one.write(store, NOW + 1)  # which fails, and loses nothing
    store.away = False
    found = one.read(store, found["last"], 100, NOW + INTERVAL)
    assert names(found) == ["b"] and found["workers"] == "all"
    none = CallLog().read(None, 0, 100, NOW)
    assert none == {"calls": [], "last": 0, "workers": "this"}

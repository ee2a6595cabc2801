"""The log of usage that all workers share: nothing is lost, nothing counts twice, and it stays short."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor import StoreError
from compressor.storage import MemoryStore

pytest.importorskip("prometheus_client")

from compressor.service.dashboard import tenant_usage, time_series
from compressor.service.dashboard.tenant_usage import LOG_NAME, SNAPSHOT_INTERVAL
from compressor.service.dashboard.time_series import MAX_HOURS, MAX_MINUTES, TimeSeries
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent

NOW = 1_800_000_000.0


def work(tenant: str = "local", **given: Any) -> CompressionEvent:
    told: dict[str, Any] = {
        "kind": "conversation",
        "tokens_before": 1000,
        "tokens_after": 400,
        "saved": 0.01,
        "seconds": 0.02,
    }
    return CompressionEvent(tenant, **{**told, **given})


def ledger(store: Any, now: list[float]) -> UsageRecorder:
    return UsageRecorder(Metrics(), lambda _: (store, {}), clock=lambda: now[0])


def count_calls(one: UsageRecorder) -> int:
    book, _ = one.series("local")
    return sum(int(row[0]) for row in book.minutes.values())


def test_workers_add_up_and_a_new_one_knows_what_was_before() -> None:
    store, now = MemoryStore(), [NOW]
    one, other = ledger(store, now), ledger(store, now)
    for worker, session in ((one, "a"), (other, "a"), (other, "b")):
        worker.record(work(session=session))
    one.flush()
    other.flush()
    now[0] += 10
    late = ledger(store, now)
    for worker in (one, other, late):
        book, well = worker.series("local")
        assert well and count_calls(worker) == 3
        assert {id: account["calls"] for id, account in book.sessions.items()} == {"a": 2, "b": 1}
        assert book.sessions["a"]["before"] == 2000 and book.sessions["a"]["saved"] == pytest.approx(0.02)
        total = book.total(NOW, 3600, 60)
        assert total["calls"] == 3 and total["after"] == 1200 and total["p50"] == pytest.approx(0.02, rel=0.06)
    one.flush()  # nothing is new, so nothing is written
    assert len(store.read_log(LOG_NAME)) == 2


class _Down(MemoryStore):
    """A store that is away, or that writes and does not say so."""

    down = lost = False

    def append_log(self, *given: Any, **more: Any) -> bool:
        if self.down:
            raise StoreError("away")
        done = super().append_log(*given, **more)
        if self.lost:
            raise StoreError("the answer was lost")
        return done

    def read_log(self, *given: Any, **more: Any) -> Any:
        if self.down:
            raise StoreError("away")
        return super().read_log(*given, **more)


def test_a_store_that_is_away_loses_nothing_and_nothing_counts_twice() -> None:
    store, now = _Down(), [NOW]
    one, other = ledger(store, now), ledger(store, now)
    other.record(work())
    other.flush()
    store.down = True
    one.record(work())
    one.flush()
    book, well = one.series("local")
    assert not well and sum(row[0] for row in book.minutes.values()) == 1
    store.down, store.lost = False, True
    one.record(work())
    one.flush()  # written, but nobody said so
    store.lost = False
    one.flush()
    one.flush()
    now[0] += 10
    assert count_calls(one) == count_calls(other) == 3


def test_a_lost_log_is_begun_again_with_all_that_is_known() -> None:
    store, now = MemoryStore(), [NOW]
    one, other = ledger(store, now), ledger(store, now)
    one.record(work())
    one.flush()
    assert count_calls(other) == 1
    store.drop_log(LOG_NAME)
    other.record(work())
    other.flush()
    now[0] += 10
    assert count_calls(one) == count_calls(other) == count_calls(ledger(store, now)) == 2


@pytest.fixture
def few_sessions(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many sessions are kept, instead of ten thousand."""
    for module in (time_series, tenant_usage):
        monkeypatch.setattr(module, "MAX_SESSIONS", 200)
    return 200


def test_the_log_stays_short_and_the_book_too(few_sessions: int) -> None:
    store, now = MemoryStore(), [NOW]
    one = ledger(store, now)
    for i in range(SNAPSHOT_INTERVAL + 20):
        one.record(work(session=f"s{i}"))
        one.flush()
        now[0] += 60 * 5
    assert len(store.read_log(LOG_NAME)) < 40
    book, _ = ledger(store, now).series("local")
    assert len(book.sessions) == few_sessions and f"s{SNAPSHOT_INTERVAL + 19}" in book.sessions
    assert sum(row[0] for row in book.hours.values()) == SNAPSHOT_INTERVAL + 20
    now[0] += 31 * 24 * 3600
    book, _ = one.series("local")
    assert not book.minutes and not book.hours and not book.sessions


def test_a_thousand_sessions_are_all_known_to_a_new_worker() -> None:
    store, now = MemoryStore(), [NOW]
    one = ledger(store, now)
    for i in range(1000):
        one.record(work(session=f"s{i}"))
    one.flush()
    book, _ = ledger(store, now).series("local")
    assert book.sessions.keys() == {f"s{i}" for i in range(1000)}


def test_a_book_forgets_by_the_minute_and_by_the_hour() -> None:
    book, new = TimeSeries(), TimeSeries()
    for ago in (0, MAX_MINUTES - 1, MAX_MINUTES + 1, 60 * (MAX_HOURS - 1), 60 * (MAX_HOURS + 1)):
        new.row(int(NOW // 60) - ago)[0] += 1
    book.add(new)
    book.prune(NOW)
    assert len(book.minutes) == 2 and sum(row[0] for row in book.hours.values()) == 4
    assert TimeSeries.from_json(json.loads(json.dumps(book.to_json()))) == book
    points = book.series(NOW, 24 * 3600, 600)
    assert len(points) == 144 and points[-1]["calls"] == 1 and points[-1]["time"] <= NOW < points[-1]["time"] + 600


def test_sessions_are_bounded_while_the_store_is_away(few_sessions: int) -> None:
    now = 1e9
    book = UsageRecorder(Metrics(), lambda _: None, clock=lambda: now)
    for i in range(5 * few_sessions):
        book.record(CompressionEvent("red", "conversation", 10, 5, session=f"auto-{i}"))
    kept = book._of("red")._open
    assert len(kept.sessions) <= 2 * few_sessions and kept.minutes[int(now // 60)][0] == 5 * few_sessions

"""The counts of one tenant: sliding minutes, days by UTC date, places with leases."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.service.limits.counter_state import LEASE, CounterState
from compressor.service.limits.limit import PLACES, Booking, Demand, Limit

PER_MINUTE = Limit("requests_per_minute", 10)
TOKENS = Limit("tokens_per_minute", 1_000)
PER_DAY = Limit("tokens_per_day", 100)
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc).timestamp()


def ask(state: CounterState, now: float, limit: Limit = PER_MINUTE, cost: int = 1) -> float:
    """0 for an admitted request, else the seconds until to retry."""
    verdict = state.admit(Demand(((limit, cost),)), now)
    return verdict.retry_after if verdict.refused_by else 0.0


def test_a_minute_slides() -> None:
    state = CounterState()
    assert [ask(state, NOON + 55) for _ in range(10)] == [0.0] * 10
    assert ask(state, NOON + 61) == 54.0  # another clock minute, the same window
    assert ask(state, NOON + 114.5) == 0.5
    assert [ask(state, NOON + 115) for _ in range(10)] == [0.0] * 10
    assert ask(state, NOON + 115.25) == 59.75


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 400)), min_size=5, max_size=60), st.integers(1, 2_000))
def test_a_limit_holds_in_every_minute_and_the_wait_is_exact(steps: list[tuple[float, int]], amount: int) -> None:
    state, now, limit = CounterState(), NOON, Limit("tokens_per_minute", amount)
    admitted: list[tuple[float, int]] = []
    for pause, cost in steps:
        now += pause
        before = sum(cost for when, cost in admitted if int(when) > int(now) - 60)
        wait = ask(state, now, limit, cost)
        assert (wait == 0) == (before < amount)  # a window never begins a request beyond its limit
        if wait:
            later = CounterState.load(state.dump())
            assert later.wait(limit, now + wait - 0.002) > 0
            assert later.wait(limit, now + wait + 1e-6) == 0
        else:
            admitted.append((now, cost))


def test_a_day_ends_at_midnight_utc() -> None:
    state = CounterState()
    assert ask(state, NOON, PER_DAY, 99) == ask(state, NOON + 100, PER_DAY, 50) == 0.0
    assert ask(state, NOON + 200, PER_DAY) == 12 * 3600 - 200
    assert ask(state, NOON + 12 * 3600 - 1, PER_DAY) == 1.0
    assert ask(state, NOON + 12 * 3600, PER_DAY, 100) == 0.0
    assert state.resets(PER_DAY, NOON + 13 * 3600) == 23 * 3600


def test_a_correction_belongs_to_the_bucket_of_the_admission() -> None:
    state = CounterState()
    ask(state, NOON, TOKENS, 900)
    ask(state, NOON + 30, TOKENS, 50)
    state.book(Booking(TOKENS.name, "minute", NOON, -800), NOON + 40)
    assert state.used(TOKENS, NOON + 40) == 150 and state.used(TOKENS, NOON + 60) == 50
    state.book(Booking(TOKENS.name, "minute", NOON, -800), NOON + 61)  # too late to matter
    state.book(Booking(TOKENS.name, "minute", NOON, 800), NOON + 61)
    assert state.used(TOKENS, NOON + 61) == 50
    state.reset([TOKENS.name])
    state.book(Booking(TOKENS.name, "minute", NOON + 30, -50), NOON + 62)  # of before the reset
    assert state.used(TOKENS, NOON + 62) == 0


def test_all_limits_or_none_count_a_request() -> None:
    state, small = CounterState(), Limit("tokens_per_minute", 1)
    both = Demand(((PER_MINUTE, 1), (small, 5)), "a", 3)
    assert not state.admit(both, NOON).refused_by
    assert state.admit(Demand(both.costs, "b", 3), NOON + 1).refused_by == "tokens_per_minute"
    assert state.used(PER_MINUTE, NOON + 1) == 1 and state.count_places(NOON + 1) == 1


def test_places_of_processes_that_have_died_come_back() -> None:
    state = CounterState()
    for place in "abc":
        assert not state.admit(Demand((), place, 3), NOON).refused_by
    assert state.admit(Demand((), "d", 3), NOON).refused_by == PLACES
    assert not state.admit(Demand((), "a", 3), NOON).refused_by  # again: it has one
    state.release("a")
    assert not state.admit(Demand((), "d", 3), NOON + 1).refused_by
    state.renew(["d"], NOON + LEASE - 1)
    assert state.count_places(NOON + LEASE) == 1


def test_counts_survive_json() -> None:
    state = CounterState()
    ask(state, NOON, TOKENS, 7)
    state.admit(Demand((), "a", 3), NOON)
    state.note_worker("w", 30, NOON)
    copy = CounterState.load(state.dump())
    assert copy.dump() == state.dump() and copy.used(TOKENS, NOON + 1) == 7
    assert copy.note_worker("v", 30, NOON + 1) == 2 and copy.note_worker("v", 30, NOON + 31) == 1

"""The break-even gate: never goes where nothing is saved, never stops for saving more, and a budget stays hard."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from compressor.errors import CompressorError
from compressor.pipeline.cost_gate import FORGET, Gate, Pace, pick
from support.property_tests import assume, given, settings, st

amounts = st.floats(0, 1e-2)
shares = st.floats(0, 1)
gates = st.builds(
    Gate,
    price=amounts,
    prefill=st.none() | amounts,
    second_price=amounts,
    cached=shares,
    cached_price=shares,
    margin=st.floats(0, 5),
)
tokens = st.integers(0, 200_000)
times = st.floats(0, 100)


@settings(deadline=None)
@given(gates, tokens, tokens, times, tokens)
def test_never_where_nothing_is_saved(gate: Gate, before: int, after: int, seconds: float, kept: int) -> None:
    verdict = gate.decide(before, after, seconds, kept)
    if verdict.go:
        assert after < before
        assert verdict.saves_money > 0 and verdict.saves_money >= gate.margin * verdict.costs_money
        if gate.prefill is not None:
            assert verdict.saves_seconds > 0 and verdict.saves_seconds >= gate.margin * verdict.costs_seconds
    assert verdict.costs_seconds == seconds


@settings(deadline=None)
@given(gates, tokens, tokens, tokens, times, times, tokens, tokens)
def test_more_saved_or_less_paid_never_stops_it(
    gate: Gate, before: int, after: int, less: int, seconds: float, faster: float, kept: int, more: int
) -> None:
    assume(gate.decide(before, after, seconds, kept).go)
    assert gate.decide(before, min(less, after), seconds, kept).go
    assert gate.decide(before, after, min(faster, seconds), kept).go
    assert gate.decide(before, after, seconds, kept + more).go
    assert replace(gate, margin=gate.margin / 2).decide(before, after, seconds, kept).go
    assert replace(gate, price=2 * (gate.price or 0)).decide(before, after, seconds, kept).go


def test_time_must_pay_for_itself() -> None:
    gate = Gate(prefill=1e-4)
    assert gate.decide(20_000, 5_000, seconds=1.4).go
    verdict = gate.decide(20_000, 5_000, seconds=1.6)
    assert not verdict.go and verdict.saves_seconds == pytest.approx(1.5)
    assert verdict.why == "not worth it: 20,000 to 5,000 tokens saves 1.5 s and scoring costs 1.6 s"
    assert not replace(gate, margin=2).decide(20_000, 5_000, seconds=1.4).go


def test_money_must_pay_for_itself() -> None:
    gate = Gate(price=2.5e-6, second_price=0.01)
    assert gate.decide(20_000, 4_000, seconds=3.9).go
    assert not gate.decide(20_000, 4_000, seconds=4.1).go
    assert Gate(price=2.5e-6).decide(20_000, 19_999, seconds=100).go  # time is free if nobody says otherwise


def test_both_must_pay_where_both_are_given() -> None:
    gate = Gate(price=2.5e-6, prefill=1e-4)
    verdict = gate.decide(20_000, 5_000, seconds=1.6)
    assert verdict.saves_money > verdict.costs_money and not verdict.go
    assert " s and scoring" in verdict.why


def test_a_lost_cache_is_counted() -> None:
    """At a tenth of the price, nine tenths cached, sending half of it uncached costs more than all of it cached."""
    gate = Gate(price=1.0, cached=0.9)
    verdict = gate.decide(10_000, 5_000, seconds=0)
    assert not verdict.go
    assert verdict.saves_money == pytest.approx((1_000 + 900) - 5_000)
    kept = gate.decide(10_000, 9_500, seconds=0, kept=9_000)  # only what came new is touched
    assert kept.go and kept.saves_money == pytest.approx(500)
    timed = Gate(prefill=1.0, cached=0.9).decide(10_000, 9_500, seconds=0, kept=9_000)
    assert timed.saves_seconds == pytest.approx(500)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"price": -1.0},
        {"price": float("nan")},
        {"prefill": float("inf")},
        {"price": 1.0, "cached": 1.1},
        {"price": 1.0, "cached_price": -0.1},
        {"price": 1.0, "margin": -1.0},
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CompressorError):
        Gate(**wrong)


# -- the rule

TIERS = [("cascade", 3.0), ("fast", 0.05)]


def test_the_tier_asked_for_scores_where_it_pays() -> None:
    found = pick(Gate(prefill=1e-3), TIERS, 20_000, 5_000, hard=True)
    assert (found.tier, found.note) == ("cascade", "")


@pytest.mark.parametrize("hard", [True, False])
def test_a_cheaper_tier_scores_where_only_that_pays(hard: bool) -> None:
    found = pick(Gate(prefill=1e-4), TIERS, 20_000, 5_000, hard)
    assert found.tier == "fast"
    assert found.note.startswith("gate: cascade not worth it") and found.note.endswith("scored by fast instead")


def test_where_none_pays_a_share_goes_unused_and_a_hard_budget_is_kept() -> None:
    gate = Gate(prefill=1e-6)
    soft = pick(gate, TIERS, 20_000, 5_000, hard=False)
    assert soft.tier is None and "sent as it was" in soft.note
    hard = pick(gate, TIERS, 20_000, 5_000, hard=True)
    assert hard.tier == "fast" and "by fast instead of cascade, because the budget is hard" in hard.note
    only = pick(gate, TIERS[1:], 20_000, 5_000, hard=True)
    assert only.tier == "fast" and "compressed, because" in only.note


def test_what_fits_is_left_alone_without_a_word() -> None:
    found = pick(Gate(prefill=1.0), TIERS, 4_000, 5_000, hard=True)
    assert (found.tier, found.note) == (None, "")


@settings(deadline=None)
@given(gates, st.lists(times, min_size=1, max_size=4), tokens, tokens)
def test_a_hard_budget_is_never_skipped(gate: Gate, seconds: list[float], before: int, after: int) -> None:
    tiers = [(str(i), s) for i, s in enumerate(seconds)]
    assert (pick(gate, tiers, before, after, hard=True).tier is None) == (after >= before)


# -- the pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(1e-6, 1e3)), min_size=1, max_size=30), st.floats(1, 1e6))
def test_a_pace_lies_between_the_paces_seen(calls: list[tuple[float, float]], size: float) -> None:
    pace = Pace({})
    for scored, seconds in calls:
        pace.note("tier", scored, seconds)
    rates = [seconds / scored for scored, seconds in calls]
    assert min(rates) * size * 0.999 <= pace.seconds("tier", size) <= max(rates) * size * 1.001


def test_a_prior_holds_until_own_calls_outweigh_it_and_the_newest_count_most() -> None:
    pace = Pace({"tier": 1_000.0})
    assert pace.seconds("tier", 5_000) == pytest.approx(5)
    for _ in range(10):
        pace.note("tier", 20_000, 2)
    assert pace.seconds("tier", 10_000) == pytest.approx(1, rel=0.02)
    for _ in range(10):
        pace.note("tier", 20_000, 20)
    assert pace.seconds("tier", 10_000) == pytest.approx(10, rel=0.02)
    pace.note("tier", 10, 60)  # one small call, however slow, is not the end of a tier
    assert pace.seconds("tier", 10_000) < 40


def test_an_unknown_tier_is_tried_and_a_slow_moment_is_forgotten() -> None:
    clock = Clock()
    pace = Pace({}, clock)
    assert pace.seconds("gpu", 1_000) == 0
    pace.note("gpu", 1_000, 30)
    assert pace.seconds("gpu", 1_000) == pytest.approx(30)
    clock.now = FORGET + 1
    assert pace.seconds("gpu", 1_000) == 0


@pytest.mark.parametrize(("scored", "seconds"), [(0, 1), (-5, 1), (10, 0), (10, -1), (10, float("nan"))])
def test_what_measures_nothing_is_not_noted(scored: float, seconds: float) -> None:
    pace = Pace({})
    pace.note("tier", scored, seconds)
    assert pace.seconds("tier", 100) == 0


def test_threads_share_a_pace() -> None:
    pace = Pace({})

    def work() -> None:
        for _ in range(500):
            pace.note("tier", 10, 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pace.seconds("tier", 10) == pytest.approx(1)

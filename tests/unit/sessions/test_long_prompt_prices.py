"""A session's costs where the provider bills long prompts at higher prices."""

from __future__ import annotations

import pytest

from compressor.sessions.compaction_trigger import prompt_cost, record_call, should_compact
from compressor.sessions.cost_report import CostReport
from compressor.sessions.state import SessionCounters
from compressor.tokens.pricing import Price, PriceTier, find_price

TIER = PriceTier(200_000, 6, 22.5, 0.6, 7.5)
PRICE = Price.custom(3, 15, 0.3, 3.75, tiers=[TIER], name="tiered", max_input_tokens=1_000_000)
FLAT = Price.custom(3, 15, 0.3, 3.75, name="flat")


def test_the_whole_prompt_decides_the_tier() -> None:
    assert prompt_cost(PRICE, 200_000, 190_000) == prompt_cost(FLAT, 200_000, 190_000)
    assert prompt_cost(PRICE, 200_001, 190_000) == pytest.approx((190_000 * 0.6 + 10_001 * 7.5) / 1e6)


def test_the_cost_report_has_the_tiers() -> None:
    counters = SessionCounters()
    record_call(PRICE, counters, baseline_tokens=300_000, tokens=100_000, tokens_after=50_000)
    report = CostReport.from_counters(counters, PRICE, 100_000)
    assert report.baseline_cost == pytest.approx(300_000 * 7.5 / 1e6)
    assert report.actual_cost == pytest.approx(100_000 * 3.75 / 1e6)


def test_leaving_a_tier_pays_sooner() -> None:
    counters = SessionCounters(missed_savings=0.3, reference_baseline=1.0)
    loss = 109_000 * (3.75 - 0.3) / 1e6
    assert 0.3 + 110_000 * 0.3 / 1e6 < loss < 0.3 + (220_000 * 0.6 - 110_000 * 0.3) / 1e6
    assert should_compact(PRICE, counters, tokens=220_000, tokens_after=110_000, fixed_tokens=1_000)
    assert not should_compact(FLAT, counters, tokens=220_000, tokens_after=110_000, fixed_tokens=1_000)


@pytest.mark.parametrize(("raw", "sent", "counted"), [(90_000, 5_000, 90_000), (400_000, 5_000, 128_000)])
def test_without_compression_a_prompt_counts_at_most_as_large_as_the_window(raw: int, sent: int, counted: int) -> None:
    counters = SessionCounters()
    for _ in range(2):
        record_call(FLAT, counters, baseline_tokens=raw, tokens=sent, tokens_after=sent)
    report = CostReport.from_counters(counters, FLAT, sent)
    assert report.baseline_tokens == 2 * raw and report.baseline_last == raw  # tokens are what they are
    assert report.calls_over_window == (2 if raw > 128_000 else 0) and report.is_over_window == (raw > 128_000)
    assert report.baseline_cost == pytest.approx(counted * (3.75 + 0.3) / 1e6)
    assert ("2 calls would not have fitted the window of 128,000 tokens" in report.report()) == (raw > 128_000)


def test_a_guessed_window_makes_no_call_possible() -> None:
    """For a model that is not in the price table, dollars are capped at the guess, and no call counts as possible."""
    price = find_price("nobody-knows-this-model")
    counters = SessionCounters()
    saved = record_call(price, counters, baseline_tokens=900_000, tokens=5_000, tokens_after=5_000)
    report = CostReport.from_counters(counters, price, 5_000)
    assert not price.is_known and report.calls_over_window == 0 and not report.is_over_window
    assert saved == report.saved_cost < price.cache_write * price.max_input_tokens / 1e6


def test_a_view_above_the_assumed_window_is_not_a_loss() -> None:
    counters = SessionCounters()
    record_call(FLAT, counters, baseline_tokens=300_000, tokens=200_000, tokens_after=200_000)
    assert counters.baseline_cost == counters.actual_cost and counters.calls_over_window == 0


def test_before_the_first_call_all_counts_are_0() -> None:
    report = CostReport.before_first_call("claude-sonnet-4-5")
    assert (report.calls, report.baseline_tokens, report.actual_cost, report.saved_fraction) == (0, 0, 0.0, 0.0)
    assert "0 calls" in report.report() and "claude-sonnet-4-5" in report.report()

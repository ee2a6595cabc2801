"""Which conversations a rollout compresses, and what their groups are said to differ by."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.service.group_comparison import MIN_CALLS, compare, describe_group
from compressor.service.group_figures import GroupCall, GroupFigures
from compressor.service.modes import Group, conversation_key, is_in_share
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.tokens.pricing import find_price

KEYS = [f"t\0session\0run-{i}" for i in range(4_000)]
PRICE = find_price("gpt-4o")


def test_a_share_is_as_large_as_it_says_and_only_grows() -> None:
    shares = [0.0, 0.05, 0.2, 0.5, 1.0]
    chosen = [{key for key in KEYS if is_in_share(key, share)} for share in shares]
    assert all(abs(len(some) / len(KEYS) - share) < 0.03 for share, some in zip(shares, chosen, strict=True))
    assert all(less <= more for less, more in pairwise(chosen))


def test_the_drawing_is_the_same_in_every_process_and_another_with_another_salt() -> None:
    # Written down, because a worker of another version must draw alike.
    assert [is_in_share(f"t\0session\0{i}", 0.5) for i in range(8)] == [
        True,
        True,
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    other = [is_in_share(key, 0.5, "second try") for key in KEYS]
    same = sum(a == is_in_share(key, 0.5) for a, key in zip(other, KEYS, strict=True))
    assert 0.4 < same / len(KEYS) < 0.6


def test_a_conversation_keeps_its_key_while_it_grows() -> None:
    first = {"role": "user", "content": "Why did the import stop?"}
    marked = {"role": "user", "content": [{"type": "text", "text": first["content"], "cache_control": {"type": "e"}}]}
    more = [{"role": "assistant", "content": "Let me see."}, {"role": "user", "content": "go on"}]
    system = [{"role": "system", "content": "It is 12:00."}]
    keys = {
        conversation_key("t", "", messages)
        for messages in ([first], [first, *more], [marked, *more], [*system, first], [{"role": "developer"}, first])
    }
    assert len(keys) == 1
    assert conversation_key("t", "", [more[1]]) not in keys and conversation_key("u", "", [first]) not in keys
    assert conversation_key("t", "s", [first]) == conversation_key("t", "s", more)


@pytest.mark.parametrize("messages", [[], [{}], ["text"], [{"role": "user", "content": None}], [7], [{"type": "x"}]])
def test_any_history_has_a_key(messages: list[Any]) -> None:
    assert conversation_key("t", "", messages) == conversation_key("t", "", messages)


def draw(figures: GroupFigures, group: Group, tokens: int, conversations: int, seed: int) -> None:
    """Counts conversations of 6 calls whose prompts have about so many tokens."""
    spread = random.Random(seed)
    for i in range(conversations):
        size = int(tokens * spread.uniform(0.5, 1.5))
        for _ in range(6):
            usage = {"prompt_tokens": size, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10}}
            figures.record(GroupCall("t", group, f"{group}-{seed}-{i}", PRICE, 0.02, [usage], is_compressed=True))


def test_a_difference_is_named_with_an_interval_that_holds_the_truth() -> None:
    hits = 0
    for seed in range(24):
        figures = GroupFigures(Metrics())
        draw(figures, "compressed", 4_000, 30, seed)
        draw(figures, "holdout", 10_000, 30, seed + 1_000)
        sums = figures.sums("t")
        found = compare(sums["compressed"], sums["holdout"])
        assert -0.75 < found["difference"] < -0.45 and found["reason"] == ""
        low, high = found["interval"]
        hits += low <= -0.6 + 0.004 <= high  # the answers cost the same in both
    assert hits >= 20, "the interval says that it holds in 95 % of all drawings"


def test_no_difference_is_claimed_where_there_is_none() -> None:
    figures = GroupFigures(Metrics())
    draw(figures, "compressed", 4_000, 30, 1)
    draw(figures, "holdout", 4_000, 30, 2)
    sums = figures.sums("t")
    found = compare(sums["compressed"], sums["holdout"])
    assert "interval includes 0" in found["reason"]


def test_nothing_is_claimed_from_too_few_calls() -> None:
    figures = GroupFigures(Metrics())
    draw(figures, "compressed", 4_000, 30, 1)
    assert compare(*(figures.sums("t")[group] for group in ("compressed", "holdout")))["difference"] is None
    draw(figures, "holdout", 9_000, 2, 2)
    found = compare(*(figures.sums("t")[group] for group in ("compressed", "holdout")))
    assert found["difference"] is None and f"12 measured calls in 2 conversations: {MIN_CALLS}" in found["reason"]


def test_a_group_is_described_per_call_and_per_conversation() -> None:
    figures = GroupFigures(Metrics())
    usage = {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 50}
    figures.record(GroupCall("t", "compressed", "a", PRICE, 0.2, [usage, usage], expand_rounds=1, is_compressed=True))
    figures.record(GroupCall("t", "compressed", "a", PRICE, 0.2, [], has_failed=True))
    figures.record(GroupCall("t", "compressed", "b", PRICE, 0.2, [{"prompt_tokens": "many"}]))
    found = describe_group(figures.sums("t")["compressed"])
    assert (found["conversations"], found["calls"], found["measured_calls"]) == (2, 3, 1)
    assert (found["prompt_tokens_per_call"], found["cached_fraction"], found["expand_rounds"]) == (2000, 0.9, 1)
    assert (found["provider_errors"], found["uncompressed_calls"]) == (1, 2)
    assert found["dollars"] == pytest.approx(2 * PRICE.cost(100, 0, 900, 50), abs=1e-6)
    assert found["added_seconds_p95_below"] == 0.25
    assert describe_group(figures.sums("other")["compressed"])["dollars_per_call"] is None


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"mode": "shadow"}, "mode='shadow' is not one of 'enforce', 'audit' or 'off'"),
        ({"rollout": 1.5}, "rollout=1.5 is too large: the maximum is 1"),
        ({"rollout": "five"}, "rollout='five' is not a valid number"),
        ({"rollout": "x%"}, "neither a fraction"),
        ({"fail_open": "maybe"}, "fail_open='maybe' is not true or false"),
        ({"max_added_latency": -1}, "max_added_latency=-1 is too small"),
        ({"allow_overrides": ["buget"]}, "names headers that do not exist: buget; there are bypass, mode"),
        ({"allow_overrides": 3}, "neither true nor false nor a list"),
        ({"tenants": {"a": {"mode": "x"}}}, "a.mode"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(given: dict[str, Any], line: str) -> None:
    with pytest.raises(CompressorError) as error:
        Settings(**given)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_settings_have_forms_for_people() -> None:
    settings = Settings(rollout="5%", allow_overrides="budget, x-compressor-max-added-latency", max_added_latency="2.5")
    assert (settings.rollout, settings.max_added_latency) == (0.05, 2.5)
    assert settings.allow_overrides == ("budget", "max-added-latency")
    assert Settings(allow_overrides="false").allow_overrides is False
    assert Settings(tenants={"a": {"mode": "audit"}}).for_tenant("a").mode == "audit"

"""Bills: the simulated cache against a plain reference, real usage shapes, and the arithmetic of a rewrite."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.tokens.billing import (
    CallUsage,
    PromptCacheSimulator,
    cache_rewrite_cost,
    parse_provider_usage,
    saved_per_call,
)
from compressor.tokens.pricing import Price, find_price
from support.property_tests import given, st

amounts = st.floats(0, 100, allow_subnormal=False)
prices = st.builds(
    Price.custom,
    amounts,
    amounts,
    amounts,
    amounts,
    cache_ttl_seconds=st.sampled_from([0, 10, 300]),
    min_cacheable_tokens=st.integers(0, 60),
)
parts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=8)
calls = st.lists(st.tuples(parts, st.integers(0, 50), st.integers(0, 20)), max_size=12)


def reference(price: Price, conversation: list[Any]) -> list[tuple[int, int, int]]:
    """(fresh, written, cached) of each call, token by token."""
    out, last, at = [], None, 0
    for pieces, _, pause in conversation:
        at += pause
        tokens = [(key, size, i) for key, size in pieces for i in range(size)]
        ends = {sum(size for _, size in pieces[: i + 1]) for i in range(len(pieces))} | {0}
        same = 0
        if last is not None and at - last[2] <= price.cache_ttl_seconds:
            while same < min(len(tokens), len(last[0])) and tokens[same] == last[0][same]:
                same += 1
            while same not in ends or same not in last[1]:
                same -= 1
        cached = same if same >= price.min_cacheable_tokens else 0
        rest = len(tokens) - cached
        out.append((rest, 0, cached) if len(tokens) < price.min_cacheable_tokens else (0, rest, cached))
        last = (tokens, ends, at)
    return out


@given(prices, calls)
def test_any_conversation_as_the_reference_bills_it(price: Price, conversation: list[Any]) -> None:
    meter, at, total = PromptCacheSimulator(price), 0, CallUsage()
    expected = reference(price, conversation)
    for (pieces, output, pause), (fresh, written, cached) in zip(conversation, expected, strict=True):
        at += pause
        bill = meter.call(pieces, output, at)
        assert (bill.uncached, bill.cache_written, bill.cached, bill.output) == (fresh, written, cached, output)
        assert bill.prompt == sum(size for _, size in pieces)
        assert min(bill.uncached, bill.cache_written, bill.cached) >= 0 and bill.cost_usd >= 0
        total += bill
    spent = [
        (f * price.input + w * price.cache_write + c * price.cache_read + output * price.output) / 1e6
        for (f, w, c), (_, output, _) in zip(expected, conversation, strict=True)
    ]
    assert total.calls == len(conversation)
    assert total.cost_usd == pytest.approx(sum(spent))
    assert 0 <= total.cached_fraction <= 1


def test_a_growing_conversation() -> None:
    meter = PromptCacheSimulator(
        Price.custom(input=2, output=10, cache_read=0.2, cache_write=2.5, min_cacheable_tokens=1_000)
    )
    first = meter.call([("system", 900)], output=50)
    assert (first.uncached, first.cache_written, first.cached) == (900, 0, 0)
    second = meter.call([("system", 900), ("question", 200)])
    assert (second.uncached, second.cache_written, second.cached) == (
        0,
        1_100,
        0,
    )  # 900 tokens were too few to be cached
    third = meter.call([("system", 900), ("question", 200), ("answer", 50)])
    assert (third.cache_written, third.cached) == (50, 1_100)
    assert third.cost_usd == pytest.approx((50 * 2.5 + 1_100 * 0.2) / 1e6)
    changed = meter.call([("system", 900), ("other", 200), ("answer", 50)])
    assert (changed.cache_written, changed.cached) == (1_150, 0)


def test_the_cache_dies() -> None:
    meter = PromptCacheSimulator(Price.custom(1, 1, 0.1, cache_ttl_seconds=300, min_cacheable_tokens=0))
    pieces = [("a", 10)]
    meter.call(pieces, now=0)
    assert meter.call(pieces, now=300).cached == 10
    assert meter.call(pieces, now=601).cached == 0
    assert meter.call(pieces, now=700).cached == 10


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_memory_is_that_of_one_request(sizes: list[int]) -> None:
    meter = PromptCacheSimulator(find_price("gpt-4o"))
    for size in sizes:
        meter.call([(i, 1) for i in range(size)])
        assert len(meter._last) == size


USAGES: list[tuple[dict[str, Any], tuple[int, int, int, int]]] = [
    ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}}, (40, 0, 60, 7)),
    (
        {"prompt_tokens": 100, "completion_tokens": 7}
        | {"prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}},
        (10, 30, 60, 7),
    ),
    ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": None}, (100, 0, 0, 7)),
    ({"prompt_tokens": 100, "completion_tokens": 7, "prompt_cache_hit_tokens": 64}, (36, 0, 64, 7)),
    ({"input_tokens": 100, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 60}}, (40, 0, 60, 7)),
    ({"input_tokens": 10, "output_tokens": 7}, (10, 0, 0, 7)),
    (
        {"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30},
        (10, 30, 60, 7),
    ),
    ({"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 60}, (10, 0, 60, 7)),
    (
        {"input_tokens": 100, "output_tokens": 7, "total_tokens": 107}
        | {"input_token_details": {"cache_read": 60, "cache_creation": 30}},
        (10, 30, 60, 7),
    ),
    (
        {"input_tokens": 100, "output_tokens": 7}
        | {"input_token_details": {"cache_read": 60, "cache_creation": 0, "ephemeral_5m_input_tokens": 30}},
        (10, 30, 60, 7),
    ),
    ({"input_tokens": 100, "output_tokens": 7, "cache_read_tokens": 60, "cache_write_tokens": 30}, (10, 30, 60, 7)),
    (
        {"prompt_token_count": 100, "candidates_token_count": 5, "thoughts_token_count": 2}
        | {"cached_content_token_count": 60},
        (40, 0, 60, 7),
    ),
    ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 60}}, (0, 0, 10, 0)),
]


def as_object(value: Any) -> Any:
    return SimpleNamespace(**{k: as_object(v) for k, v in value.items()}) if isinstance(value, dict) else value


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_usage_of_every_shape(usage: dict[str, Any], expected: tuple[int, int, int, int]) -> None:
    for given_as in (usage, as_object(usage)):
        bill = parse_provider_usage(given_as)
        assert (bill.calls, bill.uncached, bill.cache_written, bill.cached, bill.output) == (1, *expected)
        assert bill.cost_usd == 0
    price = find_price("claude-sonnet-4-5")
    fresh, written, cached, output = expected
    assert parse_provider_usage(usage, price).cost_usd == pytest.approx(price.cost(fresh, written, cached, output))


def test_usage_of_the_real_packages() -> None:
    openai = pytest.importorskip("openai.types")
    chat = openai.CompletionUsage(
        prompt_tokens=100, completion_tokens=7, total_tokens=107, prompt_tokens_details={"cached_tokens": 60}
    )
    assert parse_provider_usage(chat) == CallUsage(1, 40, 0, 60, 7)
    anthropic = pytest.importorskip("anthropic.types")
    usage = anthropic.Usage(
        input_tokens=10, output_tokens=7, cache_read_input_tokens=60, cache_creation_input_tokens=30
    )
    assert parse_provider_usage(usage) == CallUsage(1, 10, 30, 60, 7)
    responses = pytest.importorskip("openai.types.responses")
    details = {"cached_tokens": 60, "cache_write_tokens": 0}
    usage = responses.ResponseUsage(
        input_tokens=100,
        output_tokens=7,
        total_tokens=107,
        input_tokens_details=details,
        output_tokens_details={"reasoning_tokens": 0},
    )
    assert parse_provider_usage(usage) == CallUsage(1, 40, 0, 60, 7)


@pytest.mark.parametrize("usage", [None, {}, 3, "usage", [], {"total_tokens": 3}, object()])
def test_unreadable_usage(usage: Any) -> None:
    with pytest.raises(CompressorError, match="usage object or dict"):
        parse_provider_usage(usage)


@pytest.mark.parametrize("value", ["7", -1, 1.5, True])
def test_invalid_numbers_of_tokens(value: Any) -> None:
    with pytest.raises(CompressorError, match="prompt_tokens must be a number"):
        parse_provider_usage({"prompt_tokens": value})


def test_rewriting_pays_when_the_meter_says_so() -> None:
    """The closed form agrees with two conversations billed call by call."""
    price = Price.custom(2, 10, 0.2, 2.5, min_cacheable_tokens=0)
    head, gone, tail = ("head", 1_000), ("gone", 8_000), ("tail", 2_000)
    calls = cache_rewrite_cost(price, 2_000) / saved_per_call(price, 11_000, 3_000)
    assert calls == pytest.approx(2_000 * 2.3 / (8_000 * 0.2))

    def spent(n: int, rewritten: bool) -> float:
        meter = PromptCacheSimulator(price)
        meter.call([head, gone, tail])
        pieces = [head, tail] if rewritten else [head, gone, tail]
        return sum(meter.call(pieces).cost_usd for _ in range(n))

    assert spent(math.floor(calls), True) > spent(math.floor(calls), False)
    assert spent(math.ceil(calls), True) < spent(math.ceil(calls), False)


@given(prices, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_rewrites(price: Price, before: int, after: int, kept: int) -> None:
    assert cache_rewrite_cost(price, kept) >= 0
    assert cache_rewrite_cost(price, kept, warm=False) == 0
    assert cache_rewrite_cost(price, kept + 1) >= cache_rewrite_cost(price, kept)
    assert (saved_per_call(price, before, after) >= 0) == (before >= after or price.cache_read == 0)


def test_a_rewrite_is_billed_in_the_tier_of_the_prompt() -> None:
    price = find_price("claude-sonnet-4-5")
    assert cache_rewrite_cost(price, 1_000) == pytest.approx(1_000 * (3.75 - 0.3) / 1e6)
    assert cache_rewrite_cost(price, 1_000, prompt_tokens=200_001) == pytest.approx(1_000 * (7.5 - 0.6) / 1e6)
    assert saved_per_call(price, 150_000, 50_000) == pytest.approx(100_000 * 0.3 / 1e6)
    assert saved_per_call(price, 300_000, 250_000) == pytest.approx(50_000 * 0.6 / 1e6)
    assert saved_per_call(price, 300_000, 50_000) == pytest.approx((300_000 * 0.6 - 50_000 * 0.3) / 1e6)


def test_the_meter_bills_long_prompts_at_their_tier() -> None:
    meter = PromptCacheSimulator(find_price("gpt-5.4"))
    first = meter.call([("documents", 272_000)], output=1_000)
    assert first.cost_usd == pytest.approx((272_000 * 2.5 + 1_000 * 15) / 1e6)
    second = meter.call([("documents", 272_000), ("question", 1)], output=1_000)
    assert (second.cached, second.cache_written) == (272_000, 1)
    assert second.cost_usd == pytest.approx((272_000 * 0.5 + 1 * 5 + 1_000 * 22.5) / 1e6)


def test_the_mean_prompt_decides_the_tier_of_a_sum() -> None:
    price = find_price("gpt-5.4")
    usage = CallUsage(calls=2, uncached=300_000, output=100)
    assert usage.priced(price).cost_usd == pytest.approx((300_000 * 2.5 + 100 * 15) / 1e6)
    assert CallUsage(1, 300_000).priced(price).cost_usd == pytest.approx(300_000 * 5 / 1e6)

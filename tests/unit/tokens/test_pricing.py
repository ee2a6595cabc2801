"""List prices: names as people write them, long-prompt tiers, cache terms, and price files of your own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.tokens.price_catalog import _catalog_price
from compressor.tokens.price_data import FAMILY_ROWS, MODEL_ROWS
from compressor.tokens.pricing import DEFAULT_PRICE, Price, PriceTier, find_price, load_prices
from support.property_tests import given, st


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai:gpt-4.1-nano", "gpt-4.1-nano"),
        ("azure/gpt-4o-mini", "gpt-4o-mini"),
        ("openai/gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-opus-4-7[1m]", "claude-opus-4-7"),
        ("models/gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("deepseek/deepseek-chat", "deepseek-chat"),
        ("dashscope/qwen3-max-2026-01-23", "qwen3-max"),
        ("openrouter/anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("Qwen/Qwen3-32B", "qwen/qwen3-32b"),
        ("vertex_ai/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("gemini-3.1-pro", "gemini-3.1-pro-preview"),
        ("gpt-4o-transcribe", "gpt-4o-transcribe"),
        (" O3 ", "o3"),
    ],
)
def test_known_names(model: str, name: str) -> None:
    price = find_price(model)
    assert price.name == name and price.is_known


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5.7", "gpt"),
        ("gpt-50", "gpt"),
        ("claude-opus-4-9", "claude-opus"),
        ("claude-sonnet-7", "claude-sonnet"),
        ("Qwen/Qwen9-32B", "qwen"),
        ("grok-9", "grok"),
        ("ft:gpt-4o:org::id", "gpt-4o"),
        ("gpt-4o-unheard-of", "gpt-4o"),
        ("text-embedding-3-small", "typical"),
        ("deepseek/another", "typical"),
        ("o30", "typical"),
        ("my-own-model", "typical"),
        ("", "typical"),
        (None, "typical"),
    ],
)
def test_guessed_names_say_so(model: str | None, name: str) -> None:
    price = find_price(model)
    assert price.name == name and not price.is_known


@given(st.text(max_size=40))
def test_any_name_has_a_price(name: str) -> None:
    price = find_price(name)
    assert price.input > 0 and price.output > 0


def test_our_own_rows_make_sense() -> None:
    names = [row[0] for row in (*MODEL_ROWS, *FAMILY_ROWS)]
    assert len(names) == len(set(names))
    for name in names:
        price = find_price(name)
        assert price.name == name and price.is_known == (name in {row[0] for row in MODEL_ROWS}), name
        assert 0 < price.cache_read <= price.input <= price.cache_write <= 2 * price.input, name
        assert price.input <= price.output and price.max_input_tokens >= 30_000, name
        assert price.min_cacheable_tokens <= 4_096 and 300 <= price.cache_ttl_seconds <= 3_600, name


def test_our_own_rows_hold_only_what_the_library_lacks() -> None:
    assert [row[0] for row in MODEL_ROWS if _catalog_price(row[0])] == []


@pytest.mark.parametrize(
    ("model", "ttl_seconds", "min_tokens", "max_input_tokens"),
    [
        ("gpt-4o", 300, 1_024, 128_000),
        ("gpt-5", 300, 1_024, 272_000),
        ("gpt-5-chat-latest", 300, 1_024, 128_000),
        ("gpt-5.4", 300, 1_024, 1_050_000),
        ("gpt-5.4-mini", 300, 1_024, 272_000),
        ("gpt-6-sol", 1_800, 1_024, 922_000),
        ("claude-sonnet-5-5", 300, 512, 1_000_000),
        ("claude-opus-4-7", 300, 2_048, 1_000_000),
        ("claude-opus-4.5", 300, 4_096, 200_000),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 300, 4_096, 200_000),
        ("gemini-2.5-pro", 300, 2_048, 1_048_576),
        ("gemini-3.8-flash", 300, 4_096, 1_048_576),
        ("deepseek-v4-pro", 3_600, 64, 1_000_000),
    ],
)
def test_cache_terms_and_input_limits(model: str, ttl_seconds: int, min_tokens: int, max_input_tokens: int) -> None:
    price = find_price(model)
    assert price.cache_ttl_seconds == ttl_seconds
    assert price.min_cacheable_tokens == min_tokens
    assert price.max_input_tokens == max_input_tokens


@pytest.mark.parametrize(
    ("model", "threshold", "base", "above"),
    [  # (input, output, cache_read, cache_write) up to the threshold, and above it
        ("claude-sonnet-4-5", 200_000, (3, 15, 0.3, 3.75), (6, 22.5, 0.6, 7.5)),
        ("gemini-2.5-pro", 200_000, (1.25, 10, 0.125, 1.25), (2.5, 15, 0.25, 2.5)),
        ("openai/gpt-5.4", 272_000, (2.5, 15, 0.25, 2.5), (5, 22.5, 0.5, 5)),
        ("claude-haiku-5-5", 100_000, (0.1, 0.5, 0.01, 0.125), (0.5, 2.5, 0.05, 0.625)),
    ],
)
def test_the_tier_begins_above_its_threshold(
    model: str, threshold: int, base: tuple[float, ...], above: tuple[float, ...]
) -> None:
    price = find_price(model)
    assert price.tiers == (PriceTier(threshold, *above),)
    assert price.cost(uncached=threshold, output=100) == pytest.approx((threshold * base[0] + 100 * base[1]) / 1e6)
    one_more = price.cost(uncached=threshold + 1, output=100)
    assert one_more == pytest.approx(((threshold + 1) * above[0] + 100 * above[1]) / 1e6)


def test_cached_tokens_count_for_the_tier() -> None:
    price = find_price("claude-sonnet-4-5")
    assert price.cost(cached=199_000, cache_written=1_000) == pytest.approx((199_000 * 0.3 + 1_000 * 3.75) / 1e6)
    assert price.cost(cached=199_000, cache_written=1_001) == pytest.approx((199_000 * 0.6 + 1_001 * 7.5) / 1e6)
    assert price.cost(output=10) == pytest.approx(10 * 15 / 1e6)
    assert price.cost(output=10, prompt_tokens=200_001) == pytest.approx(10 * 22.5 / 1e6)


def test_the_library_bills_the_same() -> None:
    genai_prices = pytest.importorskip("genai_prices")
    for model in ("claude-sonnet-4-5", "gemini-2.5-pro", "gpt-5.4", "gpt-4o"):
        price = find_price(model)
        for uncached, written, cached in ((5_000, 0, 0), (1_000, 0, 150_000), (150_000, 0, 150_000)):
            usage = genai_prices.Usage(
                input_tokens=uncached + written + cached, cache_read_tokens=cached, output_tokens=700
            )
            expected = genai_prices.calc_price(usage, model).total_price
            assert price.cost(uncached, written, cached, 700) == pytest.approx(float(expected)), model


def test_hosts_bill_at_their_own_prices() -> None:
    direct, regional = find_price("claude-sonnet-4-5"), find_price("us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert regional.input == pytest.approx(1.1 * direct.input) and regional.is_known
    assert find_price("bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0").input == direct.input
    assert find_price("openrouter/anthropic/claude-sonnet-4.5").tiers == direct.tiers
    assert find_price("qwen/qwen3-max").name == "qwen/qwen3-max"  # the form of OpenRouter's names


def test_affordable_prompt_tokens() -> None:
    price = find_price("claude-sonnet-4-5")
    assert price.affordable_prompt_tokens(0.3) == 100_000
    long = replace(price, max_input_tokens=1_000_000)
    assert long.affordable_prompt_tokens(0.6) == 200_000
    assert long.affordable_prompt_tokens(0.9) == 200_000  # 200,001 tokens cost $1.20
    assert long.affordable_prompt_tokens(1.5) == 250_000
    assert long.affordable_prompt_tokens(1e300) == 1_000_000
    assert Price.custom(0, 1).affordable_prompt_tokens(1) == 128_000


@pytest.mark.parametrize("dollars", [0.1, 0.59, 0.61, 1.19, 1.21, 2.0])
def test_what_is_affordable_costs_no_more(dollars: float) -> None:
    price = replace(find_price("claude-sonnet-4-5"), max_input_tokens=10**9)
    tokens = price.affordable_prompt_tokens(dollars)
    assert price.cost(uncached=tokens) <= dollars * (1 + 1e-9)
    assert price.cost(uncached=tokens + 1) > dollars


def test_a_price_that_changes_with_the_hour_is_its_maximum() -> None:
    assert find_price("deepseek-v4-pro").input == 1.32
    assert find_price("deepseek-chat").input == 0.27


def test_own_price_wins_over_a_tiered_list_price() -> None:
    own = {"claude-sonnet-4-5": Price.custom(1, 2, name="claude-sonnet-4-5")}
    price = find_price("anthropic/claude-sonnet-4-5-20250929", own)
    assert price.tiers == () and price.cost(uncached=1_000_000) == 1
    assert find_price("claude-sonnet-4-5").tiers


def test_own_tiers(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    tier = {"above_input_tokens": 1_000, "input": 4, "output": 8}
    path.write_text(json.dumps({"models": {"m": {"input": 1, "output": 2, "cache_read": 0.1, "tiers": [tier]}}}))
    price = find_price("m", load_prices(path))
    assert price.tiers == (PriceTier(1_000, 4, 8, 4, 4),)
    assert price.cost(uncached=1_001) == pytest.approx(1_001 * 4 / 1e6)


@pytest.mark.parametrize(
    ("tiers", "says"),
    [
        ({}, "tiers must be a list"),
        ([3], "a tier needs above_input_tokens"),
        ([{"input": 1, "output": 1}], "a tier needs above_input_tokens"),
        ([{"above_input_tokens": 5, "input": 1, "output": 1, "widow": 3}], "unknown field widow"),
        ([{"above_input_tokens": 5, "input": -1, "output": 1}], "input of a tier must be a number"),
        ([PriceTier(5, 1, 1, 1, 1), PriceTier(5, 2, 2, 2, 2)], "must rise"),
        ([PriceTier(0, 1, 1, 1, 1)], "must rise"),
    ],
)
def test_bad_tiers(tiers: Any, says: str) -> None:
    with pytest.raises(CompressorError, match=says):
        Price.custom(1, 2, tiers=tiers)


def test_importing_the_package_loads_no_price_library() -> None:
    code = (
        "import sys, compressor, compressor.tokens.pricing\n"
        "assert not {'genai_prices', 'pydantic'} & sys.modules.keys()\n"
        "compressor.tokens.pricing.find_price('gpt-4o')\n"
        "assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_very_long_names_are_not_searched_for() -> None:
    assert find_price("a/" * 100_000) == DEFAULT_PRICE


def test_documented_terms() -> None:
    """Figures of the providers' own pages."""
    sonnet, sol, four = find_price("claude-sonnet-4-5"), find_price("gpt-6.1-sol"), find_price("gpt-4o")
    assert (sonnet.input, sonnet.cache_write, sonnet.cache_read, sonnet.output) == (3, 3.75, 0.3, 15)
    assert (sol.cache_write / sol.input, sol.cache_ttl_seconds) == (1.25, 1800)
    assert (four.input, four.cache_read, four.cache_write, four.output, four.min_cacheable_tokens) == (
        2.5,
        1.25,
        2.5,
        10,
        1024,
    )
    assert find_price("claude-haiku-4-5").min_cacheable_tokens == 4096


def test_money() -> None:
    price = Price.custom(input=2, output=10, cache_read=0.2, cache_write=2.5)
    assert price.cost(uncached=1_000_000) == 2
    assert price.cost(1_000, 2_000, 10_000, 100) == pytest.approx((2_000 + 5_000 + 2_000 + 1_000) / 1e6)


def test_custom_without_a_cache() -> None:
    price = Price.custom(1, 4)
    assert (price.cache_read, price.cache_write, price.is_known, price.name) == (1, 1, True, "custom")
    assert Price.custom(1, 4, name="mine", max_input_tokens=9).max_input_tokens == 9


def test_own_file_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(
        json.dumps({"models": {"gpt-4o": {"input": 1, "output": 2}, "house-model": {"input": 3, "output": 4}}})
    )
    own = load_prices(path)
    assert find_price("openai/gpt-4o-2024-11-20", own).input == 1
    assert find_price("house-model", own).is_known
    assert find_price("gpt-4.1", own) == find_price("gpt-4.1")
    assert find_price("unheard-of", own) == DEFAULT_PRICE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", '"models"'),
        ("{}", '"models"'),
        ('{"models": {}}', '"models"'),
        ('{"models": {"a": 3}}', "'a' needs input and output"),
        ('{"models": {"a": {"input": 1}}}', "'a' needs input and output"),
        ('{"models": {"a": {"input": "1", "output": 2}}}', "input must be a number"),
        ('{"models": {"a": {"input": -1, "output": 2}}}', "input must be a number"),
        ('{"models": {"a": {"input": NaN, "output": 2}}}', "input must be a number"),
        ('{"models": {"a": {"input": 1, "output": 2, "widow": 3}}}', "unknown field widow"),
        ('{"models": {"a": {"input": 1, "output": 2, "max_input_tokens": 0}}}', "max_input_tokens must be at least 1"),
        ('{"models": {"a": {"input": 1, "output": 2, "is_known": 3}}}', "is_known must be"),
    ],
)
def test_bad_files_say_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(CompressorError, match="price file") as error:
        load_prices(path)
    assert says in str(error.value)


def test_missing_file() -> None:
    with pytest.raises(CompressorError, match="cannot read the price file"):
        load_prices("no/such/prices.json")


@pytest.mark.parametrize(
    "values", [{"input": True}, {"cache_read": float("inf")}, {"cache_ttl_seconds": -1}, {"min_cacheable_tokens": None}]
)
def test_invalid_prices(values: dict[str, Any]) -> None:
    with pytest.raises(CompressorError, match="must be"):
        Price.custom(**{"input": 1, "output": 2, **values})

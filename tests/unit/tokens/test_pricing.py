"""The price table: names as people write them, the terms of the caches, and files of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.tokens.pricing import DEFAULT_PRICE, PATH, Price, find_price, load_prices
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
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-7[1m]", "claude-opus-4-7"),
        ("models/gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("deepseek/deepseek-chat", "deepseek-chat"),
        ("dashscope/qwen3-max-2026-01-23", "qwen3-max"),
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
        ("Qwen/Qwen3-32B", "qwen"),
        ("grok-9", "grok"),
        ("ft:gpt-4o:org::id", "gpt-4o"),
        ("gpt-4o-transcribe", "gpt-4o"),
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


def test_the_table_makes_sense() -> None:
    table = load_prices(PATH)
    assert len(table) > 100
    for name, price in table.items():
        assert find_price(name).name == name, name
        assert 0 < price.cache_read <= price.input <= price.cache_write <= 2 * price.input, name
        assert price.input <= price.output, name
        assert (
            price.max_input_tokens >= 8_000
            and price.min_cacheable_tokens <= 4_096
            and 300 <= price.cache_ttl_seconds <= 3_600
        ), name
    data = json.loads(PATH.read_text(encoding="utf-8"))
    assert data["date"] and data["sources"] and data["unconfirmed"]


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
        ("{", "no JSON"),
        ("[]", '"models"'),
        ("{}", '"models"'),
        ('{"models": {}}', '"models"'),
        ('{"models": {"a": 3}}', "'a' needs input and output"),
        ('{"models": {"a": {"input": 1}}}', "'a' needs input and output"),
        ('{"models": {"a": {"input": "1", "output": 2}}}', "input must be a number"),
        ('{"models": {"a": {"input": -1, "output": 2}}}', "input must be a number"),
        ('{"models": {"a": {"input": NaN, "output": 2}}}', "input must be a number"),
        ('{"models": {"a": {"input": 1, "output": 2, "widow": 3}}}', "no such field: widow"),
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
    with pytest.raises(CompressorError, match="cannot be read"):
        load_prices("no/such/prices.json")


@pytest.mark.parametrize(
    "values", [{"input": True}, {"cache_read": float("inf")}, {"cache_ttl_seconds": -1}, {"min_cacheable_tokens": None}]
)
def test_prices_that_make_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(CompressorError, match="must be"):
        Price.custom(**{"input": 1, "output": 2, **values})

"""What is remembered about a list of tools never changes a result, and is bounded."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor
from compressor.caches import LruCache
from compressor.pipeline.tools import tool_index
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.knapsack import FunctionOption, VariantCosts, allocate
from compressor.pipeline.tools.tool_index import get_tool_index
from compressor.scoring.base import Query
from compressor.tokens import get_counter
from support.property_tests import given, settings, st
from support.tool_forms import FORMS
from support.tool_schemas import tools

QUERIES = ["the weather in Bonn", "a red invoice", "", "ticket 7, since Monday", "das Lied"]


def _sent(compressor: Compressor, given_: list[Any], budget: float, query: str) -> str:
    try:
        result = compressor.select_tools(given_, budget, query=query)
    except BudgetTooSmallError as error:
        return f"needs {error.needed}"
    return json.dumps([result.tools, result.report(), [vars_of(report) for report in result.reports]])


def vars_of(report: Any) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__slots__}


def test_results_are_the_same_with_and_without_the_cache(compressor: Compressor) -> None:
    given_ = tools()
    budgets = (60, 250, 700, 0.4, 100_000)
    cases = [(budget, query) for budget in budgets for query in QUERIES]
    fresh = []
    for budget, query in cases:
        tool_index.tool_indexes.clear()
        fresh.append(_sent(Compressor(store="memory"), given_, budget, query))
    assert [_sent(compressor, given_, budget, query) for budget, query in cases] == fresh
    assert [_sent(compressor, copy.deepcopy(given_), budget, query) for budget, query in cases[::-1]] == fresh[::-1]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda case: _sent(compressor, tools(), *case), cases))
    assert found == fresh


def test_callers_may_change_what_they_gave_and_what_they_got(compressor: Compressor) -> None:
    given_ = tools()
    first = compressor.select_tools(given_, 1_100, query="weather")
    text = json.dumps(first.tools)
    whole = [tool for tool in first.tools if any(tool is own for own in given_)]
    assert whole
    for tool in first.tools:
        tool["function"]["parameters"].clear()
    given_[0]["function"]["name"] = "changed"
    assert json.dumps(compressor.select_tools(tools(), 1_100, query="weather").tools) == text
    again = tools()
    result = compressor.select_tools(again, 1_100, query="weather")
    assert sum(any(tool is own for own in again) for tool in result.tools) == len(whole)


def test_equal_lists_share_an_index_and_other_lists_do_not() -> None:
    counter = get_counter("gpt-4o")
    index = get_tool_index(tools(), counter)
    assert get_tool_index(tools(), counter) is index
    assert get_tool_index(tools(), get_counter("qwen3")) is not index
    assert get_tool_index(tools()[::-1], counter) is not index
    one, true = ([{"name": "f", "parameters": {"type": "object", "default": value}}] for value in (1, True))
    assert get_tool_index(one, counter) is not get_tool_index(true, counter)
    objects = [FORMS["sdk object"](tool["function"]) for tool in tools()]
    assert get_tool_index(objects, counter) is not get_tool_index(objects, counter)  # objects may change
    tool_index.tool_indexes.clear()
    assert get_tool_index(tools(), counter) is not index


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    small: LruCache[Any, Any] = LruCache(300_000, lambda index: tool_index._BYTES_PER_BYTE * index.size)
    monkeypatch.setattr(tool_index, "tool_indexes", small)
    for count in range(1, 13):
        get_tool_index(tools(count), get_counter(None))
    assert 0 < len(small) < 12
    catalog = ToolCatalog(tools(2), get_counter(None))
    limit = 64
    for number in range(3 * limit):
        words = [
            name for bit, name in enumerate(("red", "number", "color", "filter", "since", "deep")) if number >> bit & 1
        ]
        catalog.shrink_variants(0, Query(((" ".join(words), 1.0),)))
    assert len(catalog._index._variants) <= limit


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 40), st.floats(0.01, 1)), min_size=1, max_size=5),
            st.floats(0.001, 1),
            st.booleans(),
        ),
        max_size=6,
    ),
    st.integers(0, 200),
)
def test_the_knapsack_holds_its_budget_and_leaves_nothing_that_fits(found: Any, budget: int) -> None:
    options = []
    for variants, probability, required in found:
        costs: list[int] = []
        values: list[float] = []
        last = 0.0
        for cost, value in sorted(variants):
            last += value
            costs.append(cost + (costs[-1] if costs else 0) + 1)
            values.append(last)
        options.append(FunctionOption(VariantCosts(costs, values), probability, required))
    taken = allocate(options, budget)
    least = sum(option.variants.costs[0] for option in options if option.is_required)
    if taken is None:
        assert least > budget
        return
    spent = sum(option.variants.costs[i] for option, i in zip(options, taken, strict=True) if i >= 0)
    assert spent <= budget
    for option, variant in zip(options, taken, strict=True):
        assert variant >= 0 or not option.is_required
        if variant + 1 < len(option.variants.costs):
            assert option.variants.price(variant, variant + 1) > budget - spent

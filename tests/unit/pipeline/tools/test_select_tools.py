"""Tool schemas under a budget: what is chosen, what a slimmed schema still says, and what is refused."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from compressor import BudgetError, BudgetTooSmallError, Compressor, ContextError
from compressor.tokens import get_counter
from support.tool_schemas import LONG, chat, names, schema_validator, tools


def test_the_needed_tool_is_there_whole_and_the_budget_holds(compressor: Compressor) -> None:
    given = tools()
    result = compressor.select_tools(given, 400, query="What is the weather in Bonn today, station W-3?")
    assert "get_weather" in names(result.tools)
    assert result.tokens_after == get_counter(None).count_tools(result.tools) <= 400 < result.tokens_before
    assert names(result.tools) == [n for n in names(given) if n in names(result.tools)]
    assert (
        result.tools
        == compressor.select_tools(given, 400, query="What is the weather in Bonn today, station W-3?").tools
    )
    assert given == tools()
    for report in result.reports:
        assert (report.ref is None) == (report.action in ("kept", "pinned", "native"))
        if report.ref is not None:
            assert json.loads(compressor.expand(report.ref)) == given[report.index]
    assert str(result.tokens_after) in result.report()


def test_a_budget_that_is_large_enough_changes_nothing(compressor: Compressor) -> None:
    given = tools()
    result = compressor.select_tools(given, 100_000, query="weather")
    assert all(a is b for a, b in zip(result.tools, given, strict=True))
    again = compressor.select_tools(given, 500, query="weather").tools
    assert compressor.select_tools(again, 500, query="weather").tools == again
    share = compressor.select_tools(given, 0.3, query="weather")
    assert share.ratio > 3
    assert compressor.select_tools(share.tools, 0.3, query="weather").tools == share.tools
    assert compressor.select_tools([], 10, query="weather").tools == []


def test_slimmed_schemas_lose_what_harms_least_first(compressor: Compressor) -> None:
    given = tools(1)
    before = get_counter(None).count_tools(given)
    seen = []
    for budget in range(before - 5, 0, -3):
        try:
            slim = compressor.select_tools(given, budget, query="the invoice").tools[0]["function"]
        except BudgetTooSmallError:
            break
        properties = slim["parameters"]["properties"]
        assert slim["parameters"]["required"] == ["number"] and "number" in properties
        schema_validator().check_schema(slim["parameters"])
        seen.append(
            (
                "title" in properties["number"],
                "Bonn" in slim.get("description", ""),
                "color" in properties,
                "since" in json.dumps(properties.get("filter", {})),
                "description" in properties["number"],
            )
        )
        if len(properties) < 3:
            assert "additionalProperties" not in slim["parameters"]
    assert seen[0][2:] == (True, True, True) and not seen[0][0]
    assert seen[-1] == (False,) * 5
    for earlier, later in pairwise(seen):
        assert all(a >= b for a, b in zip(earlier, later, strict=True))


def test_an_optional_parameter_that_the_query_names_stays_longer(compressor: Compressor) -> None:
    colors = ["color", "shape", "page", "fields", "after", "locale", "width", "depth", "weight", "height", "owner"]
    properties = {name: {"type": "string", "description": f"The {name}. {LONG}"} for name in ("number", *colors)}
    given = [chat("get_invoice", f"Looks up one invoice. {LONG}", properties, ["number"])]

    def listed(budget: int, query: str) -> set[str]:
        tool = compressor.select_tools(given, budget, query=query).tools[0]
        return set(tool["function"]["parameters"]["properties"])

    pairs = [(listed(budget, "the invoice"), listed(budget, "the invoice of that color")) for budget in range(35, 120)]
    assert all("color" in named for plain, named in pairs if "color" in plain)
    assert any("color" in named for plain, named in pairs if "color" not in plain)


def test_pinned_called_and_forced_tools_stay(compressor: Compressor) -> None:
    given = tools()
    messages = [
        {"role": "user", "content": "What is the weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "get_lamp", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "on"},
    ]
    forced = {"type": "function", "function": {"name": "get_tax"}}
    found = compressor.select_tools(given, 700, messages=messages, pinned=["get_car"], tool_choice=forced)
    fates = {r.name: r.action for r in found.reports}
    assert fates["get_car"] == fates["get_tax"] == "pinned"
    assert fates["get_lamp"] in ("slimmed", "kept") and fates["get_weather"] in ("slimmed", "kept")
    assert found.tools[names(found.tools).index("get_car")] is given[10]
    with pytest.raises(BudgetTooSmallError) as error:
        compressor.select_tools(given, 150, query="weather", pinned=["get_car", "get_tax"])
    assert error.value.budget == 150 < error.value.needed


@pytest.mark.moderate
def test_every_dialect_keeps_its_form(compressor: Compressor) -> None:
    for make in (
        lambda f: {"type": "function", **f},
        lambda f: {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]},
        lambda f: {"name": f["name"], "description": f["description"], "inputSchema": f["parameters"]},
        lambda f: f,
    ):
        given = [make(tool["function"]) for tool in tools()]
        for model in ("gpt-4o", "claude-sonnet-4-5", "qwen3"):
            before = get_counter(model).count_tools(given)
            result = compressor.select_tools(given, before // 3, query="the weather", model=model)
            assert "get_weather" in names(result.tools)
            assert result.tokens_after <= before // 3
            assert {r.action for r in result.reports} & {"dropped", "slimmed"}
            assert all(set(tool) <= set(given[0]) for tool in result.tools)


def test_the_providers_own_tools_are_never_touched(compressor: Compressor) -> None:
    native: list[dict[str, Any]] = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 1024},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"googleSearch": {}},
        {"name": "later", "description": LONG, "input_schema": {"type": "object"}, "defer_loading": True},
    ]
    result = compressor.select_tools([*native, *tools()], 600, query="weather")
    assert all(a is b for a, b in zip(result.tools, native, strict=False))
    assert [r.action for r in result.reports[:5]] == ["native"] * 5


def test_a_cache_breakpoint_stays(compressor: Compressor) -> None:
    given = [{"name": t["function"]["name"], "input_schema": t["function"]["parameters"]} for t in tools()]
    given[-1]["cache_control"] = {"type": "ephemeral"}
    result = compressor.select_tools(given, 600, query="weather", model="claude-sonnet-4-5")
    assert result.tools[-1]["name"] == "get_tax" and "cache_control" in result.tools[-1]


def test_strict_functions_lose_words_only(compressor: Compressor) -> None:
    given = tools(2)
    for tool in given:
        schema = tool["function"]["parameters"]
        schema["required"] = list(schema["properties"])
        schema["properties"]["filter"].update(required=["since", "deep"], additionalProperties=False)
        tool["function"]["strict"] = True
    result = compressor.select_tools(given, 0.45, query="an invoice")
    for tool in result.tools:
        schema = tool["function"]["parameters"]
        assert schema["additionalProperties"] is False
        assert set(schema["properties"]) == {"number", "color", "filter"}
        assert set(schema["properties"]["filter"]["properties"]) == {"since", "deep"}
    assert any(r.action == "slimmed" for r in result.reports)


def test_schemas_with_refs_and_cycles(compressor: Compressor) -> None:
    node = {
        "type": "object",
        "description": LONG,
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["name"],
    }
    parameters = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}, "spare": {"$ref": "#/$defs/spare"}},
        "required": ["root"],
        "$defs": {"node": node, "spare": {"type": "object", "properties": {"x": {"type": "string"}}, "title": LONG}},
    }
    tool = {"type": "function", "function": {"name": "plant", "description": LONG, "parameters": parameters}}
    for share in (0.8, 0.5, 0.3):
        slim = compressor.select_tools([tool], share, query="a tree").tools[0]["function"]["parameters"]
        validator = schema_validator()(slim)
        validator.check_schema(slim)
        assert validator.is_valid({"root": {"name": "a", "children": [{"name": "b"}]}, "spare": {"x": "y"}})
        assert not validator.is_valid({"root": {}})
    assert "spare" not in slim["$defs"]


def test_what_cannot_be_slimmed_goes_whole_with_a_warning(compressor: Compressor) -> None:
    bad = chat("get_bad", LONG, {"x": {"type": "dict"}}, [])
    result = compressor.select_tools([bad, *tools(3)], 300, query="get bad things")
    assert bad in result.tools
    assert any("get_bad" in text and "dict" in text for text in result.warnings)
    odd: tuple[Any, ...] = ({"type": "string"}, {"properties": []}, {"required": "x"}, "nothing", {"enum": 3})
    for parameters in odd:
        tool = {"type": "function", "function": {"name": "odd", "description": LONG, "parameters": parameters}}
        found = compressor.select_tools([tool, *tools(3)], 0.6, query="an odd thing")
        assert found.warnings


def test_bad_input(compressor: Compressor) -> None:
    for given in (["x"], [None], [tools()[0], tools()[0]], [{"type": "function", "function": {"name": ""}}], "tools"):
        with pytest.raises(ContextError):
            compressor.select_tools(given, 100, query="x")
    cyclic: dict[str, Any] = {"type": "object", "properties": {}}
    cyclic["properties"]["again"] = cyclic
    with pytest.raises(ContextError):
        compressor.select_tools([{"name": "x", "parameters": cyclic}], 10, query="x")
    for budget in (0, -1, float("nan"), True):
        with pytest.raises(BudgetError):
            compressor.select_tools(tools(), budget, query="x")
    with pytest.raises(BudgetTooSmallError):
        compressor.select_tools(tools(), 5, query="x")
    with pytest.raises(ContextError):
        compressor.select_tools(tools(), 100, query="x", pinned=["no_such_tool"])


def test_without_a_query_and_in_a_thread(compressor: Compressor) -> None:
    assert compressor.select_tools(tools(), 300).tokens_after <= 300
    found = asyncio.run(compressor.aselect_tools(tools(), 300, query="weather"))
    assert found.tools == compressor.select_tools(tools(), 300, query="weather").tools

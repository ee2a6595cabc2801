"""`ToolSet` lists unlikely tools as names without parameters, which `find_tool` tells in full."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from compressor import Compressor, ToolSet
from compressor.tokens import get_counter
from support.many_tools import office_tools

BUDGET = 1_700
ASKED = [{"role": "user", "content": "Find me a flight to Rome on Friday."}]
LATER = ["Move invoice I-7 to next week.", "Put the old lamps away.", "Who sells visas?", "A recipe for soup, please."]


def by_name(tools: list[Any]) -> dict[str, Any]:
    return {tool["function"]["name"]: tool["function"] for tool in tools}


def is_name(function: dict[str, Any]) -> bool:
    return not function["parameters"].get("properties") and "description" not in function


def make(compressor: Compressor, tools: list[dict[str, Any]] | None = None, **options: Any) -> ToolSet:
    return ToolSet(compressor, tools or office_tools(), BUDGET, model="gpt-4o", **options)


def found(toolset: ToolSet, question: str) -> list[dict[str, Any]]:
    call = {"name": "find_tool", "arguments": json.dumps({"query": question})}
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "f", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "f", "content": toolset.answer({"query": question})},
    ]


def test_all_tools_are_listed_and_the_list_stays(compressor: Compressor) -> None:
    toolset = make(compressor)
    sent = toolset.view(ASKED)
    functions = by_name(sent)
    assert set(functions) == {"find_tool", *by_name(office_tools())}
    assert "words" in functions["search_flight"]["parameters"]["properties"] and is_name(functions["update_lamp"])
    assert get_counter("gpt-4o").count_tools(sent) <= BUDGET
    messages = list(ASKED)
    for text in LATER:
        messages += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": text}]
        assert toolset.view(messages) == sent


def test_a_name_allows_every_call(compressor: Compressor) -> None:
    for function in by_name(make(compressor).view(ASKED)).values():
        if is_name(function):
            Draft202012Validator.check_schema(function["parameters"])
            assert Draft202012Validator(function["parameters"]).is_valid({"number": "L-1", "email": "a@b.example"})


def test_functions_that_warn_or_are_strict_are_no_names(compressor: Compressor) -> None:
    tools = office_tools()
    for tool in tools[:2]:
        tool["function"]["strict"] = True
    functions = by_name(make(compressor, tools).view(ASKED))
    assert "confirmed" in functions["delete_lamp"]["description"]
    assert all(functions[tool["function"]["name"]]["parameters"]["properties"] for tool in tools[:2])


def test_without_a_search_nothing_is_a_name(compressor: Compressor) -> None:
    functions = by_name(make(compressor, find=False).view(ASKED))
    shown = [f for f in functions.values() if f["parameters"].get("required")]
    assert "find_tool" not in functions and all(f["parameters"]["properties"] for f in shown)


def test_what_is_searched_for_is_listed_with_its_parameters_from_then_on(compressor: Compressor) -> None:
    toolset = make(compressor)
    assert is_name(by_name(toolset.view(ASKED))["share_parcel"])
    messages = [*ASKED, *found(toolset, "share_parcel")]
    sent = toolset.view(messages)
    assert {"number", "email"} <= by_name(sent)["share_parcel"]["parameters"]["properties"].keys()
    assert get_counter("gpt-4o").count_tools(sent) <= BUDGET
    assert toolset.view(messages) == sent and make(compressor, state=toolset.state).view(messages) == sent

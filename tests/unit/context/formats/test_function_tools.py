"""Function tools in every form: they are read alike, cost the same, and are cut in their own form."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, Literal

import pytest

from compressor import BudgetTooSmallError, Compressor, ContextError
from compressor.context.formats.function_schema import function_schema
from compressor.context.formats.function_tools import join_declarations, read_function, split_declarations
from compressor.errors import CompressorError
from compressor.pipeline.tools.tool import dump_tool, forced_tool_names, parse_functions
from compressor.tokens import get_counter
from support.json_schemas import roots
from support.property_tests import given, settings, st
from support.tool_forms import FORMS, SchemaTool, ServerTool
from support.tool_schemas import tools

MODELS = ("gpt-4o", "gpt-4", "claude-sonnet-4-5", "qwen3", "gemini-2.5-pro", "an-unknown-model")


@settings(max_examples=25, deadline=None)
@given(st.lists(roots(), min_size=1, max_size=3), st.text(max_size=40), st.sampled_from(MODELS))
def test_the_same_function_costs_the_same_in_every_form(found: Any, about: str, model: str) -> None:
    counter = get_counter(model)
    functions = [{"name": f"f{i}", "description": about, "parameters": root} for i, root in enumerate(found)]
    costs = {form: counter.count_tools([make(f) for f in functions]) for form, make in FORMS.items()}
    assert len(set(costs.values())) == 1, costs
    together = {"functionDeclarations": functions}
    assert counter.count_tools([together]) == costs["plain"]


def test_every_form_is_read_and_written_back() -> None:
    given_ = {"name": "f", "description": "Does it.", "parameters": {"type": "object", "properties": {"a": {}}}}
    for form, make in FORMS.items():
        tool = make(given_)
        function = read_function(tool)
        assert function is not None, form
        assert (function.name, function.description, function.schema) == ("f", "Does it.", given_["parameters"]), form
        short = read_function(function.replaced("", {"type": "object"}))
        assert short is not None and (short.description or "", short.schema) == ("", {"type": "object"}), form
        if not isinstance(tool, ServerTool):
            assert dump_tool(function.replaced("Does it.", given_["parameters"])) == dump_tool(tool)
            assert type(function.replaced("", {})) is type(tool)
    for name in ("openai_chat", "openai_responses", "anthropic", "mcp", "gemini", "bedrock", "plain"):
        found = read_function(function_schema(name, "f", "x", {"type": "object"}))
        assert found is not None and found.form == name and found.schema == {"type": "object"}
    with pytest.raises(CompressorError):
        function_schema("cohere", "f", "x", {})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_the_budget_holds_in_every_form(compressor: Compressor, form: str, model: str) -> None:
    make = FORMS[form]
    given_ = [make(tool["function"]) for tool in tools()]
    counter = get_counter(model)
    before = counter.count_tools(given_)
    for budget in (before // 2, before // 4):
        try:
            result = compressor.select_tools(given_, budget, query="What is the weather?", model=model)
        except BudgetTooSmallError:  # the prompt of the provider is most of it
            assert model == "claude-sonnet-4-5" and budget < 700
            continue
        assert result.tokens_before == before
        assert counter.count_tools(result.tools) == result.tokens_after <= budget
        assert any("weather" in dump_tool(tool) for tool in result.tools)
        for report in result.reports:
            if report.ref is not None:
                assert compressor.expand(report.ref) == dump_tool(given_[report.index])


def test_functions_that_gemini_declares_in_one_entry(compressor: Compressor) -> None:
    declared = [tool["function"] for tool in tools()]
    given_ = [{"functionDeclarations": declared}, {"googleSearch": {}}]
    assert join_declarations([part for tool in given_ for part in split_declarations(tool)]) == given_
    counter = get_counter("gemini-2.5-pro")
    result = compressor.select_tools(given_, 0.4, query="the weather", model="gemini-2.5-pro")
    assert len(result.tools) == 2 and result.tools[1] is given_[1]
    left = result.tools[0]["functionDeclarations"]
    assert 0 < len(left) <= len(declared) and "get_weather" in [f["name"] for f in left]
    assert result.tokens_after == counter.count_tools(result.tools) <= result.budget
    assert {r.index for r in result.reports} == {0, 1} and len(result.reports) == len(declared) + 1
    whole = compressor.select_tools(given_, 100_000, query="the weather")
    assert whole.tools[0] is given_[0]
    shouted = json.loads(json.dumps(declared).replace('"object"', '"OBJECT"').replace('"string"', '"STRING"'))
    found = compressor.select_tools([{"functionDeclarations": shouted}], 0.4, query="the weather")
    assert not found.warnings and any(r.action == "slimmed" for r in found.reports)


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


def get_forecast(
    city: Annotated[str, "The city's name."], days: int = 3, unit: Unit | None = None, kind: Literal["a", "b"] = "a"
) -> str:
    """Tells the weather of the next days."""
    return city


def test_python_functions_are_tools(compressor: Compressor) -> None:
    function = read_function(get_forecast)
    assert function is not None and function.name == "get_forecast"
    assert function.description == "Tells the weather of the next days."
    assert function.schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city's name."},
            "days": {"type": "integer"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["city"],
    }
    result = compressor.select_tools([get_forecast, *tools()], 0.3, query="the weather of the next days")
    assert get_forecast in result.tools or any(r.name == "get_forecast" and r.ref for r in result.reports)
    assert parse_functions([print, len])[0] is not None


def test_objects_of_libraries() -> None:
    pydantic = pytest.importorskip("pydantic")
    mcp_types = pytest.importorskip("mcp.types")
    langchain = pytest.importorskip("langchain_core.tools")
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    tool = mcp_types.Tool(name="f", description="Does it.", inputSchema=schema, title="F")
    function = read_function(tool)
    assert function is not None and (function.name, function.schema, function.form) == ("f", schema, "mcp")
    short = function.replaced("", {"type": "object"})
    assert isinstance(short, mcp_types.Tool) and short.title == "F" and not short.description

    address = pydantic.create_model("Address", __doc__="Where somebody lives.", street=(str, ...), number=(int, 1))
    model = read_function(address)
    assert model is not None and (model.name, model.description) == ("Address", "Where somebody lives.")
    assert list(model.schema["properties"]) == ["street", "number"] and model.schema["required"] == ["street"]

    @langchain.tool  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        """Doubles it."""
        return 2 * number

    found = read_function(double)
    assert found is not None and (found.name, found.description) == ("double", "Doubles it.")
    assert found.schema["required"] == ["number"]
    assert found.replaced("", {})["function"] == {"name": "double", "parameters": {}}


def test_what_is_no_function() -> None:
    for native in (
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "custom", "custom": {"name": "x"}},
        {"googleSearch": {}},
        {"cachePoint": {"type": "default"}},
        {"functionDeclarations": []},
        3,
        "x",
        None,
        object(),
    ):
        assert read_function(native) is None
    for broken in ([3], [object()], [{"type": "function", "function": {}}], [SchemaTool("", "", {})]):
        with pytest.raises(ContextError):
            parse_functions(broken)
    odd = read_function({"toolSpec": {"name": "f", "inputSchema": "x"}})
    assert odd is not None and odd.schema is None


def test_forced_names_of_every_provider() -> None:
    assert forced_tool_names({"tool": {"name": "a"}}) == {"a"}
    assert forced_tool_names({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}}) == {
        "a",
        "b",
    }
    assert forced_tool_names({"type": "function", "function": {"name": "a"}}) == {"a"}
    assert forced_tool_names({"type": "tool", "name": "a"}) == forced_tool_names("a") == {"a"}
    assert forced_tool_names({"auto": {}}) == forced_tool_names(None) == set()

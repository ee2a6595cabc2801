"""Tools that the provider's own search finds: which models have one, and what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor, CompressorError, ToolSet
from compressor.pipeline.tools.provider_search import provider_search
from compressor.tokens import get_counter
from support.tool_schemas import tools

REQUEST = [{"role": "user", "content": "What is the weather at station W-3?"}]


def in_form(form: str) -> list[dict[str, Any]]:
    functions = [tool["function"] for tool in tools()]
    if form == "openai_responses":
        return [{"type": "function", **f} for f in functions]
    return [{"name": f["name"], "description": f["description"], "input_schema": f["parameters"]} for f in functions]


@pytest.mark.parametrize(
    ("model", "form", "has_one"),
    [
        ("claude-sonnet-4-5", "anthropic", True),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic", True),
        ("anthropic/claude-opus-4.6", "anthropic", True),
        ("claude-opus-5", "anthropic", True),
        ("claude-sonnet-4-20250514", "anthropic", False),
        ("claude-opus-4-1", "anthropic", False),
        ("claude-3-7-sonnet-20250219", "anthropic", False),
        ("claude-sonnet-4-5", "openai_chat", False),
        ("gpt-5.4", "openai_responses", True),
        ("openai/gpt-5.4-mini-2026-03-17", "openai_responses", True),
        ("gpt-6", "openai_responses", True),
        ("gpt-5.4-nano", "openai_responses", False),
        ("gpt-5.4", "openai_chat", False),
        ("gpt-5-2025-08-07", "openai_responses", False),
        ("gpt-4o", "openai_responses", False),
        (None, "anthropic", False),
    ],
)
def test_which_models_have_a_search(model: str | None, form: str, has_one: bool) -> None:
    assert (provider_search(model, form) is not None) == has_one


@pytest.mark.parametrize(
    ("form", "model", "kind", "budget"),
    [
        ("anthropic", "claude-sonnet-4-5", "tool_search_tool_bm25_20251119", 1_000),
        ("openai_responses", "gpt-5.4", "tool_search", 600),
    ],
)
def test_all_tools_are_sent_and_the_list_never_changes(
    compressor: Compressor, form: str, model: str, kind: str, budget: int
) -> None:
    given = in_form(form)
    toolset = ToolSet(compressor, given, budget, model=model, search="provider")
    sent = toolset.view(REQUEST)
    assert toolset.warnings == []
    assert [tool["type"] for tool in sent if tool.get("type", "").startswith("tool_search")] == [kind]
    loaded = [tool for tool in sent if not tool.get("defer_loading")]
    deferred = [tool for tool in sent if tool.get("defer_loading")]
    assert {t["name"] for t in sent if t.get("type") != kind} == {t["name"] for t in given}
    assert "get_weather" in [tool.get("name") for tool in loaded] and len(deferred) > 2
    originals = {tool["name"]: tool for tool in given}
    key = "input_schema" if form == "anthropic" else "parameters"
    assert all(tool[key] == originals[tool["name"]][key] for tool in deferred)
    assert get_counter(model).count_tools(loaded) <= budget
    later = [*REQUEST, {"role": "assistant", "content": "Rain."}, {"role": "user", "content": "Look up tax T-9."}]
    assert toolset.view(later) == sent
    assert ToolSet(compressor, given, budget, model=model, search="provider", state=toolset.state).view(later) == sent


def test_tools_with_a_breakpoint_are_loaded(compressor: Compressor) -> None:
    given = in_form("anthropic")
    given[5]["cache_control"] = {"type": "ephemeral"}
    sent = ToolSet(compressor, given, 1_500, model="claude-sonnet-4-5", search="provider").view(REQUEST)
    assert not any("cache_control" in tool and tool.get("defer_loading") for tool in sent)


def test_without_such_a_model_find_tool_is_used(compressor: Compressor) -> None:
    for given, model in ((tools(), "gpt-5.4"), (in_form("anthropic"), "claude-3-7-sonnet"), (tools(), None)):
        toolset = ToolSet(compressor, given, 0.6, model=model, search="provider")
        sent = toolset.view(REQUEST)
        assert "find_tool is used" in toolset.warnings[0]
        assert not any(tool.get("defer_loading") for tool in sent)
        assert any("find_tool" in str(tool.get("name", tool.get("function"))) for tool in sent)


def test_names_that_alone_exceed_the_budget_leave_find_tool(compressor: Compressor) -> None:
    toolset = ToolSet(compressor, in_form("openai_responses"), 250, model="gpt-5.4", search="provider")
    toolset.view(REQUEST)
    assert "the names of all deferred tools take" in toolset.warnings[0]


def test_another_kind_of_search_is_refused(compressor: Compressor) -> None:
    with pytest.raises(CompressorError, match="search must be"):
        ToolSet(compressor, tools(), 500, search="grep")  # type: ignore[arg-type]

"""Tests that a wrong option of an integration gives an error that says what to pass."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import BudgetError, Compressor, CompressorError, Policy, ToolRule

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from compressor.testing import ScriptedChatModel
from compressor_agents.langchain import (
    BudgetExampleSelector,
    ContextCompressorMiddleware,
    ContextDocumentCompressor,
)


def _middleware(**options: Any) -> ContextCompressorMiddleware:
    return ContextCompressorMiddleware(compressor=Compressor(store="memory"), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": {"ingest": False}}, r"policy must be a Policy, such as Policy\(ingest=False\), not \{'ingest'"),
        ({"tools": ["a"]}, r"tools must map tool names to rules.*not \['a'\].*never_compress="),
        ({"tools": {"a": 5}}, r"tools\['a'\] must be a ToolRule.*not 5"),
        ({"never_compress": "a"}, r"write never_compress=\['a'\]"),
        ({"compress_only": "a"}, r"write compress_only=\['a'\]"),
        ({"compress_only": [5]}, r"compress_only must be a list of tool names"),
        ({"compress_only": ["a"], "never_compress": ["a"]}, "a: named in both compress_only and never_compress"),
        ({"compress_only": ["a"], "tools": {"*": ToolRule()}}, "give only one of them"),
        (
            {"never_compress": ["a"], "tools": {"a": ToolRule(max_tokens=9)}},
            "a: named in never_compress but has",
        ),
        ({"ingest_at": "birth"}, 'ingest_at must be "model" or "tool"'),
        ({"ingest_at": "tool", "policy": Policy(ingest=False)}, r"Policy\(ingest=True\)"),
    ],
)
def test_a_wrong_option_of_the_middleware_is_named_with_what_to_pass(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompressorError, match=message):
        _middleware(**options)


@pytest.mark.parametrize("option", ["budget", "tools_budget", "examples_budget"])
def test_a_budget_of_one_is_refused_because_it_would_be_one_token(option: str) -> None:
    with pytest.raises(BudgetError, match=rf"{option}=1.0 would be one token; .*{option}=0.8"):
        _middleware(**{option: 1.0})
    with pytest.raises(BudgetError):
        _middleware(**{option: -1})


def test_the_other_integrations_check_their_budget_and_policy_at_once() -> None:
    with pytest.raises(ValueError, match=r"budget=1.0 would be one token"):
        ContextDocumentCompressor(budget=1.0)
    with pytest.raises(BudgetError, match=r"budget=1.0 would be one token"):
        BudgetExampleSelector(budget=1.0)
    openai = pytest.importorskip("openai")
    from compressor_agents.openai import with_compression

    client = openai.OpenAI(api_key="any")
    with pytest.raises(BudgetError, match=r"budget=1.0 would be one token"):
        with_compression(client, budget=1.0)
    wrong: Any = {"ingest": False}
    with pytest.raises(CompressorError, match="policy must be a Policy"):
        with_compression(client, policy=wrong)


def test_cost_report_is_0_before_a_run_and_names_the_known_threads_after_it() -> None:
    middleware = _middleware()
    assert middleware.cost_report().calls == middleware.cost_report().baseline_cost == 0
    with pytest.raises(CompressorError, match=r"thread 't1'.*no agent has run with this middleware here yet; run it"):
        middleware.cost_report("t1")
    with pytest.raises(CompressorError, match="no field 'compressor'"):
        middleware.cost_report({"messages": []})
    model = ScriptedChatModel(script=["Hello.", "Hello again.", "Bye."])
    agent: Any = create_agent(model, [], middleware=[middleware], checkpointer=InMemorySaver())
    for thread in ("t1", "t2"):
        agent.invoke({"messages": "Hi."}, {"configurable": {"thread_id": thread}})
    assert middleware.cost_report("t1").calls == 1
    with pytest.raises(CompressorError, match=r"no cost report of thread 't3'.*known thread ids: 't1', 't2'"):
        middleware.cost_report("t3")
    with pytest.raises(CompressorError, match=r"no cost report of a run without a thread id.*'t2'"):
        middleware.cost_report()


def test_the_repr_of_the_middleware_shows_its_options_and_threads() -> None:
    middleware = _middleware(budget=12_000, model="gpt-4o")
    assert repr(middleware) == (
        "<ContextCompressorMiddleware budget=12000, model='gpt-4o', fail_open=True: 0 threads, 0 warnings>"
    )

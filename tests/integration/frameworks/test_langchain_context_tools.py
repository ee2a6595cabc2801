"""The compressor's own tools in a LangChain agent: recall_context and compact_now beside expand_context."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from compressor.sessions import Policy
from compressor.sessions.compact_tool import COMPACT_ANSWER
from compressor.testing import ScriptedChatModel, count_shared_parts
from compressor.tokens import get_counter
from support.langchain_agents import TASK, ask, create_agent, log_of, middleware, scripted, search, thread

ON_REQUEST = Policy(tool_result_min_tokens=600, tool_result_keep_fraction=0.5, compact=False)


def own_call(name: str, call_id: str = "own", **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id, "type": "tool_call"}])


def answers(out: Any, name: str) -> list[str]:
    return [str(m.content) for m in out["messages"] if isinstance(m, ToolMessage) and m.name == name]


def agent(model: Any, *ours: Any, saver: Any = None, tools: Any = (search,)) -> Any:
    return create_agent(model, list(tools), middleware=list(ours), checkpointer=saver or InMemorySaver())


@pytest.mark.parametrize("is_async", [False, True])
def test_recall_finds_what_left_the_view(is_async: bool) -> None:
    wanted = next(line for line in log_of("pump 2").splitlines() if "serviced" in line)
    question = own_call("recall_context", query=wanted.partition("INFO ")[2], max_tokens=400)
    model, ours = scripted(19, question, "Found."), middleware(4_000)
    one = agent(model, ours)
    given: Any = {"messages": TASK}
    out = asyncio.run(one.ainvoke(given, thread())) if is_async else one.invoke(given, thread())
    assert wanted not in json.dumps([str(m.content) for m in model.requests[19].messages])
    (found,) = answers(out, "recall_context")
    assert wanted in found and get_counter("gpt-4o").count(found) <= 400
    assert model.requests[20].messages[-1].content == found  # sent as it is
    assert count_shared_parts(*model.requests[19:21]) == len(model.requests[19].wire)


def test_the_schemas_cost_less_than_160_tokens_and_are_those_of_a_session() -> None:
    model, ours = scripted(0), middleware()
    agent(model, ours).invoke({"messages": TASK}, thread())
    own = [t for t in model.requests[0].tools if t["function"]["name"] != "search"]
    assert get_counter("gpt-4o").count_tools(own) < 160
    assert own == ours.compressor.session("a").context_tools().schemas()


@pytest.mark.parametrize("arguments", [{}, {"query": ""}, {"query": None}, {"query": "pump", "max_tokens": "all"}])
def test_a_wrong_search_is_answered_with_what_is_wrong(arguments: dict[str, Any]) -> None:
    model = ScriptedChatModel(script=[own_call("recall_context", **arguments), "ok"])
    out = agent(model, middleware()).invoke({"messages": "?"}, thread())
    assert answers(out, "recall_context")[0].startswith("Not searched: ") and out["messages"][-1].content == "ok"


def test_compact_now_compacts_before_the_next_step_and_only_once() -> None:
    model = scripted(12, own_call("compact_now"), ask(20), ask(21), "Done.")
    ours = middleware(50_000, policy=ON_REQUEST, compact_tool=True)
    out = agent(model, ours).invoke({"messages": TASK}, thread())
    assert answers(out, "compact_now") == [COMPACT_ANSWER]
    sizes = [request.tokens() for request in model.requests]
    assert sizes[:13] == sorted(sizes[:13]) and sizes[13] < 0.7 * sizes[12]
    for before, after in list(zip(model.requests, model.requests[1:], strict=False))[13:]:
        assert count_shared_parts(before, after) == len(before.wire)
    assert ours.cost_report("t").compactions == 1


def test_a_request_for_a_compaction_survives_a_failed_call() -> None:
    saver = InMemorySaver()
    model = scripted(12, own_call("compact_now"), RuntimeError("the provider is down"))
    one = agent(model, middleware(50_000, policy=ON_REQUEST, compact_tool=True), saver=saver)
    with pytest.raises(RuntimeError):
        one.invoke({"messages": TASK}, thread())
    again = ScriptedChatModel(script=["Done."])
    ours = middleware(50_000, policy=ON_REQUEST, compact_tool=True)
    agent(again, ours, saver=saver).invoke(None, thread())
    assert ours.cost_report("t").compactions == 1 and again.requests[0].tokens() < 0.7 * model.requests[12].tokens()


def test_compact_now_is_not_offered_unless_it_is_wanted_and_the_users_own_tool_is_left_alone() -> None:
    @tool
    def compact_now() -> str:
        """Packs the parts."""
        return "packed"

    model = scripted(12, own_call("compact_now"), ask(20))
    ours = middleware(50_000, policy=ON_REQUEST)
    out = agent(model, ours, tools=[search, compact_now]).invoke({"messages": TASK}, thread())
    assert answers(out, "compact_now") == ["packed"]
    assert ours.cost_report("t").compactions == 0 and not ours.warnings

    named = middleware(50_000, policy=ON_REQUEST, compact_tool=True)
    agent(scripted(0), named, tools=[search, compact_now]).invoke({"messages": TASK}, thread())
    assert "another tool is called compact_now" in named.warnings[0]


def test_two_of_ours_search_where_something_was_cut() -> None:
    saver = InMemorySaver()
    one, two = middleware(compress_only=["other"]), middleware(compress_only=["search"], name="second")
    agent(ScriptedChatModel(script=[ask(0), "ok"]), one, two, saver=saver).invoke({"messages": TASK}, thread())
    question = own_call("recall_context", query="ERROR pump 0 leaks at valve")
    again = agent(ScriptedChatModel(script=[question, "ok"]), one, two, saver=saver)
    (found,) = answers(again.invoke({"messages": "?"}, thread()), "recall_context")
    assert next(line for line in log_of("pump 0").splitlines() if "ERROR" in line) in found

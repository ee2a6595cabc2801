"""The middleware's tools budget in real agents of LangChain: what is listed, what stays, what can be found."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from support.paths import ROOT

pytest.importorskip("langchain")

from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field

from compressor import BudgetError, BudgetTooSmallError, Compressor
from compressor.context.refs import find_refs
from compressor.testing import RecordedRequest, ScriptedChatModel, call, count_shared_parts
from compressor.tokens import get_counter
from support.langchain_agents import create_agent, middleware, thread

THINGS = ("invoice", "weather", "flight", "hotel", "parcel", "recipe", "ticket", "contract", "pump", "meeting", "song")
VERBS = {"get": "Looks up", "update": "Changes", "delete": "Removes for good"}


def _tool(verb: str, thing: str) -> BaseTool:
    class Arguments(BaseModel):
        """What is wanted."""

        number: str = Field(description=f"The number of the {thing}, as printed on it. It begins with a letter.")
        region: str | None = Field(None, description=f"Where the {thing} was made, as a country code such as DE.")
        verbose: bool = Field(False, description="Whether to say more. Usually it is not needed at all.")

    def run(number: str, region: str | None = None, verbose: bool = False) -> str:
        return f"{verb} {thing} {number} {region}"

    about = (
        f"{VERBS[verb]} one {thing} by its number. Works for any {thing} of the last ten years, wherever it was made."
    )
    return StructuredTool.from_function(run, name=f"{verb}_{thing}", description=about, args_schema=Arguments)


TOOLS = [_tool(verb, thing) for thing in THINGS for verb in VERBS]
BUDGET = 700


def _names(request: RecordedRequest) -> list[str]:
    return [t["function"]["name"] if "function" in t else t["type"] for t in request.tools]


def _agent_with_tools(model: Any, ours: Any, tools: Any = TOOLS, **options: Any) -> Any:
    return create_agent(model, tools, middleware=[ours], checkpointer=InMemorySaver(), **options)


def _ours(**options: Any) -> Any:
    return middleware(50_000, **{"tools_budget": BUDGET, **options})


def _schemas(request: RecordedRequest) -> str:
    return json.dumps(request.tools)


def test_the_tools_needed_are_listed_within_the_budget_and_stay() -> None:
    model = ScriptedChatModel(
        script=[call("get_invoice", number="A1"), call("get_invoice", number="A2"), "Done.", "Welcome."]
    )
    agent = _agent_with_tools(model, _ours())
    agent.invoke({"messages": "What is the total of invoice A1, and of A2?"}, thread())
    agent.invoke({"messages": "Thanks, that was all."}, thread())
    first = model.requests[0]
    assert "get_invoice" in _names(first)
    assert {"find_tool", "expand_context"} <= set(_names(first))
    assert len(_names(first)) < len(TOOLS)
    assert all(get_counter("gpt-4o").count_tools(r.tools) <= BUDGET for r in model.requests)
    assert {_schemas(r) for r in model.requests} == {_schemas(first)}
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert count_shared_parts(before, after) == len(before.wire)


def test_a_tool_that_is_found_is_listed_and_runs() -> None:
    model = ScriptedChatModel(
        script=[call("find_tool", query="cancel a parcel"), call("delete_parcel", number="P9", region="FR"), "Done."]
    )
    out = _agent_with_tools(model, _ours()).invoke({"messages": "Which song is S7?"}, thread())
    results = [m.content for m in out["messages"] if isinstance(m, ToolMessage)]
    assert "delete_parcel" not in _names(model.requests[0])
    assert '"delete_parcel"' in results[0]
    assert results[1] == "delete parcel P9 FR"
    assert "delete_parcel" in _names(model.requests[1])
    shared = len(model.requests[0].tools)
    assert model.requests[1].tools[:shared] == model.requests[0].tools  # it grows at its end
    assert all(get_counter("gpt-4o").count_tools(r.tools) <= BUDGET for r in model.requests)


def test_a_tool_that_is_not_listed_runs_when_it_is_called_from_memory() -> None:
    model = ScriptedChatModel(script=[call("delete_parcel", number="T1"), "Done."])
    out = _agent_with_tools(model, _ours()).invoke({"messages": "Which song is S7?"}, thread())
    assert "delete_parcel" not in _names(model.requests[0])
    assert next(m.content for m in out["messages"] if isinstance(m, ToolMessage)) == "delete parcel T1 None"
    assert "delete_parcel" in _names(model.requests[1])


def test_async_is_listed_the_same() -> None:
    script = [call("find_tool", query="cancel a parcel"), call("delete_parcel", number="P9"), "Done."]
    one, two = ScriptedChatModel(script=script), ScriptedChatModel(script=script)
    _agent_with_tools(one, _ours()).invoke({"messages": "Which song is S7?"}, thread())
    asyncio.run(_agent_with_tools(two, _ours()).ainvoke({"messages": "Which song is S7?"}, thread()))
    assert [r.tools for r in one.requests] == [r.tools for r in two.requests]


def test_the_choice_survives_the_process() -> None:
    saver = InMemorySaver()
    one = ScriptedChatModel(script=["It is Yesterday."])
    create_agent(one, TOOLS, middleware=[_ours()], checkpointer=saver).invoke(
        {"messages": "Which song is S7?"}, thread()
    )
    two = ScriptedChatModel(script=["You are welcome."])
    agent = create_agent(two, TOOLS, middleware=[_ours()], checkpointer=saver)
    out = agent.invoke({"messages": "Thanks a lot!"}, thread())
    assert two.requests[0].tools == one.requests[0].tools
    assert set(out) == {"messages"}


def test_pinned_native_and_annotated_tools_stay_as_they_are() -> None:
    @tool(extras={"cache_control": {"type": "ephemeral"}})
    def notes(text: str) -> str:
        """Keeps a note. It is kept for ever, and nobody but the user can read it. Notes may be of any length at all."""
        return text

    native = {"type": "web_search_preview"}
    model = ScriptedChatModel(script=["Done."])
    ours = _ours(pinned_tools=["delete_contract"])
    _agent_with_tools(model, ours, [*TOOLS, notes, native]).invoke({"messages": "Which song is S7?"}, thread())
    listed = {t["function"]["name"]: t for t in model.requests[0].tools if "function" in t}
    assert "Where the contract was made" in json.dumps(listed["delete_contract"])
    assert "any length" in listed["notes"]["function"]["description"]
    assert native in model.requests[0].tools
    assert ours.warnings == []


def test_all_tools_that_fit_go_as_they_are() -> None:
    few, many = ScriptedChatModel(script=["Done."]), ScriptedChatModel(script=["Done."])
    _agent_with_tools(few, _ours(tools_budget=20_000, expand=False)).invoke({"messages": "Hi"}, thread())
    create_agent(many, TOOLS).invoke({"messages": "Hi"})
    assert few.requests[0].tools == many.requests[0].tools


def test_structured_output_comes_on_top() -> None:
    class Answer(BaseModel):
        """The answer."""

        title: str

    model = ScriptedChatModel(script=[call("Answer", title="Yesterday")])
    out = _agent_with_tools(model, _ours(), response_format=ToolStrategy(Answer)).invoke(
        {"messages": "Which song is S7?"}, thread()
    )
    assert out["structured_response"] == Answer(title="Yesterday")
    assert "Answer" in _names(model.requests[0])


def test_where_tools_may_be_bound_as_strict_every_parameter_stays() -> None:
    class Answer(BaseModel):
        """The answer."""

        title: str

    model = ScriptedChatModel(script=['{"title": "Yesterday"}'])
    _agent_with_tools(model, _ours(tools_budget=1_400), response_format=Answer).invoke(
        {"messages": "Which song is S7?"}, thread()
    )
    listed = [t["function"] for t in model.requests[0].tools if t["function"]["name"].endswith(THINGS)]
    assert listed and len(listed) < len(TOOLS)
    assert all(set(f["parameters"]["properties"]) == {"number", "region", "verbose"} for f in listed)
    assert not any("strict" in f for f in listed)


def test_a_budget_that_is_too_small_lets_all_tools_through_with_a_warning(caplog: Any) -> None:
    model = ScriptedChatModel(script=["Done."])
    ours = _ours(tools_budget=100, fail_open=True)
    with caplog.at_level(logging.WARNING):
        _agent_with_tools(model, ours).invoke({"messages": "Which song is S7?"}, thread())
    assert len(_names(model.requests[0])) == len(TOOLS) + 3
    assert any("100" in text and "too small" in text for text in ours.warnings)
    with pytest.raises(BudgetTooSmallError):
        _agent_with_tools(ScriptedChatModel(script=["Done."]), _ours(tools_budget=100)).invoke(
            {"messages": "Hi"}, thread()
        )


def test_bad_options() -> None:
    with pytest.raises(BudgetError):
        _ours(tools_budget=0)
    model, ours = ScriptedChatModel(script=["Done."]), _ours(pinned_tools=["no_such_tool"])
    _agent_with_tools(model, ours).invoke({"messages": "Which song is S7?"}, thread())
    assert any("no_such_tool" in text for text in ours.warnings)


def test_one_middleware_serves_agents_with_other_tools() -> None:
    ours = _ours(compressor=Compressor(store="memory"))
    one, two = ScriptedChatModel(script=["Done."]), ScriptedChatModel(script=["Done."])
    _agent_with_tools(one, ours, TOOLS[:18]).invoke({"messages": "Which parcel is P7?"}, thread("a"))
    _agent_with_tools(two, ours, TOOLS[15:]).invoke({"messages": "Which pump is P7?"}, thread("b"))
    assert "get_parcel" in _names(one.requests[0])
    assert "get_pump" in _names(two.requests[0]) and "get_weather" not in _names(two.requests[0])


def test_the_messages_are_compressed_beside_the_tools() -> None:
    model = ScriptedChatModel(script=[AIMessage("It is Yesterday.")])
    _agent_with_tools(model, _ours()).invoke({"messages": [HumanMessage("Which song is S7?")]}, thread())
    assert model.requests[0].messages[-1].content == "Which song is S7?"


SUMS = [
    f"Q: Ann has {i + 3} boxes of {t}s and gives away {i + 1}. How many {t}s are left in her store?\n"
    f"A: She had {i + 3}. {i + 3} - {i + 1} = 2 {t}s are left. The answer is 2."
    for i, t in enumerate(THINGS)
]
PROMPT = "You do sums. Here are some examples:\n\n" + "\n\n".join(SUMS) + "\n\nNever guess."


def test_examples_in_the_system_prompt_are_chosen_once_and_stay() -> None:
    def play(messages: Any) -> Any:
        refs = find_refs(messages[0].text)
        done = [m for m in messages if isinstance(m, ToolMessage)]
        return "Done." if done or "pump" not in messages[1].text else call("expand_context", ref=refs[0])

    model, saver, ours = ScriptedChatModel(script=play), InMemorySaver(), middleware(50_000, examples_budget=150)
    for said in ("How many pumps are left of 9, if she gives away 4?", "And how many songs?"):
        agent = create_agent(model, TOOLS[:2], middleware=[ours], system_prompt=PROMPT, checkpointer=saver)
        out = agent.invoke({"messages": said}, thread())
        ours = middleware(50_000, examples_budget=150, compressor=ours.compressor)
    prompts = [r.messages[0].text for r in model.requests]
    assert len(set(prompts)) == 1 and len(prompts) == 3
    assert prompts[0].startswith("You do sums. Here are some examples:\n\n") and prompts[0].endswith("\n\nNever guess.")
    assert 1 <= sum(one in prompts[0] for one in SUMS) < len(SUMS) and SUMS[THINGS.index("pump")] in prompts[0]
    opened = next(m.content for m in out["messages"] if isinstance(m, ToolMessage))
    assert opened == "\n\n".join(SUMS)
    assert set(out) == {"messages"}
    assert not ours.warnings  # the second middleware only repeats the choice
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert count_shared_parts(before, after) == len(before.wire)


def test_examples_that_are_messages_are_chosen_once_and_stay() -> None:
    model, ours = (
        ScriptedChatModel(script=[call("get_invoice", number="A1"), "2", "3"]),
        middleware(examples_budget=0.4),
    )
    pairs = [one.split("\n") for one in SUMS]
    given: list[Any] = [m for q, a in pairs for m in (HumanMessage(q), AIMessage(a))]
    agent = _agent_with_tools(model, ours, TOOLS[:2], system_prompt="Answer as in the examples.")
    agent.invoke({"messages": [*given, HumanMessage("Q: How many pumps are left of 9, if 4 go?")]}, thread())
    agent.invoke({"messages": "Q: And of 10?"}, thread())
    left = [m.content for m in model.requests[0].messages[1:]]
    assert 3 <= len(left) < len(given) and len(left) % 2 == 1
    halves = [(q, a) for q, a in zip(left[:-1:2], left[1:-1:2], strict=True)]
    assert all([q, a] in pairs for q, a in halves) and any("pump" in q for q, _ in halves)
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert count_shared_parts(before, after) == len(before.wire)
    assert [text for text in ours.warnings if "messages of examples were left out whole" in text] == ours.warnings
    assert model.requests[0].messages[1].content == given[0].content and len(ours.warnings) == 1


@pytest.mark.slow
def test_the_example_runs_offline() -> None:
    root = ROOT
    paths = os.pathsep.join([str(root), str(root / "agents"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(root / "examples" / "many_tools_agent.py"), "--offline"]
    env = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "72 tools" in done.stdout and "calls cancel_parcel(P-17)" in done.stdout
    assert "request 2:" in done.stdout and done.stdout.count("as before") >= 2

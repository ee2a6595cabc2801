"""What the middleware keeps with the checkpointer: restarts, forks, interrupts, sub-agents; and the expand tool."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.paths import TESTS

pytest.importorskip("langchain")
pytest.importorskip("langgraph.checkpoint.sqlite")

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.sessions.summaries import summarizer
from compressor.storage.memory import MemoryStore
from compressor.testing import RecordedRequest, ScriptedChatModel, count_shared_parts
from support.langchain_agents import (
    POLICY,
    TASK,
    ask,
    both,
    check,
    create_agent,
    expand_call,
    log_of,
    middleware,
    pairs,
    scripted,
    search,
    thread,
)

BUDGET = 4_500


def _script(first: int, rounds: int) -> list[Any]:
    return [*map(ask, range(first, first + rounds)), f"Answer {first}."]


def _saved_agent(model: Any, ours: Any, saver: Any, *more: Any, tools: Any = (search,)) -> Any:
    return create_agent(model, list(tools), middleware=[ours, *more], checkpointer=saver, system_prompt="Be brief.")


def _texts(request: RecordedRequest) -> dict[str, str]:
    return {m.tool_call_id: str(m.content) for m in request.messages if isinstance(m, ToolMessage)}


def _answers(out: dict[str, Any]) -> list[str]:
    return [str(m.content) for m in out["messages"] if isinstance(m, ToolMessage) and m.name == "expand_context"]


def _ref(model: ScriptedChatModel, call_id: str = "c0") -> str:
    """The ref in the newest result of a call that the model was sent."""
    (ref,) = set(find_refs(_texts(model.requests[-1])[call_id]))
    return ref


def _without_restart(rounds: int) -> list[list[str]]:
    model, ours = ScriptedChatModel(script=[*_script(0, rounds), *_script(50, 4)]), middleware(BUDGET)
    agent = _saved_agent(model, ours, InMemorySaver())
    agent.invoke({"messages": TASK}, thread())
    agent.invoke({"messages": "And the others?"}, thread())
    return [r.wire for r in model.requests]


@pytest.mark.parametrize("rounds", [3, 8, 9])
def test_restart_with_sqlite(rounds: int, tmp_path: Path) -> None:
    """New objects, the same file: the same bytes as without a restart, compactions before and after included."""
    sent: list[list[str]] = []
    for script, text in ((_script(0, rounds), TASK), (_script(50, 4), "And the others?")):
        model, ours = ScriptedChatModel(script=script), middleware(BUDGET)
        with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
            _saved_agent(model, ours, saver).invoke({"messages": text}, thread())
        sent += [r.wire for r in model.requests]
    assert sent == _without_restart(rounds)


def test_restart_async(tmp_path: Path) -> None:
    async def run(script: list[Any], text: str) -> list[list[str]]:
        model, ours = ScriptedChatModel(script=script), middleware(BUDGET)
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
            await _saved_agent(model, ours, saver).ainvoke({"messages": text}, thread())
        return [r.wire for r in model.requests]

    sent = asyncio.run(run(_script(0, 8), TASK)) + asyncio.run(run(_script(50, 4), "And the others?"))
    assert sent == _without_restart(8)


def test_restart_in_another_process(tmp_path: Path) -> None:
    """The thread goes on in a process that has neither our objects nor our memory, and opens what was cut in this."""
    code = """
import hashlib, json, sys
sys.path[:0] = [sys.argv[3]]
from support.langchain_agents import *
from langgraph.checkpoint.sqlite import SqliteSaver
ours = middleware(4_500, compressor=Compressor(store=sys.argv[2]))
model = ScriptedChatModel(script=[expand_call(sys.argv[4]), "ok"])
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    agent = create_agent(model, [search], middleware=[ours], checkpointer=saver, system_prompt="Be brief.")
    out = agent.invoke({"messages": "And?"}, thread())
    wire = model.requests[0].wire
    print(json.dumps([hashlib.sha256("".join(wire).encode()).hexdigest(), out["messages"][-2].content]))
"""
    file, store = str(tmp_path / "threads.db"), str(tmp_path / "store.db")
    model, ours = ScriptedChatModel(script=_script(0, 5)), middleware(BUDGET, compressor=Compressor(store=store))
    with SqliteSaver.from_conn_string(file) as saver:
        _saved_agent(model, ours, saver).invoke({"messages": TASK}, thread())
    ours.compressor.close()
    arguments = [file, store, str(TESTS), _ref(model)]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    digest, opened = json.loads(run.stdout)
    assert opened == log_of("pump 0")
    added = [{"role": "assistant", "content": "Answer 0."}, {"role": "user", "content": "And?"}]
    wire = [*model.requests[-1].wire, *(json.dumps(m, sort_keys=True) for m in added)]
    assert hashlib.sha256("".join(wire).encode()).hexdigest() == digest


def test_a_fork_sees_what_was_frozen_by_then() -> None:
    """Every model call of a long run is made again from its checkpoint: each is sent the same bytes as the first time,
    whatever was compacted later."""
    saver, model, ours = InMemorySaver(), ScriptedChatModel(script=_script(0, 10)), middleware(BUDGET)
    agent = _saved_agent(model, ours, saver)
    agent.invoke({"messages": TASK}, thread())
    report = ours.cost_report("t")
    assert report.compactions
    check(model.requests, BUDGET, report.compactions)
    points = [s for s in agent.get_state_history(thread()) if s.next == ("model",)]
    assert len(points) == 11
    for number, point in enumerate(reversed(points)):
        again = ScriptedChatModel(script=["Otherwise."])
        out = _saved_agent(again, middleware(BUDGET), saver).invoke(None, point.config)
        assert again.requests[0].wire == model.requests[number].wire
        assert out["messages"][-1].content == "Otherwise."


def test_a_fork_goes_its_own_way() -> None:
    saver, model, ours = InMemorySaver(), ScriptedChatModel(script=_script(0, 6)), middleware(BUDGET)
    agent = _saved_agent(model, ours, saver)
    agent.invoke({"messages": TASK}, thread())
    point = next(
        s for s in agent.get_state_history(thread()) if s.next == ("model",) and len(s.values["messages"]) == 7
    )
    forked = agent.update_state(point.config, {"messages": [HumanMessage("Look at pump 70 instead.")]})
    again = ScriptedChatModel(script=_script(70, 3))
    _saved_agent(again, middleware(BUDGET), saver).invoke(None, forked)
    assert count_shared_parts(model.requests[3], again.requests[0]) == len(model.requests[3].wire)
    for request in again.requests:
        pairs(request)
    assert "c70" in _texts(again.requests[-1])
    assert "c4" not in _texts(again.requests[-1])


@pytest.mark.parametrize("decision", ["approve", "edit", "reject"])
def test_interrupts_for_a_human(decision: str) -> None:
    @tool
    def order(query: str) -> str:
        """Orders a part."""
        return f"ordered: {query}"

    model = ScriptedChatModel(script=[*map(ask, range(6)), both(ask(6), ask(7, "part 9", "order")), "ok"])
    human: Any = HumanInTheLoopMiddleware(interrupt_on={"order": True})
    saver, ours = InMemorySaver(), middleware(BUDGET)
    agent = _saved_agent(model, ours, saver, human, tools=[search, order])
    out = agent.invoke({"messages": TASK}, thread())
    assert out["__interrupt__"]
    made: dict[str, Any] = {"type": decision}
    if decision == "edit":
        made["edited_action"] = {"name": "order", "args": {"query": "part 10"}}
    fresh = ScriptedChatModel(script=["ok"])
    other = middleware(BUDGET)
    agent = _saved_agent(fresh, other, saver, human, tools=[search, order])
    agent.invoke(Command(resume={"decisions": [made]}), thread())
    sent = [*model.requests, *fresh.requests]
    report = other.cost_report("t")
    check(sent, BUDGET, report.compactions)
    told = _texts(fresh.requests[-1])["c7"]
    assert told.endswith({"approve": "ordered: part 9", "edit": "ordered: part 10"}.get(decision, ""))
    assert ("ordered" in told) == (decision != "reject")


# The stream


def _nodes(chunks: list[Any]) -> set[str]:
    return {node for chunk in chunks for node in chunk}


def test_streams_hold_nothing_of_ours() -> None:
    for is_async in (False, True):
        model, ours = scripted(6, answer="No pump leaks at all."), middleware(2_500)
        agent = _saved_agent(model, ours, InMemorySaver())
        modes = ["messages", "updates", "custom"]
        if is_async:

            async def run(agent: Any = agent, modes: Any = modes) -> list[Any]:
                return [c async for c in agent.astream({"messages": TASK}, thread(), stream_mode=modes)]

            chunks = asyncio.run(run())
        else:
            chunks = list(agent.stream({"messages": TASK}, thread(), stream_mode=modes))
        report = ours.cost_report("t")
        assert report.compactions
        said = "".join(m.content for mode, (m, _) in ((k, v) for k, v in chunks if k == "messages") if m.type != "tool")
        assert said == "No pump leaks at all."
        arguments = "".join(
            part["args"] or ""
            for mode, chunk in chunks
            if mode == "messages"
            for part in getattr(chunk[0], "tool_call_chunks", ())
        )
        assert arguments == "".join(json.dumps({"query": f"pump {i}"}) for i in range(6))
        updates = [chunk for mode, chunk in chunks if mode == "updates"]
        assert _nodes(updates) == {"model", "tools"}
        assert all(isinstance(u["model"]["messages"], list) for u in updates if "model" in u)
        results = [m.content for u in updates if "tools" in u for m in u["tools"]["messages"]]
        assert results == [log_of(f"pump {i}") for i in range(6)]
        assert not [chunk for mode, chunk in chunks if mode == "custom"]


def test_the_private_field_is_seen_only_by_who_asks_for_the_whole_state() -> None:
    model, ours = (
        ScriptedChatModel(script=lambda messages: "ok" if len(messages) > 4 else ask(len(messages))),
        middleware(),
    )
    agent = _saved_agent(model, ours, InMemorySaver())
    assert set(agent.invoke({"messages": TASK}, thread())) == {"messages"}
    for mode in ("updates", "values"):
        chunks = list(agent.stream({"messages": "And?"}, thread("u"), stream_mode=mode, output_keys=["messages"]))
        assert "compressor" not in str([list(c) for c in chunks])
    assert "compressor" in agent.get_state(thread()).values
    assert "compressor" not in agent.get_input_jsonschema()["properties"]
    assert "compressor" not in agent.get_output_jsonschema()["properties"]
    agent.invoke({"messages": "x", "compressor": {"version": 99}}, thread("v"))
    assert agent.get_state(thread("v")).values["compressor"]["version"] != 99


@pytest.mark.parametrize("is_async", [False, True])
def test_a_model_that_summarises_is_not_streamed_to_the_user(is_async: bool) -> None:
    writer = ScriptedChatModel(script=lambda messages: "Facts:\n- SECRET pump 1 was searched for.")
    policy = replace(POLICY, target=("tokens", 1_500), summarizer=summarizer(writer))
    model, ours = scripted(12), middleware(2_500, policy=policy)
    agent = _saved_agent(model, ours, InMemorySaver())
    modes = ["messages", "updates"]
    if is_async:

        async def run() -> list[Any]:
            return [c async for c in agent.astream({"messages": TASK}, thread(), stream_mode=modes)]

        chunks = asyncio.run(run())
    else:
        chunks = list(agent.stream({"messages": TASK}, thread(), stream_mode=modes))
    assert writer.requests, "no summary was asked for"
    shown = [chunk[0] if mode == "messages" else chunk.get("model", {}).get("messages") for mode, chunk in chunks]
    assert "SECRET" not in str(shown)
    for request in model.requests:
        pairs(request)
        assert request.tokens() <= 2_500
        assert not [m for m in request.messages if m.type in ("human", "system") and "SECRET" in m.text]


# The expand tool


def test_the_agent_opens_what_was_cut() -> None:
    ref: list[str] = []

    def play(messages: list[Any]) -> Any:
        results = {m.tool_call_id: str(m.content) for m in messages if isinstance(m, ToolMessage)}
        if len(results) < 2:
            return ask(len(results))
        if "x1" not in results:
            ref[:] = find_refs(results["c0"])
            return both(expand_call(ref[0]), expand_call(ref[0], "x2", query="ERROR leaks", max_tokens=100))
        return "ok"

    for is_async in (False, True):
        model, ours = ScriptedChatModel(script=play), middleware(20_000)
        agent = _saved_agent(model, ours, InMemorySaver())
        given = {"messages": TASK}
        out = asyncio.run(agent.ainvoke(given, thread())) if is_async else agent.invoke(given, thread())
        whole, part = _answers(out)
        assert whole == log_of("pump 0")
        assert "ERROR pump 0 leaks" in part
        assert len(part) < 0.3 * len(whole)
        assert not find_refs(_texts(model.requests[-1])["x1"]), "what was asked for is not cut again at once"
        check(model.requests, 20_000, 0)
        report = ours.cost_report("t")
        assert report.expansions == 2


def test_each_thread_opens_only_its_own() -> None:
    ours, saver = middleware(), InMemorySaver()
    model = scripted(2)
    _saved_agent(model, ours, saver).invoke({"messages": TASK}, thread("a"))
    ref = _ref(model)
    for config, found in ((thread("b"), False), (thread("a"), True)):
        again = ScriptedChatModel(script=[expand_call(ref), "ok"])
        (told,) = _answers(_saved_agent(again, ours, saver).invoke({"messages": "?"}, config))
        assert (told == log_of("pump 0")) == found
        assert found or "no ref" in told


def test_tenants_with_equal_threads_are_apart() -> None:
    compressor = Compressor(store="memory")
    model = scripted(2)
    _saved_agent(model, middleware(compressor=compressor, tenant="a"), InMemorySaver()).invoke(
        {"messages": TASK}, thread()
    )
    for tenant, found in (("b", False), ("a", True)):
        again = ScriptedChatModel(script=[expand_call(_ref(model)), "ok"])
        agent = _saved_agent(again, middleware(compressor=compressor, tenant=tenant), InMemorySaver())
        (told,) = _answers(agent.invoke({"messages": "?"}, thread()))
        assert (told == log_of("pump 0")) == found


def test_runs_without_a_thread_are_apart() -> None:
    ours = middleware()
    model = scripted(2)
    _saved_agent(model, ours, None).invoke({"messages": TASK})
    again = ScriptedChatModel(script=[ask(8), expand_call(_ref(model)), "ok"])
    (told,) = _answers(_saved_agent(again, ours, None).invoke({"messages": "?"}))
    assert "no ref" in told


def test_says_that_a_text_has_expired() -> None:
    now = [0.0]
    store = MemoryStore(ttl=60, clock=lambda: now[0])
    model, ours, saver = scripted(2), middleware(compressor=Compressor(store=store)), InMemorySaver()
    _saved_agent(model, ours, saver).invoke({"messages": TASK}, thread())
    ref = _ref(model)
    now[0] = 1e6
    again = ScriptedChatModel(script=[expand_call(ref), "ok"])
    (told,) = _answers(_saved_agent(again, ours, saver).invoke({"messages": "?"}, thread()))
    assert told.startswith("Expired:")


@pytest.mark.parametrize("arguments", [{"ref": "nothing"}, {"ref": ""}, {}, {"ref": "1", "max_tokens": -1}, {"ref": 5}])
def test_a_model_that_calls_it_wrongly_is_told_so(arguments: dict[str, Any]) -> None:
    call = {"name": "expand_context", "args": arguments, "id": "x1", "type": "tool_call"}
    model = ScriptedChatModel(script=[AIMessage("", tool_calls=[call]), "ok"])
    out = _saved_agent(model, middleware(), InMemorySaver()).invoke({"messages": "?"}, thread())
    assert out["messages"][-1].content == "ok"
    assert out["messages"][-2].content


def test_two_of_ours_each_open_their_own() -> None:
    """They have a store each, and one tool for both."""
    model = ScriptedChatModel(script=[ask(0), ask(1, name="read"), "ok"])

    @tool
    def read(query: str) -> str:
        """Reads a log."""
        return log_of(query)

    saver = InMemorySaver()
    one, two = middleware(compress_only=["search"]), middleware(compress_only=["read"], name="second")
    _saved_agent(model, one, saver, two, tools=[search, read]).invoke({"messages": TASK}, thread())
    refs = [_ref(model, "c0"), _ref(model, "c1")]
    for is_async in (False, True):
        again = ScriptedChatModel(
            script=[both(expand_call(refs[0]), expand_call(refs[1], "x2")), expand_call("1" * 12, "x3"), "ok"]
        )
        agent = _saved_agent(again, one, saver, two, tools=[search, read])
        config = thread()
        out = (
            asyncio.run(agent.ainvoke({"messages": "?"}, config))
            if is_async
            else agent.invoke({"messages": "?"}, config)
        )
        assert _answers(out)[-3:-1] == [log_of("pump 0"), log_of("pump 1")]
        assert "no ref" in _answers(out)[-1]


def test_without_the_tool() -> None:
    model = scripted(3)
    _saved_agent(model, middleware(expand=False), InMemorySaver()).invoke({"messages": TASK}, thread())
    assert [t["function"]["name"] for t in model.requests[0].tools] == ["search"]


# Sub-agents


@pytest.mark.parametrize("shared", [True, False])
def test_sub_agents(shared: bool) -> None:
    """A sub-agent in a tool has a conversation of its own, even with the same middleware object; two at once too."""
    ours = middleware(BUDGET)
    inner: list[ScriptedChatModel] = []
    told: list[str] = []

    @tool
    def delegate(query: str) -> str:
        """Hands a task to a sub-agent."""
        first = int(query)
        model = ScriptedChatModel(script=[*map(ask, range(first, first + 4)), "sub done"])
        inner.append(model)
        sub = create_agent(model, [search], middleware=[ours if shared else middleware(BUDGET)])
        return str(sub.invoke({"messages": f"Look at pump {query}."})["messages"][-1].content)

    outer = ScriptedChatModel(script=[ask(0), both(ask(1, "20", "delegate"), ask(2, "30", "delegate")), ask(3), "done"])
    saver = InMemorySaver()
    out = _saved_agent(outer, ours, saver, tools=[search, delegate]).invoke({"messages": TASK}, thread())
    assert out["messages"][-1].content == "done"
    assert len(inner) == 2
    for model in inner:
        check(model.requests, BUDGET, 0)
        assert len(model.requests) == 5
        assert model.requests[0].messages[0].text.startswith("Look at pump")
    check(outer.requests, BUDGET, 0)
    report = ours.cost_report("t")
    assert report.calls == 4, "a thread's balance is its outermost agent's"
    ref = _ref(inner[0], next(iter(_texts(inner[0].requests[-1]))))
    again = ScriptedChatModel(script=[expand_call(ref), "ok"])
    (text,) = _answers(_saved_agent(again, ours, saver, tools=[search, delegate]).invoke({"messages": "?"}, thread()))
    told.append(text)
    assert "no ref" in told[0], "what a sub-agent read is not its caller's"


def test_as_a_node_of_a_bigger_graph() -> None:
    from langgraph.graph import END, START, MessagesState, StateGraph

    model, ours = ScriptedChatModel(script=[*_script(0, 5), *_script(5, 3)]), middleware(BUDGET)
    graph = StateGraph(MessagesState)
    graph.add_node("agent", create_agent(model, [search], middleware=[ours]))
    graph.add_edge(START, "agent")
    graph.add_edge("agent", END)
    app = graph.compile(checkpointer=InMemorySaver())
    out = app.invoke({"messages": [HumanMessage(TASK)]}, thread())
    assert set(out) == {"messages"}
    app.invoke({"messages": [HumanMessage("And?")]}, thread())
    for request in model.requests:
        pairs(request)
        assert request.tokens() <= BUDGET


def test_a_sub_agent_that_remembers() -> None:
    """A node with a checkpointer of its own: frozen bytes and refs hold from run to run."""
    from langgraph.graph import END, START, MessagesState, StateGraph

    refs: list[str] = []

    def play(messages: list[Any]) -> Any:
        results = {m.tool_call_id: str(m.content) for m in messages if isinstance(m, ToolMessage)}
        if messages[-1].text == "And?":
            refs[:] = find_refs(results["c0"])
            return expand_call(refs[0])
        return "ok" if len(results) > 2 else ask(len(results))

    model, ours = ScriptedChatModel(script=play), middleware(BUDGET)
    sub = create_agent(model, [search], middleware=[ours], checkpointer=True)
    graph = StateGraph(MessagesState)
    graph.add_node(
        "agent", lambda state: {"messages": sub.invoke({"messages": state["messages"][-1:]})["messages"][-2:]}
    )
    graph.add_edge(START, "agent")
    graph.add_edge("agent", END)
    app = graph.compile(checkpointer=InMemorySaver())
    for text in (TASK, "And?"):
        out = app.invoke({"messages": [HumanMessage(text)]}, thread())
    check(model.requests, BUDGET, 0)
    assert out["messages"][-2].content == log_of("pump 0")


def test_one_object_serves_many_threads_at_once() -> None:
    ours, saver = middleware(BUDGET), InMemorySaver()
    models = [scripted(6) for _ in range(8)]

    async def run() -> None:
        agents = [_saved_agent(model, ours, saver) for model in models]
        await asyncio.gather(*(a.ainvoke({"messages": TASK}, thread(str(i))) for i, a in enumerate(agents)))

    asyncio.run(run())
    for i, model in enumerate(models):
        report = ours.cost_report(str(i))
        check(model.requests, BUDGET, report.compactions)
        assert [r.wire for r in model.requests] == [r.wire for r in models[0].requests]


# Structured output


def test_structured_output_by_a_tool() -> None:
    from langchain.agents.structured_output import ToolStrategy
    from pydantic import BaseModel, Field

    class Verdict(BaseModel):
        """What was found out."""

        pump: int = Field(description="The pump that leaks. " * 30)

    bad = AIMessage("", tool_calls=[{"name": "Verdict", "args": {"pump": "?"}, "id": "v1", "type": "tool_call"}])
    good = AIMessage("", tool_calls=[{"name": "Verdict", "args": {"pump": 4}, "id": "v2", "type": "tool_call"}])
    model, ours = ScriptedChatModel(script=[*map(ask, range(8)), bad, good]), middleware(3_000)
    agent = create_agent(
        model, [search], middleware=[ours], checkpointer=InMemorySaver(), response_format=ToolStrategy(Verdict)
    )
    out = agent.invoke({"messages": TASK}, thread())
    assert out["structured_response"] == Verdict(pump=4)
    names = sorted(t["function"]["name"] for t in model.requests[0].tools)
    assert names == ["Verdict", "expand_context", "recall_context", "search"]
    report = ours.cost_report("t")
    assert report.compactions
    check(model.requests, 3_000, report.compactions)
    assert model.requests[0].settings["tool_choice"] == "any"


def test_structured_output_by_the_provider() -> None:
    from langchain.agents.structured_output import ProviderStrategy
    from pydantic import BaseModel

    class Verdict(BaseModel):
        """What was found out."""

        pump: int

    model, ours = scripted(6, answer='{"pump": 4}'), middleware(3_000)
    agent = create_agent(
        model, [search], middleware=[ours], checkpointer=InMemorySaver(), response_format=ProviderStrategy(Verdict)
    )
    out = agent.invoke({"messages": TASK}, thread())
    assert out["structured_response"] == Verdict(pump=4)
    assert model.requests[0].settings["response_format"]["type"] == "json_schema"
    report = ours.cost_report("t")
    check(model.requests, 3_000, report.compactions)

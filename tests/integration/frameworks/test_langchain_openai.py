"""The middleware in an agent with the real ChatOpenAI, over HTTP: a scripted local server that refuses what a provider
would refuse, and notes every request that does not extend the one before it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("langchain_openai")
pytest.importorskip("uvicorn")

from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import SecretStr

from compressor.context.refs import find_refs
from support.langchain_agents import TASK, create_agent, log_of, middleware, search, thread
from support.scripted_server import Call, Reply, ScriptedServer


def _searches(rounds: int) -> list[Reply]:
    return [Reply(calls=[Call("search", {"query": f"pump {i}"})]) for i in range(rounds)]


def _agent_over_http(url: str, ours: Any, responses: bool) -> Any:
    model = ChatOpenAI(
        model="gpt-4o",
        base_url=f"{url}/v1",
        api_key=SecretStr("any"),
        use_responses_api=responses,
        max_retries=0,
        stream_usage=True,
    )
    return create_agent(model, [search], middleware=[ours], checkpointer=InMemorySaver(), system_prompt="Be brief.")


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_every_request_extends_the_one_before(way: str, responses: bool) -> None:
    ours = middleware(20_000)
    with ScriptedServer([*_searches(5), Reply("No pump leaks.")]) as server:
        agent, given = _agent_over_http(server.url, ours, responses), {"messages": TASK}
        if way == "invoke":
            agent.invoke(given, thread())
        elif way == "ainvoke":
            asyncio.run(agent.ainvoke(given, thread()))
        elif way == "stream":
            chunks = list(agent.stream(given, thread(), stream_mode="messages"))
            assert "".join(m.text for m, _ in chunks if m.type == "AIMessageChunk") == "No pump leaks."
        else:

            async def run() -> list[Any]:
                return [m async for m, _ in agent.astream(given, thread(), stream_mode="messages")]

            assert "".join(m.text for m in asyncio.run(run()) if m.type == "AIMessageChunk") == "No pump leaks."
        assert server.problems == []
        assert server.left == 0
        assert len(server.requests) == 6
        assert server.requests[0].tools == ["expand_context", "recall_context", "search"]
        assert agent.get_state(thread()).values["messages"][-1].text == "No pump leaks."
    report = ours.cost_report("t")
    assert report.actual_tokens < 0.8 * report.baseline_tokens
    assert report.billed_tokens > 0
    assert report.cached_fraction > 0.4
    assert ours.warnings == []


def test_compactions_are_all_that_departs() -> None:
    ours = middleware(3_500)
    with ScriptedServer([*_searches(12), Reply("No pump leaks.")]) as server:
        _agent_over_http(server.url, ours, False).invoke({"messages": TASK}, thread())
        problems = server.problems
    report = ours.cost_report("t")
    assert report.compactions
    assert len(problems) == report.compactions
    assert all("not an extension" in problem for problem in problems)


def test_the_model_opens_what_was_cut() -> None:
    def ask_back(request: Any) -> Reply:
        (ref,) = set(find_refs(str(request.messages)))
        return Reply(calls=[Call("expand_context", {"ref": ref})])

    ours = middleware(20_000)
    with ScriptedServer([*_searches(1), ask_back, Reply("ok")]) as server:
        out = _agent_over_http(server.url, ours, False).invoke({"messages": TASK}, thread())
        assert server.problems == []
    assert out["messages"][-2].content == log_of("pump 0")

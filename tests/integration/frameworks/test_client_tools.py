"""The budget of tool schemas in the wrapped OpenAI and Anthropic clients, against a real local server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from compressor import BudgetError, BudgetTooSmallError, Compressor
from compressor.tokens import get_counter
from support.client_scenarios import NO_COMPACTION
from support.client_tools import ChatTalk, MessagesTalk, ResponsesTalk, Talk, finish, plain_openai
from support.many_tools import office_tools
from support.scripted_server import Call, Reply, ScriptedServer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

from compressor_agents import anthropic as wrapped_anthropic  # noqa: E402
from compressor_agents import openai as wrapped_openai  # noqa: E402

TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
BUDGET = 0.14  # of the tokens of all tools; their names alone take about as much


@pytest.fixture(params=["chat", "responses", "messages", "chat-async", "messages-async"])
def office_talk(request: pytest.FixtureRequest, compressor: Compressor, loop: asyncio.AbstractEventLoop) -> Any:
    kind, _, way = request.param.partition("-")

    def make(server: ScriptedServer, **options: Any) -> Talk:
        given: dict[str, Any] = {"policy": NO_COMPACTION, "tools_budget": BUDGET, **options}
        if kind == "messages":
            own = anthropic.AsyncAnthropic if way else anthropic.Anthropic
            plain = own(base_url=server.url, api_key="any", max_retries=0)
            client = wrapped_anthropic.with_compression(plain, compressor, **given)
        else:
            plain = plain_openai(server, "AsyncOpenAI" if way else "OpenAI", max_retries=0)
            client = wrapped_openai.with_compression(plain, compressor, **given)
        talk = TALKS[kind](client, loop if way else None)
        talk.tools, talk.history = office_tools(kind), []
        talk.say("Find me a flight to Rome on Friday.")
        return talk

    return make


def test_a_conversation_lists_what_it_needs(office_talk: Any, stream: bool) -> None:
    script = [
        Reply("", [Call("search_flight", {"words": "Rome"})]),
        Reply("Two flights."),
        Reply("", [Call("find_tool", {"query": "send somebody a link to a contract"})]),
        Reply("", [Call("share_contract", {"number": "C-1", "email": "a@b.example"})]),
        Reply("Shared."),
    ]
    with ScriptedServer(script, extends=None) as server:
        talk = office_talk(server, pinned_tools=["archive_lamp"])
        assert finish(talk, stream) == ["search_flight"]
        talk.say("Fine. Now C-1, please, to Ann.")
        assert finish(talk, stream) == ["share_contract"]
        assert "find_tool" not in json.dumps([str(message) for message in talk.history])
        report = talk.client.cost_report()
        assert report.actual_tokens < 0.5 * report.baseline_tokens
    assert not server.problems and server.left == 0
    lists = [request.body["tools"] for request in server.requests]
    assert lists[0] == lists[1] == lists[2] and lists[3][: len(lists[0])] == lists[0] and lists[3] == lists[4]
    assert "share_contract" in server.requests[3].tools and "share_contract" not in server.requests[0].tools
    assert next(tool for tool in talk.tools if "archive_lamp" in json.dumps(tool)) in lists[0]
    model = "claude-sonnet-5" if isinstance(talk, MessagesTalk) else "gpt-4o"
    assert all(
        get_counter(model).count_tools(tools[2:]) <= BUDGET * get_counter(model).count_tools(talk.tools)
        for tools in lists
    )


def test_find_tool_without_the_other_tools(office_talk: Any) -> None:
    script = [Reply("", [Call("find_tool", {"query": "delete a lamp"})]), Reply("Done.")]
    with ScriptedServer(script, extends=None) as server:
        assert office_talk(server, expand=False).ask().text == "Done."
    assert server.requests[0].tools[0] == "find_tool" and not server.problems


def test_trouble_sends_all_tools_and_is_logged_once(office_talk: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer([Reply("One."), Reply("Two.")], extends=None) as server:
        talk = office_talk(server, tools_budget=9)
        talk.ask()
        talk.say("And?")
        talk.ask()
    assert caplog.text.count("the tools were sent uncut: BudgetTooSmallError") == 1
    assert [request.body["tools"][2:] for request in server.requests] == [talk.tools] * 2
    with ScriptedServer([], extends=None) as server, pytest.raises(BudgetTooSmallError):
        office_talk(server, tools_budget=9, fail_open=False).ask()
    with pytest.raises(BudgetError, match=r"tools_budget=1.0 would be one token"):
        office_talk(server, tools_budget=1.0)

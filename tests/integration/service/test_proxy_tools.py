"""The budget of tool schemas in the proxy: real clients, a real service, a real provider with a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compressor.tokens import get_counter
from support.client_tools import ChatTalk, MessagesTalk, ResponsesTalk, Talk, finish
from support.many_tools import office_tools
from support.scripted_server import Call, Reply, Request, ScriptedServer

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service  # noqa: E402

TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
BUDGET = 0.14  # of the tokens of all tools; their names alone take about as much
NAMES = [tool["name"] for tool in office_tools("messages")]
CONTEXT_TOOLS = ["expand_context", "recall_context"]
NONE: dict[str, Any] = {"chat": "none", "responses": "none", "messages": {"type": "none"}}


@contextmanager
def proxied(script: list[Any], extends: Any = None, **settings: Any) -> Iterator[tuple[ScriptedServer, Service]]:
    settings = {"policy": {"compact": False}, "tools_budget": BUDGET, **settings}
    with ScriptedServer(script, extends=extends) as server, Service(upstream=server.url, **settings) as service:
        yield server, service


@pytest.fixture(params=list(TALKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def office_talk(kind: str, service: Service, headers: dict[str, str] | None = None, **options: Any) -> Talk:
    given: dict[str, Any] = {"api_key": "sk", "max_retries": 0, "default_headers": headers or {}}
    if kind == "messages":
        client: Any = anthropic.Anthropic(base_url=service.url, **given)
    else:
        client = openai.OpenAI(base_url=service.url + "/v1", **given)
    talk = TALKS[kind](client, **options)
    talk.tools, talk.history = office_tools(kind), []
    talk.say("Find me a flight to Rome on Friday.")
    return talk


def listed(request: Request) -> dict[str, Any]:
    """Returns the caller's tools that a request lists, by name."""
    tools = zip(request.tools, request.body["tools"], strict=True)
    return {name: tool for name, tool in tools if name not in (*CONTEXT_TOOLS, "find_tool")}


def tokens(kind: str, tools: Any) -> int:
    return get_counter("claude-sonnet-5" if kind == "messages" else "gpt-4o").count_tools(list(tools))


def call_unlisted(request: Request) -> Reply:
    """Calls the last tool that the request does not list."""
    missing = [name for name in NAMES if name not in request.tools]
    return Reply("", [Call(missing[-1], {"number": "L-1", "email": "a@b.example", "words": "x"})])


def test_a_conversation_lists_what_it_needs(kind: str, stream: bool) -> None:
    script = [
        Reply("", [Call("search_flight", {"words": "Rome"})]),
        Reply("Two flights."),
        Reply("Let me see.", [Call("find_tool", {"query": "send somebody a link to a contract"})]),
        Reply("", [Call("share_contract", {"number": "C-1", "email": "a@b.example"})]),
        Reply("Shared."),
        Reply("Bye."),
    ]
    with proxied(script) as (server, service):
        talk = office_talk(kind, service)
        assert finish(talk, stream) == ["search_flight"]
        talk.say("Fine. Now C-1, please, to Ann.")
        assert finish(talk, stream) == ["share_contract"]
        assert "find_tool" not in json.dumps([str(message) for message in talk.history])
        talk.say("Thanks.")
        assert finish(talk, stream) == []
        assert service.metric("expansions_total") == 1 and service.metric("fallbacks_total") == 0
        assert service.metric("tokens_after_total") < 0.5 * service.metric("tokens_before_total")
        assert service.metric("saved_dollars") > 0
    assert not server.problems and server.left == 0
    requests = server.requests
    assert requests[0].tools[:3] == [*CONTEXT_TOOLS, "find_tool"]
    assert "search_flight" in listed(requests[0]) and "share_contract" not in listed(requests[0])
    for request in requests:
        assert tokens(kind, request.body["tools"][2:]) <= BUDGET * tokens(kind, talk.tools)
    assert [requests[i].body["tools"] for i in (1, 2)] == [requests[0].body["tools"]] * 2  # a stable prefix
    grown = requests[3].tools
    assert grown[: len(requests[2].tools)] == requests[2].tools and "share_contract" in grown  # found, at the end
    assert requests[4].tools == requests[5].tools == grown
    remembered = json.dumps(requests[5].messages)  # the model remembers what it has found, word for word
    assert "find_tool" in remembered and remembered.count("Sends a link to a contract to somebody else.") == 1


def test_a_tool_that_is_not_listed_can_be_called(kind: str, stream: bool) -> None:
    with proxied([call_unlisted, Reply("Gone.")]) as (server, service):
        [called] = finish(office_talk(kind, service), stream)
    assert not server.problems
    assert called not in listed(server.requests[0]) and called in listed(server.requests[1])


def test_a_forced_tool_is_listed_whole(kind: str) -> None:
    name = "share_visa"
    choice: Any = {"type": "tool", "name": name} if kind == "messages" else {"type": "function", "name": name}
    choice = {"type": "function", "function": {"name": name}} if kind == "chat" else choice
    with proxied([Reply("Hm."), Reply("", [Call(name, {"number": "V-1", "email": "a@b.example"})])]) as (
        server,
        service,
    ):
        talk = office_talk(kind, service)
        finish(talk, False)
        talk.say("Go on.")
        talk.options = {"tool_choice": choice}
        assert [call[1] for call in talk.ask().calls] == [name]
    want = next(tool for tool in talk.tools if name in (tool.get("name"), tool.get("function", {}).get("name")))
    assert listed(server.requests[1])[name] == want
    assert tokens(kind, server.requests[1].body["tools"][2:]) <= BUDGET * tokens(kind, office_tools(kind))


def test_find_tool_is_not_offered_in_vain(kind: str) -> None:
    with proxied([Reply("One."), Reply("Two.")], tools_budget=1_000) as (server, service):
        talk = office_talk(kind, service, tool_choice=NONE[kind])
        talk.ask()
        few = office_talk(kind, service)
        few.tools = few.tools[:3]
        few.ask()
    assert "find_tool" not in server.requests[0].tools and len(server.requests[0].tools) < 62  # calls are forbidden
    assert server.requests[1].tools[2:] == ["create_invoice", "create_flight", "create_hotel"]  # nothing was cut
    assert list(listed(server.requests[1]).values()) == few.tools


def test_forbidding_tools_for_a_turn_keeps_the_prefix(kind: str) -> None:
    with proxied([Reply("One."), Reply("Two.")]) as (server, service):
        talk = office_talk(kind, service)
        talk.ask()
        talk.say("And?")
        talk.options = {"tool_choice": NONE[kind]}
        talk.ask()
    assert server.requests[0].body["tools"] == server.requests[1].body["tools"]


def test_a_request_without_tools_gets_none() -> None:
    with proxied([Reply("Hello.")]) as (server, service):
        talk = office_talk("chat", service)
        talk.tools = []
        assert talk.ask().text == "Hello."
    assert "tools" not in server.requests[0].body


def test_a_tool_of_the_clients_own_name_stays_its_own(stream: bool) -> None:
    with proxied([Reply("", [Call("find_tool", {"query": "x"})]), Reply("Done.")]) as (server, service):
        talk = office_talk("chat", service)
        own = {
            "type": "function",
            "function": {"name": "find_tool", "description": "Finds a spanner.", "parameters": {}},
        }
        own["function"]["parameters"] = {"type": "object", "properties": {"query": {"type": "string"}}}  # type: ignore[index]
        talk.tools = [own, *talk.tools]
        assert finish(talk, stream) == ["find_tool"]
    assert server.requests[1].tools.count("find_tool") == 1 and not server.problems


def test_a_cache_breakpoint_stays() -> None:
    with proxied([call_unlisted, Reply("Gone.")]) as (server, service):
        talk = office_talk("messages", service)
        talk.tools[-1]["cache_control"] = {"type": "ephemeral"}
        finish(talk, False)
    for request in server.requests:
        marked = [name for name, tool in listed(request).items() if "cache_control" in tool]
        assert marked == ["share_visa"]


@pytest.mark.parametrize(("budget", "why"), [("20", "BudgetTooSmallError"), ("0.2%", "BudgetTooSmallError")])
def test_trouble_sends_all_tools_and_says_so(kind: str, budget: str, why: str) -> None:
    with proxied([Reply("Hello.")]) as (server, service):
        talk = office_talk(kind, service)
        resource = {"chat": "chat.completions", "responses": "responses", "messages": "messages"}[kind]
        given: dict[str, Any] = {
            "model": "gpt-4o",
            "tools": talk.tools,
            "extra_headers": {"x-compressor-tools-budget": budget},
        }
        given["input" if kind == "responses" else "messages"] = talk.history
        target = talk.client
        for part in resource.split("."):
            target = getattr(target, part)
        raw = target.with_raw_response.create(**given, **({"max_tokens": 9} if kind == "messages" else {}))
        assert raw.headers["x-compressor-warning"] == f"tools not cut: {why}"
        assert service.metric("warnings_total", reason="tools_not_cut") == 1
        assert service.metric("fallbacks_total") == 0
    assert list(listed(server.requests[0]).values()) == talk.tools and "find_tool" not in server.requests[0].tools


def test_an_unreadable_budget_forwards_the_request() -> None:
    with proxied([Reply("Hello.")]) as (server, service):
        talk = office_talk("chat", service, {"x-compressor-tools-budget": "many"})
        assert talk.ask().text == "Hello."
        assert service.metric("fallbacks_total", reason="invalid_budget") == 1
    assert server.requests[0].body["tools"] == talk.tools


def test_it_is_off_by_default(kind: str) -> None:
    with proxied([Reply("Hello.")], tools_budget=None) as (server, service):
        talk = office_talk(kind, service)
        talk.ask()
    assert list(listed(server.requests[0]).values()) == talk.tools and "find_tool" not in server.requests[0].tools


def test_another_worker_continues_a_session(kind: str, tmp_path: Path) -> None:
    store, script = (
        str(tmp_path / "s.db"),
        [call_unlisted, Reply("Gone."), Reply("x")],
    )
    headers = {"x-compressor-session": "s-1", "x-compressor-tools-budget": str(BUDGET)}
    with proxied(script, tools_budget=None, store=store) as (server, service):
        talk = office_talk(kind, service, headers)
        finish(talk, False)
        with Service(upstream=server.url, store=store, policy={"compact": False}) as other:
            again = office_talk(kind, other, {"x-compressor-session": "s-1"})  # the budget is stored with the session
            again.history = talk.history
            again.say("Thanks.")
            again.ask()
    last, before = server.requests[-1].body["tools"], server.requests[-2].body["tools"]
    assert "find_tool" in server.requests[-1].tools and last == before


def test_a_branch_of_a_conversation_lists_tools_on_its_own() -> None:
    script = [Reply("Hm."), call_unlisted, Reply("Gone."), Reply("y")]
    with proxied(script) as (server, service):
        talk = office_talk("chat", service)
        talk.ask()
        start = list(talk.history)
        talk.say("One way.")
        [called] = finish(talk, False)
        talk.history = start
        talk.say("Another way.")
        talk.ask()
    assert called in server.requests[2].tools and called not in server.requests[3].tools
    assert server.requests[3].body["tools"] == server.requests[0].body["tools"]

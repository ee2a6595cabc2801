"""Plays a long run (`long_runs`) through each client and returns the requests as they were sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from compressor import Compressor
from compressor.sessions import Conversation
from support.long_runs import (
    Event,
    Said,
    Sent,
    Step,
    User,
    prefixes,
    to_anthropic,
    to_chat,
    to_responses,
    tools_of,
)
from support.scripted_server import Call, Reply, ScriptedServer

FORMS: dict[str, tuple[Callable[[Sequence[Event]], list[Any]], str]] = {
    "chat": (to_chat, "gpt-4o"),
    "responses": (to_responses, "gpt-5"),
    "anthropic": (to_anthropic, "claude-sonnet-5"),
}


def play_conversation(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """A `Conversation` that takes over whole histories."""
    convert, model = FORMS[form]
    tools = tools_of(events, form)
    conversation = Conversation(Compressor(store="memory"), model, budget, tools=tools)
    out = []
    for history in prefixes(events):
        conversation.sync(convert(history))
        out.append(Sent(conversation.view(best_effort=True), tools, model))
    return out


def play_session(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """A `Session` to which what is new is appended; it is opened anew for each call."""
    convert, model = FORMS[form]
    compressor, tools, count, out = Compressor(store="memory"), tools_of(events, form), 0, []
    for history in prefixes(events):
        session = compressor.session("run", model=model, budget=budget, tools=tools)
        messages = convert(history)
        session.append(*messages[count:])
        count = len(messages)
        out.append(Sent(session.view(best_effort=True), tools, model))
    return out


def _request(client: Any, form: str, model: str, history: list[Any], tools: list[Any]) -> None:
    if form == "chat":
        client.chat.completions.create(model=model, messages=history, tools=tools)
    elif form == "responses":
        client.responses.create(model=model, input=history, tools=tools, store=False)
    else:
        client.messages.create(model=model, messages=history, tools=tools, max_tokens=100)


def _client(form: str, url: str) -> Any:
    sdk = pytest.importorskip("anthropic" if form == "anthropic" else "openai")
    if form == "anthropic":
        return sdk.Anthropic(base_url=url, api_key="any")
    return sdk.OpenAI(base_url=f"{url}/v1", api_key="any")


def play_wrapped(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """A client of openai or anthropic with compression."""
    convert, model = FORMS[form]
    histories, tools = list(prefixes(events)), tools_of(events, form)
    with ScriptedServer([Reply("ok")] * len(histories), extends=None) as server:
        plain = _client(form, server.url)
        if form == "anthropic":
            from compressor_agents.anthropic import with_compression
        else:
            from compressor_agents.openai import with_compression  # type: ignore[assignment]
        client = with_compression(plain, Compressor(store="memory"), budget=budget)
        for history in histories:
            _request(client, form, model, convert(history), tools)
    return _sent_to(server)


def play_proxy(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """A plain client of openai or anthropic, with the proxy in front of the provider."""
    from support.service_tools import Service

    convert, model = FORMS[form]
    histories, tools = list(prefixes(events)), tools_of(events, form)
    with (
        ScriptedServer([Reply("ok")] * len(histories), extends=None) as server,
        Service(upstream=server.url, budget=budget) as service,
    ):
        client = _client(form, service.url)
        for history in histories:
            _request(client, form, model, convert(history), tools)
    return _sent_to(server)


def _sent_to(server: ScriptedServer) -> list[Sent]:
    assert not server.problems and server.left == 0, server.problems[:2]
    return [
        Sent(
            request.body.get("messages") or request.body["input"],
            request.body.get("tools") or [],
            request.body["model"],
        )
        for request in server.requests
    ]


def _turns(events: Sequence[Event]) -> list[tuple[str, list[Step], str]]:
    """Returns a run by turns: the user's words, the steps, the answer."""
    turns: list[tuple[str, list[Step], str]] = []
    for event in events:
        if isinstance(event, User):
            turns.append((event.text, [], "Done."))
        elif isinstance(event, Step):
            turns[-1][1].append(event)
        elif isinstance(event, Said):
            turns[-1] = (*turns[-1][:2], event.text)
    return turns


def _results(events: Sequence[Event]) -> dict[str, str]:
    """Returns the result of each call."""
    steps = [event for event in events if isinstance(event, Step)]
    return {json.dumps([s.tool, s.arguments], sort_keys=True): s.result for s in steps}


def play_langchain(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """An agent of LangChain with the middleware."""
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_core.tools import StructuredTool
    from langgraph.checkpoint.memory import InMemorySaver

    from compressor.testing import ScriptedChatModel
    from compressor_agents.langchain import ContextCompressorMiddleware

    results = _results(events)

    def make(name: str) -> Any:
        def run(**arguments: Any) -> str:
            return results[json.dumps([name, arguments], sort_keys=True)]

        schema = {"title": name, "description": name, "type": "object", "properties": {}, "additionalProperties": True}
        return StructuredTool.from_function(run, name=name, description=name, args_schema=schema)

    def message(step: Step, number: int) -> AIMessage:
        call = {"name": step.tool, "args": step.arguments, "id": f"call_{number}", "type": "tool_call"}
        thinking = {"type": "thinking", "thinking": step.thinking, "signature": f"sig{number}"}
        metadata = {"model_provider": "anthropic"} if step.thinking else {}
        content: Any = [thinking] if step.thinking else ""
        return AIMessage(content, tool_calls=[call], response_metadata=metadata)

    names = [tool["function"]["name"] for tool in tools_of(events, "chat")]
    middleware = ContextCompressorMiddleware(budget, compressor=Compressor(store="memory"), model="gpt-4o")
    script: list[Any] = []
    for _, steps, answer in _turns(events):
        script += [message(step, len(script) + i) for i, step in enumerate(steps)]
        script.append(answer)
    model = ScriptedChatModel(script=script)
    agent: Any = create_agent(model, [make(n) for n in names], middleware=[middleware], checkpointer=InMemorySaver())
    for words, _, _ in _turns(events):
        agent.invoke({"messages": words}, {"configurable": {"thread_id": "t"}, "recursion_limit": 1_000})
    assert not middleware.warnings, middleware.warnings[:2]
    for request in model.requests:
        open_calls: set[str | None] = set()
        for one in request.messages:
            if isinstance(one, ToolMessage):
                open_calls.remove(one.tool_call_id)
            else:
                assert not open_calls
                open_calls = {call["id"] for call in one.tool_calls} if isinstance(one, AIMessage) else set()
    return [Sent(request.messages, request.tools, "gpt-4o") for request in model.requests]


def _script(events: Sequence[Event]) -> list[Reply]:
    script: list[Reply] = []
    for _, steps, answer in _turns(events):
        script += [Reply("", [Call(step.tool, step.arguments)], step.thinking) for step in steps]
        script.append(Reply(answer))
    return script


def play_agents_sdk(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """An agent of the OpenAI Agents SDK with the filter and a session of the SDK."""
    agents = pytest.importorskip("agents")
    openai = pytest.importorskip("openai")
    from compressor_agents.openai_agents import CompressorFilter, expand_tool

    agents.set_tracing_disabled(True)
    results = _results(events)

    def make(name: str) -> Any:
        async def run(_: Any, arguments: str) -> str:
            return results[json.dumps([name, json.loads(arguments)], sort_keys=True)]

        schema = {"type": "object", "properties": {}, "additionalProperties": True}
        return agents.FunctionTool(name, name, schema, run, strict_json_schema=False)

    async def go(server: ScriptedServer) -> None:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        kind = agents.OpenAIResponsesModel if form == "responses" else agents.OpenAIChatCompletionsModel
        compress = CompressorFilter(Compressor(store="memory"), budget=budget, model="gpt-4o")
        names = [tool["function"]["name"] for tool in tools_of(events, "chat")]
        tools = [*map(make, names), expand_tool(compress)]
        agent = agents.Agent(name="a", model=kind("gpt-4o", client), tools=tools)
        session = agents.SQLiteSession("s")
        for words, _, _ in _turns(events):
            config = agents.RunConfig(call_model_input_filter=compress)
            await agents.Runner.run(agent, words, run_config=config, session=session, max_turns=1_000)

    with ScriptedServer(_script(events), extends=None) as server:
        asyncio.run(go(server))
    return _sent_to(server)


def play_pydantic_ai(events: Sequence[Event], budget: int, form: str) -> list[Sent]:
    """An agent of pydantic-ai with the capability."""
    pydantic_ai = pytest.importorskip("pydantic_ai")
    openai = pytest.importorskip("openai")
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    from compressor_agents.pydantic_ai import CompressHistory

    steps = {json.dumps([s.tool, s.arguments], sort_keys=True): s for s in events if isinstance(s, Step)}

    def make(name: str) -> Any:
        async def run(**arguments: Any) -> Any:
            step = steps[json.dumps([name, arguments], sort_keys=True)]
            return pydantic_ai.ToolReturn(return_value=step.result, content=step.words or None)

        return pydantic_ai.Tool.from_schema(run, name, name, {"type": "object", "properties": {}})

    async def go(server: ScriptedServer) -> None:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        kind = OpenAIResponsesModel if form == "responses" else OpenAIChatModel
        compress = CompressHistory(Compressor(store="memory"), budget=budget, model="gpt-4o")
        names = [tool["function"]["name"] for tool in tools_of(events, "chat")]
        model = kind("gpt-4o", provider=OpenAIProvider(openai_client=client))
        agent = pydantic_ai.Agent(model, tools=[*map(make, names)], capabilities=[compress])
        history: Any = None
        limits = pydantic_ai.usage.UsageLimits(request_limit=None)
        for words, _, _ in _turns(events):
            result = await agent.run(words, message_history=history, usage_limits=limits)
            history = result.all_messages()

    with ScriptedServer(_script(events), extends=None) as server:
        asyncio.run(go(server))
    return _sent_to(server)


#: Every client, as (how it plays, the form of its messages).
CLIENTS: dict[str, tuple[Callable[[Sequence[Event], int, str], list[Sent]], str]] = {
    "conversation": (play_conversation, "chat"),
    "session": (play_session, "chat"),
    "session-responses": (play_session, "responses"),
    "conversation-responses": (play_conversation, "responses"),
    "conversation-anthropic": (play_conversation, "anthropic"),
    "session-anthropic": (play_session, "anthropic"),
    "langchain": (play_langchain, "chat"),
    "openai-chat": (play_wrapped, "chat"),
    "openai-responses": (play_wrapped, "responses"),
    "anthropic": (play_wrapped, "anthropic"),
    "agents-chat": (play_agents_sdk, "chat"),
    "agents-responses": (play_agents_sdk, "responses"),
    "pydantic-chat": (play_pydantic_ai, "chat"),
    "pydantic-responses": (play_pydantic_ai, "responses"),
    "proxy": (play_proxy, "chat"),
    "proxy-responses": (play_proxy, "responses"),
    "proxy-anthropic": (play_proxy, "anthropic"),
}


def clients_of(*forms: str) -> list[str]:
    """Returns the clients whose messages have one of these forms."""
    return [name for name, (_, form) in CLIENTS.items() if form in forms]


def play(client: str, events: Sequence[Event], budget: int) -> list[Sent]:
    """Plays a run through a client and returns its requests."""
    function, form = CLIENTS[client]
    return function(events, budget, form)

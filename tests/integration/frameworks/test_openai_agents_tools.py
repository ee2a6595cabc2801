"""The budget of tool schemas in the OpenAI Agents SDK, with its real Runner against a real local server."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from compressor import BudgetError, BudgetTooSmallError, Compressor
from compressor.tokens import get_counter
from support.client_scenarios import NO_COMPACTION
from support.many_tools import office_tools
from support.paths import TESTS
from support.scripted_server import Call, Reply, Request, ScriptedServer

agents = pytest.importorskip("agents")
openai = pytest.importorskip("openai")

from compressor_agents.openai_agents import (  # noqa: E402
    CompressorFilter,
    ToolListingModel,
    ToolListingProvider,
    context_tools,
)

LOOP = asyncio.new_event_loop()  # one for all: clients keep their connections
agents.set_tracing_disabled(True)
TOOLS = office_tools("responses")
NAMES = [tool["name"] for tool in TOOLS]
OWN = ["expand_context", "recall_context", "find_tool"]
BUDGET = 750
TASK = "Find me a flight to Rome on Friday."


def office(called: list[str]) -> list[Any]:
    def make(schema: dict[str, Any]) -> Any:
        async def run(context: Any, arguments: str) -> str:
            called.append(schema["name"])
            return "ok"

        about, parameters = schema["description"], schema["parameters"]
        return agents.FunctionTool(schema["name"], about, parameters, run, strict_json_schema=False)

    return [make(schema) for schema in TOOLS]


def run(agent: Any, given: Any, compress: Any, stream: bool = False, **config: Any) -> Any:
    async def go() -> Any:
        options = agents.RunConfig(call_model_input_filter=compress, **config)
        if not stream:
            return await agents.Runner.run(agent, given, run_config=options)
        result = agents.Runner.run_streamed(agent, given, run_config=options)
        async for _ in result.stream_events():
            pass
        return result

    return LOOP.run_until_complete(go())


def tokens(request: Request) -> int:
    """Returns the tokens of the tools that were selected, with `find_tool`."""
    skipped = zip(request.tools, request.body["tools"], strict=True)
    return get_counter("gpt-4o").count_tools([tool for name, tool in skipped if name not in OWN[:2]])


def call_unlisted(request: Request) -> Reply:
    missing = [name for name in NAMES if name not in request.tools]
    return Reply("", [Call(missing[-1], {"number": "1", "email": "a@b.example", "words": "x"})])


def make_filter(compressor: Compressor, **options: Any) -> CompressorFilter:
    given: dict[str, Any] = {"policy": NO_COMPACTION, "tools_budget": BUDGET, **options}
    return CompressorFilter(compressor, **given)


def test_a_run_lists_what_it_needs(model_of: Any, compressor: Compressor, stream: bool) -> None:
    called: list[str] = []
    script: list[Any] = [
        Reply("", [Call("search_flight", {"words": "Rome"})]),
        Reply("", [Call("find_tool", {"query": "send somebody a link to a contract"})]),
        Reply("", [Call("share_contract", {"number": "C-1", "email": "a@b.example"})]),
        Reply("Done."),
        call_unlisted,
        Reply("Bye."),
    ]
    compress = make_filter(compressor, pinned_tools=["archive_lamp"])
    with ScriptedServer(script, extends=None) as server:
        model = ToolListingModel(compress, model_of(server))
        agent = agents.Agent(name="a", model=model, tools=[*office(called), *context_tools(compress)])
        result = run(agent, TASK, compress, stream)
        again = [*result.to_input_list(), {"role": "user", "content": "Thanks."}]
        assert run(agent, again, compress, stream).final_output == "Bye."
    assert not server.problems and server.left == 0
    assert called[:2] == ["search_flight", "share_contract"] and len(called) == 3
    answers = [item["output"] for item in result.to_input_list() if item.get("type") == "function_call_output"]
    assert "share_contract" in answers[1]
    lists = [request.tools for request in server.requests]
    assert lists[0][:3] == OWN and "search_flight" in lists[0] and "share_contract" not in lists[0]
    assert lists[1] == lists[0] and lists[2][: len(lists[0])] == lists[0] and "share_contract" in lists[2]
    assert server.requests[0].body["tools"] == server.requests[1].body["tools"]
    assert called[2] not in lists[4]
    assert all(tokens(request) <= BUDGET for request in server.requests)
    report = compress.cost_report()
    assert report.actual_tokens < 0.5 * report.baseline_tokens


def test_a_provider_wraps_models_that_are_named(compressor: Compressor) -> None:
    compress = make_filter(compressor)
    with ScriptedServer([Reply("Done.")], extends=None) as server:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        provider = ToolListingProvider(compress, agents.OpenAIProvider(openai_client=client))
        agent = agents.Agent(name="a", model="gpt-4o", tools=[*office([]), *context_tools(compress)])
        assert run(agent, TASK, compress, model_provider=provider).final_output == "Done."
    assert tokens(server.requests[0]) <= BUDGET and "find_tool" in server.requests[0].tools


def test_a_forced_tool_and_handoffs_are_listed_whole(model_of: Any, compressor: Compressor) -> None:
    compress = make_filter(compressor)
    with ScriptedServer([Reply("Done.")], extends=None) as server:
        other = agents.Agent(name="other")
        settings = agents.ModelSettings(tool_choice="share_visa")
        model, tools = ToolListingModel(compress, model_of(server)), office([])
        agent = agents.Agent(name="a", model=model, tools=tools, handoffs=[other], model_settings=settings)
        run(agent, TASK, compress)
    sent = dict(zip(server.requests[0].tools, server.requests[0].body["tools"], strict=True))
    assert "transfer_to_other" in sent and "find_tool" not in sent  # the agent was not given `context_tools`
    visa = sent["share_visa"].get("function", sent["share_visa"])
    assert visa["parameters"] == TOOLS[NAMES.index("share_visa")]["parameters"]


def test_nothing_is_added_where_nothing_is_cut(model_of: Any, compressor: Compressor) -> None:
    compress = make_filter(compressor)
    with ScriptedServer([Reply("Done.")], extends=None) as server:
        model = ToolListingModel(compress, model_of(server))
        run(agents.Agent(name="a", model=model, tools=[*office([])[:3], *context_tools(compress)]), TASK, compress)
    assert sorted(server.requests[0].tools) == sorted([*NAMES[:3], *OWN[:2]])


def test_trouble_lists_all_tools(model_of: Any, compressor: Compressor, caplog: pytest.LogCaptureFixture) -> None:
    compress = make_filter(compressor, tools_budget=9)
    with ScriptedServer([Reply("One."), Reply("Two.")], extends=None) as server:
        model = ToolListingModel(compress, model_of(server))
        for _ in range(2):
            run(agents.Agent(name="a", model=model, tools=[*office([]), *context_tools(compress)]), TASK, compress)
    assert caplog.text.count("the tools were sent uncut: BudgetTooSmallError") == 1
    assert all(sorted(request.tools) == sorted([*NAMES, *OWN[:2]]) for request in server.requests)
    strict = make_filter(compressor, tools_budget=9, fail_open=False)
    with ScriptedServer([]) as server, pytest.raises(BudgetTooSmallError):
        model = ToolListingModel(strict, model_of(server))
        run(agents.Agent(name="a", model=model, tools=office([])), TASK, strict)
    with pytest.raises(BudgetError, match=r"tools_budget=1.0 would be one token"):
        CompressorFilter(compressor, tools_budget=1.0)


def test_a_budget_without_a_wrapped_model_is_reported(
    model_of: Any, compressor: Compressor, caplog: pytest.LogCaptureFixture
) -> None:
    compress = make_filter(compressor)
    with ScriptedServer([Reply("One."), Reply("Two."), Reply("Three.")], extends=None) as server:
        agent = agents.Agent(name="a", model=model_of(server), tools=office([]))
        for _ in range(3):
            run(agent, TASK, compress)
    assert caplog.text.count("tools_budget has no effect: wrap the model") == 1
    assert all(request.tools == NAMES for request in server.requests)


def test_the_tools_of_an_mcp_server(model_of: Any, compressor: Compressor) -> None:
    pytest.importorskip("mcp")
    from agents.mcp import MCPServerStdio

    compress = make_filter(compressor)
    params: Any = {"command": sys.executable, "args": [str(TESTS / "support" / "office_mcp_server.py")]}
    script: list[Any] = [Reply("", [Call("search_flight", {"words": "Rome"})]), call_unlisted, Reply("Done.")]

    async def go(server: ScriptedServer) -> Any:
        async with MCPServerStdio(params, client_session_timeout_seconds=30) as office_server:
            model = ToolListingModel(compress, model_of(server))
            agent = agents.Agent(name="a", model=model, tools=context_tools(compress), mcp_servers=[office_server])
            return await agents.Runner.run(agent, TASK, run_config=agents.RunConfig(call_model_input_filter=compress))

    with ScriptedServer(script, extends=None) as server:
        result = LOOP.run_until_complete(go(server))
    answers = [str(item["output"]) for item in result.to_input_list() if item.get("type") == "function_call_output"]
    assert "search_flight did it" in answers[0] and "did it" in answers[1] and not server.problems
    assert tokens(server.requests[0]) <= BUDGET and server.requests[0].tools[:3] == OWN

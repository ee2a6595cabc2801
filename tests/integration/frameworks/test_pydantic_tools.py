"""The budget of tool schemas in pydantic-ai, with its real Agent, its own test models and a real MCP server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from compressor import BudgetError, BudgetTooSmallError, Compressor
from compressor.tokens import get_counter
from support.client_scenarios import NO_COMPACTION
from support.many_tools import office_tools
from support.paths import TESTS
from support.scripted_server import Call, Reply, ScriptedServer

pydantic_ai = pytest.importorskip("pydantic_ai")
openai = pytest.importorskip("openai")
mcp = pytest.importorskip("mcp")

from pydantic_ai import Agent, Tool  # noqa: E402
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart  # noqa: E402
from pydantic_ai.models.function import AgentInfo, FunctionModel  # noqa: E402
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel  # noqa: E402
from pydantic_ai.models.test import TestModel  # noqa: E402
from pydantic_ai.providers.openai import OpenAIProvider  # noqa: E402
from pydantic_ai.settings import ToolOrOutput  # noqa: E402
from pydantic_ai.tools import ToolDefinition  # noqa: E402
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool  # noqa: E402
from pydantic_core import SchemaValidator, core_schema  # noqa: E402

from compressor_agents.pydantic_ai import CompressHistory  # noqa: E402

TOOLS = office_tools("mcp")
NAMES = [tool["name"] for tool in TOOLS]
OWN = {"expand_context", "recall_context", "find_tool"}
BUDGET = 620
TASK = "Find me a flight to Rome on Friday."
Step = ToolCallPart | str | Callable[[AgentInfo], ToolCallPart]


def office(called: list[str]) -> list[Tool[Any]]:
    def make(schema: dict[str, Any]) -> Tool[Any]:
        def run(**arguments: Any) -> str:
            called.append(schema["name"])
            return "ok"

        tool: Tool[Any] = Tool.from_schema(run, schema["name"], schema["description"], schema["inputSchema"])
        return tool

    return [make(schema) for schema in TOOLS]


class Script:
    """A model that plays steps, and notes the tools that each request lists."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.seen: list[list[ToolDefinition]] = []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.seen.append(list(info.function_tools))
        step = self.steps.pop(0)
        step = step(info) if callable(step) else step
        return ModelResponse([TextPart(step) if isinstance(step, str) else step])

    @property
    def names(self) -> list[list[str]]:
        return [[tool.name for tool in tools] for tools in self.seen]


def call_unlisted(info: AgentInfo) -> ToolCallPart:
    listed = {tool.name for tool in info.function_tools}
    return ToolCallPart(
        [name for name in NAMES if name not in listed][-1], {"number": "1", "email": "a@b", "words": "x"}
    )


def tokens(tools: list[ToolDefinition]) -> int:
    made = [{"name": t.name, "description": t.description, "input_schema": t.parameters_json_schema} for t in tools]
    return get_counter("gpt-4o").count_tools(made)


def returns(messages: list[ModelMessage]) -> list[tuple[str, Any]]:
    return [(p.tool_name, p.content) for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]


def capability(compressor: Compressor, **options: Any) -> CompressHistory:
    given: dict[str, Any] = {"model": "gpt-4o", "policy": NO_COMPACTION, "tools_budget": BUDGET, **options}
    return CompressHistory(compressor, **given)


def test_a_run_lists_what_it_needs(compressor: Compressor) -> None:
    called: list[str] = []
    search = ToolCallPart("find_tool", {"query": "send somebody a link to a contract"})
    share = ToolCallPart("share_contract", {"number": "C-1", "email": "a@b.example"})
    script = Script(ToolCallPart("search_flight", {"words": "Rome"}), search, share, "Done.", call_unlisted, "Bye.")
    compress = capability(compressor, pinned_tools=["archive_lamp"])
    agent: Any = Agent(FunctionModel(script), tools=office(called), capabilities=[compress])
    result = agent.run_sync(TASK)
    found = dict(returns(result.all_messages()))["find_tool"]
    assert "share_contract" in found and called == ["search_flight", "share_contract"]
    result = agent.run_sync("Thanks.", message_history=result.all_messages())
    assert result.output == "Bye." and len(called) == 3  # a tool that was not listed runs
    names = script.names
    assert set(names[0]) >= OWN and "search_flight" in names[0] and "share_contract" not in names[0]
    assert names[1] == names[0] and names[2][: len(names[0])] == names[0] and "share_contract" in names[2]
    assert script.seen[0] == script.seen[1] and called[2] not in names[4]
    for tools in script.seen:
        assert tokens([tool for tool in tools if tool.name not in OWN - {"find_tool"}]) <= BUDGET
        pinned = next(tool for tool in tools if tool.name == "archive_lamp")
        assert pinned.parameters_json_schema == TOOLS[NAMES.index("archive_lamp")]["inputSchema"]
        assert all(tool.strict is False for tool in tools if tool.name in NAMES and _is_cut(tool))
    report = compress.cost_report()
    assert report.actual_tokens < 0.5 * report.baseline_tokens and report.calls == 6


def _is_cut(tool: ToolDefinition) -> bool:
    whole = TOOLS[NAMES.index(tool.name)]
    return (tool.parameters_json_schema, tool.description) != (whole["inputSchema"], whole["description"])


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_what_reaches_the_provider(compressor: Compressor, kind: str, stream: bool) -> None:
    called: list[str] = []
    script = [
        Reply("", [Call("find_tool", {"query": "archive a visa"})]),
        Reply("", [Call("archive_visa", {"number": "V"})]),
    ]
    with ScriptedServer([*script, Reply("Done.")], extends=None) as server:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        model: Any = OpenAIChatModel if kind == "chat" else OpenAIResponsesModel
        agent: Any = Agent(
            model("gpt-4o", provider=OpenAIProvider(openai_client=client)),
            tools=office(called),
            capabilities=[capability(compressor)],
        )

        async def run() -> str:
            if not stream:
                return str((await agent.run(TASK)).output)
            async with agent.run_stream(TASK) as result:
                return str(await result.get_output())

        assert asyncio.run(run()) == "Done." and called == ["archive_visa"]
    assert not server.problems
    first, second = server.requests[0].tools, server.requests[1].tools
    assert second[: len(first)] == first and len(first) < 50
    # pydantic-ai tells a Responses model about new tools by an item, which leaves the list as it is.
    items = [item for item in server.requests[1].messages if item.get("type") == "additional_tools"]
    assert "archive_visa" in [*second, *(tool["name"] for item in items for tool in item["tools"])]


def test_nothing_is_added_where_nothing_is_cut(compressor: Compressor) -> None:
    script = Script("One.", "Two.")
    agent: Any = Agent(FunctionModel(script), tools=office([])[:3], capabilities=[capability(compressor)])
    agent.run_sync(TASK)
    alone: Any = Agent(FunctionModel(script), tools=office([])[:3], capabilities=[capability(compressor, expand=False)])
    alone.run_sync(TASK)
    assert [set(names) for names in script.names] == [{*NAMES[:3], "expand_context", "recall_context"}, set(NAMES[:3])]


def test_a_forced_tool_is_listed_whole(compressor: Compressor) -> None:
    script = Script("One.")
    agent: Any = Agent(FunctionModel(script), tools=office([]), capabilities=[capability(compressor)])
    agent.run_sync(TASK, model_settings={"tool_choice": ToolOrOutput(function_tools=["share_visa"])})
    listed = {tool.name: tool for tool in script.seen[0]}
    assert not _is_cut(listed["share_visa"])


def test_trouble_lists_all_tools(compressor: Compressor, caplog: pytest.LogCaptureFixture) -> None:
    script = Script("One.", "Two.")
    small = Agent(FunctionModel(script), tools=office([]), capabilities=[capability(compressor, tools_budget=9)])
    for _ in range(2):
        small.run_sync(TASK)
    assert caplog.text.count("the tools were sent uncut: BudgetTooSmallError") == 1
    assert all(set(NAMES) <= set(names) and "find_tool" not in names for names in script.names)
    strict = capability(compressor, tools_budget=9, fail_open=False)
    with pytest.raises(BudgetTooSmallError):
        Agent(FunctionModel(script), tools=office([]), capabilities=[strict]).run_sync(TASK)
    with pytest.raises(BudgetError, match=r"tools_budget=1.0 would be one token"):
        CompressHistory(compressor, tools_budget=1.0)


def test_pydantic_ais_test_model_calls_what_is_listed(compressor: Compressor) -> None:
    called: list[str] = []
    agent = Agent(TestModel(), tools=office(called), capabilities=[capability(compressor)])
    result = agent.run_sync(TASK)
    assert "find_tool" in dict(returns(result.all_messages())) and 0 < len(called) < len(NAMES)


class StdioToolset(AbstractToolset[Any]):
    """The tools of a stdio MCP server, by the SDK's own client."""

    def __init__(self, client: Any) -> None:
        self.client = client

    @property
    def id(self) -> str:
        return "office"

    async def get_tools(self, ctx: Any) -> dict[str, ToolsetTool[Any]]:
        found = (await self.client.list_tools()).tools
        check = SchemaValidator(core_schema.dict_schema())
        return {
            tool.name: ToolsetTool(
                toolset=self,
                tool_def=ToolDefinition(
                    name=tool.name, description=tool.description, parameters_json_schema=tool.input_schema
                ),
                max_retries=1,
                args_validator=check,
            )
            for tool in found
        }

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        return (await self.client.call_tool(name, tool_args)).content[0].text


def test_the_tools_of_an_mcp_server(compressor: Compressor) -> None:
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=[str(TESTS / "support" / "office_mcp_server.py")]
    )
    script = Script(ToolCallPart("search_flight", {"words": "Rome"}), call_unlisted, "Done.")

    async def run() -> list[tuple[str, Any]]:
        async with mcp.Client(mcp.stdio_client(parameters)) as client:
            agent: Any = Agent(
                FunctionModel(script), toolsets=[StdioToolset(client)], capabilities=[capability(compressor)]
            )
            return returns((await agent.run(TASK)).all_messages())

    answers = asyncio.run(run())
    assert answers[0] == ("search_flight", "search_flight did it: [('words', 'Rome')]") and len(answers) == 2
    assert len(script.seen[0]) < len(NAMES) and answers[1][0] in script.names[2]


def test_pydantic_ais_own_mcp_toolset(compressor: Compressor) -> None:
    transports = pytest.importorskip("fastmcp.client.transports")
    from pydantic_ai.mcp import MCPToolset

    transport = transports.StdioTransport(sys.executable, [str(TESTS / "support" / "office_mcp_server.py")])
    script = Script(ToolCallPart("search_flight", {"words": "Rome"}), call_unlisted, "Done.")
    agent: Any = Agent(FunctionModel(script), toolsets=[MCPToolset(transport)], capabilities=[capability(compressor)])
    answers = returns(agent.run_sync(TASK).all_messages())
    assert len(answers) == 2 and len(script.seen[0]) < len(NAMES)

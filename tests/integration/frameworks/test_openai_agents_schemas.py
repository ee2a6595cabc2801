"""The schemas that the OpenAI Agents SDK sends are those that the filter counts, with its real Runner."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from support.scripted_server import Reply, ScriptedServer

agents = pytest.importorskip("agents")
openai = pytest.importorskip("openai")
mcp_types = pytest.importorskip("mcp.types")

from agents.mcp import MCPServer  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from compressor import Compressor  # noqa: E402
from compressor.tokens import get_counter  # noqa: E402
from compressor_agents.openai_agents import CompressorFilter  # noqa: E402
from compressor_agents.openai_agents_schemas import MCP_LIST_SECONDS, SchemaReader  # noqa: E402

agents.set_tracing_disabled(True)


class Listing(MCPServer):  # type: ignore[misc,unused-ignore]
    """An MCP server that counts how often its tools are listed."""

    name = "files"

    def __init__(self) -> None:
        super().__init__()
        self.lists = 0
        self.fails = False

    async def connect(self) -> None:
        """Does nothing."""

    async def cleanup(self) -> None:
        """Does nothing."""

    async def list_tools(self, run_context: Any = None, agent: Any = None) -> list[Any]:
        """Lists five tools."""
        self.lists += 1
        if self.fails:
            raise ConnectionError("gone")
        schema = {"type": "object", "properties": {"path": {"type": "string", "description": "A path " * 40}}}
        return [mcp_types.Tool(name=f"tool_{i}", description="Reads. " * 30, inputSchema=schema) for i in range(5)]

    async def call_tool(self, *given: Any, **more: Any) -> Any:
        """Is not called."""
        raise NotImplementedError

    async def list_prompts(self) -> Any:
        """Has no prompts."""
        raise NotImplementedError

    async def get_prompt(self, name: str, arguments: Any = None) -> Any:
        """Has no prompts."""
        raise NotImplementedError


class Answer(BaseModel):
    """An answer."""

    verdict: str
    score: float


@agents.function_tool  # type: ignore[untyped-decorator,unused-ignore]
def read(path: str) -> str:
    """Reads."""
    return path


@agents.function_tool(is_enabled=False)  # type: ignore[untyped-decorator,unused-ignore]
def hidden(path: str) -> str:
    """Is switched off."""
    return path


async def _never(context: Any, agent: Any) -> bool:
    return False


def _agent(server: Any = None, **options: Any) -> Any:
    writer = agents.Agent(name="writer", handoff_description="Writes.")
    editor = agents.handoff(agents.Agent(name="editor"), tool_name_override="to_editor")
    off = agents.handoff(agents.Agent(name="off"), is_enabled=_never)
    given = {"tools": [read, hidden], "handoffs": [writer, editor, off], "output_type": Answer} | options
    return agents.Agent(name="a", mcp_servers=[server] if server else [], **given)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_is_counted_is_what_is_sent(api: str, compressor: Compressor, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[list[dict[str, Any]]] = []
    reads = SchemaReader.read_parts

    async def read_and_note(self: SchemaReader, agent: Any, context: Any) -> Any:
        functions, others = await reads(self, agent, context)
        counted.append([*functions, *others])
        return functions, others

    monkeypatch.setattr(SchemaReader, "read_parts", read_and_note)
    with ScriptedServer([Reply('{"verdict": "yes", "score": 1}')]) as server:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        kind = agents.OpenAIChatCompletionsModel if api == "chat" else agents.OpenAIResponsesModel
        agent = _agent(Listing(), model=kind("gpt-4o", client))
        config = agents.RunConfig(call_model_input_filter=CompressorFilter(compressor, fail_open=False))
        asyncio.run(agents.Runner.run(agent, "Go.", run_config=config))
    body = server.requests[0].body
    sent = sorted((tool.get("function") or tool)["name"] for tool in body["tools"])
    assert sent == sorted(schema["name"] for schema in counted[0] if "name" in schema)
    assert {"tool_0", "read", "transfer_to_writer", "to_editor"} <= set(sent) and "hidden" not in sent
    (output,) = [schema for schema in counted[0] if "name" not in schema]
    assert output["schema"]["properties"].keys() == {"verdict", "score"}
    ours = get_counter("gpt-4o").count_tools(counted[0])
    assert ours > get_counter("gpt-4o").count_tools(counted[0][5:]) + 5 * 80
    theirs = get_counter("gpt-4o").count_tools(body["tools"])
    assert theirs <= ours <= theirs + 120  # the output type is beside the tools


def test_servers_are_not_asked_again_at_each_call() -> None:
    now = 0.0
    server = Listing()
    reader = SchemaReader(clock=lambda: now)
    agent = _agent(server)

    def names() -> list[str]:
        return [schema.get("name", "") for schema in asyncio.run(reader.read(agent, None))]

    first = names()
    assert names() == first and server.lists == 1
    now += MCP_LIST_SECONDS + 1
    assert names() == first and server.lists == 2
    server.fails = True
    now += MCP_LIST_SECONDS + 1
    assert names() == first and server.lists == 3  # what was known counts on
    assert asyncio.run(SchemaReader().read(_agent(server), None))[0]["name"] == "read"
    assert isinstance(pickle.loads(pickle.dumps(reader)), SchemaReader)


def test_plain_agents_send_only_their_tools() -> None:
    schemas = asyncio.run(SchemaReader().read(agents.Agent(name="a", tools=[read]), None))
    assert [schema["name"] for schema in schemas] == ["read"]
    assert asyncio.run(SchemaReader().read(agents.Agent(name="a", output_type=str), None)) == []

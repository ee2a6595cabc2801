"""The MCP server, by the SDK's own client over stdio, as a desktop agent runs it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp_types import TextContent, TextResourceContents

from compressor import Compressor
from compressor.cli.mcp_server import make_server
from compressor.context.refs import find_refs

NEEDLE = "ERROR connection to 10.3.7.12 refused, code E-4711"
LINES = [
    f"2024-05-01 12:{i // 60:02d}:{i % 60:02d} worker {i % 7} handled request {i * 7919 % 9973}" for i in range(900)
]
LOG = "\n".join([*LINES[:500], NEEDLE, *LINES[500:]])


def asks(talk: Callable[[Client], Awaitable[None]], store: str = "memory") -> None:
    """Talks to a server in this process."""

    async def run() -> None:
        async with Client(make_server(Compressor(store=store))) as client:
            await asyncio.wait_for(talk(client), 60)

    asyncio.run(run())


def text_of(result: Any) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def test_a_desktop_agent_talks_to_it(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    arguments = ["-m", "compressor.cli", "mcp", "--store", store]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    found: list[str] = []

    async def run(errors: Any) -> None:
        async with Client(stdio_client(server, errlog=errors)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"compress", "expand", "stats"}
            for tool in tools.values():
                assert tool.description and tool.output_schema and tool.annotations
                assert tool.annotations.destructive_hint is False
            assert tools["expand"].annotations and tools["expand"].annotations.read_only_hint

            long = LOG * 8  # half a megabyte on one line of JSON
            made = await client.call_tool("compress", {"text": long, "budget": 1000, "query": "why was it refused?"})
            assert not made.is_error and made.structured_content
            assert made.structured_content["tokens_after"] <= 1000 and NEEDLE in text_of(made)
            assert made.structured_content["text"] == text_of(made)
            found.extend(made.structured_content["refs"])
            original = (await client.read_resource(f"compressor://ref/{found[0]}")).contents[0]
            assert isinstance(original, TextResourceContents) and original.text == long

            unknown = await client.call_tool("expand", {"ref": "000000000000"})
            assert unknown.is_error and "unknown ref" in text_of(unknown)
            told = (await client.call_tool("stats", {})).structured_content
            assert told and told["calls"] == 1 and told["tokens_after"] <= 1000 and told["store"] == store

    with open(tmp_path / "errors", "w+") as errors:
        asyncio.run(asyncio.wait_for(run(errors), 60))
        errors.seek(0)
        assert NEEDLE not in errors.read()
    assert Compressor(store=store).expand(found[0]) == LOG * 8  # it is still there


@pytest.mark.slow
def test_it_ends_when_its_input_does() -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}},
    }
    lines = f"{json.dumps(hello)}\nthis is no message\n"
    command = [sys.executable, "-m", "compressor.cli", "mcp", "--store", "memory"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]  # nothing but messages
    assert done.returncode == 0 and any(one.get("id") == 1 and "result" in one for one in said)


def test_messages_keep_their_form() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Why was it refused?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": LOG},
    ]

    async def talk(client: Client) -> None:
        made = await client.call_tool("compress", {"messages": messages, "budget": 0.2, "model": "gpt-4o"})
        assert made.structured_content and not made.is_error, made
        got = made.structured_content["messages"]
        assert got[:2] == messages[:2] and NEEDLE in got[2]["content"] and len(got[2]["content"]) < len(LOG) / 2
        assert json.loads(text_of(made))["messages"] == got

    asks(talk)


def test_a_long_original_comes_in_parts() -> None:
    async def talk(client: Client) -> None:
        made = await client.call_tool("compress", {"text": LOG, "budget": 500})
        mark = next(line for line in text_of(made).splitlines() if find_refs(line))
        some = await client.call_tool("expand", {"ref": mark, "query": "why was it refused?"})
        assert some.structured_content and not some.structured_content["whole"]
        assert NEEDLE in text_of(some) and len(text_of(some)) < len(LOG)
        whole = await client.call_tool("expand", {"ref": mark, "budget": 100_000})
        assert text_of(whole) == LOG

    asks(talk)


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("compress", {"budget": 100}, "either"),
        ("compress", {"budget": 100, "text": "x", "messages": []}, "either"),
        ("compress", {"budget": 100, "messages": [{"role": "nobody"}]}, "message 0"),
        ("compress", {"budget": 100, "messages": []}, "empty"),
        ("compress", {"budget": 5, "messages": [{"role": "user", "content": "a b c d e f g h"}]}, "give a budget of"),
        ("compress", {"budget": -1, "text": "x"}, "greater than 0"),
        ("compress", {"budget": "much", "text": "x"}, "number"),
        ("compress", {"text": "x"}, "budget"),
        ("expand", {"ref": "../../etc/passwd"}, "unknown ref"),
        ("expand", {}, "ref"),
    ],
)
def test_what_makes_no_sense_is_told(tool: str, arguments: dict[str, Any], why: str) -> None:
    async def talk(client: Client) -> None:
        result = await client.call_tool(tool, arguments)
        assert result.is_error and why in text_of(result), text_of(result)
        assert not (await client.call_tool("stats", {})).is_error

    asks(talk)


def test_an_unknown_resource_is_an_error() -> None:
    async def talk(client: Client) -> None:
        for uri in ("compressor://ref/000000000000", "compressor://other", "file:///etc/passwd"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)

    asks(talk)


def test_a_model_is_no_path_and_a_budget_no_infinity(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"

    async def run(client: Client) -> None:
        for model in (str(file), "/etc/passwd"):  # neither looked for nor read
            answer = await client.call_tool("compress", {"text": LOG, "budget": 500, "model": model})
            assert not answer.is_error, text_of(answer)
        answer = await client.call_tool("compress", {"text": LOG, "budget": float("inf")})
        assert answer.is_error and "Traceback" not in text_of(answer)

    asks(run)

"""Real MCP servers for the tests of `compressor mcp --wrap`, started as `python mcp_test_server.py ROLE [ARGUMENT]`.

office        a server with a tool for each kind of result
catalog FILE  a server with the tools of a JSON file, in pages of 50; each call gives its name and arguments back
broken        like office's echo, but some of its tools are invalid
stubborn      like broken, but it goes on when its input ends
silent        reads its input and never answers
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
from mcp.server import Server, ServerRequestContext
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

PAGE = 50
NEEDLE = "ERROR connection to 10.3.7.12 refused, code E-4711"
LOG = "\n".join(
    NEEDLE if i == 500 else f"2024-05-01 12:{i // 60:02d}:{i % 60:02d} worker {i % 7} handled request {i * 7919 % 9973}"
    for i in range(900)
)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360000002000001"
    "00 05fe02fea735810000000049454e44ae426082".replace(" ", "")
)


def make_office() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("office", instructions="Read the log before you ask people.")

    @server.tool(structured_output=False)
    def echo(values: Any) -> str:
        """Gives its arguments back."""
        return json.dumps(values, ensure_ascii=False)

    @server.tool(structured_output=False)
    def read_log(path: str) -> str:
        """Reads a log file of the office."""
        return LOG

    @server.tool()
    def read_log_structured(path: str) -> str:
        """Reads a log file, as a structured result."""
        return LOG

    @server.tool()
    def list_rows(count: int) -> dict[str, list[int]]:
        """Lists numbers, with a declared form."""
        return {"rows": list(range(count))}

    @server.tool(structured_output=False)
    def draw_chart(title: str) -> list[Any]:
        """Draws a chart and explains it."""
        return [LOG, Image(data=PIXEL, format="png")]

    @server.tool(structured_output=False)
    def fail_loudly(lines: int) -> CallToolResult:
        """Fails with a message of many lines."""
        text = "\n".join([f"frame {i} of the stack" for i in range(lines)] + [NEEDLE])
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)

    @server.tool(structured_output=False)
    async def work_slowly(seconds: float, marker: str, context: Context[Any, Any]) -> str:
        """Works for some seconds, reports progress, and writes to a file when it is cancelled."""
        try:
            for step in range(4):
                await context.report_progress(step, 4, f"step {step}")
                await anyio.sleep(seconds / 4)
        except BaseException:
            Path(marker).write_text("cancelled", encoding="utf-8")
            raise
        return "done"

    @server.tool(structured_output=False)
    def process_id() -> str:
        """Says which process this is."""
        return str(os.getpid())

    @server.tool(structured_output=False)
    def environment(name: str) -> str:
        """Says the value of an environment variable."""
        return os.environ.get(name, "unset")

    @server.tool(structured_output=False)
    def die() -> str:
        """Ends the process at once."""
        os._exit(3)

    @server.tool(structured_output=False, annotations=ToolAnnotations(read_only_hint=True))
    def die_once(marker: str) -> str:
        """Ends the process at the first call of all."""
        if not Path(marker).exists():
            Path(marker).touch()
            os._exit(3)
        return "alive"

    @server.tool(structured_output=False)
    async def grow(context: Context[Any, Any]) -> str:
        """Adds a tool while the server runs."""

        def water_plants(litres: int) -> str:
            """Waters the plants of the office."""
            return f"watered with {litres}"

        server.add_tool(water_plants, structured_output=False)
        await context.session.send_tool_list_changed()
        return "grown"

    @server.resource("office://rules", name="rules", mime_type="text/plain")
    def rules() -> str:
        return "no shouting"

    @server.resource("office://room/{number}", name="room")
    def room(number: str) -> str:
        return f"room {number}"

    @server.prompt()
    def greet(name: str) -> str:
        """Greets a visitor."""
        return f"Please greet {name}."

    return server


def load_tools(path: str) -> list[dict[str, Any]]:
    data = Path(path).read_bytes()
    loaded: list[dict[str, Any]] = json.loads(gzip.decompress(data) if path.endswith(".gz") else data)
    return loaded


async def serve_catalog(path: str) -> None:
    tools = [Tool.model_validate(tool) for tool in load_tools(path)]

    async def list_tools(_: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
        start = int(params.cursor) if params and params.cursor else 0
        following = str(start + PAGE) if start + PAGE < len(tools) else None
        return ListToolsResult(tools=tools[start : start + PAGE], next_cursor=following)

    async def call_tool(_: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        text = json.dumps([params.name, params.arguments], ensure_ascii=False)
        return CallToolResult(content=[TextContent(type="text", text=text)])

    server: Server[Any] = Server("catalog", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def serve_broken() -> None:
    """Speaks the protocol by hand, because the SDK sends no invalid tools."""
    tools = [
        {"name": "good", "description": "Works.", "inputSchema": {"type": "object", "properties": {}}},
        {"name": "untyped", "description": "Has a schema without a type.", "inputSchema": {}},
        {"name": "no_schema"},
        {"name": 7, "inputSchema": {"type": "object"}},
        {"name": "odd_type", "inputSchema": {"type": "string"}},
        "not an object",
    ]
    for line in sys.stdin:
        request = json.loads(line)
        method, number = request.get("method"), request.get("id")
        if number is None:
            continue
        capabilities: dict[str, Any] = {"tools": {}}
        answers: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": capabilities,
                "serverInfo": {"name": "broken", "version": "1"},
            },
            "tools/list": {"tools": tools},
            "tools/call": {"content": [{"type": "text", "text": f"called in {os.getpid()}"}]},
        }
        if method in answers:
            answer = {"jsonrpc": "2.0", "id": number, "result": answers[method]}
        else:
            answer = {"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "no such method"}}
        print(json.dumps(answer), flush=True)


def serve_stubborn() -> None:
    """Goes on when its input ends, as servers in other languages do."""
    serve_broken()
    time.sleep(60)


def serve_silent() -> None:
    for _ in sys.stdin:
        pass


if __name__ == "__main__":
    role = sys.argv[1]
    if role == "office":
        make_office().run("stdio")
    elif role == "office-http":
        make_office().run("streamable-http", port=int(sys.argv[2]))
    elif role == "catalog":
        anyio.run(serve_catalog, sys.argv[2])
    elif role == "broken":
        serve_broken()
    elif role == "stubborn":
        serve_stubborn()
    else:
        serve_silent()

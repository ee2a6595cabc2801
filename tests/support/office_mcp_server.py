"""A stdio MCP server with the office tools of `many_tools.py`: `python office_mcp_server.py`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import mcp.types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from support.many_tools import office_tools


async def list_tools(context: Any, params: Any) -> Any:
    tools = [types.Tool(name=t["name"], description=t["description"], input_schema=t["inputSchema"]) for t in TOOLS]
    return types.ListToolsResult(tools=tools)


async def call_tool(context: Any, params: Any) -> Any:
    text = f"{params.name} did it: {sorted((params.arguments or {}).items())}"
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


TOOLS = office_tools("mcp")


async def main() -> None:
    server: Any = Server("office", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())

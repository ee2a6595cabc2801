"""Opens the transport to a wrapped server, notices its end, and drops invalid tools from its lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
from mcp import StdioServerParameters, stdio_client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse, Tool
from pydantic import ValidationError

from compressor.mcp_proxy.server_config import WrappedServerConfig
from compressor.mcp_proxy.server_errors import first_problem

Streams = tuple[Any, Any]  # what the SDK's transports give: a stream of incoming messages, and one for outgoing
CONNECT_SECONDS = 30.0
READ_SECONDS = 300.0  # a server may hold a stream open


@asynccontextmanager
async def watch_transport(
    config: WrappedServerConfig, closed: anyio.Event, warn: Callable[[str], None]
) -> AsyncGenerator[Streams, None]:
    """Opens a transport, and sets `closed` when the other side ends it.

    One invalid tool would make the SDK refuse the whole list, so invalid tools are taken out of lists before it reads
    them.
    """
    async with _open(config) as (incoming, outgoing), anyio.create_task_group() as tasks:
        send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def pump() -> None:
            try:
                async with send:
                    async for message in incoming:
                        if isinstance(message, SessionMessage):
                            _drop_invalid_tools(message, config.name, warn)
                        await send.send(message)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # this side has closed the connection
            finally:
                closed.set()

        tasks.start_soon(pump)
        try:
            yield receive, outgoing
        finally:
            tasks.cancel_scope.cancel()
            receive.close()


@asynccontextmanager
async def _open(config: WrappedServerConfig) -> AsyncGenerator[Streams, None]:
    if config.transport == "http":
        timeout = httpx2.Timeout(CONNECT_SECONDS, read=READ_SECONDS)
        async with (
            httpx2.AsyncClient(headers=dict(config.headers), timeout=timeout) as client,
            streamable_http_client(config.url, http_client=client) as streams,
        ):
            yield streams
        return
    transport: AbstractAsyncContextManager[Streams]
    if config.transport == "sse":
        transport = sse_client(config.url, headers=dict(config.headers), timeout=CONNECT_SECONDS)
    else:
        transport = stdio_client(
            StdioServerParameters(command=config.command, args=list(config.args), env=dict(config.env), cwd=config.cwd)
        )
    async with transport as streams:
        yield streams


def _drop_invalid_tools(message: SessionMessage, server: str, warn: Callable[[str], None]) -> None:
    response = message.message
    tools = response.result.get("tools") if isinstance(response, JSONRPCResponse) else None
    if not isinstance(tools, list):
        return
    kept: list[Any] = []
    for tool in tools:
        problem = _find_tool_problem(tool)
        if problem is None:
            kept.append(tool)
        else:
            name = tool.get("name") if isinstance(tool, dict) else None
            warn(f"{server}: its tool {str(name)[:80]!r} is left out: {problem}")
    tools[:] = kept


def _find_tool_problem(tool: Any) -> str | None:
    """Returns why a tool cannot be offered, or None. A schema without a type is given the only one it may have."""
    if not isinstance(tool, dict):
        return "it is not an object"
    if isinstance(schema := tool.get("inputSchema"), dict):
        schema.setdefault("type", "object")
        if schema["type"] != "object":
            return f"the type of its inputSchema is {str(schema['type'])[:40]!r}, not 'object'"
    try:
        Tool.model_validate(tool, by_name=False)
    except ValidationError as error:
        return first_problem(error)
    return None if tool["name"].strip() else "it has no name"

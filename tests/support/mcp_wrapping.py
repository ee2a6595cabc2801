"""Runs `compressor mcp --wrap` as a desktop agent does, and talks to it with the SDK's own client."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import TextContent, Tool, ToolListChangedNotification

SERVER = Path(__file__).with_name("mcp_test_server.py")
SECONDS = 90


def upstream(role: str, name: str = "", argument: str | Path = "") -> list[str]:
    """Returns the options that wrap a server of `mcp_test_server`."""
    words = [sys.executable, str(SERVER), role, *([str(argument)] if argument else [])]
    return ["--wrap", f"{name}={shlex.join(words)}" if name else shlex.join(words)]


@dataclass
class Agent:
    """A client of the wrapping server."""

    client: Client
    errors_file: Path
    changes: list[str] = field(default_factory=list)

    async def tools(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in (await self.client.list_tools(cache_mode="bypass")).tools}

    async def call(self, name: str, /, **arguments: Any) -> str:
        """Calls a tool and returns its text, which begins with "ERROR: " if it is an error."""
        result = await self.client.call_tool(name, arguments)
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        return f"ERROR: {text}" if result.is_error else text

    async def wait_for_change(self, count: int) -> None:
        """Waits until the server has said `count` times that its list of tools has changed."""
        with anyio.fail_after(20):
            while len(self.changes) < count:
                await asyncio.sleep(0.02)

    @property
    def errors(self) -> str:
        """What the server has written to stderr so far."""
        return self.errors_file.read_text(encoding="utf-8")


def wrapped(
    options: list[str],
    talk: Callable[[Agent], Awaitable[None]],
    mode: Literal["legacy", "auto"] = "legacy",
    env: dict[str, str] | None = None,
) -> str:
    """Starts `compressor mcp` with the options, lets a client talk to it, and returns what it wrote to stderr."""
    arguments = ["-m", "compressor.cli", "mcp", "--store", "memory", *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, env={**os.environ, **(env or {})})

    async def run(errors_file: Path) -> None:
        changes: list[str] = []

        async def on_message(message: Any) -> None:
            if isinstance(message, ToolListChangedNotification):
                changes.append("tools")

        with open(errors_file, "w", encoding="utf-8") as errors:
            async with Client(stdio_client(server, errlog=errors), mode=mode, message_handler=on_message) as client:
                await talk(Agent(client, errors_file, changes))

    with tempfile.TemporaryDirectory() as folder:
        errors_file = Path(folder) / "errors"
        asyncio.run(asyncio.wait_for(run(errors_file), SECONDS))
        return errors_file.read_text(encoding="utf-8")

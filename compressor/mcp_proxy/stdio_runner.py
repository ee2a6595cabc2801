"""Serves the wrapped servers' tools on stdin and stdout until stdin ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import anyio
from mcp.server.stdio import stdio_server

from compressor.compressor import Compressor
from compressor.errors import CompressorError
from compressor.mcp_proxy.proxy_options import ProxyOptions
from compressor.mcp_proxy.proxy_server import ProxyServer
from compressor.mcp_proxy.server_config import WrapConfigError, WrappedServerConfig
from compressor.mcp_proxy.wrapped_server import WrappedServer

#: Counts how deep proxies are nested. A configuration file that lists this command, too, would start it without end.
DEPTH_VARIABLE = "COMPRESSOR_MCP_WRAP_DEPTH"
MAX_DEPTH = 3
MAX_WARNINGS = 10
END_SECONDS = 5.0  # for all servers together


def run(compressor: Compressor, configs: Sequence[WrappedServerConfig], options: ProxyOptions) -> None:
    """Serves until stdin ends, and closes the compressor. Logs go to stderr.

    Raises:
        CompressorError: An option is wrong.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    try:
        anyio.run(serve, compressor, _nested(configs), options)
    finally:
        compressor.close()


async def serve(compressor: Compressor, configs: Sequence[WrappedServerConfig], options: ProxyOptions) -> None:
    """Serves until stdin ends."""
    proxy = ProxyServer(compressor, options)
    reported: dict[str, tuple[int, int, int]] = {}

    def report() -> None:
        for name, counts in proxy.token_counts().items():
            if counts[0] and reported.get(name, (0, 0, 0))[0] != counts[0]:
                reported[name] = counts
                print_line(f"{name}: {counts[0]} tools, {counts[1]:,} of {counts[2]:,} tokens listed")

    async def on_change() -> None:
        await proxy.on_change()
        if proxy.is_ready:
            report()

    servers = [
        WrappedServer(config, options.call_timeout, options.start_timeout, on_change, print_line) for config in configs
    ]

    async def end_on_signal(signals: AsyncIterator[signal.Signals]) -> None:
        async for _ in signals:
            with anyio.move_on_after(END_SECONDS):
                await proxy.close()
            compressor.close()
            os._exit(128 + signal.SIGTERM)  # nothing can stop the thread that reads stdin

    # A client sends SIGTERM a moment after it has closed stdin. This process ignores it as long as it ends the wrapped
    # servers: those that do not notice the end of their own stdin would outlive it.
    with open_terminations() as signals:
        async with anyio.create_task_group() as tasks:
            if signals is not None:
                tasks.start_soon(end_on_signal, signals)
            await proxy.start(servers, tasks)
            report()
            for warning in proxy.warnings()[:MAX_WARNINGS]:
                print_line(warning)
            async with stdio_server() as (incoming, outgoing):
                await proxy.server.run(incoming, outgoing, proxy.initialization_options())
            tasks.cancel_scope.cancel()


def open_terminations() -> AbstractContextManager[AsyncIterator[signal.Signals] | None]:
    """Returns the SIGTERMs that this process gets; None where there are none."""
    return nullcontext() if sys.platform == "win32" else anyio.open_signal_receiver(signal.SIGTERM)


def print_line(text: str) -> None:
    """Prints a line for people; stdout belongs to the protocol."""
    print(f"compressor: {text}", file=sys.stderr, flush=True)


def _nested(configs: Sequence[WrappedServerConfig]) -> list[WrappedServerConfig]:
    """Returns the configurations with the depth of nesting in their environment."""
    try:
        depth = int(os.environ.get(DEPTH_VARIABLE, "0"))
    except ValueError:
        depth = 0
    if depth >= MAX_DEPTH:
        raise WrapConfigError(
            f"`compressor mcp` wraps itself {depth} times; remove it from the servers that it is to wrap"
        )
    if not configs:
        raise CompressorError("no server is given to wrap")
    return [replace(config, env={**config.env, DEPTH_VARIABLE: str(depth + 1)}) for config in configs]

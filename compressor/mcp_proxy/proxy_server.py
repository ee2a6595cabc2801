"""Answers the requests of an MCP client with the tools, resources and prompts of many wrapped servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import anyio
import anyio.abc
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from compressor._version import __version__
from compressor.compressor import Compressor
from compressor.mcp_proxy.exposed_tools import ExposedTool, ToolNames, is_allowed, matches
from compressor.mcp_proxy.passed_through import PassedThrough
from compressor.mcp_proxy.proxy_options import ProxyOptions
from compressor.mcp_proxy.result_shortener import ResultShortener
from compressor.mcp_proxy.server_errors import WrappedServerError
from compressor.mcp_proxy.tool_list import FIND_TOOL, RUN_TOOL, ToolList
from compressor.mcp_proxy.wrapped_server import WrappedServer
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.expand_tool import DESCRIPTION, PARAMETERS, TOOL_NAME, ExpandTool

_SOME_LISTED = (
    "This server offers the tools of several servers. Tools that are not in your list are found with find_tool and "
    "called with run_tool."
)
_ALL_LISTED = "This server offers the tools of several servers."
_EXPAND_TOOL = {"name": TOOL_NAME, "description": DESCRIPTION, "inputSchema": PARAMETERS}
REOPEN_SECONDS = 2.0  # that a search waits for a server that could not be started before
_RESERVED_META = "io.modelcontextprotocol/"  # between a client and its own server


class ProxyServer:
    """Serves one client. Open it with `start`, in a task group that lives as long as the connections.

    Attributes:
        server: The SDK's server, for any of its transports.
        passed_through: Answers requests for resources and prompts.

    Args:
        compressor: Ranks tools and compresses results; its store keeps what is removed.
        options: How the tools are offered.
    """

    def __init__(self, compressor: Compressor, options: ProxyOptions) -> None:
        self._compressor = compressor
        self._options = options
        self._servers: dict[str, WrappedServer] = {}
        own = [_EXPAND_TOOL] if options.result_budget else []
        self._names = ToolNames([FIND_TOOL, RUN_TOOL, *([TOOL_NAME] if own else [])], options.always_prefix)
        self._list = ToolList(compressor, options.tools_budget, options.model, options.pinned, options.task, own)
        self._shortener = (
            ResultShortener(compressor, options.result_budget, options.model) if options.result_budget else None
        )
        self._expand = ExpandTool(lambda ref, query, budget: compressor.expand(ref, query, budget))
        self._exposed: dict[str, ExposedTool] = {}
        self._lock = anyio.Lock()  # the list of tools is made by one request at a time
        self._listing: list[dict[str, Any]] | None = None  # as it is now
        self._given: list[dict[str, Any]] | None = None  # as the client has it
        self._bus = InMemorySubscriptionBus()
        self._session: Any = None  # of the newest request, to reach the client between two requests
        self._tasks: anyio.abc.TaskGroup | None = None
        self.passed_through = PassedThrough(compressor, self._servers, options.always_prefix)
        self.server: Server[Any] = Server(
            "agentic-compressor",
            version=__version__,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_subscriptions_listen=ListenHandler(self._bus),
            **self.passed_through.handlers(),
        )

    @property
    def is_ready(self) -> bool:
        """Whether the first list of tools was made."""
        return self._listing is not None

    @property
    def tools(self) -> list[ExposedTool]:
        """The tools that can be called, listed or not."""
        return list(self._exposed.values())

    async def start(self, servers: Sequence[WrappedServer], tasks: anyio.abc.TaskGroup) -> None:
        """Starts the wrapped servers, and waits a while for those that are slow."""
        self._tasks = tasks
        self._servers.update({server.name: server for server in servers})
        with anyio.move_on_after(self._options.wait):
            async with anyio.create_task_group() as starts:
                for server in servers:
                    starts.start_soon(self._try_to_open, server)
        await self._update()
        own = _SOME_LISTED if any(tool["name"] == RUN_TOOL for tool in self._listing or []) else _ALL_LISTED
        told = [f"[{one.name}]\n{text}" for one in servers if (text := (one.instructions or "").strip())]
        self.server.instructions = "\n\n".join([own, *told])

    async def close(self) -> None:
        """Ends the wrapped servers."""
        async with anyio.create_task_group() as ends:
            for server in self._servers.values():
                ends.start_soon(server.close)

    def initialization_options(self) -> InitializationOptions:
        """Returns what the SDK needs to serve a client."""
        return self.server.create_initialization_options(NotificationOptions(tools_changed=True))

    async def on_change(self) -> None:
        """Lists the tools anew after those of a wrapped server have changed."""
        if self.is_ready:  # else `start` does it
            await self._update()

    def token_counts(self) -> dict[str, tuple[int, int, int]]:
        """Returns for each server its number of tools, their tokens as listed, and their tokens in all."""
        listing = {tool["name"]: tool for tool in self._listing or []}
        out = {}
        for name in self._servers:
            tools = [tool for tool in self._exposed.values() if tool.server == name]
            listed = [listing[tool.name] for tool in tools if tool.name in listing]
            whole = [{**tool.tool, "name": tool.name} for tool in tools]
            out[name] = (len(tools), self._list.count_tokens(listed), self._list.count_tokens(whole))
        return out

    def warnings(self) -> list[str]:
        """Returns what the user should know: patterns that match no tool, schemas that cannot be shortened."""
        unused = [
            f"{option} {pattern!r} matches no tool"
            for option, patterns in (("--pin", self._options.pinned), ("--allow", self._options.allow))
            for pattern in patterns
            if not any(matches(tool.server, (tool.name, tool.original_name), [pattern]) for tool in self.tools)
        ]
        return unused + self._list.warnings

    async def _try_to_open(self, server: WrappedServer) -> None:
        with suppress(WrappedServerError):  # stderr has the reason, and the answers to the client say it again
            await server.open(self._tasks)

    async def _update(self) -> None:
        """Makes the list of tools anew, and tells the client if it has changed."""
        async with self._lock:
            tools_by_server = {
                name: [
                    tool
                    for tool in server.tools
                    if is_allowed(name, str(tool["name"]), self._options.allow, self._options.deny)
                ]
                for name, server in self._servers.items()
            }
            exposed = self._names.expose(tools_by_server)
            if exposed != list(self._exposed.values()):
                await run_in_thread(self._list.set_tools, exposed)
                self._exposed = {tool.name: tool for tool in exposed}
            self._listing = await run_in_thread(self._list.listed)
        await self._tell_changes()

    async def _tell_changes(self) -> None:
        if self._given is None or self._given == self._listing:
            return
        self._given = self._listing
        await self._bus.publish(ToolsListChanged())  # for clients since 2026-07-28, which subscribe to it
        if self._session is not None and self._session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # the client may be gone
                await self._session.send_tool_list_changed()

    async def _list_tools(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        self._session = context.session
        if self._listing is None:
            await self._update()
        self._given = self._listing
        return ListToolsResult(tools=[Tool.model_validate(tool) for tool in self._listing or []])

    async def _call_tool(self, context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        self._session = context.session
        if params.name == FIND_TOOL:
            return await self._find(params.arguments)
        if params.name == TOOL_NAME and self._shortener is not None:
            return _text_result(await run_in_thread(self._expand.answer, params.arguments))
        name, arguments = params.name, params.arguments
        if name == RUN_TOOL:
            inner, arguments = (arguments or {}).get("name"), (arguments or {}).get("arguments")
            if not isinstance(inner, str) or not (arguments is None or isinstance(arguments, dict)):
                return _text_result('run_tool needs {"name": the tool\'s name, "arguments": {…}}', is_error=True)
            name = inner
        tool = self._exposed.get(name) or await self._find_late(name)
        if tool is None:
            return _text_result(self._explain_unknown(name), is_error=True)
        return await self._forward(context, tool, arguments, params.meta)

    async def _find(self, arguments: Mapping[str, Any] | None) -> CallToolResult:
        await self._reopen_failed()
        async with self._lock:
            answer = await run_in_thread(self._list.search, arguments)
        await self._update()
        missing = self._describe_unavailable()
        return _text_result(f"{answer}\n\n{missing}" if missing else answer)

    async def _forward(
        self, context: ServerRequestContext[Any], tool: ExposedTool, arguments: dict[str, Any] | None, meta: Any
    ) -> CallToolResult:
        """Calls a tool of a wrapped server, and shortens its result if it is large."""
        server = self._servers[tool.server]
        own_meta = {k: v for k, v in (meta or {}).items() if not k.startswith(_RESERVED_META) and k != "progress_token"}
        wants_progress = meta is not None and meta.get("progress_token") is not None
        hints = tool.tool.get("annotations") or {}
        request = self._list.request
        try:
            result = await server.call_tool(
                tool.original_name,
                arguments,
                own_meta or None,
                context.session.report_progress if wants_progress else None,
                is_repeatable=hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True,
            )
        except WrappedServerError as error:
            return _text_result(str(error), is_error=True)
        finally:
            if self._tasks is not None:
                self._tasks.start_soon(self._note_call, tool.name, arguments)  # the result does not wait for it
        if self._shortener is None:
            return result
        schema = tool.tool.get("outputSchema")
        return await run_in_thread(self._shortener.shorten, result, tool.original_name, arguments, request, schema)

    async def _note_call(self, name: str, arguments: Any) -> None:
        async with self._lock:
            self._list.note_call(name, arguments)
        await self._update()

    async def _find_late(self, name: str) -> ExposedTool | None:
        """Returns a tool of a server that was not available before."""
        await self._reopen_failed()
        await self._update()
        return self._exposed.get(name)

    async def _reopen_failed(self) -> None:
        """Starts servers that have never been available once more; the client waits a little for them."""
        with anyio.move_on_after(REOPEN_SECONDS):
            async with anyio.create_task_group() as starts:
                for server in self._servers.values():
                    if server.error is not None and server.capabilities is None:
                        starts.start_soon(self._try_to_open, server)

    def _explain_unknown(self, name: str) -> str:
        missing = self._describe_unavailable()
        close = get_close_matches(name, self._exposed, 3)
        hint = f"Do you mean {' or '.join(close)}? " if close else ""
        return f"There is no tool {name[:80]!r}. {hint}Use {FIND_TOOL} to find one. {missing}".rstrip()

    def _describe_unavailable(self) -> str:
        failed = [f"{server.name} ({server.error})" for server in self._servers.values() if server.error]
        return f"Not available at the moment: {', '.join(failed)}." if failed else ""


def _text_result(text: str, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)

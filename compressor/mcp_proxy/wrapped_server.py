"""The connection to one wrapped MCP server: starts it, lists its tools, forwards calls, and starts it again if it died.

A connection lives in a task of its own, because the SDK must open and close it in one task. Calls run in the tasks of
the requests that make them.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import anyio
import anyio.abc
from mcp import Client, MCPError
from mcp.client.session import ClientSession
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import (
    CONNECTION_CLOSED,
    METHOD_NOT_FOUND,
    REQUEST_TIMEOUT,
    UNSUPPORTED_PROTOCOL_VERSION,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    ServerCapabilities,
    ToolListChangedNotification,
)
from pydantic import ValidationError

from compressor._version import __version__
from compressor.mcp_proxy.server_config import WrappedServerConfig
from compressor.mcp_proxy.server_errors import (
    WrappedServerDiedError,
    WrappedServerError,
    explain_failure,
    first_leaf,
    first_problem,
)
from compressor.mcp_proxy.tool_pages import fetch_tools
from compressor.mcp_proxy.watched_transport import watch_transport

T = TypeVar("T")
MAX_STARTS = 4  # of one server within START_WINDOW_SECONDS; a server that always dies must not be started in a loop
START_WINDOW_SECONDS = 60.0
_NOT_LEGACY = (METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION)


@dataclass
class _Connection:
    """One start of a server and what became of it.

    Attributes:
        settled: Set when the start has succeeded or failed.
        closed: Set when the connection has ended.
        ended: Set when the process or the connection is gone.
        scope: Holds all that the connection does, its start included.
        session: The session with the server after a start that succeeded.
        error: Why the start failed or the connection ended.
    """

    settled: anyio.Event = field(default_factory=anyio.Event)
    closed: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    session: ClientSession | None = None
    error: str | None = None

    @property
    def is_open(self) -> bool:
        return self.session is not None and not self.closed.is_set()


class WrappedServer:
    """One wrapped server.

    Attributes:
        config: How it is reached.
        tools: Its tools in MCP's JSON form, as it listed them last.
        instructions: What it says about its use, None if it says nothing.
        capabilities: What it offers, None as long as it was never available.

    Args:
        config: How it is reached.
        call_timeout: Seconds that a call may take.
        start_timeout: Seconds that its start may take, the list of its tools included.
        on_change: Called when its tools have changed, or its availability.
        warn: Called with a line for people.
    """

    def __init__(
        self,
        config: WrappedServerConfig,
        call_timeout: float,
        start_timeout: float,
        on_change: Callable[[], Awaitable[None]],
        warn: Callable[[str], None],
    ) -> None:
        self.config = config
        self.tools: list[dict[str, Any]] = []
        self.instructions: str | None = None
        self.capabilities: ServerCapabilities | None = None
        self._call_timeout = call_timeout
        self._start_timeout = start_timeout
        self._on_change = on_change
        self._warn = warn
        self._connection: _Connection | None = None  # the newest one
        self._starts: deque[float] = deque(maxlen=MAX_STARTS)
        self._tasks: anyio.abc.TaskGroup | None = None

    @property
    def name(self) -> str:
        """The name of the server."""
        return self.config.name

    @property
    def is_available(self) -> bool:
        """Whether it is connected."""
        return self._connection is not None and self._connection.is_open

    @property
    def error(self) -> str | None:
        """Why it is not available, or None."""
        if self._connection is None or self._connection.is_open:
            return None
        return (self._connection.error or "it has ended") if self._connection.settled.is_set() else "it is starting"

    async def open(self, tasks: anyio.abc.TaskGroup | None = None) -> ClientSession:
        """Returns a session with the server, and starts it first if it does not run.

        Args:
            tasks: Where the connection lives; needed the first time only.

        Raises:
            WrappedServerError: It cannot be started, or was started too often.
        """
        return (await self._open(tasks))[1]

    async def close(self) -> None:
        """Ends the connection, and the process if this one has started it."""
        if self._connection is not None:
            self._connection.scope.cancel()
            await self._connection.ended.wait()

    async def _open(self, tasks: anyio.abc.TaskGroup | None = None) -> tuple[_Connection, ClientSession]:
        self._tasks = tasks or self._tasks
        if self._tasks is None:
            raise WrappedServerError(f"server {self.name!r} was not started")
        connection = self._connection
        if connection is None or (connection.settled.is_set() and not connection.is_open):
            self._check_number_of_starts()
            connection = self._connection = _Connection()
            self._tasks.start_soon(self._live, connection)
        await connection.settled.wait()
        if connection.session is None or connection.closed.is_set():
            raise WrappedServerError(f"server {self.name!r} is not available: {connection.error or 'it has ended'}")
        return connection, connection.session

    def _check_number_of_starts(self) -> None:
        now = time.monotonic()
        if len(self._starts) == MAX_STARTS and now - self._starts[0] < START_WINDOW_SECONDS:
            wait = math.ceil(START_WINDOW_SECONDS - (now - self._starts[0]))
            raise WrappedServerError(
                f"server {self.name!r} was started {MAX_STARTS} times within a minute and is not available "
                f"({self.error}); it may be started again in {wait} seconds"
            )
        self._starts.append(now)

    async def call_tool(
        self,
        name: str,
        arguments: dict[str, Any] | None,
        meta: Any = None,
        on_progress: ProgressFnT | None = None,
        is_repeatable: bool = False,
    ) -> CallToolResult:
        """Calls a tool, and starts the server first if it does not run.

        Args:
            name: The tool's own name.
            arguments: Its arguments.
            meta: The request's `_meta`.
            on_progress: Called when the server reports progress.
            is_repeatable: Whether the call is made once more if the server dies meanwhile. If not, it is never made
                twice, because a server that dies while it works may have done the work.

        Raises:
            WrappedServerError: The server cannot be started, died, did not answer in time or sent an invalid result.
            MCPError: The server answered with a protocol error.
        """
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments, _meta=meta))

        async def ask(session: ClientSession) -> CallToolResult:
            return await session.send_request(
                request, CallToolResult, self._call_timeout, progress_callback=on_progress
            )

        try:
            return await self.request(ask)
        except WrappedServerDiedError:
            if not is_repeatable:
                raise
        return await self.request(ask)

    async def request(self, ask: Callable[[ClientSession], Awaitable[T]]) -> T:
        """Makes one request, see `call_tool`."""
        connection, session = await self._open()
        try:
            with anyio.fail_after(self._call_timeout):
                return await ask(session)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise self._no_answer() from None
            if error.code == CONNECTION_CLOSED or (self.config.url and "session terminated" in error.message.lower()):
                connection.closed.set()
                raise WrappedServerDiedError(
                    f"server {self.name!r} ended during the request, which may or may not have taken effect; it is "
                    "started again with the next call"
                ) from None
            raise
        except TimeoutError:
            raise self._no_answer() from None
        except ValidationError as error:
            raise WrappedServerError(f"server {self.name!r} sent an invalid result: {first_problem(error)}") from None

    def _no_answer(self) -> WrappedServerError:
        return WrappedServerError(f"server {self.name!r} did not answer within {self._call_timeout:g} seconds")

    async def _live(self, connection: _Connection) -> None:
        """Connects, lists the tools and keeps the connection until it ends."""
        try:
            with connection.scope:
                await self._connect_in_any_mode(connection)
        except Exception as error:  # whatever a foreign server causes must not end the others
            connection.error = explain_failure(error, self.config, self._start_timeout)
            if not connection.settled.is_set():
                self._warn(f"{self.name}: not available: {connection.error}")
        finally:
            connection.closed.set()
            connection.settled.set()
            connection.ended.set()

    async def _connect_in_any_mode(self, connection: _Connection) -> None:
        try:
            await self._connect("legacy", connection)
        except Exception as error:
            if connection.settled.is_set() or getattr(first_leaf(error), "code", None) not in _NOT_LEGACY:
                raise
            connection.closed = anyio.Event()
            await self._connect("auto", connection)

    async def _connect(self, mode: Literal["legacy", "auto"], connection: _Connection) -> None:
        """Connects in one of the SDK's modes and returns when the connection has ended."""
        closed = connection.closed
        with anyio.fail_after(self._start_timeout) as start:
            async with Client(
                watch_transport(self.config, closed, self._warn),
                mode=mode,
                message_handler=self._on_message,
                client_info=Implementation(name="agentic-compressor", version=__version__),
                cache=None,
            ) as client:
                self.tools = await fetch_tools(client.session)
                self.instructions, self.capabilities = client.instructions, client.server_capabilities
                start.deadline = math.inf
                connection.session = client.session
                connection.settled.set()
                await self._on_change()
                await closed.wait()

    async def _refresh(self) -> None:
        """Reads the list of tools again after the server said that it has changed."""
        if self._connection is None or self._connection.session is None:
            return
        session = self._connection.session
        try:
            with anyio.fail_after(self._start_timeout):
                self.tools = await fetch_tools(session)
        except Exception as error:  # the old list is kept, and calls say what is wrong
            reason = explain_failure(error, self.config, self._start_timeout)
            self._warn(f"{self.name}: its changed list of tools cannot be read: {reason}")
            return
        await self._on_change()

    async def _on_message(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification) and self._tasks is not None and self.is_available:
            self._tasks.start_soon(self._refresh)  # a request in this handler would wait for itself

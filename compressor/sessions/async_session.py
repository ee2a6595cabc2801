"""Offers the methods of a session to asyncio: each runs in a worker thread, so the event loop is never blocked.

The calls of one session are made in the order in which they were started.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from compressor.sessions.context_tools import ContextTools
from compressor.sessions.expand_tool import ExpandTool
from compressor.sessions.session import Session

P = ParamSpec("P")
R = TypeVar("R")


def _in_thread(
    method: Callable[Concatenate[Session, P], R],
) -> Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, R]]:
    """Returns the method of `AsyncSession` that runs this method of `Session` in a worker thread, in call order."""

    @wraps(method)
    async def call(self: AsyncSession, /, *args: P.args, **options: P.kwargs) -> R:
        # Looked up on the object, so that a subclass of `Session` is called as it is.
        bound: Callable[..., R] = getattr(self.session, method.__name__)
        return await self.session.call_queue.run(bound, *args, **options)

    return call


class AsyncSession:
    """A `Session` for asyncio: the same methods, to be awaited, and the same properties.

    Calls that run at once, such as several `append` in one `asyncio.gather`, are applied in the order in which they
    were started.

    Example:
        >>> session = AsyncSession(Compressor().session("support-42", model="gpt-4o"))
        >>> await session.append({"role": "user", "content": "Where is the copper stored?"})
        >>> messages = await session.view()

    Attributes:
        session: The session that does the work.
    """

    def __init__(self, session: Session) -> None:
        """Wraps a session. The session may be used directly at the same time."""
        self.session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.session!r}>"

    append = _in_thread(Session.append)
    sync = _in_thread(Session.sync)
    sync_sent = _in_thread(Session.sync_sent)
    set_tools = _in_thread(Session.set_tools)
    pin = _in_thread(Session.pin)
    record_usage = _in_thread(Session.record_usage)
    view = _in_thread(Session.view)
    record_unsent = _in_thread(Session.record_unsent)
    compact = _in_thread(Session.compact)
    receipts = _in_thread(Session.receipts)
    request_compaction = _in_thread(Session.request_compaction)
    recall = _in_thread(Session.recall)
    history_files = _in_thread(Session.history_files)
    expand = _in_thread(Session.expand)
    share_refs = _in_thread(Session.share_refs)
    expansions = _in_thread(Session.expansions)
    cost_report = _in_thread(Session.cost_report)
    last_cost_report = _in_thread(Session.last_cost_report)
    export = _in_thread(Session.export)
    close = _in_thread(Session.close)

    async def fork(self, id: str) -> AsyncSession:
        """Returns a copy of this session under another id, see `Session.fork`."""
        return AsyncSession(await self.session.call_queue.run(self.session.fork, id))

    @property
    def id(self) -> str:
        """Returns the id of the session."""
        return self.session.id

    @property
    def model(self) -> str | None:
        """Returns the model whose tokens and prices count, or None for gpt-4o."""
        return self.session.model

    @property
    def tenant(self) -> str:
        """Returns the tenant that the session belongs to, or ""."""
        return self.session.tenant

    @property
    def count(self) -> int:
        """Returns how many messages the session has been given. It waits while another thread changes the session."""
        return self.session.count

    @property
    def warnings(self) -> list[str]:
        """Returns the warnings since the session object was made, oldest first."""
        return self.session.warnings

    @property
    def expand_tool(self) -> ExpandTool:
        """Returns the tool with which the agent itself reads removed text. Its `answer` blocks: run it in a thread."""
        return self.session.expand_tool

    def context_tools(self, compact: bool = False) -> ContextTools:
        """Returns the agent's own tools, see `Conversation.context_tools`. Await `aanswer`: `answer` blocks."""
        return self.session.context_tools(compact)

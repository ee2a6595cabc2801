"""Fetches the list of a server's tools, page by page."""

from __future__ import annotations

from typing import Any

from mcp import MCPError
from mcp.client.session import ClientSession
from mcp_types import INVALID_PARAMS, PaginatedRequestParams

MAX_PAGES = 1_000  # of a list; an endless one must not fill the memory


async def fetch_tools(session: ClientSession) -> list[dict[str, Any]]:
    """Returns all tools of a server in MCP's JSON form; none if it offers no tools.

    Raises:
        MCPError: The server refuses the request, or has ended.
    """
    if session.server_capabilities is not None and session.server_capabilities.tools is None:
        return []
    tools: list[dict[str, Any]] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        try:
            page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
        except MCPError as error:
            if cursor is not None and error.code == INVALID_PARAMS:
                break  # the list has changed between two pages; what was read is kept
            raise
        tools += [tool.model_dump(by_alias=True, mode="json", exclude_unset=True) for tool in page.tools]
        cursor = page.next_cursor
        if not cursor or cursor in seen:
            break
        seen.add(cursor)
    return tools

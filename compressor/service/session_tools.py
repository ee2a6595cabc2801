"""Lists the tools of a session of the HTTP API within their budget, and answers its calls of `find_tool`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compressor.errors import CompressorError
from compressor.providers.context_overflow import in_memory
from compressor.service.session_registry import OpenSession


def list_session_tools(known: OpenSession, tool_choice: Any, best_effort: bool) -> tuple[list[Any], list[str]] | None:
    """Returns the tools that the next call of a session lists, and warnings; None if they have no budget.

    Args:
        known: The session.
        tool_choice: The `tool_choice` of the call.
        best_effort: List all tools, with a warning, if they cannot be cut.

    Raises:
        CompressorError: As `ToolListing.select`, without `best_effort`.
    """
    session, tools, listing = known.session, known.options.get("tools"), known.tool_listing
    if not tools or listing is None:
        return None
    session.cost_report()  # takes over what other workers have written
    conversation = in_memory(session)
    try:
        listed = listing.select(tools, [*conversation.head, *conversation.messages], session.model, tool_choice)
    except CompressorError as error:
        if not best_effort:
            raise
        session.set_tools(tools)
        return list(tools), [f"tools not cut: {type(error).__name__}"]
    session.set_tools(listed.tools, listed.removed_tokens)
    return listed.tools, listing.warnings


def find_tool(known: OpenSession, query: str) -> str:
    """Returns the answer of `find_tool` for a session.

    Raises:
        CompressorError: The session has no tools, or they have no budget.
    """
    tools: Sequence[Any] = known.options.get("tools") or ()
    if not tools or known.tool_listing is None:
        raise CompressorError("This session has no tools with a tools_budget: append messages with both first")
    return known.tool_listing.answer({"query": query}, tools, known.session.model)

"""Provides a scripted chat model for tests of agents, so that they need no network and no API key.

The first use of a name needs the extra "langchain" and raises `MissingDependencyError` without it.

Example:
    >>> from compressor.testing import ScriptedChatModel, call
    >>> model = ScriptedChatModel(script=[call("search", query="pumps"), "Pump 4 leaks."])
    >>> agent = create_agent(model, [search], middleware=[ContextCompressorMiddleware(budget=12_000)])
    >>> agent.invoke({"messages": "Which pump leaks?"})
    >>> assert model.requests[-1].tokens() <= 12_000
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError

if TYPE_CHECKING:
    from compressor.testing.chat import RecordedRequest, ScriptedChatModel, call, count_shared_parts

__all__ = ["RecordedRequest", "ScriptedChatModel", "call", "count_shared_parts"]


def __getattr__(name: str) -> Any:
    """Loads the names, and with them LangChain, on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from compressor.testing import chat
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        raise MissingDependencyError("langchain-core", "langchain") from error
    return getattr(chat, name)

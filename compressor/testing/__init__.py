"""Fakes for the tests of whoever builds on the package. Nothing here is used by the package itself.

    from compressor.testing import ScriptedChatModel

    model = ScriptedChatModel(script=[call("search", query="pumps"), "Pump 4 leaks."])
    create_agent(model, tools, middleware=[ContextCompressorMiddleware(budget=12_000)]).invoke(...)
    model.requests[-1].messages, model.requests[-1].tools, model.requests[-1].wire

Needs the extra "langchain" (`MissingDependencyError` otherwise), but only once a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError

if TYPE_CHECKING:
    from compressor.testing.chat import RecordedRequest, ScriptedChatModel, call, shared_prefix_tokens

__all__ = ["RecordedRequest", "ScriptedChatModel", "call", "shared_prefix_tokens"]


def __getattr__(name: str) -> Any:
    """Loads the fakes, and with them LangChain, on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from compressor.testing import chat
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "langchain_core":
            raise
        raise MissingDependencyError("langchain-core", "langchain") from error
    return getattr(chat, name)

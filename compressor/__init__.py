"""Agentic context compressor: cuts what an agent is about to send to a hard token budget, and keeps every original.

Example:
    >>> from compressor import Compressor
    >>> compressor = Compressor()
    >>> result = compressor.compress(messages, budget=4_000, model="gpt-4o")  # doctest: +SKIP
    >>> result.messages, result.tokens_before, result.tokens_after, result.warnings  # doctest: +SKIP
    >>> compressor.expand(result.dropped[0].ref)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compressor._version import __version__ as __version__
from compressor.context.results import BlockReport, DocumentsResult, Dropped, Result, TextResult
from compressor.errors import (
    BudgetError,
    BudgetTooSmall,
    BudgetTooSmallError,
    CompressorError,
    ContextError,
    DeviceError,
    ExpiredRef,
    ExpiredRefError,
    ImageRefusedError,
    MissingDependencyError,
    ModelError,
    QueueFullError,
    RefError,
    SessionConflictError,
    StoreError,
    TokenizerError,
    UnknownRef,
    UnknownRefError,
)

if TYPE_CHECKING:
    from compressor.compressor import Compressor
    from compressor.images.policy import ImagePolicy
    from compressor.pipeline.examples.example_store import ExampleStore
    from compressor.pipeline.examples.results import ExamplesResult
    from compressor.pipeline.tools.results import ToolsResult
    from compressor.pipeline.tools.stateful_toolset import ToolSet
    from compressor.sessions.async_session import AsyncSession
    from compressor.sessions.policy import Policy, ToolRule
    from compressor.sessions.session import Session
    from compressor.sessions.summaries.summarizer import summarizer
    from compressor.tokens.pricing import Price

#: The modules of the names that are loaded on first use, so that importing the package stays cheap.
_LAZY = {
    "Compressor": "compressor.compressor",
    "ImagePolicy": "compressor.images.policy",
    "AsyncSession": "compressor.sessions.async_session",
    "ExampleStore": "compressor.pipeline.examples.example_store",
    "ExamplesResult": "compressor.pipeline.examples.results",
    "Policy": "compressor.sessions.policy",
    "Price": "compressor.tokens.pricing",
    "Session": "compressor.sessions.session",
    "ToolRule": "compressor.sessions.policy",
    "ToolSet": "compressor.pipeline.tools.stateful_toolset",
    "ToolsResult": "compressor.pipeline.tools.results",
    "summarizer": "compressor.sessions.summaries.summarizer",
}

__all__ = [
    "AsyncSession",
    "BlockReport",
    "BudgetError",
    "BudgetTooSmall",
    "BudgetTooSmallError",
    "Compressor",
    "CompressorError",
    "ContextError",
    "DeviceError",
    "DocumentsResult",
    "Dropped",
    "ExampleStore",
    "ExamplesResult",
    "ExpiredRef",
    "ExpiredRefError",
    "ImagePolicy",
    "ImageRefusedError",
    "MissingDependencyError",
    "ModelError",
    "Policy",
    "Price",
    "QueueFullError",
    "RefError",
    "Result",
    "Session",
    "SessionConflictError",
    "StoreError",
    "TextResult",
    "TokenizerError",
    "ToolRule",
    "ToolSet",
    "ToolsResult",
    "UnknownRef",
    "UnknownRefError",
    "summarizer",
]


def __getattr__(name: str) -> Any:
    """Loads a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Lists the names that are loaded on first use, too, so that tab completion finds them."""
    return sorted({*globals(), *_LAZY})

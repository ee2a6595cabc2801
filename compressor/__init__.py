"""Agentic context compressor: what an agent is about to send, cut to a hard token budget; every dropped byte one
`expand` away.

    from compressor import Compressor

    result = Compressor().compress(messages, budget=4_000, model="gpt-4o")
    result.messages, result.tokens_before, result.tokens_after, result.dropped, result.warnings
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compressor._version import __version__ as __version__
from compressor.context.results import BlockReport, DocumentsResult, Dropped, Result, TextResult
from compressor.errors import (
    BudgetTooSmall,
    CompressorError,
    Conflict,
    DeviceError,
    ExpiredRef,
    InvalidBudget,
    InvalidContext,
    MissingExtra,
    ModelError,
    Overloaded,
    RefError,
    StoreError,
    TokenizerError,
    UnknownRef,
)

if TYPE_CHECKING:
    from compressor.compressor import Compressor
    from compressor.pipeline.cost_gate import Gate
    from compressor.pipeline.examples.example_store import ExampleBank

__all__ = [
    "BlockReport",
    "BudgetTooSmall",
    "Compressor",
    "CompressorError",
    "Conflict",
    "DeviceError",
    "DocumentsResult",
    "Dropped",
    "ExampleBank",
    "ExpiredRef",
    "Gate",
    "InvalidBudget",
    "InvalidContext",
    "MissingExtra",
    "ModelError",
    "Overloaded",
    "RefError",
    "Result",
    "StoreError",
    "TextResult",
    "TokenizerError",
    "UnknownRef",
]


def __getattr__(name: str) -> Any:
    """Loads the engine (and with it numpy and tiktoken) on first use, so that importing the package stays cheap."""
    if name == "Compressor":
        from compressor.compressor import Compressor

        return Compressor
    if name == "ExampleBank":
        from compressor.pipeline.examples.example_store import ExampleBank

        return ExampleBank
    if name == "Gate":
        from compressor.pipeline.cost_gate import Gate

        return Gate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

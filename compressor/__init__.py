"""Agentic context compressor: what an agent is about to send, cut to a hard token budget; every dropped byte one
`expand` away.

    from compressor import Compressor

    result = Compressor().compress(messages, budget=4_000, model="gpt-4o")
    result.messages, result.tokens_before, result.tokens_after, result.dropped, result.warnings
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from compressor.result import BlockReport, DocumentsResult, Dropped, Result, TextResult

if TYPE_CHECKING:
    from compressor.engine import Compressor
    from compressor.gate import Gate
    from compressor.icl.bank import ExampleBank

__version__ = "0.1.0"

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
        from compressor.engine import Compressor

        return Compressor
    if name == "ExampleBank":
        from compressor.icl.bank import ExampleBank

        return ExampleBank
    if name == "Gate":
        from compressor.gate import Gate

        return Gate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

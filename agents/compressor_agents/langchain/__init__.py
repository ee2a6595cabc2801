"""The compressor in LangChain and LangGraph.

    ContextCompressorMiddleware   keeps what an agent sends within a budget; its state lives with the checkpointer
    ContextDocumentCompressor     cuts retrieved documents to a budget
    BudgetExampleSelector         chooses few-shot examples within a budget
    compressor_summarizer         a `summarizer=` for LangChain's own SummarizationMiddleware

Needs the extra "langchain" (`MissingDependencyError` otherwise), but only once a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError

if TYPE_CHECKING:
    from compressor_agents.langchain.document_compressor import ContextDocumentCompressor
    from compressor_agents.langchain.example_selector import BudgetExampleSelector
    from compressor_agents.langchain.middleware import ContextCompressorMiddleware
    from compressor_agents.langchain.summarizer import compressor_summarizer

__all__ = ["BudgetExampleSelector", "ContextCompressorMiddleware", "ContextDocumentCompressor", "compressor_summarizer"]

_HOMES = {
    "BudgetExampleSelector": "example_selector",
    "ContextCompressorMiddleware": "middleware",
    "ContextDocumentCompressor": "document_compressor",
    "compressor_summarizer": "summarizer",
}


def __getattr__(name: str) -> Any:
    """Loads LangChain on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOMES[name]}")
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("langchain", "langchain_core", "langgraph"):
            raise
        raise MissingDependencyError(package.replace("_", "-"), "langchain") from error
    return getattr(module, name)

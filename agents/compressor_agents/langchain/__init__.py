"""Integrates the compressor with LangChain and LangGraph.

- `ContextCompressorMiddleware` keeps an agent's requests within a budget; the checkpointer keeps its state.
- `ContextDocumentCompressor` cuts retrieved documents to a budget.
- `BudgetExampleSelector` chooses few-shot examples within a budget.
- `compressor_summarizer` makes a `summarizer=` for LangChain's own SummarizationMiddleware.

The first use of a name needs the extra "langchain" and raises `MissingDependencyError` without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError
from compressor_agents.sdk_names import refuse_to_shadow

if TYPE_CHECKING:
    from compressor_agents.langchain.document_compressor import ContextDocumentCompressor
    from compressor_agents.langchain.example_selector import BudgetExampleSelector
    from compressor_agents.langchain.middleware import ContextCompressorMiddleware
    from compressor_agents.langchain.summarizer import compressor_summarizer

refuse_to_shadow(__name__, "langchain")

__all__ = ["BudgetExampleSelector", "ContextCompressorMiddleware", "ContextDocumentCompressor", "compressor_summarizer"]

_MODULES = {
    "BudgetExampleSelector": "example_selector",
    "ContextCompressorMiddleware": "middleware",
    "ContextDocumentCompressor": "document_compressor",
    "compressor_summarizer": "summarizer",
}


def __getattr__(name: str) -> Any:
    """Loads LangChain on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULES[name]}")
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("langchain", "langchain_core", "langgraph"):
            raise
        raise MissingDependencyError(package.replace("_", "-"), "langchain") from error
    return getattr(module, name)

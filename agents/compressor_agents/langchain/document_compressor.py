"""Cuts retrieved documents to a token budget, as a LangChain document compressor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, field_validator

from compressor import Compressor, CompressorError
from compressor.context.results import DocumentsResult
from compressor.scoring.runtime.executor import run_in_thread
from compressor_agents.options import check_token_budget

logger = logging.getLogger(__name__)

#: The key in a document's metadata that lists the refs of its original text (`compressor.expand(ref)`).
REFS_KEY = "compressor_refs"


class ContextDocumentCompressor(BaseDocumentCompressor):
    """Keeps the parts of all documents that answer the query, within one budget.

    Order, ids and metadata stay. A document of which nothing was kept is left out. A document that was cut is a copy
    whose metadata lists its refs under "compressor_refs". An uncut document is the same object.

    Attributes:
        budget: Tokens of all page contents together, or a fraction of them in (0, 1).
        compressor: Scores and stores; the default has the embedded defaults.
        model: The model whose tokens count; None means gpt-4o.
        fail_open: True returns documents that cannot be compressed unchanged, with a logged warning and an entry of
            `warnings`; False raises the CompressorError.
        warnings: The newest 100 warnings.

    Example:
        >>> compressor = ContextDocumentCompressor(budget=2_000)
        >>> ContextualCompressionRetriever(base_retriever=retriever, base_compressor=compressor)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    budget: int | float = 0.25
    compressor: Compressor = Field(default_factory=Compressor)
    model: str | None = None
    fail_open: bool = True
    warnings: list[str] = Field(default_factory=list)

    @field_validator("budget", mode="before")
    @classmethod
    def _check_budget(cls, budget: Any) -> Any:
        check_token_budget("budget", budget)  # pydantic makes the BudgetError a ValidationError
        return budget

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Returns the documents cut to the budget, in the same order.

        Args:
            documents: The retrieved documents.
            query: The question that they should answer.
            callbacks: Not used, because no model is called.

        Raises:
            CompressorError: If they cannot be compressed and `fail_open` is off.
        """
        if not documents:
            return []
        entries: list[dict[str, Any]] = [
            {"title": _get_title(document), "text": document.page_content, "number": number}
            for number, document in enumerate(documents)
        ]
        try:
            result = self.compressor.compress_documents(entries, query=query, budget=self.budget, model=self.model)
            return _apply_result(documents, result)
        except Exception as error:
            if not self.fail_open:
                raise
            text = f"{len(documents)} documents were not compressed: {type(error).__name__}: {error}"
            self.warnings[:] = [*self.warnings[-99:], text]
            logger.warning("%s", text, exc_info=None if isinstance(error, CompressorError) else error)
            return list(documents)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Runs `compress_documents` in a worker thread."""
        return await run_in_thread(self.compress_documents, documents, query, callbacks)


def _get_title(document: Document) -> str:
    title = document.metadata.get("title")
    return title if isinstance(title, str) else ""


def _apply_result(documents: Sequence[Document], result: DocumentsResult) -> list[Document]:
    refs = {report.block: report.ref for report in result.blocks}
    kept = []
    for entry in result.documents:
        number: int = entry["number"]
        document = documents[number]
        if entry["text"] != document.page_content:
            ref = refs[number]
            metadata = {**document.metadata, REFS_KEY: [ref]} if ref else dict(document.metadata)
            document = document.model_copy(update={"page_content": entry["text"], "metadata": metadata})
        kept.append(document)
    return kept

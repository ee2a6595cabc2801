"""Cuts retrieved documents to a token budget, as a LangChain document compressor. Ranks and retrieves nothing.

ContextualCompressionRetriever(base_retriever=retriever, base_compressor=ContextDocumentCompressor(budget=2_000))
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, field_validator

from compressor import Compressor, CompressorError
from compressor.context.budget import resolve_budget
from compressor.context.results import DocumentsResult
from compressor.scoring.runtime.executor import run_in_thread

logger = logging.getLogger(__name__)

#: Key in a document's metadata: the refs that give its original text back (`compressor.expand(ref)`).
REFS = "compressor_refs"


class ContextDocumentCompressor(BaseDocumentCompressor):
    """Keeps of all documents together what answers the query, within one budget.

    budget: tokens of all page contents together, or a share of them in (0, 1).
    compressor: the Compressor that scores and stores; None makes one with the embedded defaults.
    model: whose tokens to count; None counts as gpt-4o.
    fail_open: what cannot be compressed goes through as it was, with a logged warning and an entry in `warnings`;
        False raises the CompressorError.

    Order, ids and metadata stay. A document of which nothing was kept is left out; one that was cut is a copy whose
    metadata lists its refs under "compressor_refs"; an untouched one is the same object.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    budget: int | float = 0.25
    compressor: Compressor = Field(default_factory=Compressor)
    model: str | None = None
    fail_open: bool = True
    warnings: list[str] = Field(default_factory=list)

    @field_validator("budget", mode="before")
    @classmethod
    def _check(cls, budget: Any) -> Any:
        resolve_budget(
            budget, 1_000
        )  # an BudgetError now (pydantic makes it a ValidationError), not at the first query
        return budget

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The documents within the budget, in the order given. `callbacks` see nothing: no model is called."""
        if not documents:
            return []
        given: list[dict[str, Any]] = [
            {"title": _title(document), "text": document.page_content, "number": number}
            for number, document in enumerate(documents)
        ]
        try:
            result = self.compressor.compress_documents(given, query=query, budget=self.budget, model=self.model)
            return _documents(documents, result)
        except Exception as error:
            if not self.fail_open:
                raise
            text = f"{len(documents)} documents go uncompressed: {type(error).__name__}: {error}"
            self.warnings[:] = [*self.warnings[-99:], text]
            logger.warning("%s", text, exc_info=None if isinstance(error, CompressorError) else error)
            return list(documents)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents` in a worker thread."""
        return await run_in_thread(self.compress_documents, documents, query, callbacks)


def _title(document: Document) -> str:
    title = document.metadata.get("title")
    return title if isinstance(title, str) else ""


def _documents(documents: Sequence[Document], result: DocumentsResult) -> list[Document]:
    refs = {report.block: report.ref for report in result.blocks}
    kept = []
    for entry in result.documents:
        number: int = entry["number"]
        document = documents[number]
        if entry["text"] != document.page_content:
            ref = refs[number]
            metadata = {**document.metadata, REFS: [ref]} if ref else dict(document.metadata)
            document = document.model_copy(update={"page_content": entry["text"], "metadata": metadata})
        kept.append(document)
    return kept

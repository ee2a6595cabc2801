"""Compresses one text, or several documents into one text.

Documents share one placeholder at the end of the text, whose ref returns all of them. A document of which nothing was
kept leaves no trace in the text, only its entry in `dropped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.context.blocks import Block, Priority
from compressor.context.budget import Budget, resolve_budget
from compressor.context.model import TextSlot
from compressor.context.refs import compute_ref, format_placeholder
from compressor.context.results import BlockReport, CacheDependencies, DocumentsResult, Dropped, TextResult
from compressor.errors import BudgetTooSmallError, ContextError
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.block_reports import block_report, dropped_spans, originals_of
from compressor.pipeline.budget_selector import BudgetSelector, compress_losslessly
from compressor.pipeline.earlier_excerpt import open_text, text_finder
from compressor.pipeline.engine import Engine
from compressor.pipeline.output_validation import validate
from compressor.scoring.base import Query
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.tokens import TokenCounter


def compress_text(
    text: str,
    budget: Budget,
    query: str | None,
    counter: TokenCounter,
    engine: Engine,
    store: Callable[[], BlobStore],
    hint: str = "",
) -> TextResult:
    """Compresses one text; see `Compressor.compress_text`."""
    if not isinstance(text, str):
        raise ContextError(f"text must be a str, not {type(text).__name__}")
    before = counter.count(text)
    limit = resolve_budget(budget, before)
    batch = _TextBatch([_block(0, text, "")], counter, engine, store, with_placeholders=True, hint=hint)
    batch.solve(query, before, limit, lambda: counter.count(batch.block_edits[0].text))
    after = batch.block_edits[0].text
    return TextResult(**batch.result_fields(before, counter.count(after), limit), text=after)


def compress_documents(
    documents: Sequence[Mapping[str, Any] | str],
    query: str | None,
    budget: Budget,
    counter: TokenCounter,
    engine: Engine,
    store: Callable[[], BlobStore],
) -> DocumentsResult:
    """Compresses documents into one text; see `Compressor.compress_documents`."""
    read = [_read(document, i) for i, document in enumerate(documents)]
    titles = [title for title, _ in read]
    whole = _joined(titles, [text for _, text in read])
    before = counter.count(whole)
    limit = resolve_budget(budget, before)
    blocks = [_block(i, text, title) for i, (title, text) in enumerate(read)]
    batch = _TextBatch(blocks, counter, engine, store, with_placeholders=False)
    ref = compute_ref(whole)

    def current_text() -> str:
        body = _joined(titles, [edit.text for edit in batch.block_edits])
        end = format_placeholder(ref, any(edit.removed_words is not None for edit in batch.block_edits))
        return f"{body}\n{end}" if body else end

    changed = batch.solve(query, before, limit, lambda: counter.count(current_text()), whole)
    remaining = [
        {**(document if isinstance(document, Mapping) else {}), "title": title, "text": edit.text}
        for document, title, edit in zip(documents, titles, batch.block_edits, strict=True)
        if edit.text
    ]
    text = current_text() if changed else whole
    fields = batch.result_fields(before, counter.count(text), limit)
    return DocumentsResult(**fields, text=text, documents=remaining)


def _read(document: Any, index: int) -> tuple[str, str]:
    """Returns the title and the text of a document."""
    if isinstance(document, str):
        return "", document
    if not isinstance(document, Mapping) or not isinstance(document.get("text"), str):
        raise ContextError('a document must be a str or a mapping with a "text" str', index)
    title = document.get("title") or ""
    if not isinstance(title, str):
        raise ContextError(f'a document\'s "title" must be a str, not {type(title).__name__}', index)
    return title, document["text"]


def _joined(titles: Sequence[str], texts: Sequence[str]) -> str:
    return "\n\n".join(f"{t}: {x}" if t else x for t, x in zip(titles, texts, strict=True) if x)


def _block(number: int, text: str, title: str) -> Block:
    slot = TextSlot(number, ("text",), "document", text, name=title or None)
    return Block(number, slot, "document", text, 0, len(text), Priority.TOOL_OUTPUT, tool_call_text=title)


class _TextBatch:
    """Texts that share one budget."""

    def __init__(
        self,
        blocks: list[Block],
        counter: TokenCounter,
        engine: Engine,
        store: Callable[[], BlobStore],
        with_placeholders: bool,
        hint: str = "",
    ) -> None:
        self.counter, self.engine, self.store = counter, engine, store
        for block in blocks:
            block.tokens = counter.count(block.text)
        find_text = text_finder(store)
        self.block_edits = []
        for block in blocks:
            text = open_text(block.text, block.kind, hint, find_text)
            self.block_edits.append(
                BlockEdit(
                    block,
                    counter,
                    text.layout,
                    text.original,
                    has_placeholder=with_placeholders,
                    is_recut=text.is_excerpt,
                    placeholder_units=text.placeholder_units,
                )
            )
        self.selector: BudgetSelector | None = None
        self.warnings: list[str] = []
        self.cache_dependencies = CacheDependencies()

    def solve(
        self, query: str | None, before: int, budget: int, count_tokens: Callable[[], int], whole: str = ""
    ) -> bool:
        """Brings the texts within the budget and stores the originals.

        Args:
            query: What the reader is looking for, or None.
            before: The tokens of the untouched whole.
            budget: The maximum tokens of the whole.
            count_tokens: Returns the exact tokens of the whole in its present state.
            whole: A text to store besides, which the placeholder of the whole stands for.

        Returns:
            Whether anything changed.

        Raises:
            BudgetTooSmallError: Not even the placeholder fits.
        """
        if before <= budget:
            return False
        if not compress_losslessly(self.block_edits, count_tokens, budget):
            wanted = Query(((query, 1.0),), question=query) if query else Query()
            self.selector = BudgetSelector(
                self.block_edits, self.engine.scorer, wanted, before - budget, self.engine.word_pruner
            )
            if not self.selector.solve(count_tokens, budget):
                raise BudgetTooSmallError(budget, count_tokens(), "the placeholder that stands for the rest")
            self.warnings += self.selector.units.notes
        self.warnings += validate(self.block_edits, count_tokens, budget)
        originals = originals_of(self.block_edits)
        if whole:
            originals[compute_ref(whole)] = whole
        if originals:
            put_texts(self.store(), originals)
        has_notes = self.selector is not None and bool(self.selector.units.notes)
        self.cache_dependencies = CacheDependencies(tuple(originals), transient=has_notes)
        return True

    def result_fields(self, before: int, after: int, budget: int) -> dict[str, Any]:
        """Returns the fields that all results share."""
        return {
            "tokens_before": before,
            "tokens_after": after,
            "budget": budget,
            "warnings": self.warnings,
            "is_estimate": self.counter.is_estimate,
            "tokenizer": self.counter.name,
            "_cache_dependencies": self.cache_dependencies,
            "_dropped": self.dropped,
            "_blocks": self.blocks,
        }

    def dropped(self) -> list[Dropped]:
        return [span for edit in self.block_edits for span in dropped_spans(edit, self.selector)]

    def blocks(self) -> list[BlockReport]:
        return [block_report(edit) for edit in self.block_edits]

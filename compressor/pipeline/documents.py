"""Compresses a single text, or several documents to one text. Knows no messages.

Documents share one mark, at the end of the text, which gives back all of them; a document of which nothing was worth
keeping leaves no trace but its entry in `dropped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.context.blocks import Block, Priority
from compressor.context.budget import is_fraction, resolve_budget
from compressor.context.model import TextSlot
from compressor.context.refs import compute_ref, format_placeholder
from compressor.context.results import BlockReport, CacheDependencies, DocumentsResult, Dropped, TextResult
from compressor.errors import BudgetTooSmallError, ContextError
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.block_reports import block_report, dropped_spans
from compressor.pipeline.budget_selector import BudgetSelector, compress_losslessly
from compressor.pipeline.engine import Engine
from compressor.pipeline.output_validation import validate
from compressor.scoring.base import Query
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.text.layout_cache import cached_layout
from compressor.tokens import TokenCounter

StoreOf = Callable[[], BlobStore]


def compress_text(
    text: str,
    budget: int | float,
    query: str | None,
    counter: TokenCounter,
    choice: Engine,
    store: StoreOf,
) -> TextResult:
    """See `Compressor.compress_text`."""
    if not isinstance(text, str):
        raise ContextError(f"text must be a str, not {type(text).__name__}")
    before = counter.count(text)
    limit = resolve_budget(budget, before)
    pile = _TextBatch([_block(0, text, "")], counter, choice, store, marks=True)
    pile.solve(query, before, limit, is_fraction(budget), lambda: counter.count(pile.drafts[0].text))
    after = pile.drafts[0].text
    return TextResult(**pile.build_totals(before, counter.count(after), limit), text=after)


def compress_documents(
    documents: Sequence[Mapping[str, Any] | str],
    query: str | None,
    budget: int | float,
    counter: TokenCounter,
    choice: Engine,
    store: StoreOf,
) -> DocumentsResult:
    """See `Compressor.compress_documents`."""
    read = [_read(d, i) for i, d in enumerate(documents)]
    titles = [title for title, _ in read]
    whole = _joined(titles, [text for _, text in read])
    before = counter.count(whole)
    limit = resolve_budget(budget, before)
    pile = _TextBatch(
        [_block(i, text, title) for i, (title, text) in enumerate(read)], counter, choice, store, marks=False
    )
    ref = compute_ref(whole)

    def text_now() -> str:
        body = _joined(titles, [d.text for d in pile.drafts])
        end = format_placeholder(ref, any(d.removed_words is not None for d in pile.drafts))
        return f"{body}\n{end}" if body else end

    changed = pile.solve(query, before, limit, is_fraction(budget), lambda: counter.count(text_now()), whole)
    kept = [
        {**(d if isinstance(d, Mapping) else {}), "title": title, "text": draft.text}
        for d, title, draft in zip(documents, titles, pile.drafts, strict=True)
        if draft.text
    ]
    text = text_now() if changed else whole
    return DocumentsResult(**pile.build_totals(before, counter.count(text), limit), text=text, documents=kept)


def _read(document: Any, index: int) -> tuple[str, str]:
    """Title and text of a document."""
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
    """Texts that share a budget."""

    def __init__(
        self,
        blocks: list[Block],
        counter: TokenCounter,
        choice: Engine,
        store: StoreOf,
        marks: bool,
    ) -> None:
        self.counter, self.choice, self.store = counter, choice, store
        for block in blocks:
            block.tokens = counter.count(block.text)
        self.drafts = [
            BlockEdit(b, counter, cached_layout(b.text, b.kind, ""), b.text, has_placeholder=marks) for b in blocks
        ]
        self.selection: BudgetSelector | None = None
        self.warnings: list[str] = []
        self.ground = CacheDependencies()

    def solve(
        self, query: str | None, before: int, budget: int, share: bool, measure: Callable[[], int], whole: str = ""
    ) -> bool:
        """Brings the drafts within the budget; whether anything changed. Originals are stored, and with them `whole`,
        what a mark for all of them stands for."""
        if before <= budget:
            return False
        scorer, self.warnings = self.choice.pick_scorer(before, budget, share)
        if scorer is None:
            return False
        if not compress_losslessly(self.drafts, measure, budget):
            asked = Query(((query, 1.0),) if query else ())
            self.selection = BudgetSelector(self.drafts, scorer, asked, before - budget, self.choice.word_pruner)
            if not self.selection.solve(measure, budget):
                raise BudgetTooSmallError(budget, measure(), "the mark that stands for the rest")
            self.warnings += self.selection.units.notes
        self.warnings += validate(self.drafts, measure, budget)
        originals = {d.ref: d.original for d in self.drafts if d.is_lossy}
        if whole:
            originals[compute_ref(whole)] = whole
        if originals:
            put_texts(self.store(), originals)
        self.ground = CacheDependencies(
            tuple(originals), transient=self.selection is not None and bool(self.selection.units.notes)
        )
        return True

    def build_totals(self, before: int, after: int, budget: int) -> dict[str, Any]:
        """What all results say, as their arguments. A budget that the gate left unused was only a wish."""
        return {
            "tokens_before": before,
            "tokens_after": after,
            "budget": max(budget, after),
            "warnings": self.warnings,
            "is_estimate": self.counter.is_estimate,
            "tokenizer": self.counter.name,
            "_cache_dependencies": self.ground,
            "_dropped": self.dropped,
            "_blocks": self.blocks,
        }

    def dropped(self) -> list[Dropped]:
        return [gone for draft in self.drafts for gone in dropped_spans(draft, self.selection)]

    def blocks(self) -> list[BlockReport]:
        return [block_report(draft) for draft in self.drafts]

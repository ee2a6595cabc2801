"""Compresses a single text, or several documents to one text. Knows no messages.

Documents share one mark, at the end of the text, which gives back all of them; a document of which nothing was worth
keeping leaves no trace but its entry in `dropped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.context.blocks import MATERIAL, Block
from compressor.context.budget import is_share, tokens_of
from compressor.context.model import Slot
from compressor.context.refs import mark, ref_of
from compressor.context.results import BlockReport, DocumentsResult, Dropped, Ground, TextResult
from compressor.errors import BudgetTooSmall, InvalidContext
from compressor.pipeline.block_edit import Draft
from compressor.pipeline.block_reports import dropped_of, report_of
from compressor.pipeline.budget_selector import Selection, fold_to_fit
from compressor.pipeline.engine import Choice
from compressor.pipeline.output_validation import check
from compressor.scoring.base import Query
from compressor.storage.base import Store
from compressor.storage.text_values import put_texts
from compressor.text.layout_cache import layout_of
from compressor.tokens import Counter

StoreOf = Callable[[], Store]


def compress_text(
    text: str,
    budget: int | float,
    query: str | None,
    counter: Counter,
    choice: Choice,
    store: StoreOf,
) -> TextResult:
    """See `Compressor.compress_text`."""
    if not isinstance(text, str):
        raise InvalidContext(f"text must be a str, not {type(text).__name__}")
    before = counter.count(text)
    limit = tokens_of(budget, before)
    pile = _Pile([_block(0, text, "")], counter, choice, store, marks=True)
    pile.fit(query, before, limit, is_share(budget), lambda: counter.count(pile.drafts[0].after))
    after = pile.drafts[0].after
    return TextResult(**pile.account(before, counter.count(after), limit), text=after)


def compress_documents(
    documents: Sequence[Mapping[str, Any] | str],
    query: str | None,
    budget: int | float,
    counter: Counter,
    choice: Choice,
    store: StoreOf,
) -> DocumentsResult:
    """See `Compressor.compress_documents`."""
    read = [_read(d, i) for i, d in enumerate(documents)]
    titles = [title for title, _ in read]
    whole = _joined(titles, [text for _, text in read])
    before = counter.count(whole)
    limit = tokens_of(budget, before)
    pile = _Pile([_block(i, text, title) for i, (title, text) in enumerate(read)], counter, choice, store, marks=False)
    ref = ref_of(whole)

    def text_now() -> str:
        body = _joined(titles, [d.after for d in pile.drafts])
        end = mark(ref, any(d.gone is not None for d in pile.drafts))
        return f"{body}\n{end}" if body else end

    changed = pile.fit(query, before, limit, is_share(budget), lambda: counter.count(text_now()), whole)
    kept = [
        {**(d if isinstance(d, Mapping) else {}), "title": title, "text": draft.after}
        for d, title, draft in zip(documents, titles, pile.drafts, strict=True)
        if draft.after
    ]
    text = text_now() if changed else whole
    return DocumentsResult(**pile.account(before, counter.count(text), limit), text=text, documents=kept)


def _read(document: Any, index: int) -> tuple[str, str]:
    """Title and text of a document."""
    if isinstance(document, str):
        return "", document
    if not isinstance(document, Mapping) or not isinstance(document.get("text"), str):
        raise InvalidContext('a document must be a str or a mapping with a "text" str', index)
    title = document.get("title") or ""
    if not isinstance(title, str):
        raise InvalidContext(f'a document\'s "title" must be a str, not {type(title).__name__}', index)
    return title, document["text"]


def _joined(titles: Sequence[str], texts: Sequence[str]) -> str:
    return "\n\n".join(f"{t}: {x}" if t else x for t, x in zip(titles, texts, strict=True) if x)


def _block(number: int, text: str, title: str) -> Block:
    slot = Slot(number, ("text",), "document", text, name=title or None)
    return Block(number, slot, "document", text, 0, len(text), MATERIAL, asked=title)


class _Pile:
    """Texts that share a budget."""

    def __init__(
        self,
        blocks: list[Block],
        counter: Counter,
        choice: Choice,
        store: StoreOf,
        marks: bool,
    ) -> None:
        self.counter, self.choice, self.store = counter, choice, store
        for block in blocks:
            block.tokens = counter.count(block.text)
        self.drafts = [Draft(b, counter, layout_of(b.text, b.kind, ""), b.text, marks=marks) for b in blocks]
        self.selection: Selection | None = None
        self.warnings: list[str] = []
        self.ground = Ground()

    def fit(
        self, query: str | None, before: int, budget: int, share: bool, measure: Callable[[], int], whole: str = ""
    ) -> bool:
        """Brings the drafts within the budget; whether anything changed. Originals are stored, and with them `whole`,
        what a mark for all of them stands for."""
        if before <= budget:
            return False
        scorer, self.warnings = self.choice.of(before, budget, share)
        if scorer is None:
            return False
        if not fold_to_fit(self.drafts, measure, budget):
            asked = Query(((query, 1.0),) if query else ())
            self.selection = Selection(self.drafts, scorer, asked, before - budget, self.choice.words)
            if not self.selection.fit(measure, budget):
                raise BudgetTooSmall(budget, measure(), "the mark that stands for the rest")
            self.warnings += self.selection.units.notes
        self.warnings += check(self.drafts, measure, budget)
        originals = {d.ref: d.original for d in self.drafts if d.cut}
        if whole:
            originals[ref_of(whole)] = whole
        if originals:
            put_texts(self.store(), originals)
        self.ground = Ground(tuple(originals), passing=self.selection is not None and bool(self.selection.units.notes))
        return True

    def account(self, before: int, after: int, budget: int) -> dict[str, Any]:
        """What all results say, as their arguments. A budget that the gate left unused was only a wish."""
        return {
            "tokens_before": before,
            "tokens_after": after,
            "budget": max(budget, after),
            "warnings": self.warnings,
            "estimate": self.counter.estimate,
            "tokenizer": self.counter.name,
            "_ground": self.ground,
            "_dropped": self.dropped,
            "_blocks": self.blocks,
        }

    def dropped(self) -> list[Dropped]:
        return [gone for draft in self.drafts for gone in dropped_of(draft, self.selection)]

    def blocks(self) -> list[BlockReport]:
        return [report_of(draft) for draft in self.drafts]

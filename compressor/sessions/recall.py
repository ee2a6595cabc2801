"""Finds in what has left a session's view what answers a question, with the scorer that compresses. Keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compressor.context.model import Turn
from compressor.context.refs import compute_ref, find_refs, format_placeholder
from compressor.errors import BudgetError, BudgetTooSmallError, CompressorError
from compressor.pipeline.documents import compress_documents
from compressor.scoring.token_index import terms
from compressor.sessions import archive
from compressor.sessions.state import MessageRecord, SessionState
from compressor.storage.text_values import put_texts
from compressor.tokens import get_counter

if TYPE_CHECKING:
    from compressor.compressor import Compressor

#: Texts, and characters of them, that are read closely; of more, those that share most words with the query.
MAX_DOCUMENTS, MAX_DOCUMENT_CHARS = 200, 1_000_000


def recall(
    compressor: Compressor,
    state: SessionState,
    edited: Sequence[tuple[Turn, MessageRecord]],
    query: str,
    budget: int,
    model: str | None,
) -> str:
    """See `Conversation.recall`. `cut` are the live messages of which the view shows less than all."""
    if not isinstance(query, str) or not query.strip():
        raise CompressorError("recall needs a query: what should the older history say?")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise BudgetError(f"recall's budget must be a positive number of tokens, not {budget!r}")
    listed = archive.list_pages(compressor.store, state.page_refs)
    labels = {ref: label for ref, label, _ in listed}
    texts = archive.stored_texts(compressor.store, list(labels))
    documents = [{"title": f"{labels[ref]} {format_placeholder(ref)}", "text": text} for ref, text in texts.items()]
    own: dict[str, str] = {}  # not all of them are stored: what was folded without loss needed no ref
    for turn, entry in edited:
        for slot in turn.slots:
            if slot.path in entry.edits and slot.text and not entry.holds_index:
                own[ref := compute_ref(slot.text)] = slot.text
                documents.append({"title": f"{slot.name or slot.kind} {format_placeholder(ref)}", "text": slot.text})
    documents = _nearest(documents, query)
    if not documents:
        return ""
    store = archive.ScopedStore(compressor.store, state.scopes[0])
    try:
        counter = get_counter(model)
        text = compress_documents(documents, query, budget, counter, compressor.engine, lambda: store).text
    except BudgetTooSmallError:
        return ""
    if named := {ref: own[ref] for ref in find_refs(text) if ref in own}:
        put_texts(store, named)
    return text


def _nearest(documents: list[dict[str, str]], query: str) -> list[dict[str, str]]:
    """As many documents as can be read closely, in their order; the first is taken whatever its length."""
    if len(documents) <= MAX_DOCUMENTS and sum(len(d["text"]) for d in documents) <= MAX_DOCUMENT_CHARS:
        return documents
    asked = set(terms(query))
    plain = [f"{d['title']} {d['text']}".lower() for d in documents]
    shared = [sum(word in text for word in asked) for text in plain]  # parts of words will do, and take no time
    taken, room = list[int](), MAX_DOCUMENT_CHARS
    for i in sorted(range(len(documents)), key=lambda i: (-shared[i], -i))[:MAX_DOCUMENTS]:
        if not taken or len(plain[i]) <= room:
            taken.append(i)
            room -= len(plain[i])
    return [documents[i] for i in sorted(taken)]

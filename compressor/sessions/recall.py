"""Searches what has left a session's view for what answers a question, with the scorer that also compresses."""

from __future__ import annotations

from collections.abc import Sequence

from compressor.context.model import Turn
from compressor.context.refs import compute_ref, find_refs, format_placeholder
from compressor.errors import BudgetError, BudgetTooSmallError, CompressorError
from compressor.pipeline.documents import compress_documents
from compressor.scoring.token_index import terms
from compressor.sessions import archive
from compressor.sessions.runtime import CompressorLike
from compressor.sessions.state import MessageRecord, SessionState
from compressor.storage.text_values import put_texts
from compressor.storage.wrappers.scoped import ScopedStore
from compressor.tokens import get_counter

# Bounds on what is scored closely. Of more texts, those that have most words in common with the query are taken.
MAX_DOCUMENTS, MAX_DOCUMENT_CHARS = 200, 1_000_000


def recall(
    compressor: CompressorLike,
    state: SessionState,
    edited: Sequence[tuple[Turn, MessageRecord]],
    query: str,
    budget: int,
    model: str | None,
) -> str:
    """Returns what answers a query, see `Conversation.recall`.

    Args:
        compressor: The compressor whose engine and store are used.
        state: The session's state.
        edited: The live messages of which the view shows less than everything.
        query: What to look for.
        budget: The most tokens to return.
        model: The model whose tokens count.

    Raises:
        CompressorError: The query is empty.
        BudgetError: The budget is not a whole number of at least 1.
    """
    if not isinstance(query, str) or not query.strip():
        raise CompressorError("`recall` needs a query: a non-empty string that says what to look for")
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise BudgetError(f"the budget of `recall` must be a whole number of tokens, at least 1, not {budget!r:.80}")
    listed = archive.list_pages(compressor.store, state.page_refs)
    labels = {ref: label for ref, label, _ in listed}
    texts = archive.stored_texts(compressor.store, list(labels))
    documents = [{"title": f"{labels[ref]} {format_placeholder(ref)}", "text": text} for ref, text in texts.items()]
    own: dict[str, str] = {}  # texts that may not be stored yet, because lossless encoding needs no ref
    for turn, record in edited:
        for slot in turn.slots:
            if slot.path in record.edits and slot.text and not record.holds_index:
                own[ref := compute_ref(slot.text)] = slot.text
                documents.append({"title": f"{slot.name or slot.kind} {format_placeholder(ref)}", "text": slot.text})
    documents = _most_similar(documents, query)
    if not documents:
        return ""
    store = ScopedStore(compressor.store, state.scopes[0])
    try:
        counter = get_counter(model)
        text = compress_documents(documents, query, budget, counter, compressor.engine, lambda: store).text
    except BudgetTooSmallError:
        return ""
    if named := {ref: own[ref] for ref in find_refs(text) if ref in own}:
        put_texts(store, named)
    return text


def _most_similar(documents: list[dict[str, str]], query: str) -> list[dict[str, str]]:
    """Returns as many documents as can be scored closely, in their order. The best one is taken at any length."""
    if len(documents) <= MAX_DOCUMENTS and sum(len(d["text"]) for d in documents) <= MAX_DOCUMENT_CHARS:
        return documents
    words = set(terms(query))
    texts = [f"{d['title']} {d['text']}".lower() for d in documents]
    shared = [sum(word in text for word in words) for text in texts]  # parts of words count too; that is fast
    taken, available_chars = list[int](), MAX_DOCUMENT_CHARS
    for i in sorted(range(len(documents)), key=lambda i: (-shared[i], -i))[:MAX_DOCUMENTS]:
        if not taken or len(texts[i]) <= available_chars:
            taken.append(i)
            available_chars -= len(texts[i])
    return [documents[i] for i in sorted(taken)]

"""Searches what has left a session's view for the paragraphs that answer a question, and gives them word for word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from compressor.context.model import Turn
from compressor.context.refs import ELLIPSIS, compute_ref, find_refs, format_placeholder
from compressor.errors import BudgetError, BudgetTooSmallError, CompressorError
from compressor.pipeline.documents import compress_documents
from compressor.scoring.bm25 import bm25, matches, weighted_terms
from compressor.scoring.token_index import TokenIndex
from compressor.sessions import archive
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.sessions.evicted_rounds import DISPLAY_NAMES
from compressor.sessions.recall_paragraphs import RecallParagraph, StoredText, split_paragraphs
from compressor.sessions.runtime import CompressorLike
from compressor.sessions.state import MessageRecord, SessionState
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.storage.wrappers.scoped import ScopedStore
from compressor.tokens import TokenCounter, get_counter

#: The best paragraphs, before what stands beside them is worth more.
BEST_PARAGRAPHS = 20
#: What the whole part (message, result) and the paragraphs beside it add to a paragraph's own match.
PART_WEIGHT, BESIDE_WEIGHT = 0.2, 0.5
#: What the view shows counts less, but it is found, so that an agent does not take it for lost.
IN_VIEW_WEIGHT = 0.6
#: How far around a message the ref at the end leads.
AROUND = 3
#: Bounds on what is scored closely if no word of the query is found.
MAX_DOCUMENTS, MAX_DOCUMENT_CHARS = 200, 1_000_000

Scores = npt.NDArray[np.float32]


def recall(
    compressor: CompressorLike,
    state: SessionState,
    live: Sequence[tuple[Turn, MessageRecord]] | None,
    query: str,
    budget: int,
    model: str | None,
) -> str:
    """Returns what answers a query, see `Conversation.recall`.

    Args:
        compressor: The compressor whose engine and store are used.
        state: The session's state.
        live: The live messages. None if the conversation does not have them, as in a tool of an agent; then the
            originals of those that are cut are read from the store.
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
    stored = _evicted_texts(compressor.store, state.page_refs)
    own = _referenced_texts(compressor.store, state) if live is None else _live_texts(live, are_edited=True)
    shown = [] if live is None else _live_texts(live, are_edited=False)
    texts = sorted([*stored, *own, *shown], key=lambda t: t.message)
    if not stored and not own:
        return ""
    store = ScopedStore(compressor.store, state.scopes[0])
    counter = get_counter(model)
    paragraphs = split_paragraphs(texts)
    scores = _score(texts, paragraphs, query)
    in_view = {id(t) for t in shown}
    scores *= np.array([IN_VIEW_WEIGHT if id(texts[p.stored]) in in_view else 1 for p in paragraphs], np.float32)
    page = ""
    if scores.any():
        excerpt = _Excerpt(texts, paragraphs, counter, budget)
        text, page = excerpt.fill(scores), excerpt.page
        if not text:  # the best paragraph does not fit
            best = paragraphs[int(np.argmax(scores))]
            text = _compressed(compressor, store, [_document(texts, best)], query, budget, counter)
    else:
        newest = _newest([_whole_document(t) for t in texts if id(t) not in in_view])
        text = _compressed(compressor, store, newest, query, budget, counter)
    # Texts of live messages may not be stored yet, because they are in view or lossless encoding needs no ref.
    refs = set(find_refs(f"{text}\n{page}"))
    named = {t.ref: t.text for t in [*own, *shown] if t.ref in refs} | ({compute_ref(page): page} if page else {})
    if named:
        put_texts(store, named)
    return text


def _evicted_texts(store: BlobStore, page_refs: Sequence[str]) -> list[StoredText]:
    listed = archive.list_rounds(store, page_refs)
    found = archive.stored_texts(store, [ref for ref, *_ in listed])
    out: dict[str, StoredText] = {}
    last = -1
    for ref, label, _, indices in listed:
        last = indices[0] if indices else last
        if ref in found:  # a round that is there twice word for word is shown where it was last
            out[ref] = StoredText(ref, found[ref], label, last, max(1, len(indices)))
    return list(out.values())


def _live_texts(live: Sequence[tuple[Turn, MessageRecord]], are_edited: bool) -> list[StoredText]:
    """Returns the texts of live messages that the view shows in part, or those that it shows whole."""
    out: dict[str, StoredText] = {}
    for turn, record in live:
        for slot in turn.slots:
            if slot.name in CONTEXT_TOOL_NAMES:  # they repeat originals that are searched themselves
                continue
            if (slot.path in record.edits) == are_edited and slot.text and not record.holds_index:
                ref = compute_ref(slot.text)
                label = f"{DISPLAY_NAMES.get(slot.kind, slot.kind)} {slot.name or ''}".strip()
                out[ref] = StoredText(ref, slot.text, label if are_edited else f"{label}, in view", record.index)
        for text in turn.unedited_texts if not are_edited else ():
            if text not in CONTEXT_TOOL_NAMES:
                out[compute_ref(text)] = StoredText(compute_ref(text), text, f"{turn.role}, in view", record.index)
    return list(out.values())


def _referenced_texts(store: BlobStore, state: SessionState) -> list[StoredText]:
    """Returns the stored originals of the live messages, by the refs that stand in their edits."""
    wanted: dict[str, int] = {}
    for record in state.records:
        if not record.holds_index:
            wanted |= {ref: record.index for text in record.edits.values() for ref in find_refs(text)}
    found = archive.readable_texts(store, state.scopes, list(wanted))
    return [StoredText(ref, text, "shortened text", wanted[ref]) for ref, text in found.items()]


def _score(texts: Sequence[StoredText], paragraphs: Sequence[RecallParagraph], query: str) -> Scores:
    """Returns how well each paragraph matches, in [0, 1], shape [paragraphs]. Of equals, only the newest counts."""
    n = len(paragraphs)
    if not n:
        return np.zeros(0, np.float32)
    bodies = [texts[p.stored].text[p.start : p.end] for p in paragraphs]
    index = TokenIndex(bodies)
    rows, columns, weights = matches(index, weighted_terms(((query, 1.0),)))
    own = bm25(rows, columns, weights, index.lengths)
    part = np.array([p.part for p in paragraphs], np.int64)
    lengths = np.bincount(part, index.lengths).astype(np.int32)
    whole = bm25(part[rows], columns, weights, lengths)[part]
    if not own.any():
        return own
    last = {body: i for i, body in enumerate(bodies)}
    repeated = np.array([last[body] != i for i, body in enumerate(bodies)], np.bool_)
    out: Scores = own / own.max()
    beside = np.zeros_like(out)
    beside[1:] = out[:-1]
    beside[:-1] = np.maximum(beside[:-1], out[1:])
    out = np.where(out > 0, out + PART_WEIGHT * whole / max(float(whole.max()), 1e-6) + BESIDE_WEIGHT * beside, 0)
    out[repeated] = 0
    return out.astype(np.float32)


class _Excerpt:
    """Paragraphs that are given whole, in the order of the conversation.

    A text that is shown in part has its ref in the line above it. One ref at the end leads to the texts around those
    that are shown whole.
    """

    def __init__(
        self,
        texts: Sequence[StoredText],
        paragraphs: Sequence[RecallParagraph],
        counter: TokenCounter,
        budget: int,
    ) -> None:
        self.texts, self.paragraphs, self.counter, self.budget = texts, paragraphs, counter, budget
        self.page = ""
        self.taken: list[int] = []
        self._sizes = np.bincount([p.stored for p in paragraphs], minlength=len(texts))
        self._end_tokens = counter.count("\n" + format_placeholder(compute_ref("")))
        self._tokens = self._end_tokens
        self._parts: set[int] = set()

    def fill(self, scores: Scores) -> str:
        """Returns the best paragraphs with what stands beside them, within the budget; "" if the best does not fit."""
        order = np.lexsort((-np.arange(len(scores)), -scores))
        ranked = order[scores[order] > 0].tolist()
        self._take(ranked[:1])
        if not self.taken:
            return ""
        self._take(ranked[:BEST_PARAGRAPHS])
        # An answer stands after its question more often than the other way round.
        self._take(i for near in (1, -1) for b in list(self.taken) if self._is_beside(i := b + near, b))
        self._take(ranked[BEST_PARAGRAPHS:])
        text = self._text()
        while self.taken and self.counter.count(text) > self.budget:
            self.taken.pop()
            text = self._text()
        return text

    def _is_beside(self, i: int, other: int) -> bool:
        """Whether a paragraph is in the same part as another one, or in the message before or after."""
        return 0 <= i < len(self.paragraphs) and abs(self.paragraphs[i].part - self.paragraphs[other].part) <= 1

    def _take(self, numbers: Iterable[int]) -> None:
        """Takes those that still fit, in this order."""
        for i in numbers:
            p = self.paragraphs[i]
            if i in self.taken:
                continue
            size = self.counter.count(self.texts[p.stored].text[p.start : p.end]) + 1
            if p.part not in self._parts:
                size += self.counter.count(_header(self.texts[p.stored], p.speaker, self._sizes[p.stored] == 1)) + 1
            if self._tokens + size <= self.budget:
                self._tokens += size
                self._parts.add(p.part)
                self.taken.append(i)

    def _text(self) -> str:
        out: list[str] = []
        shown = [self.paragraphs[i] for i in sorted(self.taken)]
        counts = Counter(p.stored for p in shown)
        whole = {stored for stored, count in counts.items() if count == self._sizes[stored]}
        last: RecallParagraph | None = None
        for p in shown:
            text = self.texts[p.stored].text
            if last is None or last.part != p.part:
                out.append(("\n" if out else "") + _header(self.texts[p.stored], p.speaker, p.stored in whole) + "\n")
            else:
                gap = text[last.end : p.start]
                out.append(gap if not gap.strip() else f"\n{ELLIPSIS}\n")
            out.append(text[p.start : p.end])
            last = p
        self.page = self._around(whole)
        return "".join(out) + (f"\n{format_placeholder(compute_ref(self.page))}" if self.page else "")

    def _around(self, whole: set[int]) -> str:
        """Index lines of the texts around those that are shown whole, which have no ref of their own."""
        around = {i for w in whole for i in range(w - AROUND, w + AROUND + 1) if 0 <= i < len(self.texts)}
        return "\n".join(f"{self.texts[i].label} {format_placeholder(self.texts[i].ref)}" for i in sorted(around))


def _header(stored: StoredText, speaker: str, is_whole: bool = False) -> str:
    """The line above paragraphs: who says it, in which message, and the ref of a text that is not shown whole."""
    last = stored.message + stored.messages - 1
    where = f"message {stored.message}" + (f"-{last}" if stored.messages > 1 else "") if stored.message >= 0 else ""
    return f"[{', '.join(filter(None, (speaker, where)))}]" + ("" if is_whole else f" {format_placeholder(stored.ref)}")


def _document(texts: Sequence[StoredText], p: RecallParagraph) -> dict[str, str]:
    stored = texts[p.stored]
    return {"title": _header(stored, p.speaker), "text": stored.text[p.start : p.end]}


def _whole_document(stored: StoredText) -> dict[str, str]:
    return {"title": f"{stored.label} {format_placeholder(stored.ref)}", "text": stored.text}


def _newest(documents: list[dict[str, str]]) -> list[dict[str, str]]:
    """Returns as many of the newest documents as can be scored closely, in their order."""
    taken, chars = 0, 0
    while taken < min(len(documents), MAX_DOCUMENTS):
        chars += len(documents[-1 - taken]["text"])
        if taken and chars > MAX_DOCUMENT_CHARS:
            break
        taken += 1
    return documents[len(documents) - taken :]


def _compressed(
    compressor: CompressorLike,
    store: ScopedStore,
    documents: list[dict[str, str]],
    query: str,
    budget: int,
    counter: TokenCounter,
) -> str:
    try:
        return compress_documents(documents, query, budget, counter, compressor.engine, lambda: store).text
    except BudgetTooSmallError:
        return ""

"""Gives our package and the baselines one signature; other rulers can use `benchmarks.methods:ours_sessions`.

A session method is `f(messages, budget, count) -> messages`, a document method `f(query, docs, budget, count) -> text`.
Budgets are cl100k tokens of text without message overhead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from benchmarks import baselines
from benchmarks.baselines import Count, Document
from benchmarks.data import TINY_GGUF
from benchmarks.tokens import Message, message_text

if TYPE_CHECKING:
    from compressor import Compressor

SessionMethod = Callable[[list[Message], int, Count], list[Message]]
DocumentMethod = Callable[[str, Sequence[Document], int, Count], str]

MODEL = "gpt-4"  # its tokenizer is cl100k, the unit of these benchmarks
UNLIMITED = 10**9  # nothing exceeds this budget


@cache
def ours() -> Compressor:
    """Returns the embedded default, made once, as an agent would do. Imported here so that baselines run without it."""
    from compressor import Compressor

    return Compressor()


def compress_session(compressor: Compressor, messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Calls `compress` for a budget that excludes message overhead.

    `compress` counts that overhead, as the provider bills it, so it is added to the budget first.
    """
    billed = compressor.compress(messages, budget=UNLIMITED, model=MODEL).tokens_before
    overhead = billed - sum(count(message_text(m)) for m in messages)
    out: list[Message] = compressor.compress(messages, budget=budget + overhead, model=MODEL).messages
    return out


def compress_docs(compressor: Compressor, query: str, docs: Sequence[Document], budget: int, count: Count) -> str:
    """Calls `compress_documents`; a plain text has no overhead, so `count` is not needed."""
    out: str = compressor.compress_documents(list(docs), query=query, budget=budget, model=MODEL).text
    return out


def ours_sessions(messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Compresses a context with the embedded default; see `sessions_by`."""
    return compress_session(ours(), messages, budget, count)


def ours_docs(query: str, docs: Sequence[Document], budget: int, count: Count) -> str:
    """Compresses documents with the embedded default; see `documents_by`."""
    return compress_docs(ours(), query, docs, budget, count)


SESSIONS: dict[str, SessionMethod] = {
    "ours": ours_sessions,
    "masking": baselines.mask_old,
    "head+tail": baselines.head_tail,
    "BM25 lines": baselines.bm25_lines,
    "specific lines": baselines.specific_lines,
}
DOCUMENTS: dict[str, DocumentMethod] = {
    "ours": ours_docs,
    "BM25 sentences": baselines.bm25_sentences,
    "first sentences": baselines.first_sentences,
}
#: The scorer tiers by the names of their rows; "ours" is the embedded default.
TIERS = {
    "ours": "fast",
    "ours embedding": "embedding",
    "ours pruner": "pruner",
    "ours perplexity": f"perplexity:{TINY_GGUF}",
    "ours cascade": "cascade",
}

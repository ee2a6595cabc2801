"""Measures a fixed block of examples in the prompt cache: what it shows, and what it costs with a list price.

clinc150: the bank is the train part, the queries are of the val part. sgd: the first utterances of the training
dialogues with their intents, and those of the dev dialogues as queries. Each method is billed for 1,000 calls, in which
the cache is written ten times. BM25 gets as many uncached tokens as the same money buys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import records, sample
from benchmarks.examples import Bm25
from benchmarks.report import Report
from compressor import ExampleStore
from compressor.tokens import get_counter
from compressor.tokens.price import MILLION
from compressor.tokens.pricing import find_price

MODEL = "claude-sonnet-4-5"
CALLS, WRITES = 1_000, 10
QUERIES = 300
OWN = (80, 160, 480)  # tokens of examples chosen for each query alone
BLOCKS = ((2_000, 80), (2_000, 160), (4_000, 160), (8_000, 160))  # tokens of the block, and for each query beside it


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures both banks. `limit` caps the queries of a bank."""
    raw: list[dict[str, Any]] = []
    table = [["set", "method", "tokens (cached)", "examples", "coverage", "nearest, BM25", "$ per 1,000 calls"]]
    for name, (bank, cases) in {"clinc150": _clinc(root), "sgd": _sgd(root)}.items():
        for row in _measure(bank, sample(cases, min(limit or QUERIES, QUERIES))):
            raw.append({"set": name, **row})
            size = f"{row['tokens']:,.0f} ({row['cached']:,.0f})"
            cells = [
                size,
                f"{row['examples']:.0f}",
                f"{row['coverage']:.3f}",
                f"{row['nearest']:.3f}",
                f"{row['usd']:.2f}",
            ]
            table.append([name, row["method"], *cells])
    return Report("many_shot", "Many examples in the prompt cache", NOTES, table, raw)


Cases = list[tuple[str, str]]


def _clinc(root: Path) -> tuple[list[dict[str, str]], Cases]:
    bank = [{"input": r["text"], "output": r["intent"]} for r in records(root / "clinc150" / "train.jsonl.gz")]
    return bank, [(r["text"], r["intent"]) for r in records(root / "clinc150" / "val.jsonl.gz")]


def _sgd(root: Path) -> tuple[list[dict[str, str]], Cases]:
    train, dev = (_openings(root / "sgd" / f"sgd-{part}-subset.jsonl.gz") for part in ("train", "dev"))
    known = {intent for _, intent in train}
    return [{"input": text, "output": intent} for text, intent in train], [case for case in dev if case[1] in known]


def _openings(path: Path) -> Cases:
    out = []
    for dialogue in records(path):
        turn = dialogue["turns"][0]
        intents = [frame.get("active_intent", "NONE") for frame in turn["frames"]]
        if intents and intents[0] != "NONE":
            out.append((turn["utterance"], intents[0]))
    return out


def _measure(bank: list[dict[str, str]], cases: Cases) -> Iterator[dict[str, Any]]:
    counter, price = get_counter(MODEL), find_price(MODEL)
    lexical = Bm25([example["input"] for example in bank])
    scores = [lexical.scores(query) for query, _ in cases]
    store = ExampleStore("memory")
    store.add(bank)
    kinds = [e["output"] for e in bank]
    place = {(e["input"], e["output"]): row for row, e in reversed(list(enumerate(bank)))}

    def rate(method: str, rows: Sequence[Sequence[int]], tokens: float, cached: float, usd: float) -> dict[str, Any]:
        labels = [label for _, label in cases]
        held = [any(kinds[i] == label for i in some) for some, label in zip(rows, labels, strict=True)]
        near = [
            bool(some) and kinds[some[int(np.argmax(all_[list(some)]))]] == label
            for some, all_, label in zip(rows, scores, labels, strict=True)
        ]
        found = {"method": method, "tokens": tokens, "cached": cached, "usd": usd}
        found |= {"examples": float(np.mean([len(some) for some in rows]))}
        return found | {"coverage": float(np.mean(held)), "nearest": float(np.mean(near))}

    def ours(method: str, select: Callable[[str], Any]) -> dict[str, Any]:
        found = [select(query) for query, _ in cases]
        rows = [[place[e["input"], e["output"]] for e in one.examples] for one in found]
        usd = float(np.mean([one.bill(CALLS, MODEL, WRITES).cost_usd for one in found]))
        sizes = (
            float(np.mean([one.tokens_after for one in found])),
            float(np.mean([one.cached_tokens for one in found])),
        )
        return rate(method, rows, *sizes, usd)

    costs = np.array(counter.count_many([f"{e['input']} -> {e['output']}\n" for e in bank]))
    orders = [np.argsort(-all_, kind="stable")[:2_000] for all_ in scores]

    def bm25(method: str, usd: float) -> dict[str, Any]:
        available = int(usd / CALLS * MILLION / price.input)
        rows = [order[np.cumsum(costs[order]) <= available].tolist() for order in orders]
        return rate(method, rows, float(np.mean([costs[some].sum() for some in rows])), 0.0, usd)

    for size in OWN:
        made = ours(f"for each query, {size}", lambda query, size=size: store.select(query, size, MODEL))  # type: ignore[misc]
        yield made
        yield bm25(f"BM25, for the money of {size}", made["usd"])
    shuffled = np.random.default_rng(0).permutation(len(bank))
    for size in sorted({block for block, _ in BLOCKS}):
        rows = shuffled[np.cumsum(costs[shuffled]) <= size].tolist()
        tokens = int(costs[rows].sum())
        usd = WRITES * price.cost(cache_written=tokens) + (CALLS - WRITES) * price.cost(cached=tokens)
        yield rate(f"random block of {size:,} only", [rows] * len(cases), tokens, tokens, usd)
        yield ours(f"block of {size:,} only", lambda query, n=size: store.select(None, n, MODEL, cached_budget=n))  # type: ignore[misc]
    for block, own in BLOCKS:
        select = lambda query, block=block, own=own: store.select(query, block + own, MODEL, cached_budget=block)  # noqa: E731
        made = ours(f"block of {block:,}, and {own} for each query", select)
        yield made
        yield bm25(f"BM25, for the money of {block:,} and {own}", made["usd"])


NOTES = [
    f"Examples only, list price of {MODEL}; 1,000 calls in which the cache is written ten times. *Coverage*: part of",
    "queries whose intent is among the examples shown. *Nearest*: part whose intent is that of the shown example",
    "nearest to it by BM25. Both say what is shown, not how much a model learns from many examples.",
]

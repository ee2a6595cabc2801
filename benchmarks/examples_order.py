"""Measures whether the order of examples matters to a tiny language model.

The measure is the mean log-probability of the right label after the same examples in several orders. The model barely
learns in context, so the result is a hint and not a proof.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import TINY_GGUF, records, sample
from compressor import Compressor, ExampleStore

ORDERED = 300  # queries


def orders(root: Path, limit: int | None, budget: int) -> Iterator[dict[str, Any]]:
    """Yields, for each order, the mean log-probability of the right label's tokens after the examples."""
    bank = [{"input": r["text"], "output": r["intent"]} for r in records(root / "clinc150" / "train.jsonl.gz")]
    every = [(r["text"], r["intent"]) for r in records(root / "clinc150" / "val.jsonl.gz")]
    cases = sample(every, min(limit or ORDERED, ORDERED))
    try:
        model = TinyLanguageModel()
    except ImportError:
        yield {"set": "order", "method": "tiny language model", "state": "not run"}
        return
    made = ExampleStore(Compressor(store="memory"))
    made.add(bank)
    found: dict[str, list[float]] = {name: [] for name in ("best last", "best first", "shuffled", "no examples")}
    for query, label in cases:
        lines = made.select(query, budget).text.split("\n")
        shuffled = random.Random(0).sample(lines, len(lines))
        by_order: tuple[list[str], ...] = (lines, lines[::-1], shuffled, [])
        for values, order in zip(found.values(), by_order, strict=True):
            values.append(model.log_probability("\n".join([*order, f"{query} ->"]), f" {label}"))
    for name, values in found.items():
        difference = np.array(found["best last"]) - values
        error = float(np.std(difference) / np.sqrt(len(difference)))
        row = {"set": "order", "method": name, "queries": len(cases), "log_probability": float(np.mean(values))}
        yield row | {"behind_best_last": float(np.mean(difference)), "standard_error": error}


class TinyLanguageModel:
    """Loads the tests' tiny language model; ImportError without llama-cpp-python."""

    def __init__(self) -> None:
        llama = import_module("llama_cpp")
        self._model = llama.Llama(str(TINY_GGUF), n_ctx=1024, logits_all=True, verbose=False)

    def log_probability(self, prompt: str, answer: str) -> float:
        """Returns the mean log-probability of the answer's tokens after the last 480 tokens of the prompt."""
        model = self._model
        before = model.tokenize(prompt.encode(), add_bos=True, special=False)[-480:]
        after = model.tokenize(answer.encode(), add_bos=False, special=False)
        model.reset()
        model.eval(before + after)
        rows = np.array(model.scores[len(before) - 1 : len(before) + len(after) - 1], np.float64)
        chosen = rows[np.arange(len(after)), after]
        return float(np.mean(chosen - np.logaddexp.reduce(rows, axis=1)))

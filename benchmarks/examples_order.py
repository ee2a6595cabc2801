"""Does it matter in which order examples stand? As far as the shipped tiny language model can tell.

Mean log-probability of the right label behind the same examples in several orders. The model barely learns in context:
a hint, no proof.
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
    """How likely the right label is behind the examples in each order: mean log-probability of its tokens."""
    bank = [{"input": r["text"], "output": r["intent"]} for r in records(root / "clinc150" / "train.jsonl.gz")]
    every = [(r["text"], r["intent"]) for r in records(root / "clinc150" / "val.jsonl.gz")]
    cases = sample(every, min(limit or ORDERED, ORDERED))
    try:
        model = Surprisal()
    except ImportError:
        yield {"set": "order", "method": "tiny language model", "state": "not run"}
        return
    made = ExampleStore(Compressor(store="memory"))
    made.add(bank)
    found: dict[str, list[float]] = {name: [] for name in ("best last", "best first", "shuffled", "no examples")}
    for query, label in cases:
        lines = made.select(query, budget).text.split("\n")
        shuffled = random.Random(0).sample(lines, len(lines))
        ways: tuple[list[str], ...] = (lines, lines[::-1], shuffled, [])
        for values, order in zip(found.values(), ways, strict=True):
            values.append(model.of("\n".join([*order, f"{query} ->"]), f" {label}"))
    for name, values in found.items():
        apart = np.array(found["best last"]) - values
        error = float(np.std(apart) / np.sqrt(len(apart)))
        row = {"set": "order", "method": name, "queries": len(cases), "log_probability": float(np.mean(values))}
        yield row | {"behind_best_last": float(np.mean(apart)), "standard_error": error}


class Surprisal:
    """The shipped tiny language model. ImportError without llama-cpp-python."""

    def __init__(self) -> None:
        llama = import_module("llama_cpp")
        self._model = llama.Llama(str(TINY_GGUF), n_ctx=1024, logits_all=True, verbose=False)

    def of(self, prompt: str, answer: str) -> float:
        """Mean log-probability of the answer's tokens behind the prompt, whose last 480 tokens are read."""
        model = self._model
        before = model.tokenize(prompt.encode(), add_bos=True, special=False)[-480:]
        after = model.tokenize(answer.encode(), add_bos=False, special=False)
        model.reset()
        model.eval(before + after)
        rows = np.array(model.scores[len(before) - 1 : len(before) + len(after) - 1], np.float64)
        chosen = rows[np.arange(len(after)), after]
        return float(np.mean(chosen - np.logaddexp.reduce(rows, axis=1)))

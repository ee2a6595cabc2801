"""Measures example banks of up to 100,000 short examples: seconds to add, to select first and to select again, memory.

The bank is clinc150's training part, and siblings of it: each is a training query with two words exchanged, dropped or
doubled. Queries are from the val part. Each size runs in a process of its own, so that its memory is its own. CPU time
of the process is measured, because the clock also counts other processes; a plain numpy BM25 runs beside it.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.data import REPOSITORY, folder, records, sample
from benchmarks.report import Report

SIZES = (15_000, 100_000)
QUERIES = 60
BUDGET = 160
MEGABYTE = 1 << 20


def make_bank(root: Path, size: int, seed: int = 0) -> list[dict[str, str]]:
    """Returns the training examples, and edited siblings of them up to `size`, all of them distinct."""
    train = [{"input": r["text"], "output": r["intent"]} for r in records(root / "clinc150" / "train.jsonl.gz")]
    if size <= len(train):
        return sample(train, size)
    words = sorted({word for example in train for word in example["input"].split()})
    rng = random.Random(seed)
    texts = {example["input"] for example in train}
    out = list(train)
    while len(out) < size:
        example = rng.choice(train)
        tokens = example["input"].split()
        for _ in range(2):
            place = rng.randrange(len(tokens))
            edit = rng.random()
            if edit < 0.6:
                tokens[place] = rng.choice(words)
            elif edit < 0.8 and len(tokens) > 2:
                del tokens[place]
            else:
                tokens.insert(place, tokens[place])
        if (text := " ".join(tokens)) not in texts:
            texts.add(text)
            out.append({"input": text, "output": example["output"]})
    return out


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures all sizes. `limit` caps the number of examples."""
    raw = []
    table = [["examples", "way", "add, s", "first, s", "then, ms (p50, p95)", "BM25, ms (p50)", "memory, MB"]]
    for size in SIZES:
        for way in ("store", "list"):
            row = _in_process(min(size, limit or size), way)
            raw.append(row)
            then = f"{row['p50']:.1f}, {row['p95']:.1f}"
            cells = [f"{row['add']:.2f}", f"{row['first']:.2f}", then, f"{row['bm25']:.2f}", f"{row['memory']:.0f}"]
            table.append([f"{row['size']:,}", way, *cells])
    return Report("example_scale", "Large example banks", NOTES, table, raw)


def _in_process(size: int, way: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.example_scale", str(size), way]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return row


def measure(root: Path, size: int, way: str) -> dict[str, Any]:
    """Measures one bank in this process.

    Args:
        root: The folder of the data.
        size: The number of examples.
        way: "store" for `ExampleStore`, "list" for `Compressor.select_examples`.
    """
    from compressor import Compressor, ExampleStore
    from compressor.pipeline.examples.ngram_features import ngram_features

    bank = make_bank(root, size)
    queries = sample([r["text"] for r in records(root / "clinc150" / "val.jsonl.gz")], QUERIES)
    compressor = Compressor(store="memory")
    compressor.select_examples([{"input": "warm", "output": "up"}], query="warm", budget=50)
    ngram_features(["warm up"])
    before = _memory()
    start = time.process_time()
    select: Callable[[str], Any]
    if way == "store":
        store = ExampleStore(compressor)
        store.add(bank)
        select = lambda query: store.select(query, BUDGET)  # noqa: E731
    else:
        select = lambda query: compressor.select_examples(bank, query, BUDGET)  # noqa: E731
    add = time.process_time() - start
    _, first = _timed(select, queries[0])
    times = [_timed(select, query)[1] for query in queries[1:]]
    peak = _memory(peak=True)
    after = _memory()
    from benchmarks.examples import Bm25

    plain = Bm25([example["input"] for example in bank])
    bm25 = [_timed(plain.scores, query)[1] for query in queries]
    ranked = sorted(times)
    return {
        "size": size,
        "way": way,
        "add": add,
        "first": first,
        "p50": 1e3 * statistics.median(times),
        "p95": 1e3 * ranked[int(0.95 * len(ranked))],
        "bm25": 1e3 * statistics.median(bm25),
        "memory": (after - before) / MEGABYTE,
        "peak": (peak - before) / MEGABYTE,
    }


def _timed(function: Callable[[str], Any], query: str) -> tuple[Any, float]:
    start = time.process_time()
    found = function(query)
    return found, time.process_time() - start


def _memory(peak: bool = False) -> int:
    """The resident memory of this process in bytes, now or at its peak; 0 where the system does not tell."""
    name = "VmHWM:" if peak else "VmRSS:"
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


NOTES = [
    "clinc150's training queries and edited siblings of them; 160 tokens; CPU seconds and milliseconds of the process.",
    "*add*: `ExampleStore.add` of a memory store; *list*: `select_examples` of a plain list, which it recognises.",
    "*memory*: growth of the process while it adds and selects, without the list that the caller holds.",
]

if __name__ == "__main__":
    data = folder()
    assert data is not None, "set COMPRESSOR_BENCH_DATA"
    print(json.dumps(measure(data, int(sys.argv[1]), sys.argv[2])))

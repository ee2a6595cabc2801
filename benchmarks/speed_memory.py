"""Measures whether a long-lived process keeps what it has seen: resident memory after thousands of other contexts."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import methods
from benchmarks.data import REPOSITORY
from benchmarks.report import Report
from benchmarks.speed import speed_budget
from benchmarks.speed_contexts import ContextSource

SIZE = 8_000  # tokens of a context
MARKS = (1, 100, 500, 1_000, 2_000, 4_000)  # contexts after which the process is looked at
SESSIONS = 1_000
SESSION_MARKS = (1, 100, 500, SESSIONS)
LARGEST = 12  # caches in the table

Task = dict[str, Any]


def _compress(supply: ContextSource, models: tuple[str, ...]) -> Callable[[int], Task]:
    def task(number: int) -> Task:
        context = supply.context(SIZE)
        model = models[number % len(models)]
        budget = speed_budget(context) * (5 if len(models) > 1 else 4) // 4  # enough in tokens of either vocabulary
        return {"do": "compress", "messages": context, "budget": budget, "model": model}

    return task


def _session(supply: ContextSource) -> Callable[[int], Task]:
    def task(number: int) -> Task:
        return {"do": "session", "messages": supply.context(SIZE), "name": f"s{number}", "model": "gpt-4o"}

    return task


def follow(task_of: Callable[[int], Task], marks: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Gives a new process one task after another, and yields what it holds after some of them.

    Its store is a file, so that what it keeps for callers is not in its memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.speed_memory_process", str(Path(folder) / "store.db")]
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin and process.stdout
            for number in range(1, marks[-1] + 1):
                tasks = [task_of(number)]
                if number in marks:
                    tasks.append({"do": "report", "caches": number == marks[-1]})
                for task in tasks:
                    process.stdin.write(json.dumps(task) + "\n")
                process.stdin.flush()
                if number in marks:
                    yield number, json.loads(process.stdout.readline())
            process.stdin.close()


def run(root: Path, limit: int | None, chosen_methods: list[str]) -> Report:
    """Measures "ours" with one model, with two and with sessions. `limit` caps the contexts."""
    table = [["what", "contexts", "MB", "peak MB", "objects"]]
    rows: list[dict[str, Any]] = []
    kinds: dict[str, tuple[Callable[[int], Task], tuple[int, ...]]] = {}
    if "ours" in chosen_methods:
        supply = ContextSource(root)
        kinds = {
            "contexts": (_compress(supply, (methods.MODEL,)), MARKS),
            "contexts, cl100k and o200k in turn": (_compress(supply, (methods.MODEL, "gpt-4o")), MARKS),
            "sessions opened, filled, viewed and closed": (_session(supply), SESSION_MARKS),
        }
    for what, (task_of, marks) in kinds.items():
        marks = tuple(mark for mark in marks if not limit or mark <= limit)
        for number, found in follow(task_of, marks):
            rows.append({"what": what, "contexts": number, **found})
            cells = [f"{number:,}", f"{found['mb']:.0f}", f"{found['peak_mb']:.0f}", f"{found['objects']:,}"]
            table.append([what, *cells])
        table.append([f"{what}, after the allocator's trim", "", f"{rows[-1]['trimmed_mb']:.0f}", "", ""])
    caches = [row["caches"] for row in rows if "caches" in row]
    for cache in caches[0][:LARGEST] if caches else ():
        counted = "–" if cache["counted"] is None else f"{cache['counted'] / 1e6:.1f} MB counted"
        held = f"{cache['alone'] / 1e6:.1f} MB, {cache['more'] / 1e6:.1f} of them in no other"
        table.append([cache["name"], f"{cache['entries']:,} entries", held, counted, ""])
    notes = [
        f"A new process compresses contexts of {SIZE:,} tokens, all different, stitched from recorded sessions; its",
        "store is a SQLite file. Below, what its largest caches hold at the end of the first run: the bytes found",
        "by walking through its entries, and the bytes that it counts against its limit.",
    ]
    return Report("memory", "Memory of a long-lived process", notes, table, rows)

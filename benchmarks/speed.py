"""Measures time and memory, compared with tiktoken encoding the same texts in the same process.

Times are medians of interleaved runs. Every run gets a new context, so that no cache of texts, units or counts helps,
except where the table says so.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import methods
from benchmarks.baselines import bm25_lines, head_tail
from benchmarks.report import Report
from benchmarks.speed_contexts import ContextSource
from benchmarks.tokens import Message, budget_for, encoding, message_text, total

SIZE = 20_000  # tokens of the context
RESULT = 1_500  # tokens of the tool result that is added to it
RUNS = 9
SIZES = (20_000, 100_000, 500_000, 2_000_000)
RATIO = 4.0
OVERHEAD = 8  # tokens billed per message beyond its text, with tool names; asking the compressor would fill its caches

#: Prints the peak memory of a process that compresses one context (from stdin) once, in kB. Linux only:
#: VmHWM belongs to this program, while getrusage's peak would start at that of the process that launched it.
MEMORY = """
import json, re, sys
messages, budget = json.load(sys.stdin)
if budget:
    from compressor import Compressor
    Compressor().compress(messages, budget=budget, model="gpt-4")
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def speed_budget(messages: list[Message]) -> int:
    """Returns a budget for everything except tool output (overhead included) and a fraction of the tool output."""
    return budget_for(messages, RATIO) + OVERHEAD * len(messages)


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def _encode(messages: list[Message]) -> Callable[[], None]:
    """Returns a function that encodes the texts of the context with tiktoken, one call per text, in one thread."""
    coder, texts = encoding(), [message_text(m) for m in messages]

    def work() -> None:
        for text in texts:
            coder.encode_ordinary(text)

    return work


def _fresh_count() -> Callable[[str], int]:
    """Returns a counter that caches counts within one call, as any baseline would."""
    coder, cached = encoding(), dict[str, int]()

    def count(text: str) -> int:
        if text not in cached:
            cached[text] = len(coder.encode_ordinary(text))
        return cached[text]

    return count


def one_shot(supply: ContextSource, runs: int) -> dict[str, list[float]]:
    """Returns the milliseconds of each method over new contexts; "context" and "result" are their sizes in tokens."""
    ours = methods.ours()
    times: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        times.setdefault(what, []).append(value)

    for run in range(runs + 1):  # the first run loads what is loaded lazily and is not counted
        context, result = supply.context(SIZE), supply.tool_round(RESULT * 8 // 10, RESULT * 12 // 10)
        budget, more = speed_budget(context), [*context, *result]
        found = {
            "context": float(total(context)),
            "result": float(total(result[1:])),
            "tiktoken": _ms(_encode(context)),
            "ours, one shot": _ms(partial(ours.compress, context, budget=budget, model=methods.MODEL)),
            "BM25 lines": _ms(partial(bm25_lines, context, budget, _fresh_count())),
            "head+tail": _ms(partial(head_tail, context, budget, _fresh_count())),
        }
        new_budget = total(more) + OVERHEAD * len(more) - int(found["result"] * (1 - 1 / RATIO))
        ours.compress(context, budget=methods.UNLIMITED, model=methods.MODEL, mode="ingest")
        found["ours, one more result"] = _ms(
            partial(ours.compress, more, budget=new_budget, model=methods.MODEL, mode="ingest")
        )
        if run:
            for what, value in found.items():
                note(what, value)
    return times


def growth(supply: ContextSource, sizes: tuple[int, ...]) -> list[dict[str, float]]:
    """Times one compression at each size, and tiktoken over the same texts."""
    rows = []
    for size in sizes:
        context = supply.context(size)
        budget = speed_budget(context)
        tiktoken = _ms(_encode(context))
        ours = _ms(partial(methods.ours().compress, context, budget=budget, model=methods.MODEL))
        rows.append({"tokens": float(total(context)), "tiktoken": tiktoken, "ours": ours})
    return rows


def memory(context: list[Message], budget: int) -> float:
    """Returns the peak resident MB of a new process that compresses this context, or only holds it (budget 0)."""
    given = json.dumps([context, budget])
    done = subprocess.run([sys.executable, "-c", MEMORY], input=given, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def import_ms(runs: int = 5) -> float:
    """Returns the milliseconds of `import compressor` beyond the interpreter's start, best of `runs` each."""

    def best(code: str) -> float:
        command = [sys.executable, "-c", code]
        return min(_ms(lambda: subprocess.run(command, check=True)) for _ in range(runs))

    return best("import compressor") - best("pass")


def run(root: Path, limit: int | None, chosen_methods: list[str]) -> Report:
    """Measures time, memory and import of "ours". `limit` caps the runs, and then contexts have at most 100k tokens."""
    rows: list[dict[str, Any]] = []
    table = [["what", "median", "against tiktoken on the same texts"]]
    if "ours" in chosen_methods:
        supply = ContextSource(root)
        times = one_shot(supply, min(limit or RUNS, RUNS))
        middle = {what: statistics.median(values) for what, values in times.items()}
        rows.append({"what": "one shot", **times})
        base = middle["tiktoken"]
        for what in ("tiktoken", "ours, one shot", "ours, one more result", "BM25 lines", "head+tail"):
            table.append([what, f"{middle[what]:.1f} ms", f"{middle[what] / base:.2f}×"])
        table.append(["tokenising as a fraction of ours, one shot", f"{base / middle['ours, one shot']:.0%}", ""])
        for row in growth(supply, SIZES[:2] if limit else SIZES):
            rows.append({"what": "growth", **row})
            per = 1e3 * row["ours"] / row["tokens"]
            label = f"{row['tokens'] / 1e3:,.0f}k tokens, once"
            table.append([label, f"{row['ours']:,.0f} ms ({per:.2f} ms/1k)", f"{row['ours'] / row['tiktoken']:.2f}×"])
        context = supply.context(SIZE)
        held = memory(context, 0)
        peak = memory(context, speed_budget(context))
        rows.append({"what": "memory", "python_mb": held, "peak_mb": peak})
        table.append(
            ["peak memory of a process compressing 20k tokens", f"{peak:.0f} MB", f"bare Python {held:.0f} MB"]
        )
        imported = import_ms()
        rows.append({"what": "import", "ms": imported})
        table.append(["`import compressor`, beyond the interpreter's start", f"{imported:.0f} ms", ""])
    notes = [
        f"A context of {SIZE:,} tokens stitched from recorded sessions, tool output cut {RATIO:g} times; and one new",
        f"tool result of about {RESULT:,} tokens on top, in ingest mode. tiktoken: `encode_ordinary`, one thread.",
    ]
    return Report("speed", "Time and memory", notes, table, rows)

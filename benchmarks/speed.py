"""Measures time and memory, compared with tiktoken encoding the same texts in the same process.

Times are CPU times of the process, all threads together: medians of interleaved runs. Every run gets new contexts, so
that no cache of texts, units or counts helps, except where the table says so.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import methods
from benchmarks.baselines import bm25_lines, head_tail
from benchmarks.report import Report
from benchmarks.speed_contexts import ContextSource
from benchmarks.tokens import Message, budget_for, encoding, message_text, total

SIZE = 20_000  # tokens of the context
SMALL = 2_000
RESULT = 1_500  # tokens of the tool result that is added to it
LONG = 500_000  # tokens of a long history to which it is added, too
RUNS = 15
LONG_RUNS = 3
SIZES = (2_000, 20_000, 100_000, 500_000, 2_000_000)
GROWTH_RUNS = {2_000: 9, 20_000: 5, 100_000: 3}  # else once
RATIO = 4.0
OVERHEAD = 8  # tokens billed per message beyond its text, with tool names; asking the compressor would fill its caches
#: The models whose tokens are counted, by tiktoken's names of their vocabularies.
MODELS = {"cl100k_base": methods.MODEL, "o200k_base": "gpt-4o"}

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


def _ms(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    work()
    return 1e3 * (clock() - start)


def _encode(messages: list[Message], name: str = "cl100k_base") -> Callable[[], None]:
    """Returns a function that encodes the texts of the context with tiktoken, one call per text, in one thread."""
    coder, texts = encoding(name), [message_text(m) for m in messages]

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


def _trim_messages(messages: list[Message], budget: int) -> None:
    """Runs LangChain's `trim_messages` with an exact counter, the way its documentation shows."""
    from langchain_core.messages import BaseMessage, convert_to_messages, trim_messages

    coder = encoding()

    def tokens(given: list[BaseMessage]) -> int:
        return sum(len(coder.encode_ordinary(m.text)) + OVERHEAD for m in given)

    trim_messages(
        convert_to_messages(messages), max_tokens=budget, token_counter=tokens, strategy="last", include_system=True
    )


@dataclass
class Timings:
    """Milliseconds of what was measured, each with those of tiktoken on the same texts."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    tiktoken: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, work: Callable[[], object], messages: list[Message], name: str) -> None:
        """Times a piece of work between two runs of tiktoken."""
        before = _ms(_encode(messages, name))
        self.ours.setdefault(what, []).append(_ms(work))
        self.tiktoken.setdefault(what, []).append((before + _ms(_encode(messages, name))) / 2)

    def skip_first(self) -> None:
        """Forgets what the first run took, which loads what is loaded lazily."""
        for values in (*self.ours.values(), *self.tiktoken.values()):
            del values[0]

    def cell(self, what: str) -> tuple[str, str]:
        """Returns the median time and ratio as texts."""
        if what not in self.ours:
            return "–", "–"
        ours, base = statistics.median(self.ours[what]), statistics.median(self.tiktoken[what])
        return f"{ours:.1f} ms", f"{ours / base:.2f}×"


def measure(supply: ContextSource, runs: int, long_runs: int, name: str) -> Timings:
    """Measures ours, and for cl100k some baselines, over new contexts."""
    ours, model, times = methods.ours(), MODELS[name], Timings()
    compress = partial(ours.compress, model=model)

    def one_more(history: list[Message], what: str) -> None:
        result = supply.tool_round(RESULT * 8 // 10, RESULT * 12 // 10)
        more = [*history, *result]
        held = compress(history, budget=methods.UNLIMITED, mode="ingest").tokens_before
        budget = held + OVERHEAD * len(result) + total(result[:1]) + int(total(result[1:]) / RATIO)
        times.add(what, partial(compress, more, budget=budget, mode="ingest"), more, name)

    for run in range(runs + 1):
        context, small = supply.context(SIZE), supply.context(SMALL)
        budget = speed_budget(context)
        times.add("one shot", partial(compress, context, budget=budget), context, name)
        times.add("the same again", partial(compress, context, budget=budget), context, name)
        times.add("2k tokens, one shot", partial(compress, small, budget=speed_budget(small)), small, name)
        fresh = supply.context(SIZE)
        times.add("within budget", partial(compress, fresh, budget=methods.UNLIMITED), fresh, name)
        one_more(fresh, "one more result")
        if name == "cl100k_base":
            if find_spec("langchain_core") is not None:
                times.add("LangChain trim_messages", partial(_trim_messages, context, budget), context, name)
            times.add("BM25 lines", partial(bm25_lines, context, budget, _fresh_count()), context, name)
            times.add("head+tail", partial(head_tail, context, budget, _fresh_count()), context, name)
        if not run:
            times.skip_first()
    for _ in range(long_runs):
        one_more(supply.context(LONG), "one more result of 500k")
    return times


def growth(supply: ContextSource, sizes: tuple[int, ...]) -> list[dict[str, float]]:
    """Times compressions of new texts at each size, and tiktoken over the same texts."""
    rows = []
    for size in sizes:
        times = Timings()
        for _ in range(GROWTH_RUNS.get(size, 1)):
            context = supply.context(size)
            compress = partial(methods.ours().compress, context, budget=speed_budget(context), model=methods.MODEL)
            times.add("ours", compress, context, "cl100k_base")
        ours, base = statistics.median(times.ours["ours"]), statistics.median(times.tiktoken["ours"])
        rows.append({"tokens": float(total(context)), "tiktoken": base, "ours": ours})
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
        return min(_ms(lambda: subprocess.run(command, check=True), time.perf_counter) for _ in range(runs))

    return best("import compressor") - best("pass")


def run(root: Path, limit: int | None, chosen_methods: list[str]) -> Report:
    """Measures time, memory and import of "ours". `limit` caps the runs, and then contexts have at most 100k tokens."""
    rows: list[dict[str, Any]] = []
    table = [["what", "cl100k", "against tiktoken on the same texts", "o200k", "against tiktoken"]]
    if "ours" in chosen_methods:
        supply = ContextSource(root)
        runs, long_runs = min(limit or RUNS, RUNS), 0 if limit else LONG_RUNS
        by_model = {name: measure(supply, runs, long_runs, name) for name in MODELS}
        for name, times in by_model.items():
            rows.append({"what": name, "ours": times.ours, "tiktoken": times.tiktoken})
        for what in by_model["cl100k_base"].ours:
            table.append([what, *(text for times in by_model.values() for text in times.cell(what))])
        for row in growth(supply, SIZES[:3] if limit else SIZES):
            rows.append({"what": "growth", **row})
            per = 1e3 * row["ours"] / row["tokens"]
            label = f"{row['tokens'] / 1e3:,.0f}k tokens, one shot"
            ratio = f"{row['ours'] / row['tiktoken']:.2f}×"
            table.append([label, f"{row['ours']:,.1f} ms ({per:.2f} ms/1k)", ratio, "", ""])
        context = supply.context(SIZE)
        held = memory(context, 0)
        peak = memory(context, speed_budget(context))
        rows.append({"what": "memory", "python_mb": held, "peak_mb": peak})
        table.append(
            ["peak memory of a process compressing 20k tokens", f"{peak:.0f} MB", f"bare Python {held:.0f} MB", "", ""]
        )
        imported = import_ms()
        rows.append({"what": "import", "ms": imported})
        table.append(["`import compressor`, beyond the interpreter's start", f"{imported:.0f} ms", "", "", ""])
    notes = [
        f"Contexts of {SIZE:,} tokens stitched from recorded sessions, tool output cut {RATIO:g} times; and one new",
        f"tool result of about {RESULT:,} tokens on top, in ingest mode, against tiktoken over the whole context.",
        "tiktoken: `encode_ordinary`. CPU time of all threads.",
    ]
    return Report("speed", "Time and memory", notes, table, rows)

"""Measures asked-for facts: the last user turn asks about one big tool output; is the answer still in it after the cut?

The facts are cells of tables, lines of logs that report failures, and key-value pairs. The measure compares strings.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import fact_cases
from benchmarks.baselines import (
    Count,
    best_units,
    bm25,
    head_tail,
    specific_lines,
    trouble_lines,
)
from benchmarks.fact_cases import Case
from benchmarks.methods import SessionMethod, ours_sessions
from benchmarks.report import Report, format_fraction
from benchmarks.tokens import Message, budget_for, count, tool_total, total

RECORD_END = re.compile(r"(?<=\}), (?=\{)")


def rows(text: str) -> list[str]:
    """Splits a tool output into lines, or into records if it is a one-line JSON list of them."""
    units = RECORD_END.split(text) if text.startswith("[{") else text.split("\n")
    return [unit for unit in units if unit.strip()]


def bm25_rows(messages: list[Message], budget: int, count: Count) -> list[Message]:
    """Keeps the whole rows (records, lines, pairs) that are most similar to the question."""
    return best_units(messages, budget, count, bm25, rows)


METHODS: dict[str, SessionMethod] = {
    "ours": ours_sessions,
    "BM25 rows": bm25_rows,
    "head+tail": partial(head_tail, joint=6),  # outputs are short here, so the joint would exceed the budget
    "specific lines": specific_lines,
    "error words": trouble_lines,
}


@dataclass(frozen=True)
class Task:
    """A set of cases, its ratios, and its default number of cases."""

    name: str
    cases: Callable[[Path, int], list[Case]]
    ratios: tuple[float, ...]
    limit: int


TASKS = [
    Task("WikiTableQuestions, JSON", lambda root, n: fact_cases.wikitables(root, "JSON", n), (4, 8), 150),
    Task("WikiTableQuestions, text", lambda root, n: fact_cases.wikitables(root, "text", n), (4, 8), 150),
    Task("TAT-QA, JSON", lambda root, n: fact_cases.tatqa(root, "JSON", n), (4, 8), 150),
    Task("TAT-QA, text", lambda root, n: fact_cases.tatqa(root, "text", n), (4, 8), 150),
    Task("BGL alerts", fact_cases.alert_logs, (8, 20), 100),
    Task("failed tests", fact_cases.failing_tests, (8, 20), 40),
    Task("UUID pairs", fact_cases.key_values, (20,), 60),
]


def _holds(text: str, strings: tuple[str, ...], words: bool) -> bool:
    """Whether all strings are in the text; with `words`, as whole words or numbers."""
    if not words:
        return all(s in text for s in strings)
    return all(re.search(rf"(?<![\w.]){re.escape(s)}(?!\w|[.,]\d)", text) for s in strings)


def measure(method: SessionMethod, cases: list[Case], ratio: float) -> dict[str, Any]:
    """Measures one method at one ratio, over the cases whose facts fit into that fraction of the tool output."""
    kept = asked = over = used = 0
    seconds = 0.0
    for case in cases:
        tool = tool_total(case.messages)
        if case.needed > tool / ratio:
            continue
        budget = budget_for(case.messages, ratio)
        start = time.perf_counter()
        out = method([dict(m) for m in case.messages], budget, count)
        seconds += time.perf_counter() - start
        text = "\n".join(str(m["content"]) for m in out if m["role"] == "tool").replace('\\"', '"')
        used += 1
        over += total(out) > budget * 1.01
        kept += sum(_holds(text, fact, case.words) for fact in case.facts)
        asked += len(case.facts)
    return {"kept": kept, "asked": asked, "over": over, "cases": used, "ms": 1e3 * seconds / max(1, used)}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every task, ratio and method. `limit` caps the cases of a task."""
    chosen = [m for m in METHODS if m in methods]
    raw: list[dict[str, Any]] = []
    table = [["facts", "cut by", "cases (facts)", *chosen]]
    for task in TASKS:
        cases = task.cases(root, min(limit or task.limit, task.limit))
        for ratio in task.ratios:
            found = {label: measure(METHODS[label], cases, ratio) for label in chosen}
            raw += [{"task": task.name, "ratio": ratio, "method": m, **row} for m, row in found.items()]
            if found:
                fractions = [
                    format_fraction(r["kept"], r["asked"]) + (f" ({r['over']} over)" if r["over"] else "")
                    for r in found.values()
                ]
                any_row = next(iter(found.values()))
                table.append([task.name, f"{ratio:g}×", f"{any_row['cases']} ({any_row['asked']})", *fractions])
    notes = [
        "One tool output, then a question about it as the last user turn: fraction of facts still in the output.",
        "Tables: the cells that answer (only questions whose answers are cells; tables of 200 tokens or more). Logs:",
        "the lines BlueGene/L's operators labelled as alerts (label not shown), and the lines that name a failed test",
        "or its error, if those lines fit into the budget at all. Pairs: key and value asked for. *n over*: results",
        "over the budget.",
    ]
    return Report("facts", "Asked-for facts", notes, table, raw)

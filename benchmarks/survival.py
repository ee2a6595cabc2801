"""Measures argument survival: how many strings that an agent used from earlier tool output are still there?

A probe is an assistant step of a recorded run. Its atoms are strings in that step's tool arguments that occurred in an
earlier tool output and nowhere else before. The measure compares strings and uses no model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import records
from benchmarks.methods import SESSIONS, SessionMethod
from benchmarks.report import Report, format_fraction
from benchmarks.tokens import Message, budget_for, count, message_text, tool_total, total

RATIOS = (2.0, 4.0, 8.0)
MIN_TOOL_TOKENS = 500  # a probe counts only after this much tool output
TOLERANCE = 1.01  # a result beyond this fraction of the budget exceeds it


@dataclass
class SurvivalCounts:
    """Sums over probes: atoms kept and needed (`old_`: not in the newest output), budgets exceeded, time, ratios."""

    kept: int = 0
    asked: int = 0
    old_kept: int = 0
    old_asked: int = 0
    probes: int = 0
    over: int = 0
    seconds: float = 0.0
    ratios: float = 0.0


def probes(sessions: list[Any]) -> Iterator[tuple[list[Message], list[dict[str, Any]]]]:
    """Yields the messages before each probed step, and its atoms."""
    for session in sessions:
        for probe in session["probes"]:
            before = session["messages"][: probe["step"]]
            if tool_total(before) >= MIN_TOOL_TOKENS:
                yield before, probe["atoms"]


def measure(method: SessionMethod, sessions: list[Any], ratio: float) -> SurvivalCounts:
    """Measures one method at one ratio."""
    counts = SurvivalCounts()
    for before, atoms in probes(sessions):
        budget = budget_for(before, ratio)
        start = time.perf_counter()
        out = method([dict(m) for m in before], budget, count)
        counts.seconds += time.perf_counter() - start
        text = "\n".join(map(message_text, out))
        plain = text.replace('\\"', '"')
        newest = max(i for i, m in enumerate(before) if m["role"] == "tool")
        counts.probes += 1
        counts.over += total(out) > budget * TOLERANCE
        tool = tool_total(before)
        counts.ratios += tool / max(1, total(out) - total(before) + tool)
        for atom in atoms:
            kept = atom["text"] in text or atom["text"] in plain
            counts.kept += kept
            counts.asked += 1
            if atom["last_seen"] != newest:
                counts.old_kept += kept
                counts.old_asked += 1
    return counts


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every session set, method and ratio. `limit` caps the sessions of a set (default: all)."""
    rows: list[dict[str, Any]] = []
    table = [["sessions", "method", *(f"{r:g}×" for r in RATIOS), "older only", "over budget", "ms a context"]]
    for path in sorted((root / "sessions").glob("*.jsonl.gz")):
        name = path.name.removesuffix(".jsonl.gz")
        sessions = list(records(path))[:limit]
        for label in (m for m in SESSIONS if m in methods):
            by_ratio = {ratio: measure(SESSIONS[label], sessions, ratio) for ratio in RATIOS}
            rows += [{"set": name, "method": label, "ratio": r, **vars(t)} for r, t in by_ratio.items()]
            every = by_ratio.values()
            table.append(
                [
                    f"{name} ({by_ratio[2.0].asked} strings)",
                    label,
                    *(format_fraction(t.kept, t.asked) for t in every),
                    " / ".join(format_fraction(t.old_kept, t.old_asked) for t in every),
                    str(sum(t.over for t in every)),
                    f"{1e3 * sum(t.seconds for t in every) / max(1, sum(t.probes for t in every)):.1f}",
                ]
            )
    notes = [
        "Fraction of the strings in an agent's later tool arguments that it can only have read in an earlier tool",
        "output and that are still there after tool output was cut 2, 4 and 8 times. Budget: everything except tool",
        "output + tool output / ratio, in cl100k tokens of text. *Older only* leaves out what the newest output holds.",
    ]
    return Report("sessions", "Argument survival", notes, table, rows)

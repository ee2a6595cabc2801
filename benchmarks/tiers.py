"""Compares every scorer tier and the baselines on the same cases: sessions, questions, evidence, sentences.

A tier that cannot run here (not installed, no model, no device) is "not run", with the reason above the table. If a
tier fell back to the fast one, the cell says how often. `throughput` measures speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import evidence, pairs, qa, survival
from benchmarks.columns import Column, columns
from benchmarks.data import records, sample
from benchmarks.held_out import held_out_network
from benchmarks.report import Report, format_fraction

QUESTIONS = 100  # maximum of the odd-numbered questions
SESSIONS = 20  # maximum per set; evenly spread, as all samples are

Found = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One measurement of all columns.

    Attributes:
        role: The role of a column that `work` takes.
        lines: By name, the table rows that are made from the result.
        around: A context in which the measurement runs.
    """

    name: str
    cut: str
    role: str
    work: Callable[[Any], Found]
    lines: dict[str, Callable[[Found], str]]
    around: Callable[[], AbstractContextManager[object]] = nullcontext


def kept(found: Found) -> str:
    """Formats the fraction kept, and the number of results over the budget."""
    return format_fraction(found["kept"], found["asked"]) + (f" ({found['over']} over)" if found["over"] else "")


def tasks(root: Path, limit: int | None) -> Iterator[Task]:
    """Yields all measurements. `limit` caps the cases of each."""
    for path in sorted((root / "sessions").glob("*.jsonl.gz")):
        name = path.name.removesuffix(".jsonl.gz")
        sessions = sample(list(records(path)), min(limit or SESSIONS, SESSIONS))
        for ratio in survival.RATIOS:
            work = partial(_survival, sessions=sessions, ratio=ratio)
            yield Task(f"survival, {name}", f"{ratio:g}×", "sessions", work, {"": kept})
    asked = sample(qa.cases(root / "nq_multidoc", None)[1::2], min(limit or QUESTIONS, QUESTIONS))
    for ratio in qa.RATIOS:
        work = partial(qa.measure, questions=asked, ratio=ratio)
        yield Task(
            "answers, 20 documents", f"{ratio:g}×", "documents", work, {"": kept}, partial(held_out_network, root)
        )
    for task in evidence.TASKS:
        cases = task.read(root, limit)
        for ratio in evidence.RATIOS:
            work = partial(evidence.measure, cases=cases, ratio=ratio, whole=task.all_facts)
            yield Task(task.name, f"{ratio:g}×", "documents", work, {"": kept})
    passages = pairs.passages(root, limit)
    lines: dict[str, Callable[[Found], str]] = {
        f", {name}": lambda found, key=key: f"{found[key]:.3f}"  # type: ignore[misc]
        for name, key in (("F1", "f1"), ("area", "area"), ("area within a question", "within"))
    }
    for role, who in (("alone", "model alone"), ("rate", "tier")):
        yield Task(f"sentences, {who}", "", role, partial(pairs.measure, passages=passages), lines)


def _survival(method: Any, sessions: list[Any], ratio: float) -> Found:
    counts = survival.measure(method, sessions, ratio)
    return {**vars(counts), "cases": counts.probes}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every task and column. `limit` caps the cases of a task."""
    shown = columns(methods)
    raw: list[Found] = []
    table = [["what", "cut", "cases", *(column.label for column in shown)]]
    for task in tasks(root, limit):
        with task.around():
            found = {column.label: column.run(task.role, task.work) for column in shown}
        raw += [{"what": task.name, "cut": task.cut, "method": label, **row} for label, row in found.items()]
        cases = next((str(row["cases"]) for row in found.values() if "cases" in row), "–")
        for line, value in task.lines.items():
            table.append([task.name + line, task.cut, cases, *(_cell(row, value) for row in found.values())])
    return Report("tiers", "Scorer tiers", [*NOTES, *_lacking(shown)], table, raw)


def _cell(found: Found, value: Callable[[Found], str]) -> str:
    if "state" in found:
        return str(found["state"])
    return value(found) + (f" ({found['fallbacks']} fell back)" if found["fallbacks"] else "")


def _lacking(shown: list[Column]) -> list[str]:
    """Says why a column was not run."""
    return [f"*{column.label}* not run: {column.unavailable}." for column in shown if column.unavailable]


NOTES = [
    "The same cases for every column, evenly spread over their sets; budgets in cl100k tokens, as in the other",
    "tables. *Answers*: odd-numbered questions; the pruner and, here, the fast tier's network were trained on",
    "even-numbered ones. *2Wiki*, *HotpotQA*: all supporting sentences there; *MuSiQue*: every hop's answer in its",
    "sentence; *QMSum*: fraction of the tokens of relevant turns still there; only if they all fit the",
    "budget. *Sentences*: pruner_pairs dev, numbers that sentences get, nothing cut: F1 (threshold from the other half",
    "of the questions) and area under precision-recall over all sentences, and average precision within a question",
    "that has an answer. *Model alone* is what the tier's model says, *tier* what the scorer makes of it. Seen in",
    "training: by the fast tier's word vectors 2Wiki, HotpotQA and the sentences (SQuAD), by the pruner 2Wiki;",
    "MiniLM, on which the embedding tier, the cascade and the pruner stand, saw training questions of SQuAD and",
    "Natural Questions.",
]

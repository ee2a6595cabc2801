"""Measures many kinds of context at once: is what a question needs still there when the context is cut r-fold?

Recorded data, generated records with a check of who owns each value, and records in notations that nobody tunes on.
BM25, grep and the last units stand beside ours under the same budget. No method sees an answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks import battery_cases as recorded
from benchmarks.battery_baselines import BASELINES
from benchmarks.battery_cases import Source
from benchmarks.battery_cells import Cell, summary
from benchmarks.battery_compressor import BatteryCompressor, CutContext
from benchmarks.battery_held_out import held_out_cases
from benchmarks.battery_held_out_notations import NOTATIONS as HELD_OUT_NOTATIONS
from benchmarks.battery_printed import PRINTED, printed_cases
from benchmarks.battery_records import NOTATIONS, record_cases
from benchmarks.report import Report

DEFAULT_LIMIT = 40  # cases a task
SHOWN = 1_800  # characters of a cut context that `--look` prints


@dataclass(frozen=True)
class BatteryTask:
    """Where cases come from, and the ratios that they are cut by."""

    cases: Source
    ratios: tuple[int, ...]


TASKS: dict[str, BatteryTask] = {
    "real_tool": BatteryTask(recorded.real_files(as_tool=True), (4, 10)),
    "real_text": BatteryTask(recorded.real_files(as_tool=False), (4, 10)),
    **{f"records_{n}": BatteryTask(record_cases(n), (2, 4)) for n in NOTATIONS},
    "log_event": BatteryTask(recorded.log_events, (8, 20)),
    "log_overview": BatteryTask(recorded.log_overviews, (8, 20)),
    "chat_memory": BatteryTask(recorded.chat_memory(recall=False), (2, 4, 8)),
    "chat_recall": BatteryTask(recorded.chat_memory(recall=True), (8, 16)),
    "meeting_chat": BatteryTask(recorded.meetings(as_chat=True), (4, 8)),
    "meeting_text": BatteryTask(recorded.meetings(as_chat=False), (4, 8)),
    "multi_agent": BatteryTask(recorded.agent_runs, (2, 4)),
    "table_json": BatteryTask(recorded.wiki_tables("json"), (4, 8)),
    "table_csv": BatteryTask(recorded.wiki_tables("csv"), (4, 8)),
    "table_md": BatteryTask(recorded.wiki_tables("md"), (4, 8)),
    "kv": BatteryTask(recorded.uuid_pairs, (10, 20)),
    "squad_article": BatteryTask(recorded.squad_articles, (4, 10)),
    "hotpot": BatteryTask(recorded.multi_hop("multihop/hotpot_migres*", "multihop/hotpot_dev*"), (4, 8)),
    "2wiki": BatteryTask(recorded.multi_hop("multihop/2wiki_migres*", "multihop/2wiki_train*"), (4, 8)),
    "musique": BatteryTask(recorded.multi_hop("multihop/musique_migres*", "multihop/musique_train*"), (4, 8)),
    "selqa": BatteryTask(recorded.selqa, (3, 6)),
    **{f"printed_{n}": BatteryTask(printed_cases(n), (2, 5)) for n in PRINTED},
    **{f"held_{n}": BatteryTask(held_out_cases(n), (2, 5)) for n in HELD_OUT_NOTATIONS},
}
#: Names for several tasks.
GROUPS = {
    "records": [n for n in TASKS if n.startswith("records_")],
    "printed": [n for n in TASKS if n.startswith("printed_")],
    "records_held_out": [n for n in TASKS if n.startswith("held_")],
    "recorded": [n for n in TASKS if not n.startswith(("records_", "held_", "printed_"))],
}


@dataclass(frozen=True)
class Options:
    """What `--tasks`, `--seed`, `--tier`, `--look` and `--jobs` say.

    Attributes:
        tasks: Names of tasks or groups; all if empty.
        seed: Of the generated cases and of the choice of log lines.
        tier: The scorer; the embedded default if empty.
        look: Cases of each task and ratio to print: question, what it needs, and what a model would see.
        jobs: Processes.
    """

    tasks: tuple[str, ...] = ()
    seed: int = 1
    tier: str = ""
    look: int = 0
    jobs: int = 1

    def names(self) -> list[str]:
        """Returns the chosen tasks. Raises KeyError for an unknown one."""
        chosen = [name for given in self.tasks for name in GROUPS.get(given, [given])]
        if unknown := [name for name in chosen if name not in TASKS]:
            raise KeyError(", ".join(unknown))
        return list(dict.fromkeys(chosen or TASKS))

    def flags(self) -> str:
        """Returns the flags that a command needs for the same numbers."""
        flags = f" --tasks {','.join(self.tasks)}" if self.tasks else ""
        flags += f" --seed {self.seed}" if self.seed != Options.seed else ""
        return flags + (f" --tier {self.tier}" if self.tier else "")


@cache
def _compressor(tier: str) -> BatteryCompressor:
    return BatteryCompressor(tier)


def measure(name: str, root: Path, limit: int, options: Options) -> tuple[list[Cell], str]:
    """Measures a task. Returns a cell for each ratio, none if its data is missing, and what `look` shows."""
    task, ours = TASKS[name], _compressor(options.tier)
    cases = list(task.cases(root, limit, options.seed))
    for case in cases:
        ours.prepare(case)
    cells, shown = [], ""
    for ratio in task.ratios if cases else ():
        cell = Cell(name, ratio, {method: [] for method in ("ours", *BASELINES)})
        for i, case in enumerate(cases):
            budget = int(case.size / ratio)
            start = time.perf_counter()
            try:
                cut = ours.cut(case, budget)
            except Exception as error:  # a failure of any kind is a result of the battery
                cut = CutContext("", False)
                cell.failed += 1
                cell.failure = cell.failure or f"{type(error).__name__}: {str(error)[:100]}"
            cell.ms += 1e3 * (time.perf_counter() - start) / len(cases)
            kept, wrong = case.scoring.score(cut.text)
            cell.kept["ours"].append(kept)
            cell.wrong_owner += wrong
            cell.over += cut.over
            for label, method in BASELINES.items():
                cell.kept[label].append(case.scoring.score(method(case.question, case.units, budget))[0])
            if i < options.look and not name.startswith("held_"):
                needed = list(case.scoring.needed[:5])
                shown += f"--- {name} {ratio}x  kept {kept:.2f}  wrong owner {wrong}\nQ: {case.question}\n"
                shown += f"needs: {needed}\n{cut.text[:SHOWN]}\n\n"
        cells.append(cell)
    return cells, shown


def _measured(root: Path, limit: int, options: Options) -> Iterator[tuple[str, list[Cell], str]]:
    """Measures the chosen tasks, in their order."""
    names = options.names()
    work = partial(measure, root=root, limit=limit, options=options)
    if options.jobs == 1:
        for name in names:
            yield name, *work(name)
        return
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for name, (cells, shown) in zip(names, pool.map(work, names), strict=True):
            yield name, cells, shown


def run(root: Path, limit: int | None, methods: list[str], options: Options | None = None) -> Report:
    """Measures the chosen tasks. All methods run, because a cell compares them; `limit` caps the cases of a task."""
    options = options or Options()
    cells: list[Cell] = []
    missing: list[str] = []
    for name, found, shown in _measured(root, limit or DEFAULT_LIMIT, options):
        print(shown + _progress(name, found), flush=True)
        cells += found
        missing += [] if found else [name]
    table = [["task", "cut by", "cases", "ours", *BASELINES, "ours − better", "ms", "failed", "wrong owner", "over"]]
    table += [cell.table_row() for cell in cells]
    held_out = [cell for cell in cells if cell.task.startswith("held_")]
    printed = [cell for cell in cells if cell.task.startswith("printed_")]
    others = [cell for cell in cells if cell not in held_out and cell not in printed]
    notes = [
        "Share of what a question needs that is still in the context, with the same budget (cl100k tokens / ratio).",
        "BM25: the units (lines, rows, turns, sentences) most similar to the question; grep: the units with its rarest",
        "words and two around each; keep last: the last units that fit. *ours − better*: 95 % bootstrap interval of",
        "the difference to the better of BM25 and grep, paired over cases. *wrong owner*: values of one record under",
        f"another's name. ms: a call of ours, and counting messages before and after. Seed {options.seed},",
        f"tier {options.tier or 'of the embedded default'}.",
        *([f"No data: {', '.join(missing)}."] if missing else []),
        *(
            [f"Failed: {'; '.join(f'{c.task} {c.failure}' for c in cells if c.failed)}."]
            if any(c.failed for c in cells)
            else []
        ),
        "",
        summary("All but the two below", others),
        "",
        summary("What programs print", printed),
        "",
        summary("Held-out notations", held_out),
    ]
    return Report("battery", "Battery", notes, table, [cell.row() for cell in cells])


def _progress(name: str, cells: list[Cell]) -> str:
    if not cells:
        return f"{name:24} no data"
    parts = [f"{c.ratio}× " + " / ".join(f"{c.mean(m):.2f}" for m in c.kept) for c in cells]
    wrong = sum(c.wrong_owner for c in cells)
    return (
        f"{name:24} n={len(cells[0].kept['ours']):3}  "
        + "   ".join(parts)
        + (f"   wrong owner {wrong}" if wrong else "")
    )

"""Writes a measured table as JSON and Markdown, and the page with all tables.

Every table is written to `results/NAME.json`. `results/README.md` is made from the JSON files alone, so that a run of
one benchmark leaves the other tables as they were.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass
class Report:
    """A measured table.

    Attributes:
        notes: How the numbers were measured.
        table: What a reader sees, header row first.
        rows: The raw numbers.
        made: Date, machine and command of the run.
    """

    name: str
    title: str
    notes: list[str]
    table: list[list[str]]
    rows: list[dict[str, Any]]
    made: dict[str, str] = field(default_factory=dict)

    def write(self, command: str) -> Path:
        """Writes the JSON, with the date, the machine and the command of the run."""
        self.made = {
            "date": date.today().isoformat(),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "command": command,
        }
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def markdown(self) -> str:
        """Returns heading, notes and table."""
        head, *body = [[cell.replace("|", "\\|") for cell in row] for row in self.table]
        lines = [f"## {self.title}", "", *self.notes, "", _row(head), _row(["---"] * len(head)), *map(_row, body), ""]
        if self.made:
            made = self.made
            lines += [f"`{made['command']}`, {made['date']}, Python {made['python']}, {made['machine']}", ""]
        return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def load(name: str) -> Report | None:
    """Loads a report from the results folder, or returns None if it was never written."""
    path = RESULTS / f"{name}.json"
    return Report(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_page(names: list[str], figures: dict[str, str]) -> None:
    """Writes `results/README.md` with all tables in the order of `names`; `figures` maps a name to its plot."""
    parts = ["# Results", "", "Written by `python -m benchmarks`; the raw numbers are in the JSON files beside it.", ""]
    for name in names:
        report = load(name)
        if report is None:
            continue
        parts.append(report.markdown())
        if name in figures and (RESULTS / figures[name]).exists():
            parts += [f"![{report.title}]({figures[name]})", ""]
    (RESULTS / "README.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def format_fraction(kept: int, total: int) -> str:
    """Formats a fraction as the tables show it."""
    return f"{kept / total:.3f}" if total else "–"

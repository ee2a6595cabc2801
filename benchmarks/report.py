"""One measured table: its numbers as JSON, its looks as markdown, and the page that shows all of them.

Measures nothing. Every table is written as `results/NAME.json`; `results/README.md` is made from the JSON files alone,
so a run of one benchmark leaves the other tables as they were.
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
    """`rows` are the raw numbers, `table` (header row first) what a reader sees, `notes` how they were made."""

    name: str
    title: str
    notes: list[str]
    table: list[list[str]]
    rows: list[dict[str, Any]]
    made: dict[str, str] = field(default_factory=dict)

    def write(self, command: str) -> Path:
        """Writes the JSON, with the day, the machine and the command the run was made with."""
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
        """Heading, notes and table."""
        head, *body = [[cell.replace("|", "\\|") for cell in row] for row in self.table]
        lines = [f"## {self.title}", "", *self.notes, "", _row(head), _row(["---"] * len(head)), *map(_row, body), ""]
        if self.made:
            made = self.made
            lines += [f"`{made['command']}`, {made['date']}, Python {made['python']}, {made['machine']}", ""]
        return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def load(name: str) -> Report | None:
    """A report written before, or None."""
    path = RESULTS / f"{name}.json"
    return Report(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_page(names: list[str], figures: dict[str, str]) -> None:
    """`results/README.md`: the tables written so far, in the order of `names`; `figures` maps a name to its plot."""
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
    """A share as the tables write it."""
    return f"{kept / total:.3f}" if total else "–"

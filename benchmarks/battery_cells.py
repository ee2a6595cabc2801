"""Holds what a task of the battery came to at one ratio, and sums cells up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

RESAMPLES = 2_000
BELOW = 0.02  # a cell is below the better of BM25 and grep if it keeps so much less


@dataclass
class Cell:
    """What one task at one ratio came to. `kept` holds a share for each case, by method."""

    task: str
    ratio: int
    kept: dict[str, list[float]] = field(default_factory=dict)
    ms: float = 0.0
    failed: int = 0
    failure: str = ""
    wrong_owner: int = 0
    over: int = 0

    def mean(self, method: str) -> float:
        """Returns the mean share that a method keeps."""
        return sum(self.kept[method]) / len(self.kept[method])

    @property
    def better(self) -> str:
        """Returns the name of the better of BM25 and grep."""
        return max(("BM25", "grep"), key=self.mean)

    @property
    def below(self) -> bool:
        """Returns whether ours keeps clearly less than the better of BM25 and grep."""
        return self.mean("ours") < self.mean(self.better) - BELOW

    def row(self) -> dict[str, Any]:
        """Returns the numbers of the cell for the JSON file."""
        low, high = bootstrap_interval(self.kept["ours"], self.kept[self.better])
        means = {method: self.mean(method) for method in self.kept}
        interval = {"better": self.better, "difference_low": low, "difference_high": high}
        return {**asdict(self), "kept": means, "cases": len(self.kept["ours"]), **interval}

    def table_row(self) -> list[str]:
        """Returns what a reader of the table sees."""
        low, high = bootstrap_interval(self.kept["ours"], self.kept[self.better])
        means = [f"{self.mean(method):.3f}" for method in self.kept]
        faults = [str(self.failed), str(self.wrong_owner), str(self.over)]
        cases = str(len(self.kept["ours"]))
        return [self.task, f"{self.ratio}×", cases, *means, f"{low:+.2f} to {high:+.2f}", f"{self.ms:.0f}", *faults]


def bootstrap_interval(ours: list[float], other: list[float], seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % percentile interval of the mean difference, by resampling pairs."""
    differences = np.subtract(ours, other)
    rng = np.random.default_rng(seed)
    means = differences[rng.integers(0, len(differences), (RESAMPLES, len(differences)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def summary(title: str, cells: list[Cell]) -> str:
    """Returns the means of the methods over cells, and which cells are below the better of BM25 and grep."""
    if not cells:
        return ""
    means = ", ".join(f"{method} {_mean(cell.mean(method) for cell in cells):.3f}" for method in cells[0].kept)
    below = [f"{c.task} {c.ratio}× {c.mean('ours'):.2f} < {c.mean(c.better):.2f}" for c in cells if c.below]
    text = (
        f"{title}: {means}; below the better of BM25 and grep by more than {BELOW}: {len(below)} of {len(cells)} cells"
    )
    text += f", wrong owner {sum(c.wrong_owner for c in cells)}, failed {sum(c.failed for c in cells)}"
    text += f", over budget {sum(c.over for c in cells)}."
    return text + (f" Below: {'; '.join(below)}." if below else "")


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)

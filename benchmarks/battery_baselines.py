"""Cuts a battery case with what anyone would try first: BM25, grep, the last units. All keep within the budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from benchmarks.baselines import bm25
from benchmarks.tokens import count

Baseline = Callable[[str, list[str], int], str]

CONTEXT = 2  # lines that grep shows around a hit


def _fill(units: list[str], order: Iterable[int], budget: int) -> str:
    """Takes units in that order, each if it still fits, and joins them in their own order."""
    used, kept = 0, set()
    for k in order:
        size = count(units[k]) + 1
        if k not in kept and used + size <= budget:
            used += size
            kept.add(k)
    return "\n".join(units[k] for k in sorted(kept))


def bm25_units(question: str, units: list[str], budget: int) -> str:
    """Keeps the units that are most similar to the question."""
    scores = bm25(question, units)
    return _fill(units, sorted(range(len(units)), key=lambda k: -scores[k]), budget)


def grep_units(question: str, units: list[str], budget: int) -> str:
    """Keeps the units that contain the question's words, rarest word first, each with two units around it."""
    lowered = [unit.lower() for unit in units]
    hits = {w: [k for k, unit in enumerate(lowered) if w in unit] for w in set(re.findall(r"\w+", question.lower()))}
    words = sorted((w for w in hits if hits[w]), key=lambda w: (len(hits[w]), w))
    around = (range(max(0, k - CONTEXT), min(len(units), k + CONTEXT + 1)) for w in words for k in hits[w])
    return _fill(units, (j for near in around for j in near), budget)


def last_units(question: str, units: list[str], budget: int) -> str:
    """Keeps the last units that fit."""
    used, first = 0, len(units)
    while first and used + count(units[first - 1]) + 1 <= budget:
        first -= 1
        used += count(units[first]) + 1
    return "\n".join(units[first:])


BASELINES: dict[str, Baseline] = {"BM25": bm25_units, "grep": grep_units, "keep last": last_units}

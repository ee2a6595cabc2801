"""Measures tool selection: is the needed function still listed when the list is cut r-fold, and can it still be called?

Every schema that is sent is checked against the metaschema of draft 2020-12, and every reference call against the
schema that is sent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]

from benchmarks.report import Report, format_fraction
from benchmarks.tool_cases import Case, own_lists, pool_cases
from compressor import BudgetTooSmallError, Compressor, CompressorError
from compressor.scoring.base import Query, Scorer, SourceBlock, UnitBatch
from compressor.scoring.bm25 import bm25, matches, weighted_terms
from compressor.scoring.model_scorer import ModelScorer
from compressor.scoring.token_index import TokenIndex
from compressor.text.layout_cache import single_unit_layout
from compressor.tokens import get_counter

RATIOS = (2, 4, 8)
MODEL = "gpt-4o"
Tool = dict[str, Any]
Method = Callable[[Case, int], list[Tool]]


@dataclass(frozen=True)
class Task:
    """A set of cases and its default number of cases."""

    name: str
    cases: Callable[[Path, int], list[Case]]
    limit: int


TASKS = [
    Task("64 tools", lambda root, n: pool_cases(root, 64, n), 300),
    Task("256 tools", lambda root, n: pool_cases(root, 256, n), 40),
    Task("own lists of 8 or more", lambda root, n: own_lists(root, 8, n), 200),
]


def _text(tool: Tool) -> str:
    return f"{tool['function']['name']} {tool['function']['description']} {tool['function']['parameters']}"


def _fill(case: Case, order: Sequence[int], budget: int) -> list[Tool]:
    """Takes whole tools in this order, and skips those that do not fit."""
    counter = get_counter(MODEL)
    frame = 2 * counter.count_tools(case.tools[:1]) - counter.count_tools([*case.tools[:1], *case.tools[:1]])
    available = budget - frame
    kept = set()
    for i in order:
        cost = counter.count_tools([case.tools[i]]) - frame
        if cost <= available:
            kept.add(i)
            available -= cost
    return [tool for i, tool in enumerate(case.tools) if i in kept]


def bm25_tools(case: Case, budget: int) -> list[Tool]:
    """Takes whole tools by BM25 over all their text."""
    index = TokenIndex([_text(tool) for tool in case.tools])
    scores = bm25(*matches(index, weighted_terms(((case.request, 1.0),))), index.lengths)
    return _fill(case, np.argsort(-scores, kind="stable").tolist(), budget)


def random_tools(case: Case, budget: int) -> list[Tool]:
    """Takes whole tools in random order."""
    order = list(range(len(case.tools)))
    random.Random(case.request).shuffle(order)
    return _fill(case, order, budget)


def dense_tools(scorer: ModelScorer) -> Method:
    """Takes whole tools by the cosine of sentence vectors."""

    def method(case: Case, budget: int) -> list[Tool]:
        texts = [f"{t['function']['name']}: {t['function']['description']}" for t in case.tools]
        units = UnitBatch([SourceBlock("document", single_unit_layout(t), np.ones(1, np.float32)) for t in texts])
        odds = scorer.model.relevance(Query(((case.request, 1.0),)), units, np.arange(len(texts)))
        return _fill(case, np.argsort(-odds, kind="stable").tolist(), budget)

    return method


def ours(scorer: str | Scorer = "fast") -> Method:
    """Calls `Compressor.select_tools`."""
    compressor = Compressor(scorer=scorer, store="memory")

    def method(case: Case, budget: int) -> list[Tool]:
        return compressor.select_tools(case.tools, budget, query=case.request, model=MODEL).tools

    return method


def _methods(names: list[str]) -> tuple[dict[str, Method], list[str]]:
    found: dict[str, Method] = {}
    notes = []
    for name in [n for n in METHODS if n in names]:
        if name in ("ours (embedding)", "dense"):
            try:
                scorer = Compressor(scorer="embedding", store="memory").scorer
            except CompressorError as error:
                notes.append(f"{name}: not run ({error}).")
                continue
            assert isinstance(scorer, ModelScorer)
            found[name] = dense_tools(scorer) if name == "dense" else ours(scorer)
        else:
            found[name] = {"ours": ours(), "BM25 tools": bm25_tools, "random tools": random_tools}[name]
    return found, notes


METHODS = ("ours", "ours (embedding)", "BM25 tools", "dense", "random tools")


def measure(method: Method, cases: list[Case], ratio: float) -> dict[str, Any]:
    """Measures one method at one ratio.

    `kept` of `asked` are the needed functions. `refused` of `calls` are the reference calls that the whole schema
    accepts and the sent schema does not. `listed` of `named` are their arguments that the sent schema still lists.
    """
    counter = get_counter(MODEL)
    row: dict[str, Any] = dict.fromkeys(
        ("kept", "asked", "calls", "refused", "named", "listed", "invalid", "over", "none", "sent"), 0
    )
    seconds = 0.0
    for case in cases:
        budget = int(counter.count_tools(case.tools) / ratio)
        start = time.perf_counter()
        try:
            sent = method(case, budget)
        except BudgetTooSmallError:
            sent = []
        seconds += time.perf_counter() - start
        row["none"] += not sent
        row["sent"] += len(sent)
        row["over"] += counter.count_tools(sent) > budget
        row["invalid"] += sum(not _valid(tool["function"]["parameters"]) for tool in sent)
        given = {tool["function"]["name"]: tool["function"]["parameters"] for tool in case.tools}
        left = {tool["function"]["name"]: tool["function"]["parameters"] for tool in sent}
        row["asked"] += len(case.needed)
        row["kept"] += len(case.needed & left.keys())
        for name, arguments in case.calls:
            if name not in left or not Draft202012Validator(given[name]).is_valid(arguments):
                continue
            row["calls"] += 1
            row["refused"] += not Draft202012Validator(left[name]).is_valid(arguments)
            row["named"] += len(arguments)
            row["listed"] += len(arguments.keys() & left[name].get("properties", {}).keys())
    return {**row, "cases": len(cases), "ms": 1e3 * seconds / max(1, len(cases))}


def _valid(schema: Any) -> bool:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return False
    return True


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every task, ratio and method. `limit` caps the cases of a task."""
    chosen, notes = _methods(methods)
    raw: list[dict[str, Any]] = []
    table = [["tools", "cut by", "cases", *chosen, "arguments listed", "refused, invalid, over", "ms"]]
    for task in TASKS:
        cases = task.cases(root, min(limit or task.limit, task.limit))
        for ratio in RATIOS:
            found = {name: measure(method, cases, ratio) for name, method in chosen.items()}
            raw += [{"task": task.name, "ratio": ratio, "method": name, **row} for name, row in found.items()]
            first = next(iter(found.values()), None)
            if first is not None:
                faults = ", ".join(
                    str(sum(row[key] for row in found.values())) for key in ("refused", "invalid", "over")
                )
                table.append(
                    [task.name, f"{ratio}×", str(len(cases))]
                    + [format_fraction(row["kept"], row["asked"]) for row in found.values()]
                    + [format_fraction(first["listed"], first["named"]), faults, f"{first['ms']:.0f}"]
                )
    return Report(
        "tools",
        "Tool schemas",
        [
            "Berkeley Function Calling Leaderboard, single-turn suites: fraction of the needed functions that are sent",
            "when the list of tools costs r times fewer tokens (gpt-4o). Pools: the case's own functions among others,",
            "at random; and the cases' own lists of 8 functions or more. *arguments listed*: of the reference calls'",
            "arguments, those that the schemas sent by the first method still list. *refused*: reference calls that",
            "the whole schema accepts and the sent one does not; *invalid*: sent schemas that are not JSON Schema",
            "(draft 2020-12); *over*: results over the budget; all methods together. ms: of the first method.",
            *notes,
        ],
        table,
        raw,
    )

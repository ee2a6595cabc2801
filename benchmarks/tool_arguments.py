"""Measures whether a needed tool arrives usable: are the arguments of its call listed, and are its rules still there?

The tools are those of six MCP servers in one list (`mcp_tools`), as MCP lists them. A request counts as *sent* if one
of the tools that can do it is sent. Of the tools sent that can do it, the one with the most arguments listed counts.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Report, format_fraction
from benchmarks.tool_requests import GITHUB, OTHERS, ToolRequest
from compressor import BudgetTooSmallError, Compressor, CompressorError
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.bm25 import bm25, matches, weighted_terms
from compressor.scoring.model_scorer import ModelScorer
from compressor.scoring.token_index import TokenIndex
from compressor.text.layout_cache import single_unit_layout
from compressor.tokens import get_counter

BUDGETS = (1_000, 2_000, 4_000, 8_000, 14_000)
MODEL = "gpt-4o"
#: A sentence that states a constraint. This list is the benchmark's own, shorter than the one of the package.
CONSTRAINT = re.compile(
    r"\b(?:must|only|never|do not|don't|cannot|deprecated|confirms?|format|maximum|max|required|requires|unsafe"
    r"|without warning|instead|ignored|YYYY|ISO|irreversible|destructive|not supported|absolute)\b",
    re.I,
)
Tool = dict[str, Any]
Method = Callable[[list[Tool], str, int], list[Tool]]


def texts(value: Any) -> Iterator[str]:
    """Yields all descriptions in a tool."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "description" and isinstance(item, str):
                yield item
            else:
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def constraints(tool: Tool) -> list[str]:
    """Returns the sentences of a tool that state a constraint."""
    parts = [part.strip() for text in texts(tool) for part in re.split(r"(?<=[.!?])\s+|\n+", text)]
    return [part for part in parts if CONSTRAINT.search(part)]


def ours(scorer: str = "fast") -> Method:
    """Calls `Compressor.select_tools`."""
    compressor = Compressor(scorer=scorer, store="memory")

    def method(tools: list[Tool], request: str, budget: int) -> list[Tool]:
        return compressor.select_tools(tools, budget, query=request, model=MODEL).tools

    return method


def _fill(tools: list[Tool], order: Sequence[int], budget: int) -> list[Tool]:
    """Takes whole tools in this order, and skips those that do not fit."""
    counter = get_counter(MODEL)
    frame = 2 * counter.count_tools(tools[:1]) - counter.count_tools([*tools[:1], *tools[:1]])
    available, kept = budget - frame, set()
    for i in order:
        cost = counter.count_tools([tools[i]]) - frame
        if cost <= available:
            kept.add(i)
            available -= cost
    return [tool for i, tool in enumerate(tools) if i in kept]


def whole_by_bm25(tools: list[Tool], request: str, budget: int) -> list[Tool]:
    """Takes whole tools by BM25 over all their text."""
    index = TokenIndex([f"{t['name']} {t.get('description', '')} {t['inputSchema']}" for t in tools])
    scores = bm25(*matches(index, weighted_terms(((request, 1.0),))), index.lengths)
    return _fill(tools, np.argsort(-scores, kind="stable").tolist(), budget)


def whole_by_vectors(scorer: ModelScorer) -> Method:
    """Takes whole tools by the cosine of sentence vectors (MiniLM)."""

    def method(tools: list[Tool], request: str, budget: int) -> list[Tool]:
        found = [f"{t['name']}: {t.get('description', '')}" for t in tools]
        units = UnitBatch([SourceBlock("document", single_unit_layout(t), np.ones(1, np.float32)) for t in found])
        odds = scorer.model.relevance(Query(((request, 1.0),)), units, np.arange(len(found)))
        return _fill(tools, np.argsort(-odds, kind="stable").tolist(), budget)

    return method


def measure(method: Method, tools: list[Tool], requests: Sequence[ToolRequest], budget: int) -> dict[str, Any]:
    """Measures one method at one budget."""
    counter = get_counter(MODEL)
    whole = {tool["name"]: tool for tool in tools}
    row: dict[str, Any] = dict.fromkeys(("sent", "listed", "named", "complete", "kept", "rules", "over"), 0)
    milliseconds = []
    for request, wanted in requests:
        start = time.process_time()
        try:
            sent = method(tools, request, budget)
        except BudgetTooSmallError:
            sent = []
        milliseconds.append(1e3 * (time.process_time() - start))
        row["over"] += counter.count_tools(sent) > budget
        left = {tool["name"]: tool for tool in sent}
        found = [
            (sum(name in left[tool]["inputSchema"]["properties"] for name in names), len(names), tool)
            for tool, names in wanted.items()
            if tool in left
        ]
        if not found:
            row["named"] += min(map(len, wanted.values()))
            continue
        listed, named, tool = max(found, key=lambda each: each[0] / each[1])
        words = " ".join(texts(left[tool]))
        rules = constraints(whole[tool])
        row["sent"] += 1
        row["listed"] += listed
        row["named"] += named
        row["complete"] += listed == named
        row["rules"] += len(rules)
        row["kept"] += sum(rule in words for rule in rules)
    return {**row, "requests": len(requests), "ms": float(np.median(milliseconds))}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every budget and method."""
    with gzip.open(root / "mcp_tools" / "tools.json.gz", "rt", encoding="utf-8") as file:
        tools = json.load(file)
    chosen: dict[str, Method] = {"ours": ours(), "BM25 tools": whole_by_bm25}
    notes = []
    try:
        scorer = Compressor(scorer="embedding", store="memory").scorer
        assert isinstance(scorer, ModelScorer)
        chosen |= {"ours (embedding)": ours("embedding"), "dense": whole_by_vectors(scorer)}
    except CompressorError as error:
        notes.append(f"ours (embedding), dense: not run ({error}).")
    table = [["requests", "budget", "method", "sent", "all arguments", "arguments", "rules kept", "over", "ms"]]
    raw = []
    for group, requests in (("GitHub", GITHUB), ("other servers", OTHERS)):
        for budget in BUDGETS:
            for name, method in chosen.items():
                if name not in methods:
                    continue
                row = measure(method, tools, requests[:limit], budget)
                raw.append({"group": group, "budget": budget, "method": name, **row})
                shares = [("sent", "requests"), ("complete", "requests"), ("listed", "named"), ("kept", "rules")]
                fractions = [format_fraction(row[part], row[whole]) for part, whole in shares]
                table.append([group, f"{budget:,}", name, *fractions, str(row["over"]), f"{row['ms']:.1f}"])
    return Report(
        "tool_arguments",
        "Arguments and rules of needed tools",
        [
            f"{len(tools)} tools of six MCP servers, {get_counter(MODEL).count_tools(tools):,} tokens (gpt-4o), and",
            f"{len(GITHUB) + len(OTHERS)} requests with the arguments that a call carries. *sent*: requests of which",
            "a tool that can do it is sent; *all arguments*: and lists every argument; *arguments*: those listed of",
            "all; *rules kept*: sentences of the needed tool that state a constraint and are still there, of the tools",
            "sent; ms: CPU, median, the list of tools seen before. What a variant is worth to `select_tools` was",
            "chosen among two dozen settings on these requests (the settings around it differ by one request).",
            *notes,
        ],
        table,
        raw,
    )

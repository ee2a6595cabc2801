"""Measures the tools of a conversation: are they sent when a request needs them, and what do changes of the list cost?

After each request the agent makes the first of its reference calls, and a second call of the model answers. Both calls
are billed by a simulated prompt cache. `BM25 tools` and `dense` choose whole tools by the request alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Report, format_fraction
from benchmarks.tool_cases import Case
from benchmarks.tools import bm25_tools, dense_tools
from benchmarks.tools_conversation_cases import ReferenceCall, ToolConversation, UserRequest, load_conversations
from compressor import BudgetTooSmallError, Compressor, CompressorError, ToolSet
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.search_tool import find_tools
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.bm25 import bm25, matches, weighted_terms
from compressor.scoring.model_scorer import ModelScorer
from compressor.scoring.token_index import TokenIndex
from compressor.text.layout_cache import single_unit_layout
from compressor.tokens import get_counter
from compressor.tokens.billing import CallUsage, PromptCacheSimulator
from compressor.tokens.pricing import find_price

MODEL = "gpt-4o"
GROUPS = ("mcp development", "mcp held out", "apis development", "apis held out")
METHODS = ("ToolSet", "ToolSet (embedding)", "fresh", "BM25 tools", "dense")
#: Fractions of the tokens of all tools: 1/7 are 4,000 of the MCP servers' 27,600.
RATIOS = (3.5, 7, 14)
SYSTEM = "You are a helpful agent. Use the tools. " * 60
ANSWER_TOKENS = 100
Tool = dict[str, Any]
View = Callable[[list[dict[str, Any]], str], list[Tool]]


@dataclass(frozen=True)
class Method:
    """A way to choose tools over a conversation.

    Attributes:
        name: What the table calls it.
        start: Takes the tools and the budget, and returns what chooses the tools of a call.
    """

    name: str
    start: Callable[[list[Tool], int], View]


def _toolset(compressor: Compressor) -> Callable[[list[Tool], int], View]:
    def start(tools: list[Tool], budget: int) -> View:
        toolset = ToolSet(compressor, tools, budget, model=MODEL)
        return lambda messages, request: toolset.view(messages)

    return start


def _fresh(compressor: Compressor) -> Callable[[list[Tool], int], View]:
    def start(tools: list[Tool], budget: int) -> View:
        return lambda messages, request: compressor.select_tools(tools, budget, messages=messages, model=MODEL).tools

    return start


def _whole(method: Callable[[Case, int], list[Tool]]) -> Callable[[list[Tool], int], View]:
    def start(tools: list[Tool], budget: int) -> View:
        return lambda messages, request: method(Case("", request, tools, []), budget)

    return start


def _methods(names: Sequence[str]) -> tuple[list[Method], list[str]]:
    fast = Compressor(store="memory")
    found, notes = [], []
    for name in [n for n in METHODS if n in names]:
        if name in ("ToolSet (embedding)", "dense"):
            try:
                dense = Compressor(scorer="embedding", store="memory")
                assert isinstance(dense.scorer, ModelScorer)
            except CompressorError as error:
                notes.append(f"{name}: not run ({error}).")
                continue
            found.append(Method(name, _toolset(dense) if name != "dense" else _whole(dense_tools(dense.scorer))))
        else:
            found.append(
                Method(
                    name,
                    {"ToolSet": _toolset(fast), "fresh": _fresh(fast), "BM25 tools": _whole(bm25_tools)}[name],
                )
            )
    return found, notes


def measure(method: Method, chats: Sequence[ToolConversation], ratio: float, look: bool = False) -> dict[str, Any]:
    """Measures one method.

    `kept` of `requests` had all that they need in the list. `listed` of `named` are arguments of the reference calls
    that the list has (of the alternative that is listed best). `changed` and `broken` of `steps` changes from one call
    to the next: any difference, and a list that does not begin with the one before. `found` of `missed` requests:
    `find_tool` finds all that is missing by the user's own words.
    """
    row: dict[str, Any] = dict.fromkeys(
        ("requests", "kept", "named", "listed", "steps", "changed", "broken", "over", "errors", "missed", "found"), 0
    )
    usage, seconds, views = CallUsage(), 0.0, 0
    counter = get_counter(MODEL)
    for chat in chats:
        budget = int(counter.count_tools(chat.tools) / ratio)
        view, price = method.start(chat.tools, budget), find_price(MODEL)
        cache = PromptCacheSimulator(price)
        finder = ToolSet(Compressor(store="memory"), chat.tools, 0.5, model=MODEL)
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
        last: list[str] | None = None
        for number, request in enumerate(chat.requests):
            messages = [*messages, {"role": "user", "content": request.text}]
            for step in range(2):
                begin = time.process_time()
                try:
                    sent = view(messages, request.text)
                except BudgetTooSmallError:
                    sent, row["errors"] = [], row["errors"] + 1
                seconds, views = seconds + time.process_time() - begin, views + 1
                texts = [json.dumps(tool) for tool in sent]
                row["over"] += counter.count_tools(sent) > budget
                if last is not None:
                    row["steps"] += 1
                    row["changed"] += texts != last
                    row["broken"] += texts[: len(last)] != last
                last = texts
                parts = [(text, counter.count_tools([tool])) for text, tool in zip(texts, sent, strict=True)]
                parts += [(json.dumps(m), counter.count(json.dumps(m))) for m in messages]
                usage += cache.call(parts, ANSWER_TOKENS, 10.0 * (2 * number + step))
                if step == 0:
                    missing = _judge(request, sent, row)
                    if missing:
                        row["missed"] += 1
                        answer = finder.answer({"query": request.text})
                        row["found"] += all(any(f'"{c.name}"' in answer for c in need) for need in missing)
                        if look:
                            print(f"  {number}: {request.text[:70]} -> {[need[0].name for need in missing]}")
                    messages = [*messages, *_calls(request, number)]
            messages = [*messages, {"role": "assistant", "content": "Done."}]
    return {
        **row,
        "usd": usage.cost_usd,
        "cached": usage.cached_fraction,
        "ms": 1e3 * seconds / max(1, views),
        "chats": len(chats),
    }


def _judge(request: UserRequest, sent: Sequence[Tool], row: dict[str, Any]) -> list[tuple[ReferenceCall, ...]]:
    left = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in sent}
    missing = [need for need in request.needs if not any(call.name in left for call in need)]
    row["requests"] += 1
    row["kept"] += not missing
    for need in request.needs:
        rated = [(_listed(call, left), len(call.arguments)) for call in need if call.name in left]
        listed, named = max(rated, key=lambda r: r[0] / r[1] if r[1] else 1.0, default=(0, len(need[0].arguments)))
        row["listed"], row["named"] = row["listed"] + listed, row["named"] + named
    return missing


def _listed(call: ReferenceCall, left: dict[str, Any]) -> int:
    return sum(name in left[call.name].get("properties", {}) for name in call.arguments)


def _calls(request: UserRequest, number: int) -> list[dict[str, Any]]:
    calls = [
        {
            "id": f"{number}-{i}",
            "type": "function",
            "function": {"name": need[0].name, "arguments": json.dumps(dict.fromkeys(need[0].arguments, "x"))},
        }
        for i, need in enumerate(request.needs)
    ]
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in calls]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *answers]


def recall(compressor: Compressor | str, chats: Sequence[ToolConversation], k: int = 3) -> tuple[int, int]:
    """Returns how many requests have all that they need among the first `k` tools, by the request's own words.

    Args:
        compressor: Its `find_tool` searches; "BM25" and "dense" are the baselines.
        chats: The conversations.
        k: The number of tools.
    """
    hits = total = 0
    for chat in chats:
        names = [tool["function"]["name"] for tool in chat.tools]
        search = _search(compressor, chat.tools, k)
        for request in chat.requests:
            found = {names[i] for i in search(request.text)}
            total += 1
            hits += all(any(call.name in found for call in need) for need in request.needs)
    return hits, total


def _search(compressor: Compressor | str, tools: list[Tool], k: int) -> Callable[[str], list[int]]:
    texts = [f"{t['function']['name']} {t['function']['description']} {t['function']['parameters']}" for t in tools]
    if isinstance(compressor, Compressor):
        pool = ToolCatalog(tools, get_counter(MODEL), compressor.scorer)
        return lambda text: find_tools(pool, text)[:k]
    if compressor == "BM25":
        index = TokenIndex(texts)

        def by_terms(text: str) -> list[int]:
            scores = bm25(*matches(index, weighted_terms(((text, 1.0),))), index.lengths)
            return [int(i) for i in np.argsort(-scores, kind="stable")[:k]]

        return by_terms
    scorer = Compressor(scorer="embedding", store="memory").scorer
    assert isinstance(scorer, ModelScorer)
    cut = dense_order(scorer, tools)
    return lambda text: cut(text)[:k]


def dense_order(scorer: ModelScorer, tools: list[Tool]) -> Callable[[str], list[int]]:
    """Returns what ranks tools by the cosine of sentence vectors."""
    texts = [f"{t['function']['name']}: {t['function']['description']}" for t in tools]
    units = UnitBatch([SourceBlock("document", single_unit_layout(t), np.ones(1, np.float32)) for t in texts])

    def order(text: str) -> list[int]:
        odds = scorer.model.relevance(Query(((text, 1.0),)), units, np.arange(len(texts)))
        return [int(i) for i in np.argsort(-odds, kind="stable")]

    return order


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every group, ratio and method. `limit` caps the conversations of a group."""
    chosen, notes = _methods(methods)
    table = [
        ["conversations", "cut by", "method", "all needed sent", "arguments listed", "changed", "broken", "USD", "ms"]
    ]
    raw: list[dict[str, Any]] = []
    for group in GROUPS:
        chats = load_conversations(root, group)[:limit]
        for ratio in RATIOS:
            for method in chosen:
                row = measure(method, chats, ratio)
                raw.append({"group": group, "ratio": ratio, "method": method.name, **row})
                kept, listed = (row["kept"], row["requests"]), (row["listed"], row["named"])
                numbers = [format_fraction(*pair) for pair in (kept, listed, (row["changed"], row["steps"]))]
                costs = [str(row["broken"]), f"{row['usd']:.2f}", f"{row['ms']:.1f}"]
                table.append([group, f"{ratio:g}×", method.name, *numbers, *costs])
    notes += _recall_notes(root, [method.name for method in chosen], raw)
    return Report(
        "tools_conversation",
        "Tools over a conversation",
        [
            "Requests as users write them, over 194 tools of MCP servers (30 and 34 requests in one conversation) and",
            "148 functions of ten APIs (conversations of 2 to 6 requests): fraction of the requests of which all",
            "needed tools are in the list when it costs r times fewer tokens (gpt-4o), and of the arguments of the",
            "reference calls that the list has. *changed*, *broken*: steps from one call to the next, two calls a",
            "request, in which the list is different, and in which it does not begin with the list before. *USD*:",
            "all calls, with a simulated prompt cache. The author of the method wrote the requests first, and chose",
            "by half of them; the table of synonyms is by the same author, from general English, so not independent.",
            *notes,
        ],
        table,
        raw,
    )


def _recall_notes(root: Path, names: Sequence[str], raw: list[dict[str, Any]]) -> list[str]:
    """Measures `find_tool` by the user's own words."""
    searches: dict[str, Compressor | str] = {"find_tool": Compressor(store="memory"), "BM25": "BM25"}
    if "dense" in names:
        searches |= {"find_tool (embedding)": Compressor(scorer="embedding", store="memory"), "dense": "dense"}
    out = ["", "All that a request needs among the first three tools, by the request's own words:", ""]
    for group in GROUPS:
        chats = load_conversations(root, group)
        found = {name: recall(search, chats) for name, search in searches.items()}
        raw += [{"group": group, "search": name, "hits": h, "requests": n} for name, (h, n) in found.items()]
        out.append(f"* {group}: " + ", ".join(f"{name} {format_fraction(h, n)}" for name, (h, n) in found.items()))
    return out

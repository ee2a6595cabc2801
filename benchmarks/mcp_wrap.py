"""Measures `compressor mcp --wrap` on the tools of public MCP servers: `python -m benchmarks.mcp_wrap`.

The 194 tools of `mcp_tools` are served by a real MCP server, wrapped by a real `compressor mcp`, and read by the SDK's
client. Counted are the tokens listed before anything is known, and for each of the 15 requests whether the tools that
it needs are

* in the first list, if the request is given as `--task`
* in the answer of `find_tool(request)`, with all their parameters, or at least named there
* in the list after that answer

Beside it stands BM25 over names and descriptions: the three best tools as an answer, and as many whole tools as fit the
budget as a list. The results go to `results/mcp_wrap.json`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp_types import ListToolsResult, TextContent, Tool

from benchmarks.baselines import bm25
from benchmarks.data import folder
from compressor.tokens import get_counter

BUDGETS = (2_000, 4_000, 8_000)
BASELINE_TOOLS = 3  # as many as an answer of `find_tool` has at most
RESULT = Path(__file__).parent / "results" / "mcp_wrap.json"


def load_tools(path: Path) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    return tools


async def serve(path: Path) -> None:
    """Serves the tools of a file; they cannot be called."""
    tools = [Tool.model_validate(tool) for tool in load_tools(path)]

    async def list_tools(*_: Any) -> ListToolsResult:
        return ListToolsResult(tools=tools)

    server: Server[Any] = Server("catalog", on_list_tools=list_tools)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def count_tokens(tools: list[Tool]) -> int:
    functions = [
        {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema} for tool in tools
    ]
    return get_counter(None).count_tools([{"type": "function", "function": function} for function in functions])


def has_all(names: Collection[str], needed: list[list[str]]) -> bool:
    """Returns whether one tool of each group is among the names."""
    return all(any(name in names for name in group) for group in needed)


async def ask(path: Path, budget: int, request: dict[str, Any] | None, as_task: bool) -> dict[str, Any]:
    """Starts a server, reads its first list, and searches for the request."""
    command = shlex.join([sys.executable, "-m", "benchmarks.mcp_wrap", "--serve", str(path)])
    arguments = ["-m", "compressor.cli", "mcp", "--store", "memory", "--wrap", f"all={command}"]
    arguments += ["--tools-budget", str(budget)]
    if request is not None and as_task:
        arguments += ["--task", request["request"]]
    with open(os.devnull, "w") as nowhere:
        server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
        async with Client(stdio_client(server, errlog=nowhere), mode="legacy") as client:
            first = (await client.list_tools()).tools
            out: dict[str, Any] = {"listed": len(first), "tokens": count_tokens(first)}
            if request is None:
                return out
            out["first"] = has_all({tool.name for tool in first}, request["needed"])
            if not as_task:
                answer = (await client.call_tool("find_tool", {"query": request["request"]})).content[0]
                assert isinstance(answer, TextContent)
                out["answer_tokens"] = get_counter(None).count(answer.text)
                out["answer"] = has_all(
                    [name for group in request["needed"] for name in group if f'"name": "{name}"' in answer.text],
                    request["needed"],
                )
                out["named"] = has_all(set(re.findall(r"\w+", answer.text)), request["needed"])
                after = (await client.list_tools()).tools
                out["after"] = has_all({tool.name for tool in after}, request["needed"])
                out["tokens_after"] = count_tokens(after)
            return out


def bm25_order(tools: list[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    texts = [f"{tool['name'].replace('_', ' ')} {tool.get('description', '')}" for tool in tools]
    scores = bm25(request["request"], texts)
    return [tools[i] for i in sorted(range(len(tools)), key=lambda i: -scores[i])]


def bm25_answer(tools: list[dict[str, Any]], request: dict[str, Any]) -> bool:
    """Returns whether the needed tools are among the best ones by BM25."""
    return has_all({tool["name"] for tool in bm25_order(tools, request)[:BASELINE_TOOLS]}, request["needed"])


def bm25_list(tools: list[dict[str, Any]], request: dict[str, Any], budget: int) -> bool:
    """Returns whether the needed tools are among the best whole ones that fit the budget."""
    spent, names = 0, set()
    for tool in bm25_order(tools, request):
        cost = count_tokens([Tool.model_validate(tool)])
        if spent + cost <= budget:
            spent += cost
            names.add(tool["name"])
    return has_all(names, request["needed"])


async def run(root: Path) -> dict[str, Any]:
    path = root / "mcp_tools" / "tools.json.gz"
    tools = load_tools(path)
    requests: list[dict[str, Any]] = json.loads((root / "mcp_tools" / "requests.json").read_text(encoding="utf-8"))
    out: dict[str, Any] = {
        "tools": len(tools),
        "tokens": count_tokens([Tool.model_validate(tool) for tool in tools]),
        "requests": len(requests),
        "bm25_answer": sum(bm25_answer(tools, request) for request in requests),
        "budgets": {},
    }
    for budget in BUDGETS:
        cold = await ask(path, budget, None, False)
        searched = [await ask(path, budget, request, False) for request in requests]
        tasked = [await ask(path, budget, request, True) for request in requests]
        out["budgets"][str(budget)] = {
            "listed": cold["listed"],
            "tokens_listed": cold["tokens"],
            "most_tokens": max(one[key] for one in searched for key in ("tokens", "tokens_after")),
            "in_first_list": sum(one["first"] for one in searched),
            "in_first_list_with_task": sum(one["first"] for one in tasked),
            "in_answer": sum(one["answer"] for one in searched),
            "named_in_answer": sum(one["named"] for one in searched),
            "listed_after_answer": sum(one["after"] for one in searched),
            "bm25_list": sum(bm25_list(tools, request, budget) for request in requests),
            "answer_tokens": sum(one["answer_tokens"] for one in searched) // len(searched),
            "missed": [r["request"] for r, one in zip(requests, searched, strict=True) if not one["after"]],
        }
        print(budget, json.dumps(out["budgets"][str(budget)], ensure_ascii=False), flush=True)
    return out


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        anyio.run(serve, Path(sys.argv[2]))
        return
    root = folder()
    if root is None or not (root / "mcp_tools").is_dir():
        print("no data: set COMPRESSOR_BENCH_DATA to a folder with mcp_tools")
        return
    results = asyncio.run(run(root))
    RESULT.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print({key: value for key, value in results.items() if key != "budgets"})


if __name__ == "__main__":
    main()

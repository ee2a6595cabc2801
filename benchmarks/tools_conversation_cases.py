"""Reads the conversations of `tools_conversation`: requests as users write them, and the calls that do them."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import records
from benchmarks.tool_cases import convert_types

CASES = Path(__file__).with_suffix(".txt")
#: Two of the leaderboard's memory APIs have functions of the same names; this one is left out.
DOUBLE_API = "memory_vector"
_CALL = re.compile(r"(\w+)\(([\w,]*)\)")


@dataclass(frozen=True)
class ReferenceCall:
    """A function and the arguments that a call of it would carry."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class UserRequest:
    """A request, and for each of its needs the calls of which one is enough."""

    text: str
    needs: tuple[tuple[ReferenceCall, ...], ...]


@dataclass(frozen=True)
class ToolConversation:
    """Requests of one user in order, with all tools of the agent in OpenAI's format."""

    group: str
    tools: list[dict[str, Any]]
    requests: list[UserRequest]


def load_conversations(root: Path, group: str) -> list[ToolConversation]:
    """Returns the conversations of a group, such as "mcp held out"."""
    tools = mcp_tools(root) if group.startswith("mcp") else api_tools(root)
    chats = written_requests(group)
    if group == "mcp development":
        chats = [[*_shared_requests(root), *chats[0]]]
    return [ToolConversation(group, tools, requests) for requests in chats]


def written_requests(group: str) -> list[list[UserRequest]]:
    """Returns the conversations of a group as the file has them."""
    found: list[list[UserRequest]] = [[]]
    current = ""
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == group and not line.strip():
            found.append([])
        elif current == group and " => " in line:
            text, calls = line.split(" => ")
            needs = [_CALL.findall(need) for need in calls.split(" + ")]
            found[-1].append(
                UserRequest(
                    text,
                    tuple(
                        tuple(ReferenceCall(name, tuple(filter(None, names.split(",")))) for name, names in need)
                        for need in needs
                    ),
                )
            )
    return [requests for requests in found if requests]


def mcp_tools(root: Path) -> list[dict[str, Any]]:
    """Returns the tools of the MCP servers."""
    with gzip.open(root / "mcp_tools" / "tools.json.gz", "rt", encoding="utf-8") as file:
        given = json.load(file)
    return [_chat(tool["name"], tool.get("description") or "", tool["inputSchema"]) for tool in given]


def api_tools(root: Path) -> list[dict[str, Any]]:
    """Returns the functions of the leaderboard's multi-turn APIs."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((root / "bfcl" / "multi_turn_func_doc").glob("*.json.gz")):
        for function in records(path) if not path.name.startswith(DOUBLE_API) else ():
            name, about = function["name"], function["description"]
            found.setdefault(name, _chat(name, about, convert_types(function["parameters"])))
    return list(found.values())


def _chat(name: str, description: str, parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _shared_requests(root: Path) -> list[UserRequest]:
    given = json.loads((root / "mcp_tools" / "requests.json").read_text(encoding="utf-8"))
    return [
        UserRequest(case["request"], tuple(tuple(ReferenceCall(name, ()) for name in need) for need in case["needed"]))
        for case in given
    ]

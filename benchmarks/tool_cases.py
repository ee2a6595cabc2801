"""Builds cases of tool selection from the Berkeley Function Calling Leaderboard: request, tools and expected calls.

A pool holds the case's own functions and others of the single-turn suites, drawn at random with a fixed seed. Type
names of other languages ("dict", "float", "HashMap") are converted to JSON Schema's, as in the leaderboard.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import records, sample

SUITES = (
    "multiple",
    "live_multiple",
    "parallel_multiple",
    "live_parallel_multiple",
    "simple_python",
    "simple_java",
    "simple_javascript",
    "live_simple",
    "parallel",
    "live_parallel",
)
_TYPES = {"dict": "object", "float": "number", "double": "number", "tuple": "array", "list": "array", "long": "integer"}
_TYPES |= {
    "char": "string",
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "short": "integer",
    "byte": "integer",
}
_TYPES |= {"hashmap": "object", "arraylist": "array", "array": "array"}
_KNOWN = {"object", "array", "string", "integer", "number", "boolean", "null"}


@dataclass(frozen=True)
class Case:
    """A request, the tools in OpenAI's format, and the expected calls as (function, arguments)."""

    suite: str
    request: str
    tools: list[dict[str, Any]]
    calls: list[tuple[str, dict[str, Any]]]

    @property
    def needed(self) -> set[str]:
        """Names of the functions in the expected calls."""
        return {name for name, _ in self.calls}


@dataclass(frozen=True)
class _Row:
    suite: str
    request: str
    functions: list[dict[str, Any]]
    calls: list[tuple[str, dict[str, Any]]]


def convert_types(schema: Any) -> Any:
    """Converts the types of a schema to JSON Schema's; a type without an equivalent ("any") is removed."""
    if not isinstance(schema, Mapping):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            kind = _TYPES.get(value.lower(), value.lower())
            if kind in _KNOWN:
                out[key] = kind
        elif key == "properties" and isinstance(value, Mapping):
            out[key] = {name: convert_types(part) for name, part in value.items()}
        else:
            out[key] = convert_types(value) if key in ("items", "additionalProperties") else value
    return out


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    inner = {**function, "parameters": convert_types(function["parameters"])}
    return {"type": "function", "function": inner}


def _rows(root: Path) -> list[_Row]:
    out = []
    for suite in SUITES:
        path = root / "bfcl" / f"BFCL_v4_{suite}.json.gz"
        answers = root / "bfcl" / "possible_answer" / path.name
        if not path.exists() or not answers.exists():
            continue
        truth = {row["id"]: row["ground_truth"] for row in records(answers)}
        for row in records(path):
            requests = [m["content"] for turn in row["question"] for m in turn if m["role"] == "user"]
            calls = [(name, _first(given)) for call in truth[row["id"]] for name, given in call.items()]
            out.append(_Row(suite, "\n".join(requests), row["function"], calls))
    return out


def _first(given: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Takes the first accepted value of each argument; arguments that may be omitted ("") are omitted."""
    out = {}
    for name, values in given.items():
        value = next((v for v in values if v != ""), None)
        if value is not None and "" not in values[:1]:
            out[name] = _plain(value)
    return out


def _plain(value: Any) -> Any:
    """Takes the first of nested accepted values, which are lists too."""
    if isinstance(value, dict):
        return {k: _plain(v[0]) if isinstance(v, list) and v else v for k, v in value.items() if v != [""]}
    if isinstance(value, list):
        return [_plain(v) if isinstance(v, dict) else v for v in value]
    return value


def pool_cases(root: Path, size: int, limit: int) -> list[Case]:
    """Returns at most `limit` cases, evenly spread over the suites, each with `size` tools."""
    rows = _rows(root)
    named: dict[str, dict[str, Any]] = {}
    for row in rows:
        for function in row.functions:
            named.setdefault(function["name"], function)
    names = sorted(named)
    drawn = random.Random(0)
    out = []
    for row in sample(rows, limit):
        own = {function["name"]: function for function in row.functions}
        others = [name for name in drawn.sample(names, min(len(names), size + len(own))) if name not in own]
        tools = [*own.values(), *(named[name] for name in others[: max(0, size - len(own))])]
        drawn.shuffle(tools)
        out.append(Case(row.suite, row.request, [_tool(f) for f in tools], row.calls))
    return out


def own_lists(root: Path, min_tools: int, limit: int) -> list[Case]:
    """Returns cases that come with at least `min_tools` functions of their own, which are related to each other."""
    rows = [row for row in _rows(root) if len({f["name"] for f in row.functions}) >= min_tools]
    out = []
    for row in sample(rows, limit):
        own = {function["name"]: function for function in row.functions}
        out.append(Case(row.suite, row.request, [_tool(f) for f in own.values()], row.calls))
    return out


def reference_calls(root: Path) -> Iterator[tuple[str, str, str, dict[str, Any], dict[str, Any]]]:
    """Yields every reference call: its suite, the request, the function's name and schema, and the arguments."""
    for row in _rows(root):
        schemas = {function["name"]: convert_types(function["parameters"]) for function in row.functions}
        for name, arguments in row.calls:
            if name in schemas:
                yield row.suite, row.request, name, schemas[name], arguments

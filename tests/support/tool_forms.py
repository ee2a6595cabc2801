"""The same function in every form in which tools are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = dict[str, Any]  # name, description, parameters


@dataclass
class SchemaTool:
    """A tool as an agent SDK has it."""

    name: str
    description: str
    params_json_schema: dict[str, Any]


class ServerTool:
    """A tool as an MCP client has it."""

    def __init__(self, function: Function) -> None:
        self.name, self.description, self.inputSchema = (
            function["name"],
            function["description"],
            function["parameters"],
        )
        self.annotations = {"destructiveHint": True}
        self.outputSchema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
        self.title = f"The {self.name}"


def _inner(function: Function, key: str, **more: Any) -> dict[str, Any]:
    return {"name": function["name"], "description": function["description"], key: function["parameters"], **more}


FORMS: dict[str, Callable[[Function], Any]] = {
    "openai chat": lambda f: {"type": "function", "function": _inner(f, "parameters")},
    "openai chat, strict": lambda f: {"type": "function", "function": _inner(f, "parameters", strict=True)},
    "openai responses": lambda f: {"type": "function", **_inner(f, "parameters")},
    "anthropic": lambda f: _inner(f, "input_schema"),
    "anthropic, custom": lambda f: {"type": "custom", **_inner(f, "input_schema", cache_control={"type": "ephemeral"})},
    "mcp": lambda f: _inner(f, "inputSchema"),
    "mcp, annotated": lambda f: _inner(
        f,
        "inputSchema",
        title="A title",
        annotations={"title": "A title", "readOnlyHint": False},
        outputSchema={"type": "object", "properties": {"ok": {"type": "boolean"}}},
        _meta={"version": 3},
    ),
    "mcp object": ServerTool,
    "gemini": lambda f: {"functionDeclarations": [_inner(f, "parameters")]},
    "gemini, snake case": lambda f: {"function_declarations": [_inner(f, "parameters_json_schema")]},
    "bedrock": lambda f: {
        "toolSpec": {
            "name": f["name"],
            "description": f["description"],
            "inputSchema": {"json": f["parameters"]},
        }
    },
    "plain": lambda f: _inner(f, "parameters"),
    "sdk object": lambda f: SchemaTool(f["name"], f["description"], f["parameters"]),
}

"""One tool as its provider takes it: finds name, description and parameters, and writes others in their place.

Knows the wire forms of functions (OpenAI chat and Responses, Anthropic, MCP, a bare `{"name", "parameters"}`). Whatever
else stands in a list of tools (web search, computer use, tools whose loading is deferred) is the provider's own and
has no `FunctionTool`. Shortens and judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.errors import ContextError

_SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema")
_PLAIN_TYPES = (None, "function", "custom")  # Anthropic's own functions have the type "custom", or none


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function among the tools. `schema` is the caller's own object, or None where there is none; `outer` the key
    that wraps the function ("function" in OpenAI chat), `key` the one its schema stands under."""

    tool: Mapping[str, Any]
    name: str
    description: str
    schema: Any
    outer: str
    key: str
    strict: bool

    def written(self, description: str, schema: Any, examples: bool = True) -> dict[str, Any]:
        """The tool with another description and schema, all else as it was; an empty description leaves the key out.
        `examples`: whether the calls that Anthropic's `input_examples` show stay."""
        inner: dict[str, Any] = {}
        for key, value in (self.tool[self.outer] if self.outer else self.tool).items():
            if key == "description":
                value = description
            elif key == self.key:
                value = schema
            if not (key == "description" and not value) and not (key == "input_examples" and not examples):
                inner[key] = value
        if not self.outer:
            return inner
        return {key: inner if key == self.outer else value for key, value in self.tool.items()}


def parse_function(tool: Any, index: int) -> FunctionTool | None:
    """The function, None for what is the provider's own. ContextError for what is no tool at all."""
    if not isinstance(tool, Mapping):
        raise ContextError(f"tool {index}: give its schema as a dict, not {type(tool).__name__}")
    if tool.get("type") not in _PLAIN_TYPES or tool.get("defer_loading"):
        return None
    outer = "function" if isinstance(tool.get("function"), Mapping) else ""
    inner = tool[outer] if outer else tool
    key = next((k for k in _SCHEMA_KEYS if k in inner), "")
    if not key and "type" in tool and not outer and tool["type"] != "function":
        return None  # an Anthropic "custom" tool has a schema; without one we do not know what it is
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        if not key and not outer and tool.get("type") is None:
            return None  # {"functionDeclarations": [...]}, {"googleSearch": {}}
        raise ContextError(f"tool {index}: a function needs a name")
    about = inner.get("description")
    return FunctionTool(
        tool,
        name,
        about if isinstance(about, str) else "",
        inner.get(key) if key else None,
        outer,
        key,
        bool(inner.get("strict") or tool.get("strict")),
    )


def parse_functions(tools: Sequence[Any]) -> list[FunctionTool | None]:
    """The function of each tool. ContextError for a list that no provider would take: a tool that is none, a function
    without a name, two of one name."""
    found = [parse_function(tool, index) for index, tool in enumerate(tools)]
    seen: dict[str, int] = {}
    for index, function in enumerate(found):
        if function is not None and seen.setdefault(function.name, index) != index:
            raise ContextError(f"tools {seen[function.name]} and {index} are both called {function.name!r}: rename one")
    return found


def forced_tool_names(tool_choice: Any) -> set[str]:
    """Names of the functions that a `tool_choice` forces, in any provider's form; "auto" and the like name none."""
    if isinstance(tool_choice, str):
        return {tool_choice}  # LangChain takes a bare name; no tool is called "auto"
    if not isinstance(tool_choice, Mapping):
        return set()
    inner = tool_choice.get("function")
    name = inner.get("name") if isinstance(inner, Mapping) else tool_choice.get("name")
    names = {name} if isinstance(name, str) else set()
    allowed = tool_choice.get("allowed_tools")
    listed = tool_choice.get("tools") or (allowed.get("tools") if isinstance(allowed, Mapping) else None)
    for entry in listed if isinstance(listed, Sequence) else ():
        names |= forced_tool_names(entry)
    return names


def dump_tool(tool: Any) -> str:
    """A tool as the JSON text that stands behind its ref. ContextError where it has none."""
    try:
        return json.dumps(tool, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"a tool has no JSON form: {error}") from error

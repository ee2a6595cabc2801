"""Parses tools in the formats of all providers, and writes them with another description and schema.

Functions are understood in the formats of OpenAI chat and Responses, Anthropic and MCP, and as a plain `{"name",
"parameters"}`. All other entries of a list of tools (web search, computer use, tools whose loading is deferred) are
native tools of the provider and have no `FunctionTool`.
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
    """A tool that is a function.

    Attributes:
        tool: The tool as given.
        name: The name of the function.
        description: Its description, "" if it has none.
        schema: The caller's own schema of the parameters, or None.
        wrapper_key: The key that wraps the function ("function" in OpenAI chat), or "".
        schema_key: The key of the schema ("parameters", "input_schema"), or "".
        strict: Whether the provider enforces the schema, so that every parameter must be listed.
    """

    tool: Mapping[str, Any]
    name: str
    description: str
    schema: Any
    wrapper_key: str
    schema_key: str
    strict: bool

    def replaced(self, description: str, schema: Any, examples: bool = True) -> dict[str, Any]:
        """Returns a copy of the tool with another description and schema.

        Args:
            description: The description; "" removes the key.
            schema: The schema.
            examples: Whether Anthropic's `input_examples` stay.
        """
        inner: dict[str, Any] = {}
        for key, value in (self.tool[self.wrapper_key] if self.wrapper_key else self.tool).items():
            if key == "description":
                value = description
            elif key == self.schema_key:
                value = schema
            if not (key == "description" and not value) and not (key == "input_examples" and not examples):
                inner[key] = value
        if not self.wrapper_key:
            return inner
        return {key: inner if key == self.wrapper_key else value for key, value in self.tool.items()}


def parse_function(tool: Any, index: int) -> FunctionTool | None:
    """Parses one tool.

    Args:
        tool: The tool as given.
        index: Its position, for messages.

    Returns:
        The function, or None for a native tool.

    Raises:
        ContextError: If it is not a tool.
    """
    if not isinstance(tool, Mapping):
        raise ContextError(f"tool {index} must be a dict with its schema, not {type(tool).__name__}")
    if tool.get("type") not in _PLAIN_TYPES or tool.get("defer_loading"):
        return None
    outer = "function" if isinstance(tool.get("function"), Mapping) else ""
    inner = tool[outer] if outer else tool
    key = next((k for k in _SCHEMA_KEYS if k in inner), "")
    if not key and "type" in tool and not outer and tool["type"] != "function":
        return None  # an Anthropic "custom" tool has a schema; without one this is an unknown kind of tool
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        if not key and not outer and tool.get("type") is None:
            return None  # {"functionDeclarations": [...]}, {"googleSearch": {}}
        raise ContextError(f"tool {index}: the function has no name")
    description = inner.get("description")
    return FunctionTool(
        tool,
        name,
        description if isinstance(description, str) else "",
        inner.get(key) if key else None,
        outer,
        key,
        bool(inner.get("strict") or tool.get("strict")),
    )


def parse_functions(tools: Sequence[Any]) -> list[FunctionTool | None]:
    """Parses a list of tools.

    Returns:
        The function of each tool, None for a native one.

    Raises:
        ContextError: If an entry is not a tool, a function has no name, or two functions have the same name.
    """
    found = [parse_function(tool, index) for index, tool in enumerate(tools)]
    seen: dict[str, int] = {}
    for index, function in enumerate(found):
        if function is not None and seen.setdefault(function.name, index) != index:
            raise ContextError(f"tools {seen[function.name]} and {index} are both called {function.name!r}: rename one")
    return found


def forced_tool_names(tool_choice: Any) -> set[str]:
    """Returns the names of the functions that a `tool_choice` in any provider's format forces; none for "auto"."""
    if isinstance(tool_choice, str):
        return {tool_choice}  # LangChain accepts a plain name; no tool is called "auto"
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
    """Returns a tool as the JSON that its ref expands to. Raises ContextError if it is not JSON."""
    try:
        return json.dumps(tool, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"a tool cannot be written as JSON: {error}") from error

"""Parses a list of tools: functions in every form, and native tools of the provider, which have no `FunctionTool`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.context.formats.function_tools import FunctionTool, read_function
from compressor.context.formats.tool_objects import json_default, read_tool_object
from compressor.errors import ContextError

__all__ = ["FunctionTool", "dump_tool", "forced_tool_names", "parse_function", "parse_functions"]

#: The key of Gemini's choice and that of its list of names, in both spellings.
_GEMINI_CHOICES = {
    "functionCallingConfig": "allowedFunctionNames",
    "function_calling_config": "allowed_function_names",
}


def parse_function(tool: Any, index: int) -> FunctionTool | None:
    """Parses one tool.

    Args:
        tool: The tool as given.
        index: Its position, for messages.

    Returns:
        The function, or None for a native tool and for one whose loading is deferred.

    Raises:
        ContextError: If it is not a tool.
    """
    function = read_function(tool)
    if function is None:
        if isinstance(tool, Mapping) or read_tool_object(tool) is not None:
            return None
        raise ContextError(f"tool {index} must be a dict or an object with a schema, not {type(tool).__name__}")
    if isinstance(function.data, Mapping) and function.data.get("defer_loading"):
        return None
    if not function.name:
        raise ContextError(f"tool {index}: the function has no name")
    return function


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
    wrapped = (tool_choice.get(key) for key in ("function", "tool"))  # OpenAI chat, Bedrock
    inner = next((value for value in wrapped if isinstance(value, Mapping)), tool_choice)
    names = {inner["name"]} if isinstance(inner.get("name"), str) else set()
    for key, listed_key in _GEMINI_CHOICES.items():
        config = tool_choice.get(key, tool_choice)
        listed = config.get(listed_key) if isinstance(config, Mapping) else None
        names |= {name for name in listed if isinstance(name, str)} if isinstance(listed, list | tuple) else set()
    allowed = tool_choice.get("allowed_tools")
    listed = tool_choice.get("tools") or (allowed.get("tools") if isinstance(allowed, Mapping) else None)
    for entry in listed if isinstance(listed, Sequence) else ():
        names |= forced_tool_names(entry)
    return names


def dump_tool(tool: Any) -> str:
    """Returns a tool as the JSON that its ref expands to. Raises ContextError if it is not JSON."""
    try:
        return json.dumps(tool, ensure_ascii=False, default=json_default)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"a tool cannot be written as JSON: {error}") from error

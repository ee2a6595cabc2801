"""Converts pydantic-ai's tool definitions to tool schemas, and shortened schemas back to definitions.

Only the definitions in a request change. The agent's toolsets keep all tools, so a tool that a request does not list
runs as usual when the model calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_ai.tools import ToolDefinition

from compressor.pipeline.tools import search_tool

Json = dict[str, Any]


@dataclass(frozen=True)
class RequestParts:
    """What a request has beside its messages.

    Attributes:
        system: The instructions.
        tools: The definitions of the function tools.
        output_tools: The definitions of the output tools, which are never cut.
        tool_choice: The model setting `tool_choice`.
    """

    system: str = ""
    tools: list[ToolDefinition] = field(default_factory=list)
    output_tools: Sequence[ToolDefinition] = ()
    tool_choice: Any = None


def to_schema(tool: ToolDefinition) -> Json:
    """Returns the schema of a tool in Anthropic's form."""
    schema: Json = {
        "name": tool.name,
        "description": tool.description or "",
        "input_schema": tool.parameters_json_schema,
    }
    return schema | {"strict": True} if tool.strict else schema


def to_tool_choice(setting: Any) -> Any:
    """Returns the model setting `tool_choice` as a provider has it: names of tools become a list of allowed tools."""
    names = getattr(setting, "function_tools", setting)
    if isinstance(names, (list, tuple)):
        return {"type": "allowed_tools", "tools": [{"name": name} for name in names]}
    return setting


def without_find_tool(tools: Sequence[ToolDefinition]) -> list[ToolDefinition]:
    """Returns the tools without `find_tool`, which a request lists only if something is missing."""
    return [tool for tool in tools if tool.name != search_tool.NAME]


def apply_schemas(
    tools: Sequence[ToolDefinition], schemas: Sequence[Json], listed: Sequence[Json]
) -> list[ToolDefinition]:
    """Returns the definitions to send; those of unchanged tools are the same objects.

    Args:
        tools: The definitions.
        schemas: Their schemas, as `to_schema` made them.
        listed: The schemas to send: some of these objects, shortened ones, and that of `find_tool`.
    """
    unchanged = {id(schema): tool for schema, tool in zip(schemas, tools, strict=True)}
    by_name = {tool.name: tool for tool in tools}
    made = []
    for schema in listed:
        tool = unchanged.get(id(schema)) or by_name.get(schema["name"])
        if tool is None:
            tool = ToolDefinition(
                name=schema["name"], parameters_json_schema=schema["input_schema"], description=schema["description"]
            )
        elif id(schema) not in unchanged:
            # Strict mode, which pydantic-ai may turn on by itself, would refuse parameters that are not listed.
            strict = False if tool.strict is None else tool.strict
            description = schema.get("description")
            tool = replace(tool, parameters_json_schema=schema["input_schema"], description=description, strict=strict)
        made.append(tool)
    return made

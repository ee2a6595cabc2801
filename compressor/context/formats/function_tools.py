"""Reads function tools in every form, and writes them in the same form with another description and schema.

The forms are those of OpenAI chat and Responses, Anthropic, MCP, Gemini and Bedrock, a plain `{"name", "parameters"}`,
and objects (see `tool_objects`). This is the only place that knows under which key a form keeps its schema. All other
entries of a list of tools (web search, computer use) are native tools of the provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.context.formats.function_schema import function_schema
from compressor.context.formats.tool_objects import read_tool_object

#: Under which key the schema is: OpenAI, Anthropic, MCP, Gemini (two spellings), the OpenAI Agents SDK.
_SCHEMA_KEYS = (
    "parameters",
    "input_schema",
    "inputSchema",
    "parametersJsonSchema",
    "parameters_json_schema",
    "params_json_schema",
)
_FORM_BY_SCHEMA_KEY = {"input_schema": "anthropic", "inputSchema": "mcp"}
_DECLARATION_KEYS = ("functionDeclarations", "function_declarations")
_BEDROCK_KEY = "toolSpec"
_PLAIN_TYPES = (None, "function", "custom")  # Anthropic's own functions have the type "custom", or none


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool that is a function.

    Attributes:
        tool: The tool as given.
        name: The name of the function, "" if it has none.
        description: Its description, "" if it has none.
        schema: The caller's own schema of the parameters, or None.
        form: The form it is in: "openai_chat", "openai_responses", "anthropic", "mcp", "gemini", "bedrock" or "plain".
        wrapper_key: The key that wraps the function ("function" in OpenAI chat), or "".
        schema_key: The key of the schema ("parameters", "input_schema"), or "".
        strict: Whether the provider enforces the schema, so that every parameter must be listed.
        examples: Anthropic's `input_examples`, or None.
        data: The tool as JSON values: the tool itself, or what its object says.
        rebuild: Makes an object like the one given from changed `data`, or None if the data is what is sent.
    """

    tool: Any
    name: str
    description: str
    schema: Any
    form: str
    wrapper_key: str = ""
    schema_key: str = ""
    strict: bool = False
    examples: Any = None
    data: Any = None
    rebuild: Callable[[dict[str, Any]], Any] | None = None

    def replaced(self, description: str, schema: Any, examples: bool = True) -> Any:
        """Returns a copy of the tool, in its form, with another description and schema.

        Args:
            description: The description; "" removes the key.
            schema: The schema.
            examples: Whether Anthropic's `input_examples` stay.
        """
        inner: dict[str, Any] = {}
        for key, value in _unwrap(self.data, self.wrapper_key).items():
            if key == "description":
                value = description
            elif key == self.schema_key:
                value = {**value, "json": schema} if self.form == "bedrock" else schema
            if not (key == "description" and not value) and not (key == "input_examples" and not examples):
                inner[key] = value
        out = inner
        if self.wrapper_key:
            wrapped = [inner] if self.form == "gemini" else inner
            out = {key: wrapped if key == self.wrapper_key else value for key, value in self.data.items()}
        return self.rebuild(out) if self.rebuild is not None else out

    def as_sent(self, form: str) -> dict[str, Any]:
        """Returns what a client sends of the function to a provider: its name, description, schema and examples.

        Args:
            form: The form of the provider, as for `function_schema`.
        """
        schema = self.schema if self.schema is not None else {"type": "object", "properties": {}}
        out = function_schema(form, self.name, self.description, schema)
        return out if self.examples is None else {**out, "input_examples": self.examples}


def read_function(tool: Any) -> FunctionTool | None:
    """Reads one tool in any form.

    Args:
        tool: A mapping with one function, or an object.

    Returns:
        The function, or None for a native tool and for any other value. A function without a valid name has the
        name "".
    """
    if isinstance(tool, Mapping):
        return _read_mapping(tool, tool, None)
    found = read_tool_object(tool)
    return _read_mapping(tool, *found) if found is not None else None


def _read_mapping(
    tool: Any, data: Mapping[str, Any], rebuild: Callable[[dict[str, Any]], Any] | None
) -> FunctionTool | None:
    kind = data.get("type")
    wrapper, form, inner = "", "", data
    if isinstance(data.get(_BEDROCK_KEY), Mapping):
        wrapper, form, inner = _BEDROCK_KEY, "bedrock", data[_BEDROCK_KEY]
    elif key := declaration_key(data):
        if len(data[key]) != 1 or not isinstance(data[key][0], Mapping):
            return None
        wrapper, form, inner = key, "gemini", data[key][0]
    elif not isinstance(kind, str | None) or kind not in _PLAIN_TYPES:
        return None
    elif isinstance(data.get("function"), Mapping):
        wrapper, form, inner = "function", "openai_chat", data["function"]
    schema_key = next((k for k in _SCHEMA_KEYS if k in inner), "")
    name, description = inner.get("name"), inner.get("description")
    if not schema_key and not wrapper and (kind == "custom" or (kind is None and not isinstance(name, str))):
        return None  # Anthropic's "custom" tools have a schema; without one this is an unknown kind of tool
    schema = inner.get(schema_key) if schema_key else None
    if form == "bedrock":
        schema = schema.get("json") if isinstance(schema, Mapping) else None
    return FunctionTool(
        tool,
        name if isinstance(name, str) else "",
        description if isinstance(description, str) else "",
        schema,
        form or ("openai_responses" if kind == "function" else _FORM_BY_SCHEMA_KEY.get(schema_key, "plain")),
        wrapper,
        schema_key,
        bool(inner.get("strict") or data.get("strict")),
        inner.get("input_examples"),
        data,
        rebuild,
    )


def _unwrap(data: Mapping[str, Any], wrapper_key: str) -> Mapping[str, Any]:
    if not wrapper_key:
        return data
    inner: Any = data[wrapper_key]
    found: Mapping[str, Any] = inner[0] if isinstance(inner, list | tuple) else inner
    return found


def declaration_key(tool: Any) -> str:
    """Returns the key under which a tool of Gemini lists its functions, "" for other tools."""
    if not isinstance(tool, Mapping):
        return ""
    return next((key for key in _DECLARATION_KEYS if isinstance(tool.get(key), list | tuple) and tool[key]), "")


def split_declarations(tool: Any) -> list[Any]:
    """Returns one tool for each function that an entry declares, and one for the rest of the entry.

    Only Gemini's entries declare several functions. All other tools, and entries with one function alone, are returned
    as they are.
    """
    key = declaration_key(tool)
    if not key:
        data = None if isinstance(tool, Mapping) else read_tool_object(tool)
        key = declaration_key(data[0]) if data is not None else ""
        tool = data[0] if data is not None and key else tool
    if not key or (len(tool[key]) == 1 and len(tool) == 1):
        return [tool]
    rest = {name: value for name, value in tool.items() if name != key}
    return [*({key: [declaration]} for declaration in tool[key]), *([rest] if rest else [])]


def join_declarations(tools: Sequence[Any]) -> list[Any]:
    """Joins adjacent entries that declare functions, as Gemini requires; the reverse of `split_declarations`."""
    out: list[Any] = []
    for tool in tools:
        key = declaration_key(tool)
        if key and len(tool) == 1 and out and declaration_key(out[-1]) == key and len(out[-1]) == 1:
            out[-1] = {key: [*out[-1][key], *tool[key]]}
        else:
            out.append(tool)
    return out

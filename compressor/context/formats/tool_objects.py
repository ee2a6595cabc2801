"""Reads tools that are objects: those of MCP, LangChain and agent SDKs, pydantic models, and Python functions."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

#: Attributes that hold a schema: MCP (two spellings), the OpenAI Agents SDK, pydantic-ai, tools of one's own.
_SCHEMA_ATTRIBUTES = ("inputSchema", "input_schema", "params_json_schema", "parameters_json_schema", "parameters")
_TYPE_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
_INJECTED = ("self", "cls")

ToolData = tuple[Mapping[str, Any], Callable[[dict[str, Any]], Any] | None]


def read_tool_object(tool: Any) -> ToolData | None:
    """Reads a tool that is not a mapping.

    Args:
        tool: An object with a name and a schema (of MCP, LangChain, an agent SDK), a pydantic model, or a function.

    Returns:
        The tool as JSON values, and a function that makes an object of the same class from changed values. The function
        is None where the changed values are sent themselves: a shortened LangChain tool, model or function is a schema
        in OpenAI's form. None if the object is no tool.
    """
    if isinstance(tool, str | bytes | int | float | None):
        return None
    if isinstance(tool, type):
        schema = _model_schema(tool)
        return None if schema is None else (_as_chat(tool.__name__, _about(schema, tool), schema), None)
    name = getattr(tool, "name", None)
    if isinstance(name, str) and (hasattr(tool, "args_schema") or isinstance(getattr(tool, "args", None), Mapping)):
        about = getattr(tool, "description", None)
        return _as_chat(name, about if isinstance(about, str) else "", _langchain_schema(tool)), None
    if getattr(tool, "__pydantic_fields_set__", None) is not None:
        data = tool.model_dump(by_alias=True, exclude_none=True, mode="json", warnings=False)
        return (data, type(tool).model_validate) if isinstance(data, dict) else None
    key = next((k for k in _SCHEMA_ATTRIBUTES if isinstance(getattr(tool, k, None), Mapping)), "")
    if isinstance(name, str) and key:
        strict = getattr(tool, "strict_json_schema", None) or getattr(tool, "strict", None)
        data = {"name": name, "description": getattr(tool, "description", None), key: getattr(tool, key)}
        return (data | ({"strict": True} if strict is True else {})), _replacer(tool, key)
    if inspect.isroutine(tool):
        return _as_chat(tool.__name__, inspect.getdoc(tool) or "", _signature_schema(tool)), None
    return None


def json_default(value: Any) -> Any:
    """Returns what `json.dumps` writes for an object in a list of tools."""
    found = read_tool_object(value)
    return found[0] if found is not None else str(value)


def _as_chat(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {key: value for key, value in schema.items() if key not in ("title", "description")}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _about(schema: Mapping[str, Any], model: Any) -> str:
    about = schema.get("description")
    return about if isinstance(about, str) else (inspect.getdoc(model) or "" if "__doc__" in vars(model) else "")


def _model_schema(model: Any) -> Mapping[str, Any] | None:
    describe = getattr(model, "model_json_schema", None)
    schema = describe() if callable(describe) else None
    return schema if isinstance(schema, Mapping) else None


def _langchain_schema(tool: Any) -> Mapping[str, Any]:
    for key in ("tool_call_schema", "args_schema"):  # the first one leaves out what the model must not fill in
        found = getattr(tool, key, None)
        schema = found if isinstance(found, Mapping) else _model_schema(found)
        if schema is not None:
            return schema
    arguments = getattr(tool, "args", None)
    return {"type": "object", "properties": arguments if isinstance(arguments, Mapping) else {}}


def _replacer(tool: Any, key: str) -> Callable[[dict[str, Any]], Any] | None:
    """Makes copies of a dataclass with other values; other objects are replaced by their values."""
    if not dataclasses.is_dataclass(tool) or isinstance(tool, type):
        return None
    names = {field.name for field in dataclasses.fields(tool)} & {"description", key}
    return lambda data: dataclasses.replace(tool, **{name: data.get(name) for name in names})


def _signature_schema(function: Any) -> dict[str, Any]:
    """The schema of a function's parameters, from its signature and its annotations."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {"type": "object", "properties": {}}
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        hints = {}
    properties, required = {}, []
    for name, parameter in parameters.items():
        if name in _INJECTED or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        properties[name] = _annotation_schema(hints.get(name))
        if parameter.default is parameter.empty:
            required.append(name)
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _annotation_schema(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        words = next((text for text in arguments[1:] if isinstance(text, str)), None)
        return {**_annotation_schema(arguments[0]), **({"description": words} if words else {})}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        options = [_annotation_schema(each) for each in arguments if each is not type(None)]
        return options[0] if len(options) == 1 else {"anyOf": options}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    schema = _model_schema(hint)
    if schema is not None:
        return dict(schema)
    kind = _TYPE_NAMES.get(origin or hint)
    if kind == "array" and arguments:
        return {"type": kind, "items": _annotation_schema(arguments[0])}
    return {"type": kind} if kind else {}

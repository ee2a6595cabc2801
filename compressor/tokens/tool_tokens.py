"""Counts what tool schemas cost in tokens.

* OpenAI models: the cookbook's formula ("How to count tokens with tiktoken", section 7), exact for flat schemas. What
  it does not cover (nested schemas, defaults, formats, definitions, built-in tools) is added as compact JSON, which is
  an upper bound.
* Anthropic models: the schemas as compact JSON, plus the system prompt that switches tool use on: 346 tokens with
  `tool_choice` auto (pricing page, Claude 3.7 to 4.6).
* Other models: the schemas as compact JSON, plus 120 tokens for the text that chat templates put around them (Qwen's is
  the longest of the common ones).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.errors import ContextError
from compressor.tokens.model_families import ModelFamily

_ANTHROPIC_PROMPT = 346
_TEMPLATE_PROMPT = 120
_FUNC_INIT = {"o200k_base": 7, "cl100k_base": 10}
_PROP_INIT = 3
_PROP_KEY = 3
_ENUM_INIT = -3
_ENUM_ITEM = 3
_FUNC_END = 12
#: Keys of a parameter schema that the formula covers or that the API leaves out.
_COVERED = {"type", "properties", "required", "additionalProperties", "$schema"}
_PROPERTY_COVERED = {"type", "description", "enum"}

TokenLength = Callable[[str], int]


def count_tool_tokens(tools: Sequence[Any] | None, family: ModelFamily, length: TokenLength) -> int:
    """Returns the tokens of all schemas together; 0 for none.

    Args:
        tools: Tools, each a mapping in any provider's form, an object with `name`, `description` and `args` (as
            LangChain's), a pydantic model, or a function.
        family: The model's family.
        length: Counts the tokens of a text.

    Raises:
        ContextError: A schema is cyclic or nested too deeply.
    """
    if not tools:
        return 0
    schemas = [_schema(tool) for tool in tools]
    if family.tools == "openai":
        return sum(_openai(schema, _FUNC_INIT[family.encoding], length) for schema in schemas) + _FUNC_END
    prompt = _ANTHROPIC_PROMPT if family.tools == "anthropic" else _TEMPLATE_PROMPT
    return sum(length(_json(schema)) for schema in schemas) + prompt


def _openai(schema: Mapping[str, Any], func_init: int, length: TokenLength) -> int:
    function = schema.get("function", schema)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return length(_json(schema))
    parameters = function.get("parameters", function.get("input_schema"))
    parameters = parameters if isinstance(parameters, Mapping) else {}
    total = func_init + length(f"{function['name']}:{_sentence(function)}")
    properties = parameters.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    if properties:
        total += _PROP_INIT
    for name, value in properties.items():
        total += _PROP_KEY + _property(str(name), value if isinstance(value, Mapping) else {"schema": value}, length)
    additional = parameters.get("additionalProperties")
    covered = _COVERED - {"additionalProperties"} if isinstance(additional, Mapping) else _COVERED
    return total + _rest(parameters, covered, length)


def _property(name: str, value: Mapping[str, Any], length: TokenLength) -> int:
    kind = value.get("type", "")
    total = length(f"{name}:{kind if isinstance(kind, str) else _json(kind)}:{_sentence(value)}")
    items = value.get("enum")
    if isinstance(items, (list, tuple)):
        total += _ENUM_INIT + sum(_ENUM_ITEM + length(i if isinstance(i, str) else _json(i)) for i in items)
    return total + _rest(value, _PROPERTY_COVERED, length)


def _rest(value: Mapping[str, Any], covered: set[str], length: TokenLength) -> int:
    rest = {key: item for key, item in value.items() if key not in covered}
    return length(_json(rest)) if rest else 0


def _sentence(value: Mapping[str, Any]) -> str:
    text = value.get("description")
    return text.removesuffix(".") if isinstance(text, str) else ""


def _schema(tool: Any) -> Mapping[str, Any]:
    if isinstance(tool, Mapping):
        return tool
    name = getattr(tool, "name", None) or getattr(tool, "__name__", None) or type(tool).__name__
    about = getattr(tool, "description", None) or getattr(tool, "__doc__", None) or ""
    args = getattr(tool, "args", None)
    if not isinstance(args, Mapping):
        describe = getattr(tool, "model_json_schema", None)
        found = describe() if callable(describe) else {}
        args = found.get("properties", {})
    return {"name": str(name), "description": str(about), "parameters": {"type": "object", "properties": args}}


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except TypeError:  # JSON cannot represent a key
        return repr(value)
    except (ValueError, RecursionError) as error:
        raise ContextError("cannot write a tool schema as JSON: it is cyclic or nested too deeply") from error

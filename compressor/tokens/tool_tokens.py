"""Counts what tool schemas cost in tokens.

What counts is what a client sends to the provider: a function's name, description and schema, and Anthropic's
`input_examples`. So the same function costs the same in every form. What clients keep to themselves or the provider
does not put into the prompt is free: the `title`, `annotations`, `outputSchema` and `_meta` of MCP tools, `strict`,
`cache_control`.

* OpenAI models: the cookbook's formula ("How to count tokens with tiktoken", section 7), exact for flat schemas. What
  it does not cover (nested schemas, defaults, formats, definitions, built-in tools) is added as compact JSON, which is
  an upper bound.
* Anthropic models: the schemas as compact JSON in Anthropic's form, plus the system prompt that switches tool use on:
  346 tokens with `tool_choice` auto (pricing page, Claude 3.7 to 4.6).
* Other models: the schemas as compact JSON in OpenAI's form, which chat templates write, plus 120 tokens for the text
  that they put around them (Qwen's is the longest of the common ones).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.context.formats.function_tools import FunctionTool, read_function, split_declarations
from compressor.context.formats.tool_objects import json_default
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
        tools: Tools in any form that `function_tools` reads. Of others, all their JSON counts.
        family: The model's family.
        length: Counts the tokens of a text.

    Raises:
        ContextError: A schema is cyclic or nested too deeply.
    """
    if not tools:
        return 0
    functions = [(read_function(part), part) for tool in tools for part in split_declarations(tool)]
    if family.tools == "openai":
        init = _FUNC_INIT[family.encoding]
        return sum(_openai(f, init, length) if f else length(_json(tool)) for f, tool in functions) + _FUNC_END
    form, prompt = (
        ("anthropic", _ANTHROPIC_PROMPT) if family.tools == "anthropic" else ("openai_chat", _TEMPLATE_PROMPT)
    )
    return sum(length(_json(f.as_sent(form) if f else tool)) for f, tool in functions) + prompt


def _openai(function: FunctionTool, func_init: int, length: TokenLength) -> int:
    total = func_init + length(f"{function.name}:{function.description.removesuffix('.')}")
    if function.examples is not None:
        total += length(_json(function.examples))
    parameters = function.schema if function.schema is not None else {}
    if not isinstance(parameters, Mapping):
        return total + length(_json(parameters))
    properties = parameters.get("properties", {})
    covered = _COVERED
    if not isinstance(properties, Mapping):
        properties, covered = {}, covered - {"properties"}
    if properties:
        total += _PROP_INIT
    for name, value in properties.items():
        total += _PROP_KEY + _property(str(name), value if isinstance(value, Mapping) else {"schema": value}, length)
    if isinstance(parameters.get("additionalProperties"), Mapping):
        covered = covered - {"additionalProperties"}
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


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=json_default)
    except TypeError:  # JSON cannot represent a key
        return repr(value)
    except (ValueError, RecursionError) as error:
        raise ContextError("cannot write a tool schema as JSON: it is cyclic or nested too deeply") from error

"""Compresses the results of calls that are larger than a budget, for the call that requested them.

Only text is shortened. Images, sounds, links and embedded resources stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp_types import CallToolResult, TextContent

from compressor.compressor import Compressor
from compressor.context.formats import detect_format
from compressor.errors import CompressorError
from compressor.tokens import get_counter

#: An error may have this many times the budget before it is shortened: its details are why it is read.
ERROR_BUDGET_FACTOR = 4
MAX_ARGUMENT_CHARS = 4_000  # of the call; they only say what the result is for


class ResultShortener:
    """Shortens large results. Safe to share between threads.

    Args:
        compressor: Does the work; its store keeps the originals.
        budget: The most tokens that the text of a result keeps.
        model: The model whose tokens are counted.
    """

    def __init__(self, compressor: Compressor, budget: int, model: str | None = None) -> None:
        self._compressor = compressor
        self._budget = budget
        self._model = model
        self._counter = get_counter(model)

    def shorten(
        self,
        result: CallToolResult,
        name: str,
        arguments: Mapping[str, Any] | None,
        request: str = "",
        output_schema: Mapping[str, Any] | None = None,
    ) -> CallToolResult:
        """Returns a result whose text fits the budget, or the result itself if it does, or cannot be shortened.

        Args:
            result: The result of the call.
            name: The name of the tool.
            arguments: The arguments of the call.
            request: What the agent wants, as far as it is known.
            output_schema: The schema that `structuredContent` must match.
        """
        indices = [i for i, block in enumerate(result.content) if isinstance(block, TextContent)]
        texts = [block.text for block in result.content if isinstance(block, TextContent)]
        limit = self._budget * (ERROR_BUDGET_FACTOR if result.is_error else 1)
        tokens = sum(map(self._counter.count, texts))
        if tokens <= limit:
            return result
        try:
            shorter = self._compress(texts, tokens - limit, name, arguments, request)
        except (CompressorError, RecursionError):
            return result  # an agent waits for it: better long than lost
        if sum(map(self._counter.count, shorter)) >= tokens:
            return result
        content = list(result.content)
        for i, text in zip(indices, shorter, strict=True):
            content[i] = content[i].model_copy(update={"text": text})
        structured = _shorten_structured(
            result.structured_content, dict(zip(texts, shorter, strict=True)), output_schema
        )
        return result.model_copy(update={"content": content, "structured_content": structured})

    def _compress(
        self, texts: list[str], excess: int, name: str, arguments: Mapping[str, Any] | None, request: str
    ) -> list[str]:
        given = json.dumps(arguments or {}, ensure_ascii=False)
        if len(given) > MAX_ARGUMENT_CHARS:
            given = json.dumps({"arguments": given[:MAX_ARGUMENT_CHARS]}, ensure_ascii=False)
        call = {"id": "call", "type": "function", "function": {"name": name, "arguments": given}}
        content: Any = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
        messages = [
            {"role": "user", "content": request or name.replace("_", " ")},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call", "content": content},
        ]
        before = self._counter.count_context(detect_format(messages).parse(messages))
        done = self._compressor.compress(messages, before - excess, self._model, mode="ingest")
        given_back = done.messages[-1]["content"]
        return [given_back] if isinstance(given_back, str) else [part["text"] for part in given_back]


def _shorten_structured(structured: Any, shorter: Mapping[str, str], schema: Mapping[str, Any] | None) -> Any:
    """Returns the structured content with the texts in it shortened as well, or as it is.

    Many servers repeat the text there: as `{"result": text}`, which stays valid with a shorter text, or as the JSON
    that the text is, which no schema asks for and which is left out then.
    """
    if structured is None:
        return None
    if schema is None:
        return None if any(_is_json_of(text, structured) for text in shorter) else _replace(structured, shorter)
    replaced = _replace(structured, shorter)
    return replaced if replaced != structured and _is_valid(replaced, schema) else structured


def _replace(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, list):
        return [_replace(item, texts) for item in value]
    if isinstance(value, dict):
        return {key: _replace(item, texts) for key, item in value.items()}
    return value


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


def _is_valid(value: Any, schema: Mapping[str, Any]) -> bool:
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
    from jsonschema.validators import validator_for  # type: ignore[import-untyped]
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(dict(schema))
    try:
        kind.check_schema(dict(schema))
        return bool(kind(dict(schema), registry=Registry()).is_valid(value))  # no schema is fetched from elsewhere
    except (SchemaError, Unresolvable, RecursionError):
        return False

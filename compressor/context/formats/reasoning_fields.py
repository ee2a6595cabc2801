"""Reads the reasoning that OpenAI-compatible servers put into fields of an assistant's message.

`reasoning_content` (DeepSeek, vLLM, SGLang), `reasoning` and `reasoning_details` (OpenRouter) and `thinking_blocks`
(LiteLLM) may say the same thing several times; each text counts once. Beside a tool call it is sent to the model again
and billed, so that the model can go on with its reasoning. Elsewhere servers ignore it, or leave it out of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compressor.context.formats.json_values import to_plain_dict
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.formats.unedited_values import estimate_payload_tokens
from compressor.context.model import Path

_TEXT_FIELDS = ("reasoning_content", "reasoning")
_LIST_FIELDS = ("reasoning_details", "thinking_blocks")
_FIELDS = frozenset((*_TEXT_FIELDS, *_LIST_FIELDS))
_TEXT_KEYS = ("text", "summary", "thinking")


def read_reasoning_fields(builder: TurnBuilder, fields: Mapping[str, Any], path: Path, is_billed: bool) -> None:
    """Reads the reasoning of one message, which is never edited.

    Args:
        builder: The turn.
        fields: What may hold reasoning.
        path: Where the fields are in the message.
        is_billed: Whether the message calls a tool.
    """
    if _FIELDS.isdisjoint(fields):
        return
    texts: list[str] = []
    for place, text in _texts(fields):
        if any(text in other for other in texts):
            continue
        texts.append(text)
        if is_billed:
            builder.add_text((*path, *place), text, PartLabel("thinking"), editable=False)
        else:
            builder.add_unbilled(text)
    if is_billed:
        payload = sum(estimate_payload_tokens(payload) for payload in _payloads(fields))
        builder.opaque_tokens += payload


def _texts(fields: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name in _TEXT_FIELDS:
        if isinstance(fields.get(name), str) and fields[name]:
            yield (name,), fields[name]
    for name, i, entry in _entries(fields):
        for key in _TEXT_KEYS:
            if isinstance(entry.get(key), str) and entry[key]:
                yield (name, i, key), entry[key]


def _payloads(fields: Mapping[str, Any]) -> Iterator[Any]:
    for _, _, entry in _entries(fields):
        if not any(entry.get(key) for key in _TEXT_KEYS):
            yield entry.get("data") or entry.get("signature")


def _entries(fields: Mapping[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for name in _LIST_FIELDS:
        held = fields.get(name)
        for i, given in enumerate(held if isinstance(held, (list, tuple)) else ()):
            entry = to_plain_dict(given)
            if entry is not None:
                yield name, i, entry

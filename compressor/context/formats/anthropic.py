"""Reads and writes Anthropic messages: `{"role", "content"}` with content blocks, and system messages in the list.

The caller puts the separate `system=` parameter in front as `{"role": "system", "content": ...}`. Signed and redacted
thinking is never edited, `cache_control` and `is_error` stay as they are, and blocks of server tools pass through.
Reference: https://docs.anthropic.com/en/api/messages (`MessageParam` in the SDK).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from compressor.context.formats.base import Edits
from compressor.context.formats.content_parts import (
    ANTHROPIC_PARTS,
    ANTHROPIC_SERVER_PARTS,
    PARTS,
    Part,
    Reader,
    has_foreign_parts,
    part_types,
    read_content,
)
from compressor.context.formats.json_values import dump_arguments, render, to_plain_dict
from compressor.context.formats.parsing import EndCheck, MessageReader, parse_turns
from compressor.context.formats.slot_values import write_parts
from compressor.context.formats.tool_call_pairing import ToolCallPairing
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.model import Context, Path, Role, Turn
from compressor.errors import ContextError

_ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_OWN_PARTS = (ANTHROPIC_PARTS - {"text", "image"}) | ANTHROPIC_SERVER_PARTS


class AnthropicFormat:
    """The Anthropic messages format."""

    name = "anthropic"

    def may_match(self, message: Any) -> bool:
        """Returns whether one message may be of this format. Never raises."""
        item = to_plain_dict(message)
        return (
            item is not None
            and isinstance(item.get("role"), str)
            and item["role"] in _ROLES
            and not item.get("tool_calls")
            and not item.get("function_call")
            and not has_foreign_parts(item.get("content"), ANTHROPIC_PARTS)
        )

    def is_evidence(self, message: Any) -> bool:
        """Returns whether one message is unlikely to be of any other format. Never raises."""
        content = (to_plain_dict(message) or {}).get("content")
        if part_types(content) & _OWN_PARTS:
            return True
        parts = [part for part in content if isinstance(part, dict)] if isinstance(content, (list, tuple)) else ()
        return any("cache_control" in part or (part.get("type") == "image" and "source" in part) for part in parts)

    def matches(self, messages: Sequence[Any]) -> bool:
        """Returns whether these messages are written in this format. Never raises."""
        return any(map(self.is_evidence, messages)) and all(map(self.may_match, messages))

    def parse(self, messages: Sequence[Any], tools: Sequence[Any] | None = None, lenient: bool = False) -> Context:
        """Reads the messages; raises ContextError for what the provider would reject, unless `lenient`."""
        return Context(messages, parse_turns(messages, _read, lenient), self.name, tools)

    def reader(self, messages: Sequence[Any]) -> tuple[MessageReader, EndCheck | None]:
        """Returns what reads one of these messages, and what checks the pairs of calls and results at the end."""
        return _read, None

    def render(self, context: Context, edits: Edits, drop: Collection[int] = ()) -> list[Any]:
        """Writes the messages again, with `edits` applied and those in `drop` left out."""
        return render(context, edits, drop, write_parts)


def _read(index: int, message: Any, pairing: ToolCallPairing) -> Turn:
    item = to_plain_dict(message)
    if item is None:
        raise ContextError(f"a message must be a dict, got {type(message).__name__}", index)
    role = item.get("role")
    if role not in _ROLES:
        raise ContextError(f"unknown role {role!r}: use one of {', '.join(_ROLES)}", index)
    builder = TurnBuilder(index, role, pairing)
    content = item.get("content")
    if role != "user":
        pairing.require_results()
    read_content(builder, content, ("content",), PartLabel(role), _READERS)
    if role == "user":
        if builder.result_call_ids and part_types(content) == {"tool_result"}:
            builder.role = "tool"
        else:
            pairing.require_results()
    return builder.build()


def _tool_use(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    if builder.role != "assistant":
        raise builder.error("tool_use is only allowed in an assistant message")
    label = builder.add_call(part.get("id"), part.get("name"))
    builder.add_text((*path, "input"), dump_arguments(part.get("input"), builder.index), label)


def _tool_result(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    if builder.role != "user":
        raise builder.error("tool_result is only allowed in a user message")
    read_content(builder, part.get("content"), (*path, "content"), builder.add_result(part.get("tool_use_id")))


_READERS: dict[str, Reader] = {**PARTS, "tool_use": _tool_use, "tool_result": _tool_result}

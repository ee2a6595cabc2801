"""Reads and writes OpenAI chat completions messages, `{"role", "content", "tool_calls", ...}`, which many APIs use.

The roles are system, developer, user, assistant, tool and the legacy function. Unknown keys and part types pass
through. A legacy function call has no id: it is paired by name, and its turns have no `call_ids` and `result_call_ids`.
Reference: https://platform.openai.com/docs/api-reference/chat/create (`ChatCompletionMessageParam` in the SDK).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from compressor.context.formats.base import Edits
from compressor.context.formats.content_parts import CHAT_PARTS, has_foreign_parts, read_citations, read_content
from compressor.context.formats.json_values import (
    dump_arguments,
    render,
    to_plain_dict,
)
from compressor.context.formats.parsing import EndCheck, MessageReader, parse_turns
from compressor.context.formats.reasoning_fields import read_reasoning_fields
from compressor.context.formats.slot_values import write_parts
from compressor.context.formats.tool_call_pairing import ToolCallPairing
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.model import Context, Kind, Role, Turn
from compressor.errors import ContextError

_ROLES: dict[str, tuple[Role, Kind]] = {
    "system": ("system", "system"),
    "developer": ("system", "system"),
    "user": ("user", "user"),
    "assistant": ("assistant", "assistant"),
    "tool": ("tool", "tool_result"),
    "function": ("tool", "tool_result"),
}
_CONTENT = ("content",)
_CALL_KEYS = {"function": "arguments", "custom": "input"}


class OpenAIChatFormat:
    """The OpenAI chat completions format."""

    name = "openai_chat"

    def may_match(self, message: Any) -> bool:
        """Returns whether one message may be of this format. Never raises."""
        item = to_plain_dict(message)
        return (
            item is not None
            and isinstance(item.get("role"), str)
            and item["role"] in _ROLES
            and item.get("type") != "message"
            and not has_foreign_parts(item.get("content"), CHAT_PARTS)
        )

    def matches(self, messages: Sequence[Any]) -> bool:
        """Returns whether these messages are written in this format. Never raises."""
        return bool(messages) and all(map(self.may_match, messages))

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
    item = message if type(message) is dict else to_plain_dict(message)
    if item is None:
        raise ContextError(f"a message must be a dict, got {type(message).__name__}", index)
    wire_role = item.get("role")
    if not isinstance(wire_role, str) or wire_role not in _ROLES:
        raise ContextError(f"unknown role {wire_role!r}: use one of {', '.join(_ROLES)}", index)
    role, kind = _ROLES[wire_role]
    builder = TurnBuilder(index, role, pairing)
    if wire_role == "tool":
        label = builder.add_result(item.get("tool_call_id"), item.get("name"))
    else:
        pairing.require_results()
        if wire_role == "function":
            label = builder.add_function_result(item.get("name"))
        else:
            label = PartLabel(kind)
            builder.add_extra(item.get("name"))
    content = item.get("content")
    if isinstance(content, str):
        builder.add_text(_CONTENT, content, label)
    else:
        read_content(builder, content, _CONTENT, label)
    if role == "assistant":
        if item.get("refusal") is not None:
            builder.add_text(("refusal",), item["refusal"], label, editable=False)
        _read_calls(builder, item)
        if isinstance(item.get("annotations"), (list, tuple)):
            read_citations(builder, item["annotations"])
        read_reasoning_fields(builder, item, (), is_billed=bool(item.get("tool_calls") or item.get("function_call")))
    return builder.build()


def _read_calls(builder: TurnBuilder, item: dict[str, Any]) -> None:
    calls = item.get("tool_calls")
    if calls is not None and not isinstance(calls, (list, tuple)):
        raise builder.error(f"tool_calls must be a list, got {type(calls).__name__}")
    for i, given in enumerate(calls or ()):
        call = given if type(given) is dict else to_plain_dict(given)
        if call is None:
            raise builder.error(f"tool call {i} must be a dict, got {type(given).__name__}")
        kind = call.get("type") or "function"
        function = to_plain_dict(call.get(kind)) if isinstance(kind, str) else None
        if function is None:
            raise builder.error(f"tool call {i} has no field {kind!r} with the tool's name and arguments")
        label = builder.add_call(call.get("id"), function.get("name"))
        if kind in _CALL_KEYS:
            key = _CALL_KEYS[kind]
            held = function.get(key)
            if isinstance(held, dict):  # as some local servers write it
                held = dump_arguments(held, builder.index)
            builder.add_text(("tool_calls", i, kind, key), held, label)
        else:
            builder.add_unedited(function)
    called = item.get("function_call")
    legacy = None if called is None else to_plain_dict(called)
    if legacy is not None:
        builder.add_text(
            ("function_call", "arguments"), legacy.get("arguments"), builder.add_function_call(legacy.get("name"))
        )

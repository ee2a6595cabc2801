"""Reads and writes OpenAI Responses input items; each item is one message.

It reads messages (`{"role", "content"}` with or without a type), function and custom tool calls with their outputs, and
reasoning items, which are never edited. Items that the provider handles (searches, shells, MCP calls, compactions,
references) pass through unchanged, and their text is counted. Computer, shell and patch calls must have their outputs,
like function calls. Other pairs stay together but may lack an answer: MCP approvals, local shell calls, tool searches
and programs.
Reference: https://platform.openai.com/docs/api-reference/responses/create (`ResponseInputItemParam` in the SDK).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from compressor.context.formats.base import Edits
from compressor.context.formats.content_parts import (
    CHAT_PARTS,
    RESPONSES_PARTS,
    SUMMARY_PARTS,
    has_foreign_parts,
    part_types,
    read_content,
    read_reasoning,
    read_summary,
)
from compressor.context.formats.image_size import image_size
from compressor.context.formats.json_values import render, set_paths, to_plain_dict
from compressor.context.formats.parsing import EndCheck, MessageReader, parse_turns
from compressor.context.formats.slot_values import slot_value
from compressor.context.formats.tool_call_pairing import ToolCallPairing
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.model import Context, Image, Kind, Role, TextSlot, Turn
from compressor.errors import ContextError

_ROLES: dict[str, tuple[Role, Kind]] = {
    "system": ("system", "system"),
    "developer": ("system", "system"),
    "user": ("user", "user"),
    "assistant": ("assistant", "assistant"),
}
#: Types of calls -> the key of their arguments, "" where these are not read.
_CALLS = {
    "function_call": "arguments",
    "custom_tool_call": "input",
    "computer_call": "",
    "shell_call": "",
    "apply_patch_call": "",
}
_OUTPUTS = {f"{kind}_output": key != "" for kind, key in _CALLS.items()}
#: Types of calls that may lack an output -> the keys that an output may name them by.
_OPTIONAL_CALLS = {
    "mcp_approval_request": ("id",),
    "local_shell_call": ("call_id", "id"),
    "tool_search_call": ("call_id",),
    "program": ("call_id",),
}
_OPTIONAL_OUTPUTS = {
    "mcp_approval_response": ("approval_request_id",),
    "local_shell_call_output": ("call_id", "id"),
    "tool_search_output": ("call_id",),
    "program_output": ("call_id",),
}
#: Links references to the outputs whose calls they may stand for.
_REFERENCE_LINK = "item_reference"
#: Item types by which the format is recognised. `parse` accepts any type: what it cannot read passes through.
_KNOWN = re.compile(
    r"message|reasoning|item_reference|(context_)?compaction\w*|\w+_call|\w+_call_output|mcp_\w+|tool_search_output"
    r"|additional_tools|configuration_update|program|program_output"
)
_OWN_PARTS = RESPONSES_PARTS - CHAT_PARTS


class OpenAIResponsesFormat:
    """The OpenAI Responses format."""

    name = "openai_responses"

    def may_match(self, message: Any) -> bool:
        """Returns whether one item may be of this format. Never raises."""
        item = to_plain_dict(message)
        if item is None:
            return False
        kind = _type_of(item)
        if kind == "message":
            role = item.get("role")
            ours = isinstance(role, str) and role in _ROLES
            return ours and not item.get("tool_calls") and not has_foreign_parts(item.get("content"), RESPONSES_PARTS)
        return kind is not None and ("role" not in item or _is_known(kind))

    def is_evidence(self, message: Any) -> bool:
        """Returns whether one item cannot be of any other format. Never raises."""
        item = to_plain_dict(message) or {}
        kind = item.get("type")
        return _is_known(kind) or bool(part_types(item.get("content")) & _OWN_PARTS)

    def matches(self, messages: Sequence[Any]) -> bool:
        """Returns whether these messages are written in this format. Never raises."""
        return any(map(self.is_evidence, messages)) and all(map(self.may_match, messages))

    def parse(self, messages: Sequence[Any], tools: Sequence[Any] | None = None, lenient: bool = False) -> Context:
        """Reads the messages; raises ContextError for what the provider would reject, unless `lenient`."""
        return Context(messages, parse_turns(messages, _read, lenient, _check_end), self.name, tools)

    def reader(self, messages: Sequence[Any]) -> tuple[MessageReader, EndCheck | None]:
        """Returns what reads one of these messages, and what checks the pairs of calls and results at the end."""
        return _read, _check_end

    def render(self, context: Context, edits: Edits, drop: Collection[int] = ()) -> list[Any]:
        """Writes the messages again, with `edits` applied and those in `drop` left out."""
        return render(context, edits, drop, _write)


def _is_known(kind: Any) -> bool:
    return isinstance(kind, str) and _KNOWN.fullmatch(kind) is not None


def _write(message: Any, changes: list[tuple[TextSlot, str]]) -> dict[str, Any]:
    return set_paths(message, [(slot.path, slot_value(slot, message, text, "input_text")) for slot, text in changes])


def _type_of(item: dict[str, Any]) -> str | None:
    """The item's type, which a message and a reference (only an id) may leave out."""
    kind = item.get("type")
    if isinstance(kind, str) and kind:
        return kind
    if "role" in item:
        return "message"
    return "item_reference" if kind is None and isinstance(item.get("id"), str) else None


def _check_end(turns: Sequence[Turn], pairing: ToolCallPairing) -> None:
    """Calls before the newest input must have their outputs; those behind it may still get them."""
    pairing.forget_optional_calls(turns, pairing.last_input)
    pairing.require_results(before=pairing.last_input)


def _read(index: int, message: Any, pairing: ToolCallPairing) -> Turn:
    item = to_plain_dict(message)
    if item is None:
        raise ContextError(f"an item must be a dict, got {type(message).__name__}", index)
    kind = _type_of(item)
    if kind is None:
        raise ContextError("the item has neither a type nor a role", index)
    if kind == "message":
        return _read_message(index, item, pairing)
    if kind in _OUTPUTS:
        return _read_output(index, item, kind, pairing)
    if kind in _OPTIONAL_OUTPUTS:
        return _read_optional_output(index, item, kind, pairing)
    # Tools and settings that are added within a history stay in effect, as system messages do.
    builder = TurnBuilder(
        index, "system" if kind in ("additional_tools", "configuration_update") else "assistant", pairing
    )
    caller = to_plain_dict(item.get("caller")) or {}
    builder.linked_ids += _ids(item, ("approval_request_id",)) + _ids(caller, ("caller_id",))
    if kind in _CALLS:
        key = _CALLS[kind]
        if key:
            builder.add_text((key,), item.get(key), builder.add_call(item.get("call_id"), item.get("name")))
        else:
            call_id = pairing.open_call(item.get("call_id"), kind, index)
            builder.call_ids += [call_id] if call_id else []
            builder.add_unedited(item)
    elif kind == "reasoning":
        read_reasoning(builder, item, (), PartLabel("thinking"))
    elif kind in SUMMARY_PARTS:
        read_summary(builder, item, (), PartLabel("assistant"))
        if kind == "item_reference":
            pairing.has_hidden_calls = True
            builder.linked_ids.append(_REFERENCE_LINK)
    else:
        builder.add_unedited(item)
        if kind in _OPTIONAL_CALLS and (ids := _ids(item, _OPTIONAL_CALLS[kind])):
            builder.call_ids.append(pairing.open_optional_call(ids, index))
    return builder.build()


def _ids(item: dict[str, Any], keys: Sequence[str]) -> list[str]:
    return [item[key] for key in keys if isinstance(item.get(key), str) and item[key]]


def _read_output(index: int, item: dict[str, Any], kind: str, pairing: ToolCallPairing) -> Turn:
    builder = TurnBuilder(index, "tool", pairing)
    call_id = item.get("call_id")
    if pairing.has_hidden_calls and isinstance(call_id, str) and call_id not in pairing.open_calls:
        label = PartLabel("tool_result", None, call_id)
        builder.linked_ids.append(_REFERENCE_LINK)
    else:
        label = builder.add_result(call_id, item.get("name"))
    if _OUTPUTS[kind]:
        read_content(builder, item.get("output"), ("output",), label)
    else:
        _read_unedited(builder, item, label)
    return builder.build()


def _read_optional_output(index: int, item: dict[str, Any], kind: str, pairing: ToolCallPairing) -> Turn:
    call_id = pairing.close_optional_call(_ids(item, _OPTIONAL_OUTPUTS[kind]))
    builder = TurnBuilder(index, "assistant" if call_id is None else "tool", pairing)
    if call_id is not None:
        builder.result_call_ids.append(call_id)
    builder.add_unedited(item)
    if isinstance(item.get("approve"), bool):
        builder.add_extra("approved" if item["approve"] else "not approved")
    return builder.build()


def _read_message(index: int, item: dict[str, Any], pairing: ToolCallPairing) -> Turn:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise ContextError(f"unknown role {role!r}: use one of {', '.join(_ROLES)}", index)
    builder = TurnBuilder(index, _ROLES[role][0], pairing)
    read_content(builder, item.get("content"), ("content",), PartLabel(_ROLES[role][1]))
    if role != "assistant":
        pairing.last_input = index
    return builder.build()


def _read_unedited(builder: TurnBuilder, item: dict[str, Any], label: PartLabel) -> None:
    """Reads the output of a computer, shell or patch call: its text is counted, its screenshot measured."""
    output = to_plain_dict(item.get("output")) or {}
    if output.get("type") in ("computer_screenshot", "input_image"):
        width, height = image_size(output.get("image_url"))
        detail = output.get("detail")
        image = Image(width, height, detail if isinstance(detail, str) else "auto", needs_picture=True)
        builder.add_image(("output",), image, label, editable=False)
    else:
        builder.add_unedited(item.get("output"))

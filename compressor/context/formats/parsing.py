"""Parses a list of messages, strictly or leniently, with a message format's reader of single messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.formats.json_values import as_message_list, to_plain_dict
from compressor.context.formats.tool_call_pairing import AnyPairing, LenientPairing, ToolCallPairing
from compressor.context.formats.unedited_values import estimate_opaque_tokens, leaf_texts
from compressor.context.model import Role, Turn
from compressor.errors import ContextError

#: Reads the message with an index.
MessageReader = Callable[[int, Any, ToolCallPairing], Turn]
#: Checks the pairing after the last message.
EndCheck = Callable[[Sequence[Turn], ToolCallPairing], None]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "tool": "tool",
    "function": "tool",
}


def parse_turns(
    messages: Sequence[Any], read: MessageReader, lenient: bool = False, check_end: EndCheck | None = None
) -> list[Turn]:
    """Reads messages into turns.

    Args:
        messages: The caller's messages.
        read: Reads one message.
        lenient: Whether what the provider would reject becomes malformed turns. Otherwise it raises.
        check_end: Checks the pairing after the last message.

    Raises:
        ContextError: The messages are not a list, or not lenient and the provider would reject them.
    """
    messages = as_message_list(messages)
    try:
        return _parse(messages, read, check_end, ToolCallPairing())
    except ContextError:
        if not lenient:
            raise
    pairing = LenientPairing()
    turns = _parse(messages, _tolerate_unreadable(read), check_end, pairing)
    pairing.mark_malformed(turns)
    return turns


def _parse(
    messages: Sequence[Any], read: MessageReader, check_end: EndCheck | None, pairing: ToolCallPairing
) -> list[Turn]:
    turns = [read(index, message, pairing) for index, message in enumerate(messages)]
    if check_end is not None:
        check_end(turns, pairing)
    return turns


def _tolerate_unreadable(read: MessageReader) -> MessageReader:
    """Returns a reader that makes a malformed turn of a message that cannot be read on its own."""

    def read_leniently(index: int, message: Any, pairing: ToolCallPairing) -> Turn:
        try:
            read(index, message, AnyPairing())
        except ContextError:
            return _unreadable_turn(index, message)
        return read(index, message, pairing)

    return read_leniently


def _unreadable_turn(index: int, message: Any) -> Turn:
    item = to_plain_dict(message)
    value = message if item is None else item
    role = (item or {}).get("role", (item or {}).get("type"))
    return Turn(
        index=index,
        role=_ROLES.get(role, "assistant") if isinstance(role, str) else "assistant",
        extras=tuple(leaf_texts(value)),
        opaque_tokens=estimate_opaque_tokens(value),
        is_malformed=True,
    )

"""Parses the messages of a rendered context that were edited. The others are those that were parsed before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from typing import Any

from compressor.context.formats.base import Edits, MessageFormat
from compressor.context.formats.tool_call_pairing import AnyPairing
from compressor.context.model import Context, Turn
from compressor.errors import ContextError


def read_edited_turns(
    context: Context, message_format: MessageFormat, rendered: Sequence[Any], edits: Edits, removed: Collection[int]
) -> dict[int, Turn] | None:
    """Parses the edited messages of a rendered context.

    Their calls and results are those of the original messages, so all pairs are as they were. Where that cannot be told
    so easily, the whole must be parsed anew.

    Args:
        context: The context before it was edited.
        message_format: Its format.
        rendered: The messages that `message_format.render` made of it.
        edits: The edits that were given to `render`.
        removed: The indices of the messages that were left out.

    Returns:
        The new turns, by the index of the original message, or None where the whole must be parsed anew.
    """
    turns = context.turns
    left_out = [turns[index] for index in removed]
    if not rendered or any(map(_is_paired, left_out)) or (left_out and any(turn.is_malformed for turn in turns)):
        return None
    places = _places(removed)
    read, _ = message_format.reader(rendered)
    changed: dict[int, Turn] = {}
    for index in dict.fromkeys(message for message, _ in edits):
        place = places(index)
        if rendered[place] is context.messages[index]:
            continue
        try:
            turn = read(place, rendered[place], AnyPairing())
        except ContextError:
            return None
        before = turns[index]
        if before.is_malformed or _ties(turn) != _ties(before):
            return None
        changed[index] = turn
    return changed


def _places(removed: Collection[int]) -> Callable[[int], int]:
    """Returns a function from the index of a message to its index once some are left out."""
    if not removed:
        return lambda index: index
    gone = sorted(removed)
    return lambda index: index - bisect_left(gone, index)


def _is_paired(turn: Turn) -> bool:
    """Returns whether leaving a message out may change what its neighbours pair with."""
    kinds = {slot.kind for slot in turn.slots}
    return bool(turn.role == "tool" or _ids(turn) or kinds & {"tool_call", "tool_result"})


def _ids(turn: Turn) -> tuple[str, ...]:
    return (*turn.call_ids, *turn.result_call_ids, *turn.linked_ids)


def _ties(turn: Turn) -> tuple[Any, ...]:
    return turn.role, turn.call_ids, turn.result_call_ids, turn.linked_ids, turn.is_summary

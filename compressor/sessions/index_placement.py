"""Finds the message that holds the index of evicted rounds, and writes the index into it.

The index replaces the oldest tool result that leaves the view, or the agent's own words where no tool was called. It is
never written into a user or system message, because it may quote what tools returned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from compressor.context.formats import serialization
from compressor.context.model import Path, TextSlot, Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.pipeline.working_context import MIN_BLOCK_TOKENS
from compressor.sessions.evicted_rounds import EvictionIndex
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.sessions.state import MessageRecord
from compressor.sessions.state_calls import read_state


def find_index_host(
    records: Sequence[MessageRecord],
    turns: Sequence[Turn],
    evicted: Iterable[Sequence[int]],
) -> int | None:
    """Returns the position of the message that holds the index, or None if no message can.

    Args:
        records: The records of the live messages.
        turns: Their originals, because in the view a text may replace what are only images.
        evicted: The rounds that leave the view, as positions, oldest first.
    """
    for i, record in enumerate(records):
        if record.holds_index:
            return i
    groups = list(evicted)
    plain = [g for g in groups if not writes_state(g, turns)]
    for role in ("tool", "user", "assistant"):
        for group in [*plain, *groups]:
            for i in group:
                if turns[i].role == role and index_slot(turns[i]) is not None:
                    return i
    return None


def writes_state(group: Iterable[int], turns: Sequence[Turn]) -> bool:
    """Returns whether a call of a round writes a state, so that it would claim something beside an index."""
    return any(
        slot.kind == "tool_call" and read_state(turns[i], slot) is not None for i in group for slot in turns[i].slots
    )


def index_slot(turn: Turn) -> TextSlot | None:
    """Returns the text of a message that an index can replace, or None."""
    kind = "assistant" if turn.role == "assistant" else "tool_result"
    return next((slot for slot in turn.slots if slot.kind == kind and slot.editable), None)


def index_edits(runtime: SessionRuntime, turn: Turn, message: Any, index: EvictionIndex) -> Edits:
    """Returns the edits that write the index into a message and leave placeholders for what else it held."""
    slot = index_slot(turn)
    assert slot is not None
    return {slot.path: index.text} | {
        path: format_placeholder(ref) for path, ref, _ in adjacent_texts(runtime, turn, message)
    }


def adjacent_texts(runtime: SessionRuntime, turn: Turn, message: Any) -> list[tuple[Path, str, str]]:
    """Returns path, ref and original of what else the message that holds the index contains.

    All of it leaves the view with the text that the index replaces (Anthropic's results of one round share a message).
    """
    here, out = index_slot(turn), []
    for slot in turn.slots:
        if here is not None and slot.path != here.path and slot.kind in (here.kind, "image", "user") and slot.editable:
            text = slot.text or json.dumps(serialization.serialize_message(message), ensure_ascii=False)
            if runtime.slot_tokens(slot) > MIN_BLOCK_TOKENS:
                out.append((slot.path, compute_ref(text), text))
    return out

"""Turns a tracked conversation into named parts of JSON data, and back.

A part is the smallest thing that is saved when it changes: the record of one message, one field of the state, the
hidden rounds before one message. What follows from the caller's messages is in no part, and neither are the messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compressor.providers.base import ContextCall, HiddenRounds, ModelTurn
from compressor.providers.context_overflow import in_memory
from compressor.providers.conversation_tracker import TrackedConversation

Parts = dict[str, Any]
HIDDEN, RECORD, STATE = "hidden:", "record:", "state:"
#: Bytes of the hidden rounds of one conversation, as JSON. Beyond it the oldest are forgotten.
MAX_HIDDEN_BYTES = 2**20
#: Counters of what the provider billed. They change after the answer, and no view depends on them.
BILLED = ("billed_tokens", "billed_cached")


def hidden_to_json(hidden: HiddenRounds) -> dict[str, Any]:
    """Returns hidden rounds as JSON data."""
    return asdict(hidden)


def hidden_from_json(data: Mapping[str, Any]) -> HiddenRounds:
    """Returns the hidden rounds that `hidden_to_json` described."""
    turns = [
        ModelTurn(**{**turn, "context_calls": [ContextCall(*call) for call in turn["context_calls"]]})
        for turn in data["turns"]
    ]
    return HiddenRounds(list(data["items"]), turns, list(data["context_answers"]))


def flags_to_parts(tracked: TrackedConversation) -> Parts:
    """Returns the parts of what is tracked beside the conversation's own state and the hidden rounds."""
    parts: Parts = {"tool_offered": tracked.tool_offered, "rejected": tracked.rejected_by_provider}
    if tracked.tool_listing is not None:
        parts["tools"] = tracked.tool_listing.state
    if tracked.example_listing is not None:
        parts["examples"] = tracked.example_listing.state
    return parts


def to_parts(tracked: TrackedConversation) -> Parts:
    """Returns all parts of a conversation that is not a `Session`."""
    state = in_memory(tracked.conversation).state
    records = state.pop("records")
    counters = {name: value for name, value in state.pop("counters").items() if name not in BILLED}
    parts = {STATE + name: value for name, value in state.items()} | {STATE + "counters": counters}
    parts |= {f"{RECORD}{record['index']}": record for record in records}
    parts |= {f"{HIDDEN}{index}": hidden_to_json(hidden) for index, hidden in tracked.hidden_rounds.items()}
    return parts | flags_to_parts(tracked) | {"max_tokens": in_memory(tracked.conversation).runtime.max_tokens}


def state_from_parts(parts: Parts) -> dict[str, Any]:
    """Returns the state of a `Conversation` that `to_parts` described."""
    state = {name.removeprefix(STATE): value for name, value in parts.items() if name.startswith(STATE)}
    records = [value for name, value in parts.items() if name.startswith(RECORD)]
    return {**state, "records": sorted(records, key=lambda record: int(record["index"]))}


def hidden_from_parts(parts: Parts) -> dict[int, HiddenRounds]:
    """Returns the hidden rounds by the index of the message that they stand before."""
    return {
        int(name.removeprefix(HIDDEN)): hidden_from_json(value)
        for name, value in parts.items()
        if name.startswith(HIDDEN)
    }

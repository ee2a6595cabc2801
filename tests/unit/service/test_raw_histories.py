"""Conversations that begin where a history was sent as it is."""

from __future__ import annotations

from typing import Any

from compressor import Compressor
from compressor.service.raw_histories import RawHistories
from compressor.sessions import Conversation

LONG = "\n".join(f"{i * 7919 % 1009} worker {i * 31337 % 9973} done" for i in range(1_500))


def round_of(number: int) -> list[Any]:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": f"{number}\n{LONG}"},
    ]


SENT: list[Any] = [{"role": "system", "content": "It is 12:00."}, {"role": "user", "content": "why?"}, *round_of(1)]


def resumed(messages: list[Any], key: str = "k") -> tuple[bool, list[Any]]:
    known = RawHistories()
    known.note("k", SENT)
    conversation = Conversation(Compressor(store="memory"), "gpt-4o")
    found = known.resume(key, conversation, messages)
    conversation.sync(messages)
    return found, conversation.view()


def test_a_history_that_goes_on_keeps_its_beginning() -> None:
    longer = [*SENT, *round_of(2)]
    found, view = resumed(longer)
    assert found and view[: len(SENT)] == SENT and len(str(view[-1])) < len(str(longer[-1]))
    other_time = [{"role": "system", "content": "It is 13:00."}, *longer[1:]]
    found, view = resumed(other_time)
    assert found and view[: len(SENT)] == other_time[: len(SENT)]


def test_another_history_begins_anew() -> None:
    for messages, key in (
        ([*SENT[:2], *round_of(3)], "k"),
        (SENT[:2], "k"),
        ([*SENT, *round_of(2)], "other"),
        ([], "k"),
    ):
        conversation = Conversation(Compressor(store="memory"), "gpt-4o")
        known = RawHistories()
        known.note("k", SENT)
        assert not known.resume(key, conversation, messages) and not conversation.messages


def test_a_conversation_that_has_begun_is_left_alone() -> None:
    known = RawHistories()
    known.note("k", SENT)
    conversation = Conversation(Compressor(store="memory"), "gpt-4o")
    conversation.sync(SENT)
    view = conversation.view()
    assert not known.resume("k", conversation, [*SENT, *round_of(2)])
    assert conversation.view() == view != SENT

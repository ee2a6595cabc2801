"""The numbers of images in a session."""

from __future__ import annotations

from compressor.context.model import Image, TextSlot, Turn
from compressor.sessions.image_numbers import first_image_numbers
from compressor.sessions.state import MessageRecord, SessionState


def turn(index: int, images: int) -> Turn:
    slots = [TextSlot(index, ("content", i), "image", image=Image()) for i in range(images)]
    return Turn(index, "tool", [TextSlot(index, ("content", 9), "tool_result", "ok"), *slots])


def record(index: int, images: int) -> MessageRecord:
    return MessageRecord(index, "", images=images)


def test_the_first_image_of_each_message_has_the_number_after_those_before() -> None:
    turns, records = [turn(0, 0), turn(1, 2), turn(2, 1)], [record(0, 4), record(5, 6), record(9, 12)]
    assert first_image_numbers(turns, records) == {1: 5, 2: 12}
    assert first_image_numbers(turns, records, lead=3) == {4: 5, 5: 12}


def test_a_record_of_an_older_program_has_no_number() -> None:
    assert first_image_numbers([turn(0, 2), turn(1, 1)], [record(0, 0), record(1, 0)]) == {}


def test_numbers_survive_json() -> None:
    state = SessionState(images=7, records=[record(0, 3), record(1, 7)])
    again = SessionState.from_json(state.to_json())
    assert again.images == 7 and [one.images for one in again.records] == [3, 7]
    header = SessionState.from_json({**state.to_header_json(), "records": []})
    assert header.images == 7

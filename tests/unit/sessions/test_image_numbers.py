"""The numbers of images in a session."""

from __future__ import annotations

import pytest

from compressor.context.model import Image, TextSlot, Turn
from compressor.sessions.image_numbers import number_images
from compressor.sessions.state import MessageRecord, SessionState


def turn(index: int, images: int) -> Turn:
    slots = [TextSlot(index, ("content", i), "image", image=Image()) for i in range(images)]
    return Turn(index, "tool", [TextSlot(index, ("content", 9), "tool_result", "ok"), *slots])


def record(index: int, images: int, **edits: str) -> MessageRecord:
    by_path: dict[tuple[str | int, ...], str] = {("content", int(place[1:])): text for place, text in edits.items()}
    return MessageRecord(index, "", images=images, edits=by_path)


def test_the_images_of_each_message_have_the_numbers_after_those_before() -> None:
    turns, records = [turn(0, 0), turn(1, 2), turn(2, 1)], [record(0, 4), record(5, 6), record(9, 12)]
    assert number_images(turns, records) == {1: [5, 6], 2: [12]}
    assert number_images(turns, records, lead=3) == {4: [5, 6], 5: [12]}


def test_a_record_of_an_older_program_has_no_number() -> None:
    assert number_images([turn(0, 2), turn(1, 1)], [record(0, 0), record(1, 0)]) == {}


def test_numbers_survive_json() -> None:
    state = SessionState(images=7, records=[record(0, 3), record(1, 7)])
    again = SessionState.from_json(state.to_json())
    assert again.images == 7 and [one.images for one in again.records] == [3, 7]
    header = SessionState.from_json({**state.to_header_json(), "records": []})
    assert header.images == 7


def test_images_that_the_view_does_not_show_keep_their_numbers() -> None:
    note, part = "[image 1: the same as image 9]", "picture 0,0 4x4 at 4x4\n[image 2: as image 9; its part follows]"
    turns, records = [turn(0, 3)], [record(0, 3, _0=note, _1=part)]
    assert number_images(turns, records) == {0: [1, 2, 3]}
    assert number_images(turns, records, viewed={0}) == {0: [2, 3]}


def test_a_note_of_a_compaction_names_the_image_that_it_means() -> None:
    pytest.importorskip("PIL")
    from compressor import Compressor
    from compressor.images.policy import ImagePolicy
    from compressor.sessions import Conversation, Policy
    from support.picture_runs import image_part, page_shot, screen_data, texts_of, user_message, write_rounds

    model, wordy = "claude-opus-4-1", "\n".join(f"- link {i * 37 % 101}" for i in range(300))
    compressor = Compressor(store="memory", images=ImagePolicy(ocr=False, shrink=False, drop_stale=False))
    session = Conversation(compressor, model, 100_000, Policy(ingest=True, keep=("tokens", 600)))
    first = page_shot(3)._replace(title=wordy)
    rounds = [write_rounds("anthropic", [shot], i) for i, shot in enumerate((first, page_shot(2), page_shot(2)))]
    rounds[-1][1]["content"][0]["content"].append(image_part("anthropic", screen_data(3, ("theme",))))
    rounds[0][1]["content"][0]["content"][1] = image_part("anthropic", screen_data(3, ("theme", "digit")))
    session.append(user_message("anthropic", "Go on."))
    for one in rounds:
        session.append(*one)
    session.view()
    session.request_compaction()
    notes = [text for text in texts_of(session.view()) if text.startswith("[image 1: as image")]
    assert notes and all(text.startswith("[image 1: as image 4") for text in notes)

"""Tests of the texts that stand for the edits of images."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compressor.context.image_edits import (
    PictureEdit,
    ShownBox,
    drawn_edit,
    edit_note,
    parse_picture_edit,
    split_drawn_edit,
)

_SIZES = st.integers(0, 20_000)
_BOXES = st.builds(ShownBox, _SIZES, _SIZES, _SIZES, _SIZES)


@given(st.lists(_BOXES, min_size=1, max_size=5), _SIZES, _SIZES, st.text())
def test_a_picture_edit_is_read_as_it_was_written(boxes: list[ShownBox], width: int, height: int, note: str) -> None:
    edit = PictureEdit(tuple(boxes), width, height, note)
    assert parse_picture_edit(str(edit)) == edit
    assert edit_note(str(edit)) == note


@given(st.text())
def test_a_note_is_no_picture(note: str) -> None:
    text = f"[image 3: {note}]"
    assert parse_picture_edit(text) is None
    assert split_drawn_edit(text) == ("", text)
    assert edit_note(text) == text


@given(st.text())
def test_a_drawn_edit_has_its_picture_and_its_note(note: str) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    assert split_drawn_edit(drawn_edit(url, note)) == (url, note)
    assert edit_note(drawn_edit(url, note)) == note

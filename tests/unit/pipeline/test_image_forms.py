"""The forms that may stand for one image: each is shorter, says which image it is, and holds its ref."""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import Any

import pytest

pytest.importorskip("PIL")

from compressor.context.image_edits import edit_note, parse_picture_edit
from compressor.context.refs import find_refs
from compressor.images.captions import CAPTION_HEIGHT, MIN_CAPTION_WIDTH
from compressor.images.frames import list_frames
from compressor.images.policy import ImagePolicy
from compressor.pipeline.image_forms import MAX_CROP_FRACTION, MIN_SAVED_FRACTION, ImageForms
from compressor.tokens import get_counter
from support.picture_runs import FORMATS, Shot, computer_run, encode, page_shot, parse, screen_data, write_run
from support.screens import draw_lines, need_ocr, text_lines

MODEL = "claude-opus-4-1"  # which bills by pixels


@cache
def large(kinds: tuple[str, ...] = ()) -> str:
    """A screen with large letters."""
    from PIL import Image

    small = Image.open(io.BytesIO(base64.b64decode(screen_data(1, kinds))))
    return encode(small.resize((1920, 1200), Image.Resampling.NEAREST))


def make(messages: list[Any], model: str = MODEL, **policy: Any) -> tuple[ImageForms, list[Any]]:
    context = parse(messages)
    return ImageForms(context, get_counter(model), ImagePolicy(**{"ocr": False, **policy})), list_frames(context)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_source_of_an_image_is_what_its_ref_stands_for(format_name: str) -> None:
    from compressor.context.refs import compute_ref
    from support.picture_runs import image_parts

    messages = write_run(format_name, [page_shot(1), page_shot(2)])
    forms, frames = make(messages)
    assert [forms.source(frame) for frame in frames] == image_parts(messages)
    assert [forms.ref(frame) for frame in frames] == [compute_ref(part) for part in image_parts(messages)]
    assert forms.with_ref(frames[1], "[image 2]").startswith("[image 2] […cut ref ")
    assert forms.repeat(frames[0], frames[1]).startswith("[image 1: the same as image 2] ")
    assert not forms.is_same(*frames) and forms.is_same(frames[0], frames[0])


def test_a_difference_is_a_note_and_the_part_that_differs() -> None:
    forms, (one, two) = make(write_run("anthropic", [page_shot(1), page_shot(1, ("digit",))]))
    found = forms.difference(two, [one])
    assert found is not None and found[1] is one
    edit = parse_picture_edit(found[0])
    assert edit is not None and edit.note.startswith("[image 2: as image 1; its part at x ")
    assert find_refs(edit.note) == [forms.ref(two)]
    counter = get_counter(MODEL)
    assert counter.count_edit(two.slot, found[0]) <= MAX_CROP_FRACTION * counter.count_slot(two.slot)
    assert forms.difference(two, [one], 0.01) is None
    assert forms.difference(two, []) is None


def test_equal_pixels_in_other_bytes_are_a_note_alone() -> None:
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(screen_data(1))))
    forms, (one, two) = make(write_run("anthropic", [page_shot(1), Shot(encode(image, compress_level=1))]))
    found = forms.difference(two, [one])
    assert found is not None and found[0] == f"[image 2: as image 1] […cut ref {forms.ref(two)}]"
    assert not forms.is_same(one, two)


def test_a_smaller_size_saves_enough_and_says_both_sizes() -> None:
    forms, (frame,) = make(write_run("anthropic", [Shot(large())]))
    text = forms.smaller(frame)
    assert text is not None
    edit = parse_picture_edit(text)
    assert edit is not None and edit.width < 1920 and edit.note.startswith("[image 1, 1920×1200, shown smaller] ")
    counter = get_counter(MODEL)
    assert counter.count_edit(frame.slot, text) <= (1 - MIN_SAVED_FRACTION) * counter.count_slot(frame.slot)


def test_small_letters_keep_their_size() -> None:
    picture = draw_lines(text_lines(24), size=10, canvas=(640, 400))
    forms, (frame,) = make(write_run("anthropic", [Shot(encode(picture.image))]))
    edit = parse_picture_edit(forms.smaller(frame) or "")
    assert edit is None or edit.boxes[0][2:] == (edit.width, edit.height)  # without its margins


def test_nothing_is_made_of_a_broken_image() -> None:
    forms, (frame, other) = make(write_run("anthropic", [Shot("@@@@"), page_shot(1)]))
    assert forms.smaller(frame) is None and forms.thumbnail(frame) is None and forms.text(frame) is None
    assert forms.difference(frame, [other]) is None and forms.difference(other, [frame]) is None
    assert not forms.looks_alike(frame, other)
    assert forms.line(frame).startswith("[image 1: ")
    assert not forms.warnings


def test_an_image_that_is_elsewhere_is_unknown() -> None:
    shots = [Shot("", source="https://desk.example/a.png"), page_shot(1)]
    forms, (frame, other) = make(write_run("openai_chat", shots), "gpt-4o")
    assert forms.image(frame) is None and forms.smaller(frame) is None and not forms.is_same(frame, other)
    assert not forms.is_same(frame, frame)


def test_a_thumbnail_has_room_for_its_caption() -> None:
    forms, (frame,) = make(computer_run([Shot(large())]), "gpt-5")
    text = forms.thumbnail(frame)
    assert text is not None
    edit = parse_picture_edit(text)
    assert edit is not None and edit.width >= MIN_CAPTION_WIDTH
    assert edit.height == round(1200 * edit.width / 1920) + CAPTION_HEIGHT
    assert edit.note == forms.with_ref(frame, "image 1")
    shrunk = forms.smaller(frame)
    assert shrunk is None or (found := parse_picture_edit(shrunk)) is None or found.note == edit.note


def test_a_line_says_the_largest_texts_if_it_may() -> None:
    need_ocr()
    picture = draw_lines(["Order history"], size=40, canvas=(640, 400))
    messages = write_run("anthropic", [Shot(encode(picture.image), tool="screenshot")])
    forms, (frame,) = make(messages, ocr=True)
    assert "Order history" in forms.line(frame, with_texts=True)
    assert "Order history" not in forms.line(frame)
    silent, (frame,) = make(messages, ocr=False)
    assert "Order history" not in silent.line(frame, with_texts=True)


def test_the_text_of_a_table_is_shorter_and_holds_the_ref() -> None:
    need_ocr()
    lines = [" ".join(line.split()[:4]) for line in text_lines(8)]
    picture = draw_lines(lines, size=22, canvas=(900, 420))
    forms, (frame,) = make(write_run("anthropic", [Shot(encode(picture.image))]))
    text = forms.text(frame)
    if text is not None:  # OCR was sure
        assert text.startswith("[image 1, read as text]\n") and find_refs(edit_note(text)) == [forms.ref(frame)]

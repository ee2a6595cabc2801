"""Captions below pictures."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL")

from compressor.images.captions import CAPTION_HEIGHT, MIN_CAPTION_WIDTH, add_caption
from support.screens import draw_lines, need_ocr

NOTE = "image 123 […cut ref 123456789012]"


def test_a_caption_adds_its_height_and_changes_nothing_else() -> None:
    picture = draw_lines(["planet garden"], canvas=(400, 120))
    made = add_caption(picture, NOTE)
    assert (made.width, made.height) == (400, 120 + CAPTION_HEIGHT)
    assert made.image.crop((0, 0, 400, 120)).tobytes() == picture.image.tobytes()


def test_the_longest_note_fits_the_least_width() -> None:
    blank = draw_lines([], canvas=(MIN_CAPTION_WIDTH, 60))
    wide = draw_lines([], canvas=(2 * MIN_CAPTION_WIDTH, 60))
    narrow = add_caption(blank, NOTE).image
    beyond = add_caption(wide, NOTE).image.crop((MIN_CAPTION_WIDTH - 2, 60, 2 * MIN_CAPTION_WIDTH, 80))
    assert beyond.getcolors() == [(beyond.width * beyond.height, (255, 255, 255))]
    assert narrow.size == (MIN_CAPTION_WIDTH, 60 + CAPTION_HEIGHT)


def test_a_text_that_is_too_long_is_cut_off() -> None:
    made = add_caption(draw_lines([], canvas=(50, 20)), "a long caption that does not fit " * 5)
    assert (made.width, made.height) == (50, 20 + CAPTION_HEIGHT)


def test_a_caption_is_drawn_the_same_every_time() -> None:
    picture = draw_lines(["planet"], canvas=(400, 80))
    assert add_caption(picture, NOTE).image.tobytes() == add_caption(picture, NOTE).image.tobytes()


def test_a_caption_can_be_read() -> None:
    engine = need_ocr()
    made = add_caption(draw_lines([], canvas=(400, 60)), NOTE)
    words = " ".join(word.text for word in engine.read(made, "page"))
    assert "123456789012" in words and "ref" in words

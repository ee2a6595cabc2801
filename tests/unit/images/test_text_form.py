"""Pictures that can go as text."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image, ImageDraw

from compressor.images.ocr import Layout, OcrWord
from compressor.images.picture import Picture
from compressor.images.pixel_boxes import PixelBox
from compressor.images.text_form import (
    TextForm,
    confirm_words,
    may_be_text,
    measure_explained,
    measure_text,
    read_as_text,
)
from support.screens import DARK, LIGHT, draw_lines, draw_photo, draw_table, make_picture, need_ocr, text_lines

ROWS = [
    ["Item", "Price", "Count", "Total"],
    ["Green tea", "4.20", "1200", "5040.00"],
    ["Kitchen lamp", "85.00", "350", "29750.00"],
    ["Garden chair", "61.75", "804", "49647.00"],
    ["Storage box", "9.99", "144", "1438.56"],
    ["Paper", "3.05", "707", "2156.35"],
]


def count(text: str) -> int:
    return len(text.split())


class Unused:
    """An engine that must not be asked."""

    def read(self, picture: Picture, layout: Layout = "screen") -> list[OcrWord]:
        raise AssertionError("OCR was run")


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_a_table_becomes_text(colours: tuple[str, str]) -> None:
    form = read_as_text(draw_table(ROWS, colours=colours), need_ocr(), count)
    assert form is not None
    assert form.text == "\n".join(" | ".join(row) for row in ROWS)
    assert form.tokens == count(form.text) and form.confirmed_numbers == 1 and form.shapes == 0


def test_an_icon_keeps_the_picture() -> None:
    engine = need_ocr()
    table = draw_table(ROWS).image
    screen = Image.new("RGB", (table.width, table.height + 60), "white")
    screen.paste(table)
    pen = ImageDraw.Draw(screen)
    pen.ellipse((300, table.height + 10, 330, table.height + 40), outline="#b91c1c", width=3)
    pen.ellipse((311, table.height + 21, 319, table.height + 29), fill="#b91c1c")
    picture = make_picture(screen)
    form = measure_text(picture, engine, count)
    assert form is not None and form.shapes and not form.is_reliable
    assert read_as_text(picture, engine, count) is None


def test_pictures_that_are_no_text_are_refused_without_ocr() -> None:
    assert read_as_text(draw_photo(), Unused(), count) is None
    lines = draw_lines(text_lines(), 14)
    assert may_be_text(lines.grey)
    shade = np.linspace(0, 110, lines.width).astype(np.int32)
    assert not may_be_text(np.clip(lines.grey - shade, 0, 255).astype(np.uint8))  # text over a gradient
    assert not may_be_text(draw_lines(text_lines(), 9).grey)  # too small to be read for sure
    assert not may_be_text(np.zeros((0, 0), np.uint8)) and not may_be_text(np.zeros((90, 90), np.uint8))


def test_a_row_cut_by_the_edge_is_left_out() -> None:
    engine = need_ocr()
    whole = draw_lines(text_lines(8, 5), 20, canvas=(620, 300))
    cut = make_picture(whole.image.crop((0, 0, 620, 20 + 7 * 30 + 10)))
    form = measure_text(cut, engine, count)
    assert form is not None and form.text.splitlines()[:7] == text_lines(7, 5)
    assert len(form.text.splitlines()) == 7


def test_a_word_is_confirmed_at_its_place_only() -> None:
    words = [OcrWord("48", PixelBox(10, 10, 30, 20), 0.9, 0), OcrWord("49", PixelBox(50, 10, 70, 20), 0.9, 0)]
    again = [OcrWord("48", PixelBox(15, 15, 45, 30), 0.9, 0), OcrWord("49", PixelBox(300, 15, 330, 30), 0.9, 0)]
    assert confirm_words(words, again, 1.5) == [True, False]


def test_what_no_box_covers_is_not_explained() -> None:
    picture = draw_lines(["planet garden", "window ledger"], 16, canvas=(200, 80))
    one = [OcrWord("planet", PixelBox(15, 15, 195, 42), 0.9, 0)]
    explained, shapes = measure_explained(picture.grey, one)
    assert 0.3 < explained < 0.7 and shapes > 0
    assert measure_explained(np.zeros((10, 40), np.uint8), one) == (0.0, 0)


@pytest.mark.parametrize(
    "changed", [{"confidence": 0.5}, {"confirmed": 0.9}, {"confirmed_numbers": 0.99}, {"explained": 0.9}, {"shapes": 1}]
)
def test_each_measure_can_refuse(changed: dict[str, float]) -> None:
    good = {"confidence": 0.96, "confirmed": 1.0, "confirmed_numbers": 1.0, "explained": 1.0, "shapes": 0}
    assert TextForm("a", 1, **good).is_reliable  # type: ignore[arg-type]
    assert not TextForm("a", 1, **{**good, **changed}).is_reliable  # type: ignore[arg-type]

"""The largest texts of a screen, found and read."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL")

from PIL import Image, ImageDraw

from compressor.images.large_texts import MAX_LINES, find_large_lines, read_largest_texts
from support.screens import draw_lines, draw_photo, font, make_picture, need_ocr, text_lines


def screen() -> tuple[object, list[str]]:
    """A page with a title, a heading and small text."""
    image = Image.new("RGB", (900, 600), "#ffffff")
    pen = ImageDraw.Draw(image)
    pen.text((30, 20), "Order history", fill="#1f2328", font=font(40))
    pen.text((30, 200), "Shipping address", fill="#1f2328", font=font(28))
    for i, line in enumerate(text_lines(14)):
        pen.text((30, 270 + 20 * i), line, fill="#1f2328", font=font(12))
    return make_picture(image), ["Order history", "Shipping address"]


def test_the_boxes_of_the_largest_lines_are_found() -> None:
    picture, _ = screen()
    boxes = find_large_lines(picture.grey)  # type: ignore[attr-defined]
    assert 2 <= len(boxes) <= MAX_LINES
    assert any(box.top <= 30 and box.bottom >= 55 and box.left <= 30 for box in boxes)
    assert any(190 <= box.top <= 210 for box in boxes)
    assert boxes == sorted(boxes, key=lambda box: (box.top, box.left))
    assert all(0 <= b.left < b.right <= 900 and 0 <= b.top < b.bottom <= 600 for b in boxes)


def test_an_empty_screen_has_none_and_needs_no_engine() -> None:
    blank = draw_lines([], canvas=(320, 200))
    assert find_large_lines(blank.grey) == []

    class NeverUsed:
        def read(self, *_: object) -> None:
            raise AssertionError("nothing to read")

    assert read_largest_texts(blank, NeverUsed(), 100) == []  # type: ignore[arg-type]


def test_the_largest_texts_are_read_from_top_to_bottom() -> None:
    engine = need_ocr()
    picture, titles = screen()
    texts = read_largest_texts(picture, engine, 300)  # type: ignore[arg-type]
    assert texts[: len(titles)] == titles


@pytest.mark.parametrize("most", [0, 5, 20, 60])
def test_no_more_is_returned_than_asked_for(most: int) -> None:
    engine = need_ocr()
    picture, _ = screen()
    texts = read_largest_texts(picture, engine, most)  # type: ignore[arg-type]
    assert sum(map(len, texts)) <= most
    assert len(texts) == len(set(texts))


def test_a_photo_says_nothing() -> None:
    engine = need_ocr()
    assert read_largest_texts(draw_photo(), engine, 100) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (16, 16), (33, 17)])
def test_small_and_narrow_pictures_have_no_lines(size: tuple[int, int]) -> None:
    assert find_large_lines(draw_lines([], canvas=size).grey) == []

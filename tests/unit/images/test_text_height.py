"""The height of the smallest text on a picture."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("PIL")

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from compressor.images.text_height import halve, smallest_text_height, text_fraction, text_heights
from support.screens import DARK, LIGHT, capital_height, draw_lines, draw_photo, font, make_picture, text_lines


@pytest.mark.parametrize("colours", [LIGHT, DARK, ("#1e3a8a", "#fef9c3"), ("#ffffff", "#767676")])
@pytest.mark.parametrize("size", [10, 12, 14, 18, 24, 40])
def test_the_height_of_capitals_is_found(size: int, colours: tuple[str, str]) -> None:
    found = smallest_text_height(draw_lines(text_lines(words=6), size, colours, (1000, 700)).grey)
    assert found is not None
    # Never much too large, which would make the text too small. Words without a tall letter count as smaller type.
    assert 0.7 * capital_height(size) - 1 <= found <= 1.15 * capital_height(size) + 1


def test_digits_alone_are_as_tall_as_capitals() -> None:
    lines = ["4821 307 95.20 1164 8803 2026 5519", "7730 118 64.02 9961 3348 1975 2204"] * 5
    found = smallest_text_height(draw_lines(lines, 12).grey)
    assert found is not None and abs(found - capital_height(12)) <= 1


def test_the_smaller_of_two_sizes_counts() -> None:
    screen = draw_lines(text_lines(6, 4), 24, canvas=(900, 500)).image.copy()
    pen = ImageDraw.Draw(screen)
    for i, line in enumerate(text_lines(6, 6)):
        pen.text((20, 300 + i * 18), line, fill="#1f2328", font=font(11))
    found = smallest_text_height(make_picture(screen).grey)
    assert found is not None and found <= capital_height(11) + 1


def test_borders_dashes_photos_and_plain_grounds_are_no_text() -> None:
    screen = Image.new("RGB", (600, 400), "white")
    pen = ImageDraw.Draw(screen)
    for i in range(10):
        pen.rectangle((20 + i * 8, 20 + i * 8, 580 - i * 8, 380 - i * 8), outline="#333333", width=2)
    for x in range(20, 580, 8):
        pen.rectangle((x, 200, x + 3, 204), fill="black")
    assert smallest_text_height(make_picture(screen).grey) is None
    assert smallest_text_height(np.full((400, 600), 255, np.uint8)) is None
    assert len(text_heights(draw_photo().grey)) < 5


@given(st.integers(0, 40), st.integers(0, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_pixels_give_a_height_or_none(height: int, width: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    found = smallest_text_height(grey)
    assert found is None or found > 0
    assert 0 <= text_fraction(grey) <= 1
    assert np.array_equal(text_heights(grey), text_heights(grey.copy()))


def test_what_is_drawn_is_text_on_a_page_and_not_on_a_photo() -> None:
    assert text_fraction(draw_lines(text_lines(), 14).grey) > 0.5
    assert text_fraction(draw_photo().grey) < 0.2


def test_halving_takes_the_mean() -> None:
    grey = np.array([[0, 100, 9], [200, 100, 9], [1, 1, 1]], np.uint8)
    assert halve(grey).tolist() == [[100]]


def test_a_screenshot_takes_a_few_milliseconds() -> None:
    grey = draw_lines(text_lines(30, 12), 13, canvas=(1280, 800)).grey
    smallest_text_height(grey)
    start = time.thread_time()
    smallest_text_height(grey)
    assert time.thread_time() - start < 0.08

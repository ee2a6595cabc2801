"""How small a picture may become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.images.resizing import (
    MIN_CAPITAL_HEIGHT,
    MIN_SCALE_WITHOUT_TEXT,
    MIN_SIDE,
    enlarge,
    legible_scale,
    resize,
)
from compressor.images.text_height import smallest_text_height
from support.screens import DARK, draw_lines, draw_photo, make_picture, need_ocr, text_lines


def test_small_text_keeps_its_size() -> None:
    assert legible_scale(draw_lines(text_lines(), 11).grey) == 1


@pytest.mark.parametrize("size", [18, 24, 32])
def test_large_text_may_shrink_and_its_capitals_stay_tall_enough(size: int) -> None:
    screen = draw_lines(text_lines(10, 5), size, canvas=(1000, 700))
    scale = legible_scale(screen.grey)
    assert scale < 0.95
    small = resize(screen, round(screen.width * scale), round(screen.height * scale))
    found = smallest_text_height(small.grey)
    assert found is not None and found >= MIN_CAPITAL_HEIGHT - 2


def test_a_picture_without_text_is_halved() -> None:
    assert legible_scale(draw_photo(1024, 768).grey) == MIN_SCALE_WITHOUT_TEXT
    assert legible_scale(np.zeros((300, 300), np.uint8)) == pytest.approx(MIN_SIDE / 300)
    assert legible_scale(np.zeros((100, 100), np.uint8)) == 1


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_scale_never_enlarges(height: int, width: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    assert 0 < legible_scale(grey) <= 1


def test_sizes_are_checked_and_the_same_pixels_come_out() -> None:
    screen = draw_lines(text_lines(), 14)
    assert resize(screen, screen.width, screen.height) is screen
    assert resize(screen, 320, 200) == resize(draw_lines(text_lines(), 14), 320, 200)
    assert (resize(screen, 320, 200).width, resize(screen, 320, 200).height) == (320, 200)
    for width, height in ((screen.width + 1, 100), (0, 100), (100, screen.height + 1)):
        with pytest.raises(ValueError, match="must be within"):
            resize(screen, width, height)
    assert enlarge(screen, 1.5).width == 960


def test_ocr_reads_the_same_words_on_the_smaller_picture() -> None:
    engine = need_ocr()
    lines = text_lines(10, 5)
    for colours in (("#ffffff", "#1f2328"), DARK):
        screen = draw_lines(lines, 22, colours, (900, 460))
        scale = legible_scale(screen.grey)
        small = resize(screen, round(screen.width * scale), round(screen.height * scale))
        assert small.width < 0.8 * screen.width
        expected = " ".join(lines).split()
        read = [word.text for word in engine.read(make_picture(small.image))]
        found = sum(word in read for word in expected)
        assert found >= 0.97 * len(expected), read

"""Empty margins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.images.margins import BORDER, MIN_FRACTION, content_box
from support.screens import DARK, LIGHT, draw_lines, draw_photo, text_lines


@pytest.mark.parametrize("colours", [LIGHT, DARK, ("#1e3a8a", "#fef9c3")])
def test_margins_of_any_colour_go(colours: tuple[str, str]) -> None:
    screen = draw_lines(text_lines(4, 4), 16, colours, (800, 600), left=200, top=150)
    box = content_box(screen.grey)
    assert 180 <= box.left <= 200 and 130 <= box.top <= 160
    assert box.right < 700 and box.bottom < 300
    outside = screen.grey.copy()
    outside[box.top : box.bottom, box.left : box.right] = outside[0, 0]
    assert len(np.unique(outside)) == 1


def test_full_pages_photos_and_empty_pictures_stay_whole() -> None:
    for grey in (draw_photo().grey, np.full((50, 60), 7, np.uint8), np.zeros((0, 0), np.uint8)):
        assert content_box(grey) == (0, 0, grey.shape[1], grey.shape[0])
    framed = np.full((100, 100), 255, np.uint8)
    framed[10:90, 10:90] = 0
    assert content_box(framed) == (0, 0, 100, 100)  # with the border that stays, too little would go


def test_each_edge_may_have_its_own_colour() -> None:
    grey = np.full((400, 400), 255, np.uint8)
    grey[:100] = 20  # a plain dark header
    grey[200:220, 200:260] = 90
    assert content_box(grey) == (0, 100 - BORDER, 400, 220 + BORDER) or content_box(grey).top == 100 - BORDER


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.integers(0, 20))
@settings(max_examples=80, deadline=None)
def test_nothing_that_is_drawn_is_cut(height: int, width: int, seed: int, dots: int) -> None:
    rng = np.random.default_rng(seed)
    grey = np.full((height, width), 255, np.uint8)
    for _ in range(dots):
        grey[rng.integers(height), rng.integers(width)] = 0
    box = content_box(grey)
    drawn = grey == 0
    if drawn.any() and not drawn[0, 0]:
        assert drawn[box.top : box.bottom, box.left : box.right].sum() == drawn.sum()
    assert box.area == grey.size or box.area <= (1 - MIN_FRACTION) * grey.size

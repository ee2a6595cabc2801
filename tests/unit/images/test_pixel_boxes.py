"""A few boxes cover every mark, and leave out what lies between."""

from __future__ import annotations

import numpy as np

from compressor.images.pixel_boxes import CELL, MAX_BOXES, PixelBox, cover_cells, mark_cells
from support.property_tests import given, st

POINTS = st.lists(st.tuples(st.integers(0, 299), st.integers(0, 199)), max_size=30)


def pixels_at(
    points: list[tuple[int, int]], width: int, height: int
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    pixels = np.zeros((height, width), np.bool_)
    for x, y in points:
        pixels[y % height, x % width] = True
    return pixels


@given(POINTS, st.integers(1, 300), st.integers(1, 200))
def test_every_mark_is_in_a_box_with_some_pixels_around_it(
    points: list[tuple[int, int]], width: int, height: int
) -> None:
    pixels = pixels_at(points, width, height)
    boxes = cover_cells(mark_cells(pixels), width, height)
    assert len(boxes) <= MAX_BOXES
    assert bool(boxes) == bool(points)
    for y, x in zip(*np.nonzero(pixels), strict=True):
        assert any(
            (box.left < x or box.left == 0)
            and (x < box.right - 1 or box.right == width)
            and (box.top < y or box.top == 0)
            and (y < box.bottom - 1 or box.bottom == height)
            for box in boxes
        )
    for box in boxes:
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
        assert box.left % CELL == box.top % CELL == 0
        assert box.right % CELL == 0 or box.right == width
        assert box.bottom % CELL == 0 or box.bottom == height


@given(POINTS, st.integers(1, 300), st.integers(1, 200))
def test_cells_are_marked_as_by_looking_at_each(points: list[tuple[int, int]], width: int, height: int) -> None:
    pixels = pixels_at(points, width, height)
    cells = mark_cells(pixels)
    for (row, column), marked in np.ndenumerate(cells):
        part = pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        assert bool(marked) == bool(part.any())
    assert cells.shape == (-(-height // CELL), -(-width // CELL))


def test_two_marks_far_apart_are_not_joined_and_two_near_ones_are() -> None:
    def boxes(*points: tuple[int, int]) -> int:
        return len(cover_cells(mark_cells(pixels_at(list(points), 1280, 800)), 1280, 800))

    assert boxes((10, 10)) == boxes((10, 10), (40, 12)) == boxes((10, 10), (60, 40)) == 1
    assert boxes((10, 10), (1200, 700)) == 2
    assert boxes((10, 10), (1200, 20), (20, 700), (1200, 700)) == 4


def test_a_box_says_where_it_is() -> None:
    box = PixelBox(812, 40, 932, 72)
    assert box.words == "x 812, y 40, 120 x 32"
    assert (box.width, box.height, box.area) == (120, 32, 3840)

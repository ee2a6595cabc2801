"""Rectangles of pixels, and the few of them that cover everything that is marked in a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Pixels are marked in cells of 8 x 8. Edges of boxes lie on multiples of it, as the blocks of a JPEG do.
CELL = 8
#: The most boxes that cover a picture's marks.
MAX_BOXES = 4
#: The least size of a box in pixels: a model that sees a digit or a tick should see what stands beside it, too.
_MIN_WIDTH, _MIN_HEIGHT = 96, 48
#: A box is cut in two if that leaves out so many cells, and so large a part of the box.
_MIN_SAVED_CELLS = 40
_MIN_SAVED_PART = 0.15


class PixelBox(NamedTuple):
    """A rectangle of pixels, from (left, top) to (right, bottom), which are outside.

    Attributes:
        left: The first column.
        top: The first row.
        right: The column after the last one.
        bottom: The row after the last one.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def words(self) -> str:
        """Where the box is, in words: "x 812, y 40, 120 x 32"."""
        return f"x {self.left}, y {self.top}, {self.width} x {self.height}"

    def join(self, other: PixelBox) -> PixelBox:
        """Returns the smallest box around two boxes."""
        return PixelBox(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def mark_cells(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which cells have a marked pixel.

    Args:
        pixels: Shape (height, width).

    Returns:
        Shape (height / 8, width / 8), rounded up.
    """
    height, width = pixels.shape
    down, across = -(-height // CELL), -(-width // CELL)
    if (height, width) != (down * CELL, across * CELL):
        whole = np.zeros((down * CELL, across * CELL), np.bool_)
        whole[:height, :width] = pixels
        pixels = whole
    eights = np.ascontiguousarray(pixels).view(np.uint64)  # eight pixels of a row as one number
    joined: NDArray[np.uint64] = np.bitwise_or.reduce(eights.reshape(down, CELL, across), axis=1)
    marked: NDArray[np.bool_] = joined != 0
    return marked


def cover_cells(cells: NDArray[np.bool_], width: int, height: int) -> tuple[PixelBox, ...]:
    """Returns up to `MAX_BOXES` boxes around all marked cells, at least one cell larger on each side, from the top on.

    A box around everything is cut in two where that leaves out the most, then one of the two, and so on (recursive X-Y
    cut, Nagy and Seth 1984).

    Args:
        cells: The marked cells.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """
    if not cells.any():
        return ()
    boxes = [_shrink(cells, PixelBox(0, 0, cells.shape[1], cells.shape[0]))]
    cuts: dict[PixelBox, tuple[int, PixelBox, PixelBox]] = {}
    while len(boxes) < MAX_BOXES:
        for box in boxes:
            if box not in cuts:
                cuts[box] = _best_cut(cells, box)
        widest = max(boxes, key=lambda box: cuts[box][0])
        saved, one, other = cuts[widest]
        if saved < max(_MIN_SAVED_CELLS, _MIN_SAVED_PART * _padded(widest)):
            break
        boxes.remove(widest)
        boxes += (one, other)
    grown = []
    for box in boxes:
        left, right = _grow(box.left, box.right, _MIN_WIDTH, width)
        top, bottom = _grow(box.top, box.bottom, _MIN_HEIGHT, height)
        grown.append(PixelBox(left, top, right, bottom))
    return tuple(sorted(_join_overlapping(grown), key=lambda box: (box.top, box.left)))


def _grow(first: int, last: int, least: int, limit: int) -> tuple[int, int]:
    """Returns a range of cells as one of pixels: a cell larger on each side, at least `least`, and within `limit`."""
    cells = max(last - first + 2, least // CELL)
    start = max(0, min((first + last - cells) // 2 * CELL, limit - cells * CELL) // CELL * CELL)
    end = start + cells * CELL
    return start, limit if end > limit - CELL else end


def _best_cut(cells: NDArray[np.bool_], box: PixelBox) -> tuple[int, PixelBox, PixelBox]:
    """Returns the number of cells that the best cut of a box leaves out, and the two boxes."""
    part = cells[box.top : box.bottom, box.left : box.right]
    across, at_row = _best_row(part)
    down, at_column = _best_row(part.T)
    if across >= down:
        one, other = box._replace(bottom=box.top + at_row), box._replace(top=box.top + at_row)
    else:
        one, other = box._replace(right=box.left + at_column), box._replace(left=box.left + at_column)
    saved = max(across, down)
    return (saved, _shrink(cells, one), _shrink(cells, other)) if saved > 0 else (0, box, box)


def _best_row(part: NDArray[np.bool_]) -> tuple[int, int]:
    """Returns how many cells a cut above a row leaves out at best, and that row."""
    rows = np.flatnonzero(part.any(axis=1))
    if len(rows) < 2:
        return 0, 0
    marked = part[rows]
    first = marked.argmax(axis=1)
    last = part.shape[1] - 1 - marked[:, ::-1].argmax(axis=1)
    above = np.maximum.accumulate(last) - np.minimum.accumulate(first)
    below = (np.maximum.accumulate(last[::-1]) - np.minimum.accumulate(first[::-1]))[::-1]
    # Each part grows by one cell on each side.
    sizes = (rows[:-1] - rows[0] + 3) * (above[:-1] + 3) + (rows[-1] - rows[1:] + 3) * (below[1:] + 3)
    best = int(sizes.argmin())
    whole = (int(rows[-1] - rows[0]) + 3) * (int(above[-1]) + 3)
    return whole - int(sizes[best]), int(rows[best + 1])


def _shrink(cells: NDArray[np.bool_], box: PixelBox) -> PixelBox:
    """Returns the smallest box around the marked cells in a box. There must be one."""
    part = cells[box.top : box.bottom, box.left : box.right]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return PixelBox(
        box.left + int(columns[0]),
        box.top + int(rows[0]),
        box.left + int(columns[-1]) + 1,
        box.top + int(rows[-1]) + 1,
    )


def _padded(box: PixelBox) -> int:
    return (box.width + 2) * (box.height + 2)


def _join_overlapping(boxes: list[PixelBox]) -> list[PixelBox]:
    """Joins pairs of boxes that together are no smaller than one box around both."""
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            joined = one.join(other)
            if joined.area <= one.area + other.area:
                return _join_overlapping([box for box in boxes if box not in (one, other)] + [joined])
    return boxes

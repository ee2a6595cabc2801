"""Widens the part of a screenshot that differs, so that a value stands with what it belongs to.

A changed price alone says nothing: its row's name stands to the left of it. Lines of text are found as in
`text_height`.
"""

from __future__ import annotations

from collections.abc import Iterable

from compressor.images.pixel_boxes import PixelBox
from compressor.images.text_height import CELL, Grey, count_steps, find_bands, find_steps

_MAX_GAP_CELLS = 15  # empty cells between two texts of one row: 240 pixels
_MAX_WORD_GAP_CELLS = 2  # between two words or numbers of a text: none is cut in half
_MARGIN = 24  # pixels around the text of a row: a cell with a part of a letter does not count as text


def with_owners(boxes: Iterable[PixelBox], grey: Grey) -> tuple[PixelBox, ...]:
    """Returns boxes that begin where the rows of text in them begin, and end where a text ends. None becomes smaller.

    Args:
        boxes: The parts of a picture.
        grey: The brightness of the picture's pixels, shape [height, width].
    """
    tops, bottoms, columns = find_bands(count_steps(find_steps(grey)))
    widened: list[PixelBox] = []
    for box in boxes:
        middles = (tops + bottoms) // 2
        cells = sorted(set(columns[(middles >= box.top) & (middles < box.bottom)].tolist()))
        left, right = box.left // CELL, (box.right - 1) // CELL
        for column in reversed(cells):
            if column < left and left - column <= _MAX_GAP_CELLS:
                left = column
        for column in cells:
            if column > right and column - right <= _MAX_WORD_GAP_CELLS:
                right = column
        start, end = left * CELL - _MARGIN, min(grey.shape[1], (right + 1) * CELL + _MARGIN)
        widened.append(box._replace(left=max(0, min(box.left, start)), right=max(box.right, end)))
    return join_overlapping(widened)


def join_overlapping(boxes: list[PixelBox]) -> tuple[PixelBox, ...]:
    """Returns boxes that do not overlap, from top to bottom; those that did are joined."""
    out: list[PixelBox] = []
    for box in boxes:
        while True:
            other = next((o for o in out if _overlap(o, box)), None)
            if other is None:
                break
            out.remove(other)
            box = box.join(other)
        out.append(box)
    return tuple(sorted(out, key=lambda box: (box.top, box.left)))


def _overlap(one: PixelBox, other: PixelBox) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom

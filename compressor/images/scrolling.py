"""Finds by how many rows a part of a picture has scrolled since an earlier one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compressor.images.picture import Picture
from compressor.images.pixel_boxes import CELL, PixelBox, mark_cells
from compressor.images.row_hashes import find_single_rows

#: Rows of pixels that occur once in each picture and have to agree on the offset. On recorded pages 73 and more agree
#: after a scroll, at most 8 on any other offset; 16 and 12 on two offsets where a list looks alike in many places.
_MIN_VOTES = 12
_MIN_LEAD = 3


class Scroll(NamedTuple):
    """A part of a picture that an earlier one shows at another height.

    Attributes:
        offset: Row y of the new picture is row y + offset of the old one: positive after scrolling down.
        box: The part, in the new picture.
    """

    offset: int
    box: PixelBox


def vote_for_offset(old: Picture, new: Picture) -> int:
    """Returns the offset on which by far the most equal rows of two pictures of one size agree, or 0.

    Args:
        old: The earlier picture.
        new: The later picture.
    """
    height = new.height
    votes = np.zeros(2 * height - 1, np.intp)
    for old_strip, new_strip in zip(old.row_hashes, new.row_hashes, strict=True):
        old_hashes, old_rows = find_single_rows(old_strip)
        new_hashes, new_rows = find_single_rows(new_strip)
        places = np.searchsorted(old_hashes, new_hashes)
        places[places == len(old_hashes)] = 0
        if len(old_hashes):
            equal = old_hashes[places] == new_hashes
            offsets = old_rows[places[equal]] - new_rows[equal]
            votes += np.bincount(offsets + height - 1, minlength=len(votes))
    votes[height - 1] = 0
    best = int(votes.argmax())
    most = int(votes[best])
    votes[best] = 0
    is_clear = most >= max(_MIN_VOTES, _MIN_LEAD * int(votes.max()))
    return best - (height - 1) if is_clear else 0


def find_scrolled_part(in_place: NDArray[np.bool_], shifted: NDArray[np.bool_], offset: int) -> PixelBox | None:
    """Returns the part of the new picture that has scrolled, or None.

    Args:
        in_place: Which pixels differ from the old picture, shape (height, width).
        shifted: Which pixels differ from the old picture moved by the offset; those without a source do.
        offset: The offset, see `Scroll`.
    """
    explained = mark_cells(in_place) & ~mark_cells(shifted)
    rows, columns = np.flatnonzero(explained.any(axis=1)), np.flatnonzero(explained.any(axis=0))
    if not len(rows):
        return None
    height, width = in_place.shape
    left, right = int(columns[0]) * CELL, min(width, (int(columns[-1]) + 1) * CELL)
    top, bottom = int(rows[0]) * CELL, min(height, (int(rows[-1]) + 1) * CELL)
    # The part may start and end within a cell.
    differs = np.any(shifted[:, left:right], axis=1, keepdims=True)[:, 0]
    top -= _run(differs[max(0, top - CELL) : top][::-1])
    bottom += _run(differs[bottom : bottom + CELL])
    differs = np.any(shifted[max(top, -offset) : min(bottom, height - offset)], axis=0, keepdims=True)[0]
    left -= _run(differs[max(0, left - CELL) : left][::-1])
    right += _run(differs[right : right + CELL])
    top, bottom = max(top, -offset), min(bottom, height - offset)
    # What does not differ in place need not be moved.
    differs = in_place[top:bottom, left:right]
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return PixelBox(left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)


def _run(values: NDArray[np.bool_]) -> int:
    """Returns how many values at the start are false."""
    return int(values.argmax()) if values.any() else len(values)

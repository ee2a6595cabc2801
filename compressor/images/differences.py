"""Finds what differs between two pictures: boxes outside of which no pixel does.

Pixels are compared one by one, and every difference counts: a letter, a tick or a dot that changes is never overlooked,
however small or faint it is. This works for JPEG, too, as long as both frames were stored with the same settings: its
blocks of 8 x 8 or 16 x 16 pixels do not depend on one another, so that equal blocks are decoded to equal pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.images.picture import Picture
from compressor.images.pixel_boxes import PixelBox, cover_cells, mark_cells
from compressor.images.scrolling import Scroll, find_scrolled_part, vote_for_offset

#: Two pictures that differ in a larger part of their area are two pictures.
MAX_SHARE = 0.45
#: Where less than this differs in place, nobody looks for a scrolled part.
_SMALL_SHARE = 0.1


@dataclass(frozen=True)
class Changes:
    """What differs in a new picture from an old one.

    Attributes:
        boxes: Where they differ, from top to bottom; none if the pictures are equal.
        share: The part of the new picture's area that the boxes take.
        scroll: The part that the old picture shows at another height, or None. What is in no box is there as in the old
            picture, moved by the offset; outside of the part and the boxes it is as in the old picture, in place.
    """

    boxes: tuple[PixelBox, ...]
    share: float
    scroll: Scroll | None = None

    @property
    def scroll_offset(self) -> int:
        """How many pixels the page was scrolled down since the old picture; negative if up, 0 if not at all."""
        return self.scroll.offset if self.scroll else 0

    @property
    def is_equal(self) -> bool:
        """Whether both pictures show the same, pixel by pixel."""
        return not self.boxes and self.scroll is None


def find_changes(old: Picture, new: Picture) -> Changes | None:
    """Returns what differs in a new picture from an old one.

    Args:
        old: The earlier picture.
        new: The later picture.

    Returns:
        The changes. None if the sizes differ, if more than `MAX_SHARE` of the area does, or if a pixel is transparent.
    """
    if old.digest == new.digest:
        return Changes((), 0.0)
    if (old.width, old.height) != (new.width, new.height) or old.is_transparent or new.is_transparent:
        return None
    in_place: NDArray[np.bool_] = old.packed != new.packed
    best = _cover(in_place, None)
    if best.share > _SMALL_SHARE:
        scrolled = _find_scrolled(old, new, in_place)
        if scrolled is not None and scrolled.share < best.share:
            best = scrolled
    return best if best.share <= MAX_SHARE else None


def _find_scrolled(old: Picture, new: Picture, in_place: NDArray[np.bool_]) -> Changes | None:
    offset = vote_for_offset(old, new)
    if not offset:
        return None
    height = new.height
    rows = slice(max(0, -offset), height - max(0, offset))  # the rows of the new picture that have a source
    sources = slice(rows.start + offset, rows.stop + offset)
    shifted = np.ones_like(in_place)
    shifted[rows] = old.packed[sources] != new.packed[rows]
    box = find_scrolled_part(in_place, shifted, offset)
    if box is None:
        return None
    remaining = in_place.copy()
    part = (slice(box.top, box.bottom), slice(box.left, box.right))
    remaining[part] = shifted[part]
    return _cover(remaining, Scroll(offset, box))


def _cover(pixels: NDArray[np.bool_], scroll: Scroll | None) -> Changes:
    height, width = pixels.shape
    boxes = cover_cells(mark_cells(pixels), width, height)
    return Changes(boxes, min(1.0, sum(box.area for box in boxes) / pixels.size), scroll)

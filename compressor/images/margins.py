"""Finds the empty margins around the content of a picture: rows and columns of one colour at its edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compressor.images.pixel_boxes import PixelBox

Grey = npt.NDArray[np.uint8]

#: Margins are cut off only if at least this fraction of the picture goes with them.
MIN_FRACTION = 0.08
#: Pixels of margin that stay: text at the very edge of a picture is read worse.
BORDER = 8
#: Pixels of a margin differ by at most this much in brightness: JPEG leaves some noise.
_TOLERANCE = 6


def content_box(grey: Grey) -> PixelBox:
    """Returns the part of a picture that is worth keeping.

    Args:
        grey: The brightness of its pixels, shape [height, width].

    Returns:
        The box around the content with a small border, or the whole picture if its margins are smaller than
        `MIN_FRACTION` of it, or if it is empty. Each edge may have its own colour.
    """
    height, width = grey.shape
    whole = PixelBox(0, 0, width, height)
    if not height or not width:
        return whole
    top = _margin(grey)
    if top == height:
        return whole
    bottom = height - _margin(grey[::-1])
    rows = grey[top:bottom]
    left, right = _margin(rows.T), width - _margin(rows.T[::-1])
    box = PixelBox(
        max(0, left - BORDER), max(0, top - BORDER), min(width, right + BORDER), min(height, bottom + BORDER)
    )
    return box if box.area <= (1 - MIN_FRACTION) * whole.area else whole


def _margin(lines: Grey) -> int:
    """Returns the number of lines at the start that have the colour of the first one."""
    if not lines.size:
        return 0
    low, high = max(0, int(lines[0, 0]) - _TOLERANCE), int(lines[0, 0]) + _TOLERANCE
    size, done = 16, 0
    while done < len(lines):  # most pictures have content near their edges: look at few lines first
        part = lines[done : done + size]
        differs = ((part < low) | (part > high)).any(axis=1)
        if differs.any():
            return done + int(differs.argmax())
        done += len(part)
        size *= 2
    return len(lines)

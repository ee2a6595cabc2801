"""Reads only the largest texts on a picture, which takes a fraction of the time of reading all of it.

Lines of text are found as in `text_height`, on the halved picture. The tallest lines are cut out and put below each
other on one small canvas, which is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from compressor.images.pixel_boxes import PixelBox
from compressor.images.text_height import CELL, Grey, count_steps, find_bands, find_steps, halve

if TYPE_CHECKING:
    from compressor.images.ocr import OcrEngine
    from compressor.images.picture import Picture

MAX_LINES = 6
_GAP_CELLS = 4  # empty cells between two texts in the same rows
_MIN_CELLS = 2  # a narrower line is an icon
_MIN_ALIKE = 1  # neighbours: large letters are few, and only some of them have others of their height beside them
_MARGIN = 8  # pixels around a line
_MIN_CONFIDENCE = 0.7
#: Signs in front of a text and behind it, as which icons and borders are read.
_SIGNS = re.compile(r"^[^\w€$£#(\"]+|[^\w%€$£.?!:)\"]+$")


def read_largest_texts(picture: Picture, engine: OcrEngine, max_chars: int) -> list[str]:
    """Returns the texts in the largest type on a picture, from top to bottom.

    Args:
        picture: The picture.
        engine: The OCR engine.
        max_chars: The number of characters to return at most.

    Raises:
        OcrError: The engine failed.
    """
    lines = find_large_lines(picture.grey)
    if not lines:
        return []
    canvas = _stack(picture, lines)
    texts: list[str] = []
    left = max_chars
    from compressor.images.ocr import group_lines

    for words in group_lines(engine.read(canvas, "page")):
        sure = [word.text for word in words if word.confidence >= _MIN_CONFIDENCE]
        text = _SIGNS.sub("", " ".join(sure))
        if 2 * len(sure) >= len(words) and sum(map(str.isalpha, text)) >= 3 and len(text) <= left and text not in texts:
            texts.append(text)
            left -= len(text) + 3
    return texts


def find_large_lines(grey: Grey) -> list[PixelBox]:
    """Returns the boxes of the lines of the largest texts, from top to bottom.

    Args:
        grey: The brightness of the pixels, shape [height, width].
    """
    half = halve(grey)
    tops, bottoms, columns = find_bands(count_steps(find_steps(half)), _MIN_ALIKE)
    open_lines: list[list[int]] = []  # left and right cell, top and bottom row, of lines that may go on
    found: list[list[int]] = []
    for i in np.argsort(columns, kind="stable").tolist():
        column, top, bottom = int(columns[i]), int(tops[i]), int(bottoms[i])
        open_lines = [line for line in open_lines if column - line[1] <= _GAP_CELLS]
        for line in open_lines:
            if min(bottom, line[3]) - max(top, line[2]) > (bottom - top) // 2:
                line[1], line[2], line[3] = column, min(line[2], top), max(line[3], bottom)
                break
        else:
            open_lines.append([column, column, top, bottom])
            found.append(open_lines[-1])
    wide = [line for line in found if line[1] - line[0] + 1 >= _MIN_CELLS]
    # Of lines of about one size, short ones are headings, buttons and labels.
    tallest = sorted(wide, key=lambda line: ((line[2] - line[3]) // 3, line[1] - line[0], line[2], line[0]))[:MAX_LINES]
    height, width = grey.shape
    boxes = [
        PixelBox(
            max(0, 2 * CELL * left - 2 * CELL),
            max(0, 2 * top - _MARGIN),
            min(width, 2 * CELL * (right + 1) + 2 * CELL),
            min(height, 2 * bottom + _MARGIN),
        )
        for left, right, top, bottom in tallest
    ]
    return sorted(boxes, key=lambda box: (box.top, box.left))


def _stack(picture: Picture, boxes: list[PixelBox]) -> Picture:
    from PIL import Image

    from compressor.images.picture import Picture

    canvas = Image.new("RGB", (max(box.width for box in boxes), sum(box.height for box in boxes)), (255, 255, 255))
    top = 0
    for box in boxes:
        canvas.paste(picture.image.crop(box), (0, top))
        top += box.height
    return Picture.from_image(canvas, picture)

"""Turns a picture that shows nothing but text or a table into that text.

The text stands for the picture only if OCR reads the same words twice, at two sizes, is sure of them, and if the boxes
of these words explain everything that is drawn. An icon, a tick in a box, a chart or a photo is not explained, and its
picture stays a picture. Most pictures are refused before OCR, in a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compressor.images.ocr import OcrEngine, OcrWord
from compressor.images.resizing import enlarge
from compressor.images.text_height import Grey, count_steps, find_steps, smallest_text_height, text_fraction
from compressor.images.text_layout import lay_out

if TYPE_CHECKING:
    from compressor.images.picture import Picture

# The limits below are from benchmarks/legibility.py: of the numbers on the tables that pass, 0.995 or more are right.
MIN_CONFIDENCE = 0.9
MIN_CONFIRMED = 0.98
MIN_EXPLAINED = 0.98
#: Paragraphs and tables have 0.93 to 1, screens with photos and icons 0.3 to 0.8.
_MIN_TEXT_FRACTION = 0.85
#: Text stands on a plain ground: the six most common brightnesses cover 0.9 of its pixels, of a gradient 0.3.
_MIN_PLAIN = 0.75
_PLAIN_LEVELS = 6
#: Pictures with fewer words are logos and buttons.
_MIN_WORDS = 12
#: OCR reads smaller digits wrong twice: of a table with capitals of 7 pixels, 0.93 of the numbers are right.
_MIN_CAPITAL_HEIGHT = 8
#: The second reading is of the picture at this size.
_SECOND_SCALE = 1.25
#: A box is grown by that many pixels on each side: OCR cuts boxes close.
_GROWN = 3
#: Brightness steps in a cell of 16 pixels that neither a border nor the edge of a button has.
_BUSY = 3
#: What may stand alone without a letter or a digit.
_SIGNS = frozenset("-–—+=*/<>:;,.!?'\"‘’“”&%$€£#_|·•→{}")
#: Width by height of a letter or digit that stands alone. Icons are as wide as they are high.
_MAX_SQUARENESS = 0.85
#: Rows of busy cells below each other that make a shape. Bullets and underlines have fewer.
_SHAPE_ROWS = 5


@dataclass(frozen=True, slots=True)
class TextForm:
    """A picture as text.

    Attributes:
        text: The text in reading order, one row of the picture a line; the cells of a row are separated by " | ".
        tokens: The tokens of the text.
        confidence: How sure the OCR engine is of its words, 0 to 1, the mean.
        confirmed: The fraction of words that a second reading found at the same place.
        confirmed_numbers: The same of words with a digit.
        explained: The fraction of what is drawn that lies in the boxes of words.
        shapes: The number of shapes, such as icons, that lie in none of them.
    """

    text: str
    tokens: int
    confidence: float
    confirmed: float
    confirmed_numbers: float
    explained: float
    shapes: int

    @property
    def is_reliable(self) -> bool:
        """Whether the text may stand for the picture. All of its numbers must be confirmed."""
        return (
            self.confidence >= MIN_CONFIDENCE
            and self.confirmed >= MIN_CONFIRMED
            and self.confirmed_numbers == 1
            and self.explained >= MIN_EXPLAINED
            and not self.shapes
        )


def read_as_text(picture: Picture, engine: OcrEngine, count_tokens: Callable[[str], int]) -> TextForm | None:
    """Returns a picture's text, if the text may stand for the picture.

    Args:
        picture: The picture.
        engine: The OCR engine. It reads the picture once or twice, unless the picture is refused before.
        count_tokens: Returns the tokens of a text.

    Returns:
        The text, or None if the picture shows other things too, if OCR is not sure of it, or if its text is set in
        columns of prose.

    Raises:
        OcrError: The engine failed.
    """
    if not may_be_text(picture.grey):
        return None
    words = engine.read(picture, "page")
    if len(words) < _MIN_WORDS:
        return None
    explained, shapes = measure_explained(picture.grey, words)
    if explained < MIN_EXPLAINED or shapes:
        return None
    form = measure_text(picture, engine, count_tokens)
    return form if form is not None and form.is_reliable else None


def may_be_text(grey: Grey) -> bool:
    """Returns whether a picture may show nothing but text, without reading it.

    Args:
        grey: The brightness of the picture's pixels, shape [height, width].
    """
    if not grey.size or text_fraction(grey) < _MIN_TEXT_FRACTION:
        return False
    height = smallest_text_height(grey)
    if height is None or height < _MIN_CAPITAL_HEIGHT:
        return False
    levels = np.sort(np.bincount(grey.ravel(), minlength=256))
    return int(levels[-_PLAIN_LEVELS:].sum()) >= _MIN_PLAIN * grey.size


def measure_text(picture: Picture, engine: OcrEngine, count_tokens: Callable[[str], int]) -> TextForm | None:
    """Returns a picture's text with how reliable it is, or None if it has no words, or columns of prose.

    Args:
        picture: The picture.
        engine: The OCR engine. It reads the picture twice.
        count_tokens: Returns the tokens of a text.

    Raises:
        OcrError: The engine failed.
    """
    shown = engine.read(picture, "page")
    words = _drop_cut_words(shown, picture.height)
    text = lay_out(words) if words else None
    if text is None:
        return None
    again = engine.read(enlarge(picture, _SECOND_SCALE), "page")
    confirmed = confirm_words(words, again, _SECOND_SCALE)
    numbers = [yes for word, yes in zip(words, confirmed, strict=True) if any(map(str.isdigit, word.text))]
    return TextForm(
        text,
        count_tokens(text),
        float(np.mean([word.confidence for word in words])),
        float(np.mean(confirmed)),
        float(np.mean(numbers)) if numbers else 1.0,
        *measure_explained(picture.grey, shown),
    )


def confirm_words(words: Sequence[OcrWord], again: Sequence[OcrWord], scale: float) -> list[bool]:
    """Returns for each word whether a second reading has the same word at the same place.

    Args:
        words: The words of the first reading.
        again: The words of the second reading.
        scale: The size of the picture that was read the second time, divided by that of the first.
    """
    places: dict[str, list[tuple[float, float]]] = {}
    for word in again:
        box = word.box
        centre = (box.left + box.right) / (2 * scale), (box.top + box.bottom) / (2 * scale)
        places.setdefault(word.text, []).append(centre)
    return [
        any(
            word.box.left <= x <= word.box.right and word.box.top <= y <= word.box.bottom
            for x, y in places.get(word.text, ())
        )
        for word in words
    ]


def measure_explained(grey: Grey, words: Sequence[OcrWord]) -> tuple[float, int]:
    """Returns which fraction of what is drawn lies in the boxes of words, and the number of shapes outside of them.

    What is drawn are the cells of 16 pixels with 3 or more brightness steps, so that borders do not count. A shape is a
    run of such cells below each other, or of cells with curved or slanted edges. Signs that may be icons explain
    nothing.

    Args:
        grey: The brightness of the picture's pixels, shape [height, width].
        words: The words.
    """
    steps = find_steps(grey)
    total = int((count_steps(steps) >= _BUSY).sum())
    if not total:
        return 0.0, 0
    for word in filter(_is_text, words):
        left, top, right, bottom = word.box
        steps[max(0, top - _GROWN) : bottom + _GROWN, max(0, left - _GROWN) : right + _GROWN] = False
    rest = count_steps(steps) >= _BUSY
    bent = steps.copy()
    bent[1:-1] &= ~(steps[:-2] & steps[2:])  # the edges of borders are straight
    shapes = rest | (count_steps(bent) > 0)
    columns = np.zeros((rest.shape[1], rest.shape[0] + 2), np.int8)
    columns[:, 1:-1] = shapes.T
    edges = np.diff(columns, axis=1).ravel()
    rows = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return 1 - int(rest.sum()) / total, int((rows >= _SHAPE_ROWS).sum())


def _is_text(word: OcrWord) -> bool:
    """Returns whether a word cannot be an icon: OCR reads circles as O or ©, and boxes as []."""
    if len(word.text) == 1 and word.text not in _SIGNS:
        return word.text.isalnum() and word.box.width < _MAX_SQUARENESS * word.height
    return any(map(str.isalnum, word.text)) or set(word.text) <= _SIGNS


def _drop_cut_words(words: Sequence[OcrWord], height: int) -> list[OcrWord]:
    """Returns the words that the picture's upper or lower edge does not cut. What is left of those cannot be read."""
    return [word for word in words if word.box.top > 1 and word.box.bottom < height - 1]

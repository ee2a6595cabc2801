"""Decides whether a text can be read in a picture: by equal pixels, else by OCR (tesseract).

Equal pixels need no OCR: what was legible stays legible. A picture that was made smaller is read where the text must
be, enlarged as a viewer would do it. A picture of another shape is read as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from benchmarks.images_run import Box
from benchmarks.images_sent import Pixels, SentPicture, decode

_MARGIN = 8  # pixels of the original around a box: OCR needs space around a text
#: Pixels that a line of text gets before OCR, one try after the other: tesseract's readings vary with the size.
_OCR_HEIGHTS = (34.0, 46.0, 26.0)
_ALIKE = str.maketrans("oil", "011")
_CAPTION_HEIGHT = 20  # pixels of the line below a picture that cannot have a text beside it
_CAPTION_WHITE = 0.6  # fraction of its pixels
_THUMB = (48, 32)
_SAME_THUMB = 5.0  # mean difference of grey levels up to which two pictures may show the same page


def plain(text: str) -> str:
    """Returns a text's letters and digits in lower case; those that look alike are the same."""
    return re.sub(r"[^\w]|_", "", text.lower()).translate(_ALIKE)


def says(words: Sequence[str], text: str) -> bool:
    """Returns whether consecutive words say a text, with at most one further character."""
    wanted = plain(text)
    kept = [word for word in map(plain, words) if word]
    for start in range(len(kept)):
        joined = ""
        for word in kept[start:]:
            joined += word
            if len(joined) > len(wanted) + 1:
                break
            if wanted in joined:
                return True
    return False


def stands_in(text: str, texts: Sequence[str]) -> bool:
    """Returns whether a text stands in one of `texts`, between word borders."""
    wanted = " ".join(text.split())
    exact = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)")
    return any(exact.search(" ".join(other.split())) for other in texts)


def is_legible(text: str, box: Box, data: bytes, picture: SentPicture) -> bool:
    """Returns whether a picture shows a text of a frame so that it can be read.

    Args:
        text: The text.
        box: Where it is in the frame: left, top, width and height.
        data: The frame's file.
        picture: The picture, which may be the frame, a smaller copy, a part of it, or something else.
    """
    left, top, width, height = box
    frame = decode(data)
    if has_pixels(frame[top : top + height, left : left + width], picture, (left, top)):
        return True
    sent_width, sent_height = picture.size
    scale = sent_width / frame.shape[1]
    if abs(sent_height - frame.shape[0] * scale) < 2:
        if not is_same_page(data, picture.data):
            return False
        area = _scaled((left - _MARGIN, top - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN), scale)
        lines = max(1, round(height / 18))
        enlarge = [tall * lines / max(1.0, height * scale) for tall in _OCR_HEIGHTS]
        return any(says(ocr_words(picture.data, area, times), text) for times in enlarge)
    return says(ocr_words(picture.data, (0, 0, sent_width, sent_height), 2.0), text)


def caption_text(picture: SentPicture) -> str:
    """Returns the line of text on white at the bottom of a picture, or "" if it has none."""
    width, height = picture.size
    strip = picture.pixels[-_CAPTION_HEIGHT:]
    if height <= _CAPTION_HEIGHT or (strip == 255).all(axis=2).mean() < _CAPTION_WHITE:
        return ""
    return " ".join(ocr_words(picture.data, (0, height - _CAPTION_HEIGHT, width, _CAPTION_HEIGHT), 3.0))


def has_pixels(patch: Pixels, picture: SentPicture, at: tuple[int, int]) -> bool:
    """Returns whether a picture has a patch of pixels somewhere, unchanged; `at` is where to look first."""
    left, top = at
    height, width, _ = patch.shape
    if np.array_equal(picture.pixels[top : top + height, left : left + width], patch):
        return True
    return find_pixels(np.ascontiguousarray(patch).tobytes(), (height, width), picture.data) is not None


@lru_cache(maxsize=20_000)
def find_pixels(patch: bytes, shape: tuple[int, int], data: bytes) -> tuple[int, int] | None:
    """Returns where a picture has a patch, left and top, or None.

    Args:
        patch: The patch's pixels, three bytes each.
        shape: Its height and width.
        data: The picture's file.
    """
    whole = decode(data)
    height, width = shape
    if not patch or height > whole.shape[0] or width > whole.shape[1]:
        return None
    small = np.frombuffer(patch, np.uint8).reshape(height, width, 3)
    probe = int(small.reshape(height, -1).std(axis=1).argmax())  # a row without text may be anywhere
    wanted, raw = small[probe].tobytes(), _raw(data)
    at = raw.find(wanted)
    while at >= 0:
        top, left = divmod(at // 3, whole.shape[1])
        top -= probe
        if at % 3 == 0 and top >= 0 and np.array_equal(whole[top : top + height, left : left + width], small):
            return left, top
        at = raw.find(wanted, at + 1)
    return None


@lru_cache(maxsize=24)
def _raw(data: bytes) -> bytes:
    return decode(data).tobytes()


def is_same_page(first: bytes, second: bytes) -> bool:
    """Returns whether two picture files, seen from far away, show the same."""
    return float(np.abs(thumbnail(first) - thumbnail(second)).mean()) < _SAME_THUMB


@lru_cache(maxsize=512)
def thumbnail(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Returns a small grey copy of a picture file."""
    from PIL import Image

    picture = Image.fromarray(decode(data)).convert("L").resize(_THUMB, Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


@lru_cache(maxsize=20_000)
def ocr_words(data: bytes, area: Box, enlarge: float) -> tuple[str, ...]:
    """Reads the words in a part of a picture.

    Args:
        data: The picture's file.
        area: Left, top, width and height of the part; it is cut to the picture.
        enlarge: How many times it is enlarged first.
    """
    import pytesseract
    from PIL import Image

    picture = Image.fromarray(decode(data)).convert("L")
    left, top, width, height = area
    part = picture.crop(
        (max(0, left), max(0, top), min(picture.width, left + width), min(picture.height, top + height))
    )
    size = (max(1, round(part.width * enlarge)), max(1, round(part.height * enlarge)))
    part = part.resize(size, Image.Resampling.LANCZOS)
    if float(np.asarray(part).mean()) < 110:  # a dark theme
        part = part.point(lambda level: 255 - level)
    is_whole = area[2] >= picture.width and area[3] >= picture.height
    return tuple(pytesseract.image_to_string(part, config=f"--psm {11 if is_whole else 6}").split())


def _scaled(box: Box, scale: float) -> Box:
    left, top, width, height = box
    return int(left * scale), int(top * scale), int(width * scale) + 1, int(height * scale) + 1

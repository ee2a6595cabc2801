"""Finds how small a picture may become before its small text cannot be read, and makes pictures smaller.

How tall capitals must stay was measured with Tesseract on rendered pages (benchmarks/legibility.py). Of the words that
it reads at full size, it still reads 0.99 when capitals are 8 pixels tall and 0.93 when they are 5.5; of numbers 0.98
and 0.85. All are read from 9 pixels on. Vision models read small type worse than OCR does: GPT-4o and Gemini 2.0 match
it at high resolution and fall behind at low resolution (Inoue 2025, arXiv:2503.23667), and of codes and numbers in a
font of 5 x 8 pixels a model read 15 of 24 exactly (github.com/teamchong/pxpipe, legibility audit of 2026-07-01). So the
limit is where OCR loses nothing, and text that is smaller on the original is never made smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compressor.images.text_height import Grey, smallest_text_height

if TYPE_CHECKING:
    from compressor.images.picture import Picture

#: Pixels that the capitals of the smallest text keep. The provider must not shrink the picture further.
MIN_CAPITAL_HEIGHT = 9.0
#: Large text or not, icons and thin lines stay recognisable.
MIN_SCALE = 0.4
#: Photos and charts without text.
MIN_SCALE_WITHOUT_TEXT = 0.5
#: "Very small images under 200 pixels on any given edge may degrade performance" (Anthropic, Vision).
MIN_SIDE = 200
#: Reductions by more than this are done in two steps, the first one by averaging (Pillow's documentation of `resize`).
_REDUCING_GAP = 3.0


def legible_scale(grey: Grey) -> float:
    """Returns the smallest scale at which the small text on a picture can still be read.

    The scale is that of the picture as the model sees it: if the provider shrinks large pictures, compare it with the
    size after that.

    Args:
        grey: The brightness of the picture's pixels, shape [height, width].

    Returns:
        A factor for width and height, in (0, 1]. It is 1 for a picture whose text is small already.
    """
    height = smallest_text_height(grey)
    scale = MIN_SCALE_WITHOUT_TEXT if height is None else max(MIN_SCALE, MIN_CAPITAL_HEIGHT / height)
    return min(1.0, max(scale, MIN_SIDE / max(1, int(min(grey.shape)))))


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Returns a picture at a smaller size, resampled with a Lanczos filter.

    Args:
        picture: The picture.
        width: The new width in pixels, 1 to the picture's.
        height: The new height in pixels, 1 to the picture's.

    Raises:
        ValueError: The new size is empty or larger.
    """
    if not (1 <= width <= picture.width and 1 <= height <= picture.height):
        raise ValueError(f"a size of {width} x {height} must be within {picture.width} x {picture.height}")
    if (width, height) == (picture.width, picture.height):
        return picture
    return _resample(picture, width, height)


def enlarge(picture: Picture, scale: float) -> Picture:
    """Returns a picture at a larger size. It is for OCR only: no provider is sent more pixels than there were.

    Args:
        picture: The picture.
        scale: The factor for width and height, 1 or more.
    """
    return _resample(picture, round(picture.width * scale), round(picture.height * scale))


def _resample(picture: Picture, width: int, height: int) -> Picture:
    from PIL import Image

    from compressor.images.picture import Picture

    image = picture.image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    return Picture.from_image(image, picture)

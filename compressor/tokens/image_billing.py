"""Finds the size at which an image costs as little as at its smallest legible size: the border that a provider bills.

Providers bill tiles or squares of pixels. Between two borders a larger image costs the same, so an image that has to
shrink should stop at the border above its smallest legible size.
"""

from __future__ import annotations

from dataclasses import replace

from compressor.context.model import Image
from compressor.tokens.image_tokens import Formula


def is_billed_flat(formula: Formula, image: Image) -> bool:
    """Returns whether no smaller version of an image would cost less.

    So it is for a fixed price, `low` detail of a tiled model, and an image within one tile.

    Args:
        formula: The tokens of an image, such as `TokenCounter.count_image`.
        image: The image. One of unknown size cannot be made smaller.
    """
    if image.width <= 0 or image.height <= 0:
        return True
    return formula(image) <= formula(_scaled(image, 1))


def cheapest_size(formula: Formula, image: Image, min_width: int, min_height: int) -> tuple[int, int] | None:
    """Returns the largest size at which an image costs no more than at its smallest legible size.

    Args:
        formula: The tokens of an image, such as `TokenCounter.count_image`.
        image: The image.
        min_width: The width in pixels below which the image is not legible.
        min_height: The same for its height. The size found has the image's own aspect ratio and is, in both directions,
            at least as large.

    Returns:
        Width and height in pixels, not above the image's own; one pixel more on the longer side would cost more. None
        if shrinking saves no tokens: the image is billed flat, is within the same border as its smallest legible size,
        is scaled down by the provider to what costs the same, or is of unknown size.
    """
    if is_billed_flat(formula, image):
        return None
    longest = max(image.width, image.height)
    fits = min(longest, max(1, -(-min_width * longest // image.width), -(-min_height * longest // image.height)))
    price = formula(_scaled(image, fits))
    if price >= formula(image):
        return None
    too_dear = longest
    while fits + 1 < too_dear:
        middle = (fits + too_dear) // 2
        if formula(_scaled(image, middle)) <= price:
            fits = middle
        else:
            too_dear = middle
    best = _scaled(image, fits)
    return best.width, best.height


def _scaled(image: Image, longest: int) -> Image:
    """Returns the image with a longer side of so many pixels."""
    scale = longest / max(image.width, image.height)
    return replace(image, width=max(1, round(image.width * scale)), height=max(1, round(image.height * scale)))

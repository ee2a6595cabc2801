"""Draws a line of text below a picture, where a message has no place for a text beside it.

So it is with the screenshot that a provider's computer tool must return: its caption holds the ref of the original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compressor.images.picture import Picture

CAPTION_HEIGHT = 20  # pixels that a caption adds to a picture
MIN_CAPTION_WIDTH = 300  # pixels that "image 123 […cut ref 123456789012]" takes
_FONT_SIZE = 14
_LEFT = 4


def add_caption(picture: Picture, text: str) -> Picture:
    """Returns a picture with a line of black text on white below it.

    Args:
        picture: The picture.
        text: The text. What does not fit the picture's width is cut off.
    """
    from PIL import Image, ImageDraw, ImageFont

    from compressor.images.picture import Picture

    canvas = Image.new("RGB", (picture.width, picture.height + CAPTION_HEIGHT), (255, 255, 255))
    canvas.paste(picture.image, (0, 0))
    text = text.replace("…", "...")
    font = ImageFont.load_default(_FONT_SIZE)
    ImageDraw.Draw(canvas).text((_LEFT, picture.height + 1), text, (0, 0, 0), font)
    return Picture.from_image(canvas, picture)

"""Draws the pictures that edits of images describe: the rectangle of the image, at its size, as a `data:` URL."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from compressor.caches import LruCache
from compressor.context.formats.image_parts import image_base64
from compressor.context.formats.json_values import value_at
from compressor.context.image_edits import PictureEdit, drawn_edit, parse_picture_edit
from compressor.context.model import Context, Path
from compressor.context.refs import compute_ref

MAX_CACHE_BYTES = 16 << 20
_drawn: LruCache[tuple[str, PictureEdit], str] = LruCache(MAX_CACHE_BYTES, len)


def draw_edits(context: Context, edits: Mapping[tuple[int, Path], str]) -> dict[tuple[int, Path], str]:
    """Returns the edits with every picture drawn.

    Args:
        context: The messages with the images as they were.
        edits: The edits of texts and images.

    Raises:
        ImageRefusedError: An image cannot be decoded any more.
        MissingDependencyError: Pillow is not installed.
    """
    out = dict(edits)
    for key, text in edits.items():
        edit = parse_picture_edit(text)
        image = None if edit is None else next((s.image for s in context.turns[key[0]].slots if s.path == key[1]), None)
        if edit is not None and image is not None:  # a text may look like the edit of an image
            url = draw(image_part(context, key), edit, image.needs_picture)
            out[key] = drawn_edit(url, "" if image.needs_picture else edit.note)
    return out


def image_part(context: Context, key: tuple[int, Path]) -> Any:
    """Returns the image part of a slot."""
    message = context.messages[key[0]]
    if isinstance(message, Mapping):
        return value_at(message, key[1])
    return value_at(getattr(message, str(key[1][0])), key[1][1:])


def draw(part: Any, edit: PictureEdit, with_caption: bool = False) -> str:
    """Returns the picture of an edit as a `data:` URL.

    Args:
        part: The image part.
        edit: Which part of it is shown, and at which size.
        with_caption: Whether the edit's note is drawn below the picture, because no text can stand beside it.
    """
    data = image_base64(part)
    key = compute_ref(data), edit if with_caption else edit._replace(note="")
    if (known := _drawn.get(key)) is not None:
        return known
    from compressor.images.captions import CAPTION_HEIGHT, add_caption
    from compressor.images.crops import crop_changes
    from compressor.images.decoding import decode_picture, read_base64
    from compressor.images.differences import Changes
    from compressor.images.encoding import encode_picture
    from compressor.images.pixel_boxes import PixelBox
    from compressor.images.resizing import resize

    picture = decode_picture(read_base64(data))
    boxes = tuple(PixelBox(b.left, b.top, b.left + b.width, b.top + b.height) for b in edit.boxes)
    crop = crop_changes(picture, Changes(boxes, 1.0))
    shown = picture if crop is None else crop.picture
    height = edit.height - (CAPTION_HEIGHT if with_caption else 0)
    if (shown.width, shown.height) != (edit.width, height):
        shown = resize(shown, edit.width, height)
    if with_caption:
        shown = add_caption(shown, edit.note)
    encoded, media_type = encode_picture(shown)
    url = f"data:{media_type};base64,{base64.b64encode(encoded).decode('ascii')}"
    _drawn.put(key, url)
    return url

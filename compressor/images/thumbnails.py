"""Makes thumbnails of images for people who look at a report: of the whole, or of the part that stands for it."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING

from compressor.caches import LruCache
from compressor.context.image_edits import PictureEdit, edit_note
from compressor.context.refs import BRACKETED_PLACEHOLDER
from compressor.images.known_image import known_image

if TYPE_CHECKING:
    from PIL import Image

    from compressor.images.picture import Picture

#: The most characters of a thumbnail's `data:` URL: a file of 6 KB.
MAX_URL_CHARS = 8_000
MAX_CACHE_BYTES = 4 << 20
_ENTRY_BYTES = 300
_MIN_SIDE = 16
_MAX_SIDE = 1_000
_PNG_COLORS = 256
_JPEG_QUALITIES = (75, 55, 40, 30)
_SHRINK = 0.9
_REDUCING_GAP = 2.0
_PLACEHOLDER = re.compile(BRACKETED_PLACEHOLDER)
_thumbnails: LruCache[tuple[str, PictureEdit | None, int], str] = LruCache(
    MAX_CACHE_BYTES, lambda url: len(url) + _ENTRY_BYTES
)


def thumbnail(data_base64: str, edit: PictureEdit | None, max_side: int) -> str:
    """Returns a thumbnail as a `data:` URL of a JPEG or PNG of at most `MAX_URL_CHARS` characters. Never raises.

    Args:
        data_base64: The image's file in base64.
        edit: Which part of the image is shown; None for the whole.
        max_side: The long side of the thumbnail in pixels, at most. An image that is smaller keeps its size.

    Returns:
        "" if the image is refused (`known_image(data_base64).refusal` says why), or if Pillow is not installed.
    """
    if not data_base64:
        return ""
    known = known_image(data_base64)
    side = min(max(max_side, _MIN_SIDE), _MAX_SIDE)
    key = known.digest, None if edit is None else edit._replace(note=""), side
    url = _thumbnails.get(key)
    if url is None:
        picture = known.picture
        try:
            url = "" if picture is None else _draw(picture, edit, side)
        except Exception:  # An encoder may fail in many ways, and the rest of the page is worth more.
            url = ""
        _thumbnails.put(key, url)
    return url


def describe_edit(edit: str) -> str:
    """Returns the first line of what an edit says in words, without brackets and refs: an alternative text.

    Example:
        >>> describe_edit("[image 3: the same as image 7] […cut ref 123456789012]")
        'image 3: the same as image 7'
    """
    line = _PLACEHOLDER.sub("", edit_note(edit)).strip().partition("\n")[0].strip()
    return line[1:-1] if line[:1] == "[" and line[-1:] == "]" else line


def _draw(picture: Picture, edit: PictureEdit | None, side: int) -> str:
    image = picture.image if edit is None else _part(picture, edit)
    if image is None:
        return ""
    wanted = max(image.size) if edit is None else min(max(image.size), max(edit.width, edit.height))
    small = _fit(image, min(side, wanted))
    if small.getcolors(_PNG_COLORS) is not None:
        from compressor.images.encoding import encode_picture
        from compressor.images.picture import Picture

        data, media_type = encode_picture(Picture.from_image(small, picture), "PNG")
        if len(url := _url(data, media_type)) <= MAX_URL_CHARS:
            return url
    while True:
        for quality in _JPEG_QUALITIES:
            if len(url := _as_jpeg(small, quality)) <= MAX_URL_CHARS:
                return url
        if max(small.size) <= _MIN_SIDE:
            return ""
        small = _fit(image, max(_MIN_SIDE, int(max(small.size) * _SHRINK)))


def _part(picture: Picture, edit: PictureEdit) -> Image.Image | None:
    """Returns the part of a picture that is shown, at the size that it has there; None if it lies outside."""
    from compressor.images.crops import crop_changes
    from compressor.images.differences import Changes
    from compressor.images.pixel_boxes import PixelBox

    width, height = picture.width, picture.height
    boxes = tuple(
        PixelBox(b.left, b.top, min(b.left + b.width, width), min(b.top + b.height, height))
        for b in edit.boxes
        if b.left < width and b.top < height and b.width and b.height
    )
    if boxes == (PixelBox(0, 0, width, height),):
        return picture.image
    crop = crop_changes(picture, Changes(boxes, 1.0))
    return None if crop is None else crop.picture.image


def _fit(image: Image.Image, side: int) -> Image.Image:
    """Returns an image made so small that its long side has `side` pixels."""
    from PIL import Image

    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = tuple(max(1, round(length * scale)) for length in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)


def _as_jpeg(image: Image.Image, quality: int) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return _url(file.getvalue(), "image/jpeg")


def _url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"

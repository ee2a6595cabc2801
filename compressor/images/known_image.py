"""Remembers what was found out about each image, so that its pixels are read once, however often it is sent."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from typing import TYPE_CHECKING

from compressor.caches import LruCache
from compressor.errors import CompressorError

if TYPE_CHECKING:
    from compressor.images.fingerprint import Fingerprint
    from compressor.images.picture import Picture
    from compressor.images.pixel_boxes import PixelBox

MAX_KNOWN = 4_096  # images, some 200 bytes each


class KnownImage:
    """An image by its data. What is asked is computed once.

    Attributes:
        digest: Identifies the data.
    """

    def __init__(self, data: str, digest: str) -> None:
        self._data = data
        self.digest = digest

    @property
    def refusal(self) -> str:
        """Returns why the image cannot be decoded, or "" if it can, or nobody has tried yet."""
        return _refusals.get(self.digest) or ""

    @property
    def picture(self) -> Picture | None:
        """Returns the decoded image, or None if it is refused; `refusal` says why."""
        if self.refusal:
            return None
        from compressor.images.decoding import decode_picture, read_base64

        try:
            return decode_picture(read_base64(self._data))
        except CompressorError as error:
            _refusals.put(self.digest, str(error))
            return None

    @property
    def findings(self) -> ImageFindings | None:
        """Returns what the pixels say, or None if the image is refused."""
        if (known := _findings.get(self.digest)) is not None:
            return known
        if (picture := self.picture) is None:
            return None
        findings = ImageFindings(picture)
        _findings.put(self.digest, findings)
        return findings


class ImageFindings:
    """What the pixels of an image say. The pixels themselves are not kept.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        fingerprint: What it looks like.
        may_redraw: Whether it may be sent in another form; one with transparent pixels may not.
        content: The part inside of its empty margins.
        legible_scale: The smallest scale at which its small text is legible, from 0 to 1.
    """

    def __init__(self, picture: Picture) -> None:
        """Looks at a picture."""
        from compressor.images.fingerprint import compute_fingerprint
        from compressor.images.margins import content_box
        from compressor.images.resizing import legible_scale

        self.width, self.height = picture.width, picture.height
        self.fingerprint: Fingerprint = compute_fingerprint(picture)
        self.may_redraw = not picture.is_transparent
        self.content: PixelBox = content_box(picture.grey)
        self.legible_scale = legible_scale(picture.grey)


_findings: LruCache[str, ImageFindings] = LruCache(MAX_KNOWN)
_refusals: LruCache[str, str] = LruCache(MAX_KNOWN)


def known_image(data: str) -> KnownImage:
    """Returns the image with this base64 text."""
    return KnownImage(data, hashlib.blake2b(data.encode("ascii", "replace"), digest_size=16).hexdigest())


@cache
def is_decoding_installed() -> bool:
    """Returns whether Pillow is there, which decodes images."""
    return importlib.util.find_spec("PIL") is not None

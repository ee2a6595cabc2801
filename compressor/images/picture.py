"""A decoded picture: its pixels, and arrays of them that are computed once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compressor.images.row_hashes import hash_rows

if TYPE_CHECKING:
    from PIL import Image

#: The long side of `Picture.small_grey` is at most this long.
SMALL_SIDE = 320
#: Bytes that a picture holds for each pixel once all of its arrays are there: the image, `packed`, `grey`.
_BYTES_PER_PIXEL = 4 + 4 + 1


@dataclass(frozen=True)
class Picture:
    """A decoded picture. Pictures are equal if their digests are.

    Attributes:
        image: The pixels, of mode "RGB"; what was transparent is laid on white. Do not write to it.
        format: The format of its file: "PNG", "JPEG", "WEBP", "GIF" or "BMP".
        digest: SHA-256 of the file as 64 hexadecimal digits, or of the pixels if the picture was not read from a file.
        is_lossless: Whether the file held the pixels exactly.
        is_transparent: Whether a pixel is not opaque. How a provider shows it is not known: such a picture may be
            looked at, but must not be sent in another form.
    """

    image: Image.Image = field(repr=False, compare=False)
    format: str
    digest: str
    is_lossless: bool = True
    is_transparent: bool = False

    @classmethod
    def from_image(cls, image: Image.Image, source: Picture) -> Picture:
        """Returns a picture of other pixels, such as a part of another one.

        Args:
            image: The pixels, of mode "RGB".
            source: The picture that they come from.
        """
        pixels = f"{image.width} x {image.height} pixels\n".encode() + image.tobytes()
        digest = hashlib.sha256(pixels).hexdigest()
        return cls(image, source.format, digest, source.is_lossless, source.is_transparent)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.image.height

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds, once all of its arrays are there."""
        return _BYTES_PER_PIXEL * self.width * self.height + 1000

    @cached_property
    def packed(self) -> NDArray[np.uint32]:
        """Each pixel as one number, red + 256 green + 65,536 blue; shape (height, width), read-only."""
        pixels = np.frombuffer(self.image.tobytes("raw", "RGBX"), "<u4").reshape(self.height, self.width)
        return _read_only(pixels & np.uint32(0xFFFFFF))

    @cached_property
    def row_hashes(self) -> NDArray[np.uint32]:
        """A number for each row of pixels in each strip, shape (strips, height), see `hash_rows`; read-only."""
        return _read_only(hash_rows(self.packed))

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """The brightness of each pixel (ITU-R 601-2 luma), 0 to 255; shape (height, width), read-only."""
        return _read_only(np.asarray(self.image.convert("L")))

    @cached_property
    def small_grey(self) -> NDArray[np.uint8]:
        """`grey`, reduced by a whole number so that the long side is at most `SMALL_SIDE`; read-only."""
        factor = -(-max(self.width, self.height) // SMALL_SIDE)
        return _read_only(np.asarray(self.image.convert("L").reduce(factor)))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array

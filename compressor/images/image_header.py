"""What a picture's file says about it before any pixel is decoded."""

from __future__ import annotations

import re
from typing import NamedTuple

from compressor.errors import ImageRefusedError

ORIENTATION_TAG = 0x0112  # EXIF 2.3, 4.6.4
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([0-9])")
#: More pieces than any encoder writes. Each of them costs time, so that a file made of tiny ones would cost seconds.
MAX_PIECES = 50_000
#: A name of the profile that all pictures without a profile have.
_SRGB_NAMES = (b"sRGB", "sRGB".encode("utf-16-be"))
_MAX_PROFILE_TAGS = 100


class ImageHeader(NamedTuple):
    """What a picture's file says about it.

    Attributes:
        format: "PNG", "JPEG", "WEBP", "GIF" or "BMP".
        width: Width in pixels.
        height: Height in pixels.
        data: The file without its metadata, which a decoder could fail on.
        frames: How many frames it has.
        orientation: How to turn it, from 1 (as it is) to 8, as in EXIF.
        has_own_colors: Whether a profile or a gamma value says that its numbers are not sRGB.
        is_lossless: Whether the pixels were stored exactly.
    """

    format: str
    width: int
    height: int
    data: bytes
    frames: int = 1
    orientation: int = 1
    has_own_colors: bool = False
    is_lossless: bool = True


def refuse_damaged(what: str) -> ImageRefusedError:
    """Returns the exception for a damaged file.

    Args:
        what: What is wrong, such as "it ends in the middle of the pixels".
    """
    return ImageRefusedError(f"the picture is damaged: {what}; save it again with an image program")


def read_exif_orientation(exif: bytes) -> int:
    """Returns the orientation that EXIF data asks for, or 1. Never raises.

    Args:
        exif: A TIFF file, as it stands in an APP1 segment after "Exif" and two zero bytes.
    """
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], "little" if exif[:1] == b"I" else "big")

    start = number(4, 4)
    for entry in range(min(number(start, 2), 1000)):
        at = start + 2 + 12 * entry
        if number(at, 2) == ORIENTATION_TAG:
            return number(at + 8, 2) or 1
    return 1


def read_xmp_orientation(xmp: bytes) -> int:
    """Returns the orientation that XMP metadata asks for, or 1."""
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1


def is_srgb(profile: bytes) -> bool:
    """Returns whether an ICC profile calls itself sRGB (ICC.1:2022, 7.3 and 9.2.41). Never raises.

    Args:
        profile: The profile, or its beginning.
    """
    for tag in range(min(int.from_bytes(profile[128:132], "big"), _MAX_PROFILE_TAGS)):
        at = 132 + 12 * tag
        if profile[at : at + 4] == b"desc":
            start, size = (int.from_bytes(profile[at + k : at + k + 4], "big") for k in (4, 8))
            text = profile[start : start + min(size, 1000)]
            return any(name in text for name in _SRGB_NAMES)
    return False

"""Reads the size of an image in pixels from the first bytes of its base64 text. URLs are not fetched.

Formats: PNG (W3C PNG 11.2.2), JPEG (ITU-T T.81 B.2.2), GIF (GIF89a 18), WebP (RFC 9649), BMP, TIFF 6.0 (if its index
is near its start), HEIC and AVIF (ISO/IEC 23008-12, 6.5.3: the largest of its pictures). The size is that of the file:
no provider says that it turns a picture by its EXIF orientation.
"""

from __future__ import annotations

import re
from typing import Any

from compressor.context.formats.base64_data import decode_base64, split_data_url

#: How many base64 characters to decode, one try after the other. A JPEG's frame header follows its metadata, which
#: comes in pieces of up to 64 KB.
_PREFIXES = (1 << 10, 1 << 14, 1 << 19)
_LONG_HEADERS = (b"\xff\xd8", b"II*\0", b"MM\0*")  # of formats whose size may stand further behind
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15; the others are tables
_PICTURE_SIZE = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"heim", b"heis")


def image_size(data: Any) -> tuple[int, int]:
    """Returns the width and height of an image.

    Args:
        data: Base64 text or a `data:` URL.

    Returns:
        The size in pixels; (0, 0) for any other URL, and for data that is damaged, truncated or of another format.
    """
    found = split_data_url(data) if isinstance(data, str) else None
    if found is None:
        return 0, 0
    start = found[1]
    for prefix in _PREFIXES:
        head = decode_base64(data[start : start + prefix])
        size = _size(head)
        if size != (0, 0) or start + prefix >= len(data) or not (head.startswith(_LONG_HEADERS) or _is_heif(head)):
            return size
    return 0, 0


def _size(head: bytes) -> tuple[int, int]:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    if head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp_size(head)
    if head.startswith(b"BM") and len(head) >= 26 and int.from_bytes(head[14:18], "little") >= 40:
        width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
        return (width, abs(height)) if width > 0 else (0, 0)  # a negative height: rows from top to bottom
    if head.startswith((b"II*\0", b"MM\0*")):
        return _tiff_size(head)
    if _is_heif(head):
        sizes = [(int.from_bytes(w, "big"), int.from_bytes(h, "big")) for w, h in _PICTURE_SIZE.findall(head)]
        return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return 0, 0


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _tiff_size(head: bytes) -> tuple[int, int]:
    order: Any = "little" if head.startswith(b"II") else "big"
    start = int.from_bytes(head[4:8], order)
    count = int.from_bytes(head[start : start + 2], order)
    sides = {256: 0, 257: 0}  # the tags of width and height
    for at in range(start + 2, min(start + 2 + 12 * count, len(head) - 11), 12):
        tag, kind = int.from_bytes(head[at : at + 2], order), int.from_bytes(head[at + 2 : at + 4], order)
        if tag in sides and kind in (3, 4):
            sides[tag] = int.from_bytes(head[at + 8 : at + (10 if kind == 3 else 12)], order)
    return (sides[256], sides[257]) if all(sides.values()) else (0, 0)


def _jpeg_size(head: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _FRAME_MARKERS:
            return int.from_bytes(head[position + 7 : position + 9], "big"), int.from_bytes(
                head[position + 5 : position + 7], "big"
            )
        else:
            position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return 0, 0


def _webp_size(head: bytes) -> tuple[int, int]:
    chunk = head[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return 0, 0

"""Reads the size of an image in pixels from the first bytes of its base64 text. URLs are not fetched.

Formats: PNG (W3C PNG 11.2.2), JPEG (ITU-T T.81 B.2.2), GIF (GIF89a 18), WebP (RFC 9649).
"""

from __future__ import annotations

import binascii
from typing import Any

#: How many base64 characters to decode, one try after the other. A JPEG's frame header follows its metadata, which
#: comes in pieces of up to 64 KB.
_PREFIXES = (1 << 10, 1 << 14, 1 << 19)
_TO_STANDARD = str.maketrans("-_", "+/", " \t\r\n=")
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15; the others are tables


def image_size(data: Any) -> tuple[int, int]:
    """Returns the width and height of an image.

    Args:
        data: Base64 text or a `data:` URL.

    Returns:
        The size in pixels; (0, 0) for any other URL, and for data that is damaged, truncated or of another format.
    """
    if not isinstance(data, str):
        return 0, 0
    start = 0
    if data.startswith("data:"):
        start = data.find(",", 0, 256) + 1
        if not start or ";base64" not in data[:start]:
            return 0, 0
    for prefix in _PREFIXES:
        head = _decoded(data[start : start + prefix])
        size = _size(head)
        if size != (0, 0) or start + prefix >= len(data) or not head.startswith(b"\xff\xd8"):
            return size
    return 0, 0


def _decoded(text: str) -> bytes:
    text = text.translate(_TO_STANDARD)
    try:
        return binascii.a2b_base64(text[: len(text) // 4 * 4])
    except ValueError:  # not base64, or not ASCII
        return b""


def _size(head: bytes) -> tuple[int, int]:
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    if head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp_size(head)
    return 0, 0


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

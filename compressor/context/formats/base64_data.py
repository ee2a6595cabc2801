"""Decodes base64 texts and `data:` URLs as they stand in messages: URL-safe, wrapped in lines, or without padding."""

from __future__ import annotations

import binascii

_TO_STANDARD = str.maketrans("-_", "+/", " \t\r\n=")
_HEAD_CHARS = 256  # within which the header of a `data:` URL ends


def split_data_url(data: str) -> tuple[str, int] | None:
    """Returns the media type of a text, "" if it does not say, and where its base64 starts; None for other URLs."""
    if not data.startswith("data:"):
        return None if "://" in data[:16] else ("", 0)
    start = data.find(",", 0, _HEAD_CHARS) + 1
    if not start or ";base64" not in data[:start]:
        return None
    return data[5 : data.index(";")].strip().lower(), start


def decode_base64(text: str) -> bytes:
    """Returns the bytes of a base64 text, which may end anywhere; b"" if it is not base64."""
    text = text.translate(_TO_STANDARD)
    text = text[:-1] if len(text) % 4 == 1 else text + "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(text)
    except ValueError:  # not base64, or not ASCII
        return b""

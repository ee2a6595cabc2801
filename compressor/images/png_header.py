"""Reads what stands before, between and after the pixels of a PNG file (W3C PNG, third edition)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from compressor.errors import ImageRefusedError
from compressor.images.image_header import (
    MAX_PIECES,
    ImageHeader,
    is_srgb,
    read_exif_orientation,
    read_xmp_orientation,
    refuse_damaged,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_SRGB_GAMMA = 45_455  # of 100,000
_SRGB_CICP = b"\x01\x0d\x00\x01"  # primaries BT.709, transfer sRGB, RGB, full range
_MAX_PROFILE_BYTES = 1 << 16
#: Keywords under which programs keep EXIF data in a text chunk. What turns the picture is not read from there.
_EXIF_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1")


def read_png(data: bytes) -> ImageHeader:
    """Reads a PNG file. Of its compressed metadata only the start of a colour profile is decompressed.

    Raises:
        ImageRefusedError: The file is damaged or truncated, or has pixels of a kind that is sent as it is.
    """
    kept = [SIGNATURE]
    width = height = depth = 0
    frames = orientation = 1
    profile: bytes | None = None
    gamma = _SRGB_GAMMA
    cicp = _SRGB_CICP
    says_srgb = has_transparency = False
    for name, start, end in _chunks(data):
        if not width and name != b"IHDR":
            raise refuse_damaged("its header is missing")
        if name == b"IHDR":
            width, height = (int.from_bytes(data[start + k : start + k + 4], "big") for k in (0, 4))
            depth = data[start + 8] if end - start == 13 else 0
            if not width or not depth or len(kept) > 1:
                raise refuse_damaged("its header is wrong")
        elif name == b"acTL":
            frames = int.from_bytes(data[start : start + 4], "big")
        elif name == b"iCCP":
            profile = _inflate_profile(data[start:end])
        elif name == b"sRGB":
            says_srgb = True
        elif name == b"gAMA":
            gamma = int.from_bytes(data[start:end], "big")
        elif name == b"cICP":
            cicp = data[start:end]
        elif name == b"eXIf":
            orientation = read_exif_orientation(data[start:end])
        elif name == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0", start):
            orientation = max(orientation, read_xmp_orientation(data[start:end]))
        elif name in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(_EXIF_KEYWORDS, start):
            orientation = 0
        elif name == b"tRNS":
            has_transparency = True
        if name in _PIXEL_CHUNKS:
            kept.append(data[start - 8 : end + 4])
    if depth == 16 and has_transparency:
        raise ImageRefusedError("the picture has 16 bits a channel and a transparent colour: it is kept as it is")
    has_own_colors = cicp != _SRGB_CICP
    if not says_srgb:
        has_own_colors |= abs(gamma - _SRGB_GAMMA) > 500 if profile is None else not is_srgb(profile)
    return ImageHeader("PNG", width, height, b"".join(kept), frames, orientation, has_own_colors)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the name of each chunk and where its content starts and ends, up to the last chunk, IEND."""
    start = 8
    for _ in range(MAX_PIECES):
        size, name = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        start += 8
        end = start + size
        if end + 4 > len(data):
            raise refuse_damaged("it ends too early")
        is_critical = name[:1].isupper()
        if is_critical and name not in _PIXEL_CHUNKS:
            raise ImageRefusedError("the picture is a PNG of an unknown kind: it is kept as it is")
        if is_critical and zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise refuse_damaged("a checksum is wrong")
        yield name, start, end
        if name == b"IEND":
            return
        start = end + 4
    raise refuse_damaged("it has too many chunks")


def _inflate_profile(content: bytes) -> bytes:
    """Returns the start of the profile in an iCCP chunk: name, zero, method, compressed data. b"" if it is damaged."""
    _, _, packed = content.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return b""

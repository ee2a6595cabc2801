"""Tells which format a picture has, and reads its header: WebP (RFC 9649), GIF (GIF89a) and BMP here."""

from __future__ import annotations

from compressor.errors import ImageRefusedError
from compressor.images import jpeg_header, png_header
from compressor.images.image_header import (
    MAX_PIECES,
    ImageHeader,
    is_srgb,
    read_exif_orientation,
    read_xmp_orientation,
    refuse_damaged,
)


def read_header(data: bytes) -> ImageHeader:
    """Reads the header of a picture, without Pillow and without decoding a pixel.

    Raises:
        ImageRefusedError: The file is damaged or truncated, or it is not a PNG, JPEG, WebP, GIF or BMP.
    """
    if data.startswith(png_header.SIGNATURE):
        return png_header.read_png(data)
    if data.startswith(jpeg_header.SIGNATURE):
        return jpeg_header.read_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _read_webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _read_gif(data)
    if data.startswith(b"BM"):
        return _read_bmp(data)
    raise ImageRefusedError("the data is not a PNG, JPEG, WebP, GIF or BMP picture: convert it to one of them")


def _read_webp(data: bytes) -> ImageHeader:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise refuse_damaged("it ends too early")
    sizes: list[tuple[int, int]] = []
    frames, orientation, has_own_colors, is_lossless = 0, 1, False, False
    at = 12
    for _ in range(MAX_PIECES):
        if at + 8 > end:
            break
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        content = data[at + 8 : min(at + 8 + size, end)]
        if name == b"VP8X":
            sizes.append((1 + _number(content, 4, 3), 1 + _number(content, 7, 3)))
        elif name == b"VP8L":
            bits = _number(content, 1, 4)
            sizes.append((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
            is_lossless = True
        elif name == b"VP8 ":
            sizes.append((_number(content, 6, 2) & 0x3FFF, _number(content, 8, 2) & 0x3FFF))
        elif name in (b"ANMF", b"ANIM"):
            frames += 1
        elif name == b"ICCP":
            has_own_colors = not is_srgb(content)
        elif name == b"EXIF":
            orientation = read_exif_orientation(content.removeprefix(b"Exif\0\0"))
        elif name == b"XMP ":
            orientation = max(orientation, read_xmp_orientation(content))
        at += 8 + size + size % 2
    if not sizes and not frames:
        raise refuse_damaged("its header is missing")
    width, height = max(w for w, _ in sizes or [(1, 1)]), max(h for _, h in sizes or [(1, 1)])
    return ImageHeader("WEBP", width, height, data, 1 + frames, orientation, has_own_colors, is_lossless)


def _read_gif(data: bytes) -> ImageHeader:
    if len(data) < 13:
        raise refuse_damaged("it ends too early")
    width, height = _number(data, 6, 2), _number(data, 8, 2)
    at = 13 + _color_table(data[10])
    frames = 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x21:  # an extension
            at += 2
        elif data[at] == 0x2C and at + 10 < len(data):
            frames += 1
            if frames > 1:
                break
            right, bottom = (_number(data, at + k, 2) + _number(data, at + k + 4, 2) for k in (1, 3))
            if right > width or bottom > height:
                raise refuse_damaged("its frame is larger than the picture")
            at += 11 + _color_table(data[at + 9])
        else:
            raise refuse_damaged("a part of it is of an unknown kind")
        while at < len(data) and data[at]:  # blocks of up to 255 bytes; an empty one is the last
            at += 1 + data[at]
        at += 1
    if not frames or at > len(data):
        raise refuse_damaged("it ends too early")
    return ImageHeader("GIF", width, height, data, frames)


def _color_table(flags: int) -> int:
    """Returns the bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _read_bmp(data: bytes) -> ImageHeader:
    if len(data) < 26:
        raise refuse_damaged("it ends too early")
    if _number(data, 14, 4) == 12:  # OS/2
        width, height = _number(data, 18, 2), _number(data, 20, 2)
    else:
        width, height = (int.from_bytes(data[k : k + 4], "little", signed=True) for k in (18, 22))
    return ImageHeader("BMP", max(width, 0), abs(height), data)


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "little")

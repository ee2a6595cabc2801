"""Reads what stands before the pixels of a JPEG file (ITU-T T.81, annex B)."""

from __future__ import annotations

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

SIGNATURE = b"\xff\xd8\xff"
_BASELINE_AND_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_START_OF_SCAN, _START_OF_IMAGE, _END_OF_IMAGE = 0xDA, 0xD8, 0xD9
_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
#: A progressive picture usually has about ten scans. A decoder goes through all pixels for each of them.
_MAX_SCANS = 100


def read_jpeg(data: bytes) -> ImageHeader:
    """Reads a JPEG file up to its pixels.

    Raises:
        ImageRefusedError: The file is damaged or truncated, or has pixels of a kind that is sent as it is.
    """
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    profile = b""
    orientation = 1
    first_scan = len(data)
    for marker, start, end in _segments(data):
        content = data[start:end]
        if marker in _OTHER_FRAMES:
            raise ImageRefusedError("the picture is a JPEG of a rare kind: it is kept as it is")
        if marker in _BASELINE_AND_PROGRESSIVE:
            if size is not None or len(content) < 6:
                raise refuse_damaged("its header is wrong")
            if content[0] != 8:
                raise ImageRefusedError(f"the picture is a JPEG with {content[0]} bits: it is kept as it is")
            size = int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
        elif marker == _APP1 and content.startswith(_EXIF):
            orientation = read_exif_orientation(content[len(_EXIF) :])
        elif marker == _APP1 and content.startswith(_XMP):
            orientation = max(orientation, read_xmp_orientation(content))
        elif marker == _APP2 and content.startswith(_ICC):
            profile += content[len(_ICC) + 2 :]  # after the number of the piece and of all pieces
        if marker == _START_OF_SCAN:
            first_scan = start - 4
            break
        if marker in (_APP0, _APP14) or not (_APP0 <= marker <= 0xEF or marker == _COMMENT):
            kept.append(data[start - 4 : end])
    last = data.rfind(bytes((0xFF, _END_OF_IMAGE)), first_scan)
    if size is None or last < 0:
        raise refuse_damaged("it ends too early")
    if data.count(bytes((0xFF, _START_OF_SCAN)), first_scan, last) > _MAX_SCANS:
        raise ImageRefusedError("the picture is a JPEG with too many scans: save it again with an image program")
    kept.append(data[first_scan : last + 2])
    has_own_colors = bool(profile) and not is_srgb(profile)
    return ImageHeader("JPEG", *size, b"".join(kept), 1, orientation, has_own_colors, is_lossless=False)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields the marker of each segment and where its content starts and ends."""
    at = 2
    for _ in range(MAX_PIECES):
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] in (_START_OF_IMAGE, _END_OF_IMAGE):
            raise refuse_damaged("a part of its header is wrong")
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise refuse_damaged("it ends too early")
        yield data[at + 1], at + 4, end
        at = end
    raise refuse_damaged("it has too many segments")

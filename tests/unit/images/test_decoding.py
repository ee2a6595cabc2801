"""Pictures are decoded as they look, and everything that is not plainly a still picture is refused."""

from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from support.property_tests import given, st

pytest.importorskip("PIL")

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from compressor.errors import ImageRefusedError
from compressor.images import decoding
from compressor.images.decoding import MAX_FILE_BYTES, decode_picture, read_base64

SIZE = (40, 24)
IMAGE = Image.new("RGB", SIZE, "white")
ImageDraw.Draw(IMAGE).rectangle((4, 4, 20, 12), fill=(200, 30, 60))
SAVED: dict[str, dict[str, Any]] = {
    "PNG": {},
    "GIF": {},
    "BMP": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}


def stored(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **{**SAVED[format], **options})
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, rows: bytes = b"", depth: int = 8, color: int = 2, extra: bytes = b"") -> bytes:
    """A PNG made by hand, with further chunks in front of the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_chunk(name: bytes, content: bytes) -> bytes:
    return png(1, 1, b"\0\1\2\3", extra=chunk(name, content))


def animation(format: str) -> bytes:
    frames = [Image.new("RGB", SIZE, color) for color in ("red", "green", "blue")]
    return stored(frames[0], format, save_all=True, append_images=frames[1:], lossless=False)


def turned(format: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return stored(IMAGE, format, exif=exif)


def damaged(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))


@pytest.mark.parametrize("format", SAVED)
def test_pixels_and_facts_are_those_of_the_file(format: str) -> None:
    picture = decode_picture(stored(IMAGE, format))
    assert (picture.width, picture.height, picture.format) == (*SIZE, format)
    assert picture.image.mode == "RGB"
    assert not picture.is_transparent
    assert picture.is_lossless == (format != "JPEG")
    difference = np.abs(np.asarray(picture.image).astype(int) - np.asarray(IMAGE)).max()
    assert difference <= (30 if format == "JPEG" else 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_pictures_of_all_modes_become_the_same_colours(mode: str) -> None:
    image = IMAGE.quantize(8) if mode == "P" else IMAGE.convert(mode, dither=Image.Dither.NONE)
    picture = decode_picture(stored(image))
    assert picture.image.tobytes() == image.convert("RGB").tobytes()
    assert not picture.is_transparent


def test_colours_for_print_are_converted() -> None:
    picture = decode_picture(stored(IMAGE.convert("CMYK"), "JPEG"))
    assert np.abs(np.asarray(picture.image).astype(int) - np.asarray(IMAGE)).mean() < 3


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_scaled_and_not_cut_off(color: int, channels: int) -> None:
    values = [0, 0x00FF, 0x1234, 0x8000, 0xFFFF]
    row = b"\0" + b"".join(
        (struct.pack(">H", v) * (channels - 1 + channels % 2)) + (b"" if channels % 2 else b"\xff\xff") for v in values
    )
    picture = decode_picture(png(len(values), 1, row, depth=16, color=color))
    assert np.asarray(picture.image)[0].tolist() == [[v >> 8] * 3 for v in values]


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF"])
def test_transparent_pixels_are_laid_on_white(format: str) -> None:
    image = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    image.paste((200, 30, 60, 255), (0, 0, 10, 10))
    picture = decode_picture(stored(image, format))
    assert picture.is_transparent
    assert np.asarray(picture.image)[20, 30].tolist() == [255, 255, 255]
    assert np.abs(np.asarray(picture.image)[5, 5].astype(int) - [200, 30, 60]).max() < 5


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    picture = decode_picture(stored(Image.new("RGBA", (2, 2), (0, 0, 0, 128))))
    assert np.asarray(picture.image)[0, 0].tolist() == [127, 127, 127]


def test_a_transparent_colour_that_no_pixel_has_does_not_matter() -> None:
    assert not decode_picture(stored(IMAGE, transparency=(1, 2, 3))).is_transparent
    assert decode_picture(stored(IMAGE, transparency=(255, 255, 255))).is_transparent


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_the_usual_colour_profile_is_no_reason_to_refuse(format: str) -> None:
    decode_picture(stored(IMAGE, format, icc_profile=SRGB))
    exif = Image.Exif()
    exif[0x0112] = 1
    decode_picture(stored(IMAGE, format, exif=exif))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not a PNG"),
    "text": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
    "tiff": (lambda: b"II*\0" + bytes(100), "not a PNG"),
    "large file": (lambda: bytes(MAX_FILE_BYTES + 1), "20 MB"),
    "claims 30000 x 30000": (lambda: png(30_000, 30_000, b"\0"), "30,000 x 30,000"),
    "jpeg claims 30000 x 30000": (
        lambda: stored(IMAGE, "JPEG").replace(struct.pack(">HH", 24, 40), struct.pack(">HH", 30_000, 30_000), 1),
        "30,000 x 30,000",
    ),
    "gif claims 30000 x 30000": (
        lambda: stored(IMAGE, "GIF").replace(struct.pack("<HH", 40, 24), struct.pack("<HH", 30_000, 30_000), 1),
        "30,000 x 30,000",
    ),
    "bmp claims 30000 x 30000": (
        lambda: stored(IMAGE, "BMP").replace(struct.pack("<ii", 40, 24), struct.pack("<ii", 30_000, -30_000), 1),
        "30,000 x 30,000",
    ),
    "0 x 0": (lambda: png(0, 0), "damaged"),
    "jpeg without rows": (
        lambda: stored(IMAGE, "JPEG").replace(struct.pack(">HH", 24, 40), struct.pack(">HH", 0, 40), 1),
        "no pixels",
    ),
    "png with too few pixels": (lambda: png(50, 50, b"\0\1\2\3"), "cannot be decoded"),
    "png of an unknown kind": (lambda: with_chunk(b"CgBI", b"1234"), "unknown kind"),
    "png with a wrong checksum": (lambda: stored(PHOTO)[:100] + b"?" + stored(PHOTO)[101:], "checksum"),
    "16 bits and transparent": (
        lambda: png(1, 1, b"\0" + bytes(6), depth=16, extra=chunk(b"tRNS", bytes(6))),
        "16 bits",
    ),
    **{f"truncated {format}": (lambda f=format: damaged(stored(PHOTO, f)), "damaged") for format in SAVED},  # type: ignore[misc]
    **{f"animated {format}": (lambda f=format: animation(f), "animated") for format in ("PNG", "GIF", "WEBP")},  # type: ignore[misc]
    **{f"turned {format}": (lambda f=format: turned(f), "turned") for format in ("PNG", "JPEG", "WEBP")},  # type: ignore[misc]
    **{
        f"other colours {format}": (lambda f=format: stored(IMAGE, f, icc_profile=LAB), "sRGB")  # type: ignore[misc]
        for format in ("PNG", "JPEG", "WEBP")
    },
    "linear gamma": (lambda: with_chunk(b"gAMA", struct.pack(">I", 100_000)), "sRGB"),
    "hdr": (lambda: with_chunk(b"cICP", b"\x09\x10\x00\x01"), "sRGB"),
    "turned in xmp": (lambda: with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<a tiff:Orientation='6'/>"), "turned"),
    "exif as text": (lambda: with_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"x")), "turned"),
    "jpeg with 12 bits": (lambda: stored(IMAGE, "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12"),
    "jpeg with arithmetic coding": (lambda: stored(IMAGE, "JPEG").replace(b"\xff\xc0", b"\xff\xc9"), "rare kind"),
    "jpeg with 200 scans": (
        lambda: stored(IMAGE, "JPEG")[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 200 + b"\xff\xd9",
        "too many scans",
    ),
    "png with too many chunks": (
        lambda: png(1, 1, b"\0\1\2\3", extra=chunk(b"tEXt", b"a\0b") * 60_000),
        "too many chunks",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_picture_is_refused_with_a_reason(case: str) -> None:
    make, reason = REFUSED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRefusedError, match=reason):
            decode_picture(make())


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_compressed_metadata_is_not_decompressed(name: bytes) -> None:
    bomb = b"sRGB\0\0" + zlib.compress(bytes(5_000_000))
    data = with_chunk(name, bomb)
    if name == b"iCCP":
        with pytest.raises(ImageRefusedError, match="sRGB"):
            decode_picture(data)
    else:
        assert decode_picture(data).width == 1


def test_a_picture_that_was_decoded_is_remembered() -> None:
    data = stored(PHOTO)
    assert decode_picture(data) is decode_picture(bytes(bytearray(data)))
    assert decoding._pictures.size <= decoding._CACHE_BYTES


@given(st.sampled_from(list(SAVED)), st.integers(0, 2000), st.integers(0, 255), st.integers(0, 2))
def test_any_damage_is_refused_or_decoded_without_a_warning(format: str, at: int, value: int, how: int) -> None:
    data = stored(PHOTO, format)
    at %= len(data)
    damage = (data[:at], data[:at] + bytes([value]) + data[at + 1 :], data[:at] + data[at + 1 + value % 9 :])[how]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            picture = decode_picture(damage)
        except ImageRefusedError:
            return
    assert picture.image.mode == "RGB"


@given(st.binary(max_size=200), st.booleans(), st.sampled_from(["", "\n", " "]))
def test_base64_is_read_in_its_usual_forms(data: bytes, is_url_safe: bool, gap: str) -> None:
    text = (base64.urlsafe_b64encode if is_url_safe else base64.b64encode)(data or b"x").decode()
    broken = gap.join((text[:5], text[5:]))
    for form in (broken, broken.rstrip("="), f"data:image/png;base64,{broken}"):
        assert read_base64(form) == (data or b"x")


@pytest.mark.parametrize(
    "text",
    ["", "====", "a", "abc!", "abcä", "data:image/png,abcd", "https://example.com/a.png", "data:image/png;base64,"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ImageRefusedError, match="base64"):
        read_base64(text)


def test_a_text_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ImageRefusedError, match="20 MB"):
        read_base64("A" * (MAX_FILE_BYTES * 4 // 3 + 100))


@pytest.mark.moderate
def test_the_modules_can_be_imported_without_pillow() -> None:
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "import compressor.images.crops, compressor.images.encoding, compressor.images.fingerprint\n"
        "from compressor.images.decoding import decode_picture\n"
        "from compressor.errors import MissingDependencyError\n"
        "import base64\n"
        "try: decode_picture(bytes.fromhex(sys.argv[1]))\n"
        "except MissingDependencyError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, stored(IMAGE).hex()], capture_output=True, text=True, check=True
    )
    assert done.stdout == "Pillow is not installed: pip install 'agentic-compressor[images]'\n"

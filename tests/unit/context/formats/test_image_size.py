"""Image sizes from base64, against Pillow's own files and by hand-made headers."""

from __future__ import annotations

import base64
import io
import os
import struct

import pytest

from compressor.context.formats.image_size import image_size
from support.property_tests import given, settings, st
from support.strategies import png


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (3, 2000)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"icc_profile": os.urandom(150_000)}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
        ("WEBP", {"exif": b"Exif\0\0" + b"x" * 100}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("AVIF", {}),
    ],
)
def test_agrees_with_pillow(kind: str, options: dict[str, object], size: tuple[int, int]) -> None:
    pillow = pytest.importorskip("PIL.Image")
    if kind == "AVIF" and not pytest.importorskip("PIL.features").check("avif"):
        pytest.skip("this Pillow cannot write AVIF")
    file = io.BytesIO()
    pillow.new("RGB", size, "white").save(file, kind, **options)
    text = _encode(file.getvalue())
    assert image_size(text) == size
    assert image_size(f"data:image/{kind.lower()};base64,{text}") == size
    assert image_size("\n".join(text[i : i + 76] for i in range(0, len(text), 76))) == size
    assert image_size(text.replace("+", "-").replace("/", "_").rstrip("=")) == size


def test_headers_by_hand() -> None:
    assert image_size(png(200, 300)) == (200, 300)
    riff = b"RIFF\0\0\0\0WEBP"
    lossy = riff + b"VP8 " + b"\0" * 4 + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 550 | 1 << 14, 368)
    assert image_size(_encode(lossy)) == (550, 368)
    extended = riff + b"VP8X" + b"\0" * 8 + (1023).to_bytes(3, "little") + (99_999).to_bytes(3, "little")
    assert image_size(_encode(extended)) == (1024, 100_000)
    assert image_size(_encode(b"GIF87a" + struct.pack("<HH", 7, 9) + b"\0" * 3)) == (7, 9)
    tiff = b"MM\0*" + struct.pack(">IHHHIHHHHII", 8, 2, 256, 3, 1, 640, 0, 257, 4, 1, 480)
    assert image_size(_encode(tiff)) == (640, 480)
    top_down = b"BM" + b"\0" * 12 + struct.pack("<Iii", 40, 30, -20)
    assert image_size(_encode(top_down)) == (30, 20)


def test_heic_is_as_large_as_its_largest_picture() -> None:
    """A photo of a phone: tiles of 512 pixels, a thumbnail, and the whole."""

    def extent(width: int, height: int) -> bytes:
        return b"\0\0\0\x14ispe\0\0\0\0" + struct.pack(">II", width, height)

    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40
    assert image_size(_encode(head + extent(512, 512) + extent(4032, 3024) + extent(320, 240))) == (4032, 3024)
    assert image_size(_encode(head)) == (0, 0)


def test_an_animated_gif_counts_as_its_first_frame() -> None:
    pillow = pytest.importorskip("PIL.Image")
    frames = [pillow.new("P", (90, 60), color) for color in (1, 2, 3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert image_size(_encode(file.getvalue())) == (90, 60)


def test_a_rotated_photo_keeps_the_size_of_its_file() -> None:
    """No provider says that it reads the EXIF orientation."""
    pillow = pytest.importorskip("PIL.Image")
    picture = pillow.new("RGB", (80, 60))
    exif = picture.getexif()
    exif[0x0112] = 6
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif)
    assert image_size(_encode(file.getvalue())) == (80, 60)


@pytest.mark.parametrize(
    "data", ["", "https://example.com/a.png", "data:", "data:image/png,abc", "data:;base64,", None, 3, b"x", "héé", "A"]
)
def test_unknown_is_zero(data: object) -> None:
    assert image_size(data) == (0, 0)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(
        (
            *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"", b"BM"),
            *(b"II*\0", b"MM\0*", b"\0\0\0\x18ftypheic"),
        )
    ),
    st.binary(max_size=64),
)
def test_broken_images_never_raise(magic: bytes, rest: bytes) -> None:
    width, height = image_size(_encode(magic + rest))
    assert width >= 0 and height >= 0


@pytest.mark.moderate
def test_jpeg_without_frame_is_bounded() -> None:
    assert image_size(_encode(b"\xff\xd8" + b"\xff\xe1\xff\xff" + b"x" * 3_000_000)) == (0, 0)
    assert image_size(_encode(b"\xff\xd8" + b"\xff" * 1_000_000)) == (0, 0)

"""What is encoded shows the same pixels, in one frame, and the same bytes come out each time."""

from __future__ import annotations

import io
import random

import pytest

from support.drawn_screens import draw_screen, make_screen
from support.property_tests import given, st

pytest.importorskip("PIL")

import numpy as np
from PIL import Image

from compressor.images.decoding import decode_picture
from compressor.images.encoding import encode_picture
from compressor.images.picture import Picture

SCREEN = draw_screen(make_screen(random.Random(3)))


def picture_of(image: Image.Image, format: str = "PNG", is_lossless: bool = True) -> Picture:
    return Picture.from_image(image, Picture(image, format, "", is_lossless))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("format", "is_lossless", "media_type"),
    [
        ("PNG", True, "image/png"),
        ("GIF", True, "image/png"),
        ("BMP", True, "image/png"),
        ("JPEG", False, "image/jpeg"),
        ("WEBP", True, "image/webp"),
        ("WEBP", False, "image/webp"),
    ],
)
def test_the_format_stays(format: str, is_lossless: bool, media_type: str) -> None:
    data, kind = encode_picture(picture_of(SCREEN, format, is_lossless))
    assert kind == media_type
    assert (data, kind) == encode_picture(picture_of(SCREEN.copy(), format, is_lossless))
    again = decode_picture(data)
    assert again.is_lossless == is_lossless
    difference = np.abs(np.asarray(again.image).astype(int) - np.asarray(SCREEN)).mean()
    assert difference == 0 if is_lossless else difference < 2


def test_a_given_format_wins() -> None:
    assert encode_picture(picture_of(SCREEN, "JPEG", False), "PNG")[1] == "image/png"


def test_text_in_a_jpeg_stays_sharp() -> None:
    file = io.BytesIO()
    SCREEN.save(file, "JPEG", quality=80)
    picture = decode_picture(file.getvalue())
    again = decode_picture(encode_picture(picture)[0])
    assert np.abs(again.grey.astype(int) - picture.grey).max() < 30


@pytest.mark.parametrize("colors", [1, 2, 16, 17, 256])
def test_few_colours_get_a_palette_and_stay_what_they_are(colors: int) -> None:
    values = np.random.default_rng(colors).integers(0, 255, (colors, 3), np.uint8)
    pixels = values[np.arange(3200) % colors].reshape(40, 80, 3)
    picture = picture_of(Image.fromarray(pixels))
    data, _ = encode_picture(picture)
    assert opened(data).mode in ("P", "1")
    assert decode_picture(data).image.tobytes() == picture.image.tobytes()


def test_many_colours_get_no_palette() -> None:
    pixels = np.arange(257 * 3, dtype=np.uint16).astype(np.uint8).reshape(1, 257, 3)
    pixels[..., 1] = np.arange(257) // 2
    data, _ = encode_picture(picture_of(Image.fromarray(pixels)))
    assert opened(data).mode == "RGB"


@given(st.lists(st.integers(0, 0xFFFFFF), min_size=1, max_size=300), st.integers(1, 12))
def test_a_png_holds_every_pixel(colors: list[int], height: int) -> None:
    packed = np.array([colors] * height, "<u4").view(np.uint8).reshape(height, len(colors), 4)[..., :3]
    picture = picture_of(Image.fromarray(np.ascontiguousarray(packed)))
    assert decode_picture(encode_picture(picture)[0]).image.tobytes() == picture.image.tobytes()


def test_no_metadata_is_written() -> None:
    image = SCREEN.copy()
    file = io.BytesIO()
    image.save(file, "PNG", dpi=(72, 72), icc_profile=None)
    picture = decode_picture(file.getvalue())
    assert opened(encode_picture(picture)[0]).info == {}

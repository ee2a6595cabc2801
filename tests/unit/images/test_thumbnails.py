"""Thumbnails: small, the same every time, and never an exception, whatever the image and the edit are."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import pytest

pytest.importorskip("PIL")

import numpy as np
from PIL import Image

from compressor.context.image_edits import PictureEdit, ShownBox
from compressor.images import known_image, thumbnails
from compressor.images.thumbnails import MAX_URL_CHARS, describe_edit, thumbnail
from support.property_tests import given, settings, st


def base64_of(image: Image.Image, format: str = "PNG", **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, format, **options)
    return base64.b64encode(file.getvalue()).decode()


def noise(width: int, height: int) -> Image.Image:
    """The picture that is hardest to make small."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def two_halves(width: int = 1280, height: int = 800) -> Image.Image:
    """Red at the left, blue at the right."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image


def read(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64") and len(url) <= MAX_URL_CHARS
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True))).convert("RGB")


def test_a_thumbnail_of_a_screenshot_is_small_and_shows_all_of_it() -> None:
    shown = read(thumbnail(base64_of(two_halves()), None, 240))
    assert shown.size == (240, 150)
    assert shown.getpixel((10, 75)) == (255, 0, 0) and shown.getpixel((230, 75)) == (0, 0, 255)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_noise_of_every_format_stays_within_the_limit(format: str) -> None:
    assert max(read(thumbnail(base64_of(noise(900, 600), format), None, 240)).size) >= 80


def test_an_image_that_is_small_already_keeps_its_size_and_its_pixels() -> None:
    image = two_halves(40, 24)
    shown = read(thumbnail(base64_of(image), None, 240))
    assert shown.size == (40, 24) and shown.tobytes() == image.tobytes()


def test_the_thumbnail_of_an_edit_shows_the_part_that_is_sent() -> None:
    right = PictureEdit((ShownBox(640, 0, 640, 800),), 320, 400, "[image 1: a part]")
    shown = read(thumbnail(base64_of(two_halves()), right, 200))
    assert shown.size == (160, 200) and shown.getcolors() == [(160 * 200, (0, 0, 255))]
    smaller = right._replace(boxes=(ShownBox(0, 0, 1280, 800),), width=100, height=62)
    assert max(read(thumbnail(base64_of(two_halves()), smaller, 200)).size) == 100  # it is not shown larger than sent


def test_several_parts_are_shown_on_one_canvas_as_they_are_sent() -> None:
    corners = (ShownBox(0, 0, 40, 40), ShownBox(1240, 760, 40, 40))
    shown = read(thumbnail(base64_of(two_halves()), PictureEdit(corners, 40, 84, ""), 240))
    assert shown.size == (40, 84)
    assert shown.getpixel((20, 20)) == (255, 0, 0) and shown.getpixel((20, 60)) == (0, 0, 255)


@pytest.mark.parametrize("data", ["", "no base64!", "aGVsbG8=", base64_of(two_halves())[:200], "ü", "data:image/png,x"])
def test_what_cannot_be_shown_has_no_thumbnail(data: str) -> None:
    assert thumbnail(data, None, 240) == "" == thumbnail(data, None, 240)


def test_an_animated_image_is_refused_with_a_reason() -> None:
    data = base64_of(two_halves(20, 20), "GIF", save_all=True, append_images=[Image.new("RGB", (20, 20))])
    assert thumbnail(data, None, 240) == "" and "animated" in known_image.known_image(data).refusal


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.one_of(st.integers(0, 300), st.integers(0, 10**9))] * 4), max_size=4),
    st.integers(0, 10**9),
    st.integers(-5, 10**9),
)
def test_no_edit_makes_it_fail(boxes: list[tuple[int, int, int, int]], size: int, max_side: int) -> None:
    edit = PictureEdit(tuple(ShownBox(*box) for box in boxes), size, size, "")
    url = thumbnail(base64_of(two_halves(200, 100)), edit, max_side)
    assert url == "" or max(read(url).size) <= 1000


def test_the_same_image_is_drawn_once_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data, edit = base64_of(noise(700, 500)), PictureEdit((ShownBox(0, 0, 300, 300),), 300, 300, "a note")
    first = thumbnail(data, None, 200), thumbnail(data, edit, 200)
    monkeypatch.setattr(known_image.KnownImage, "picture", property(lambda self: pytest.fail("decoded again")))
    assert (thumbnail(data, None, 200), thumbnail(data, edit._replace(note="another"), 200)) == first
    monkeypatch.undo()
    thumbnails._thumbnails.clear()
    assert (thumbnail(data, None, 200), thumbnail(data, edit, 200)) == first


def test_the_memory_of_thumbnails_is_bounded() -> None:
    data = base64_of(noise(64, 64))
    for side in range(16, 64):
        for top in range(20):
            thumbnail(data, PictureEdit((ShownBox(0, top, 60, 30),), 60, 30, ""), side)
    assert 0 < thumbnails._thumbnails.size <= thumbnails.MAX_CACHE_BYTES


def test_without_pillow_there_is_no_thumbnail_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    data = base64_of(noise(33, 21))
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert thumbnail(data, None, 240) == "" and "pip install" in known_image.known_image(data).refusal


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("[image 3: the same as image 7] […cut ref 123456789012]", "image 3: the same as image 7"),
        ("[image 3, read as text]\nname price\n[…cut ref 123456789012]", "image 3, read as text"),
        (str(PictureEdit((ShownBox(0, 0, 9, 9),), 9, 9, "[a part] […cut ref 123456789012]")), "a part"),
        ("data:image/png;base64,AAAA\n[drawn]", "drawn"),
        ("[…cut ref 123456789012]", ""),
        ("", ""),
    ],
)
def test_an_edit_is_described_in_words(edit: str, words: str) -> None:
    assert describe_edit(edit) == words

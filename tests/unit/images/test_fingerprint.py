"""Fingerprints are near for frames worth comparing, and far for other pages."""

from __future__ import annotations

import random
import time

import pytest

from support.drawn_screens import SMALL_KINDS, change_screen, draw_screen, make_screen

pytest.importorskip("PIL")

from PIL import Image

from compressor.images.fingerprint import NEAR_DISTANCE, Fingerprint, compute_fingerprint
from compressor.images.picture import Picture


def fingerprint_of(image: Image.Image) -> Fingerprint:
    return compute_fingerprint(Picture.from_image(image, Picture(image, "PNG", "")))


@pytest.mark.parametrize("kind", [*SMALL_KINDS, "shift", "swap", "scroll"])
def test_a_changed_frame_is_nearer_than_another_page(kind: str) -> None:
    source = random.Random(kind)
    screen = make_screen(source)
    own = fingerprint_of(draw_screen(screen))
    other = fingerprint_of(draw_screen(make_screen(source)).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    changed = fingerprint_of(draw_screen(change_screen(kind, screen, source)))
    assert own.distance(changed) <= NEAR_DISTANCE
    assert own.distance(other) > 2 * own.distance(changed)
    assert own.distance(changed) == changed.distance(own)


def test_equal_pictures_have_no_distance_and_other_sizes_the_largest() -> None:
    image = draw_screen(make_screen(random.Random(0)))
    assert fingerprint_of(image).distance(fingerprint_of(image.copy())) == 0.0
    assert fingerprint_of(image).distance(fingerprint_of(image.crop((0, 0, 600, 400)))) == 1.0


def test_empty_pictures_of_two_colours_are_far() -> None:
    white, black = (fingerprint_of(Image.new("RGB", (64, 64), color)) for color in ("white", "black"))
    assert white.distance(black) >= 0.5
    assert white.distance(white) == 0.0


def test_a_distance_takes_microseconds() -> None:
    image = draw_screen(make_screen(random.Random(0)))
    one, other = fingerprint_of(image), fingerprint_of(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    start = time.thread_time()
    for _ in range(100):
        one.distance(other)
    assert time.thread_time() - start < 0.02  # 10 times what it takes

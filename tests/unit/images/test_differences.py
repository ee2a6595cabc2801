"""No change is overlooked, and what `find_changes` says is enough to make the new picture from the old one."""

from __future__ import annotations

import io
import random

import pytest

from support.drawn_screens import HEADER, KINDS, SIDEBAR, SMALL_KINDS, change_screen, draw_screen, make_screen
from support.property_tests import given, st

pytest.importorskip("PIL")

import numpy as np
from PIL import Image, ImageDraw

from compressor.images.crops import crop_changes, paste_changes
from compressor.images.decoding import decode_picture
from compressor.images.differences import MAX_SHARE, Changes, find_changes
from compressor.images.picture import Picture

BOX = st.tuples(st.integers(0, 70), st.integers(0, 50), st.integers(1, 30), st.integers(1, 30), st.integers(0, 255))


def picture_of(image: Image.Image, format: str = "PNG") -> Picture:
    blank = Picture(image, format, "", is_lossless=format == "PNG")
    return Picture.from_image(image, blank)


def stored_as_jpeg(image: Image.Image, quality: int) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return decode_picture(file.getvalue())


def check(old: Picture, new: Picture) -> Changes | None:
    """Returns the changes, after making the new picture from them."""
    changes = find_changes(old, new)
    same = bool((old.packed == new.packed).all())
    assert (changes is not None and changes.is_equal) == same
    if changes is not None:
        made = paste_changes(old, changes, crop_changes(new, changes))
        assert made.tobytes() == new.image.tobytes()
        assert changes.share <= MAX_SHARE
    return changes


def check_pair(kind: str, seed: int, quality: int | None = None) -> None:
    source = random.Random(f"{kind} {seed}")
    screen = make_screen(source)
    images = draw_screen(screen), draw_screen(change_screen(kind, screen, source))
    if quality is None:
        old, new = picture_of(images[0]), picture_of(images[1])
    else:
        old, new = stored_as_jpeg(images[0], quality), stored_as_jpeg(images[1], quality)
    assert not (old.packed == new.packed).all()
    changes = check(old, new)
    if kind in SMALL_KINDS:
        assert changes is not None
        assert changes.share < 0.2
        assert changes.scroll is None
    if kind == "scroll" and quality is None:
        assert changes is not None
        assert changes.scroll is not None
        box = changes.scroll.box
        assert box.left >= SIDEBAR and box.top >= HEADER


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_found_and_its_boxes_hold_every_pixel_of_it(kind: str) -> None:
    for seed in range(3):
        check_pair(kind, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_found_between_two_jpegs(kind: str) -> None:
    for seed, quality in enumerate((60, 80, 95)):
        check_pair(kind, seed, quality)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_change_of_a_thousand_is_overlooked(kind: str) -> None:
    """12 kinds x 130 pairs, of which 30 are JPEG."""
    for seed in range(100):
        check_pair(kind, 1000 + seed)
    for seed in range(30):
        check_pair(kind, 2000 + seed, 60 + seed * 35 // 29)


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_a_jpeg_of_other_quality_is_not_called_equal(quality: int) -> None:
    image = draw_screen(make_screen(random.Random(1)))
    check(picture_of(image), stored_as_jpeg(image, quality))
    assert check(stored_as_jpeg(image, quality), stored_as_jpeg(image, quality)) == Changes((), 0.0)


@given(st.lists(BOX, max_size=9), st.lists(BOX, max_size=9), st.integers(1, 90), st.integers(1, 90))
def test_the_new_picture_can_be_made_from_the_old_one(
    before: list[tuple[int, ...]], after: list[tuple[int, ...]], width: int, height: int
) -> None:
    old = Image.new("RGB", (width, height), "white")
    for left, top, across, down, color in before:
        ImageDraw.Draw(old).rectangle((left, top, left + across, top + down), fill=(color, 0, 255 - color))
    new = old.copy()
    for left, top, across, down, color in after:
        ImageDraw.Draw(new).rectangle((left, top, left + across // 4, top + down // 4), fill=(color, color, 0))
    check(picture_of(old), picture_of(new))


@given(st.integers(-60, 60), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_a_scrolled_part_is_found_with_its_offset(offset: int, top: int, left: int, bottom: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (320, 200), np.uint8)
    old = np.random.default_rng(seed + 1).integers(0, 255, (200, 200), np.uint8)
    new = old.copy()
    old[top : 200 - bottom, left:] = noise[60 : 260 - top - bottom, left:]
    new[top : 200 - bottom, left:] = noise[60 + offset : 260 + offset - top - bottom, left:]
    new[150:154, 150] = 7  # something else changed, too
    changes = check(*(picture_of(Image.fromarray(pixels).convert("RGB")) for pixels in (old, new)))
    if abs(offset) < 20 and offset:
        assert changes is not None
        assert changes.scroll_offset == offset


def test_pictures_of_two_sizes_are_two_pictures() -> None:
    assert find_changes(*(picture_of(Image.new("RGB", (w, 40), "white")) for w in (40, 41))) is None


def test_transparent_pictures_are_not_compared() -> None:
    image = Image.new("RGB", (40, 40), "white")
    one, other = Picture(image, "PNG", "a", is_transparent=True), Picture(image, "PNG", "b")
    assert find_changes(one, other) is find_changes(other, one) is None
    assert find_changes(one, one) == Changes((), 0.0)


def test_changes_far_apart_get_boxes_of_their_own() -> None:
    image = Image.new("RGB", (1280, 800), "white")
    new = image.copy()
    for left, top in ((16, 16), (1200, 20), (640, 700)):
        ImageDraw.Draw(new).rectangle((left, top, left + 9, top + 9), fill="black")
    changes = check(picture_of(image), picture_of(new))
    assert changes is not None
    assert [box.words for box in changes.boxes] == [
        "x 0, y 0, 96 x 48",
        "x 1160, y 0, 96 x 48",
        "x 600, y 680, 96 x 48",
    ]
    crop = crop_changes(picture_of(new), changes)
    assert crop is not None
    assert crop.words == f"from left to right: {'; '.join(box.words for box in changes.boxes)}"
    assert (crop.picture.width, crop.picture.height) == (3 * 96 + 2 * 4, 48)


def test_a_list_that_looks_alike_everywhere_is_not_called_scrolled() -> None:
    """Its rows repeat, so that they also agree with rows elsewhere: on two offsets about as often."""
    lines = np.random.default_rng(1).integers(0, 255, (2, 10, 200), np.uint8)
    old, new = np.full((2, 400, 200), 255, np.uint8)
    old[100:110], old[150:160] = lines
    new[180:190], new[250:260] = lines  # by 80 and by 100 rows
    new[300:400:2] = np.random.default_rng(2).integers(0, 255, (50, 200), np.uint8)
    changes = check(*(picture_of(Image.fromarray(pixels).convert("RGB")) for pixels in (old, new)))
    assert changes is None or changes.scroll is None

"""Screenshots that differ little from others."""

from __future__ import annotations

import base64

import pytest

pytest.importorskip("PIL")

from compressor.images.frames import list_frames
from compressor.images.known_image import known_image
from compressor.images.repeats import find_near_repeat, looks_alike
from support.drawn_screens import SMALL_KINDS
from support.picture_runs import page_shot, parse, screen_data, screen_of, write_run

BASE = known_image(screen_data(1))
OTHER = known_image(screen_data(2))
BROKEN = known_image(base64.b64encode(b"no picture").decode())


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_a_small_change_is_found_with_its_place(kind: str) -> None:
    changed = known_image(screen_data(1, (kind,)))
    found = find_near_repeat(changed, [OTHER, BASE], 3)
    assert found is not None and found.index == 1
    assert 1 <= len(found.changes.boxes) <= 3
    assert all(0 <= b.left < b.right <= 640 and 0 <= b.top < b.bottom <= 400 for b in found.changes.boxes)


def test_equal_pixels_differ_nowhere() -> None:
    found = find_near_repeat(BASE, [BASE], 3)
    assert found is not None and found.changes.boxes == ()


def test_other_pages_broken_images_and_other_sizes_are_no_repeats() -> None:
    small = known_image(screen_data(1, (), (320, 200)))
    assert find_near_repeat(BASE, [OTHER, BROKEN, small], 3) is None
    assert find_near_repeat(BROKEN, [BASE], 3) is None
    assert find_near_repeat(BASE, [], 3) is None
    assert find_near_repeat(BASE, [BASE], 0) is None


def test_the_nearest_one_is_taken_and_the_first_of_equally_near_ones() -> None:
    one, two = known_image(screen_data(1, ("digit",))), known_image(screen_data(1, ("digit", "tick", "theme")))
    found = find_near_repeat(one, [two, BASE, known_image(screen_data(1))], 3)
    assert found is not None and found.index == 1


def test_what_looks_alike() -> None:
    assert looks_alike(BASE, known_image(screen_data(1, ("digit",))))
    assert not looks_alike(BASE, OTHER) and not looks_alike(BASE, BROKEN) and not looks_alike(BROKEN, BASE)


def test_the_words_for_a_difference_name_what_has_changed() -> None:
    lines = "\n".join(f'- link "entry {i}"' for i in range(12))
    shots = [page_shot(1), page_shot(1, ("digit",))]
    titles = (f"Cart\n{lines}\n- text: 2 items in the cart", f"Cart\n{lines}\n- text: 3 items in the cart")
    run = write_run("openai_chat", [shot._replace(title=title) for shot, title in zip(shots, titles, strict=True)])
    before, after = list_frames(parse(run))
    found = find_near_repeat(known_image(shots[1].data), [known_image(shots[0].data)], 3)
    assert found is not None
    assert "3" in found.describe(after, before) and found.describe(after, before).startswith(", changed: ")


@pytest.mark.parametrize(("old", "new", "words"), [((), ("scroll",), "down"), (("scroll",), (), "up")])
def test_scrolling_is_said(old: tuple[str, ...], new: tuple[str, ...], words: str) -> None:
    before, after = known_image(screen_data(1, old)), known_image(screen_data(1, new))
    found = find_near_repeat(after, [before], 3)
    assert found is not None and found.changes.scroll_offset
    offset = abs(screen_of(1, old).scroll - screen_of(1, new).scroll)
    (frame,) = list_frames(parse(write_run("openai_chat", [page_shot(1)])))
    assert found.describe(frame, frame) == f" scrolled {words} by {offset} px"

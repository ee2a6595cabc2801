"""What is remembered of images."""

from __future__ import annotations

import base64

import pytest

pytest.importorskip("PIL")

from compressor.images import decoding
from compressor.images.known_image import is_decoding_installed, known_image
from support.picture_runs import encode, screen_data
from support.screens import draw_lines


def test_equal_data_has_one_digest_and_other_data_another() -> None:
    assert known_image(screen_data(1)).digest == known_image(str(screen_data(1))).digest
    assert known_image(screen_data(1)).digest != known_image(screen_data(2)).digest


def test_pixels_and_findings_are_computed_once() -> None:
    first, again = known_image(screen_data(1)), known_image(screen_data(1))
    assert first.picture is again.picture is not None
    assert first.findings is again.findings is not None
    assert first.refusal == ""


def test_findings_say_what_the_pixels_do() -> None:
    found = known_image(screen_data(1)).findings
    assert found is not None and (found.width, found.height) == (640, 400) and found.may_redraw
    assert 0 < found.legible_scale <= 1
    assert (found.content.width, found.content.height) <= (640, 400)


@pytest.mark.parametrize("data", ["", "@@@@", base64.b64encode(b"no picture").decode(), "ü", screen_data(1)[:3000]])
def test_a_broken_image_is_refused_once_with_a_reason(data: str) -> None:
    known = known_image(data)
    assert known.picture is None and known.findings is None
    assert known.refusal
    assert known_image(data).refusal == known.refusal and known_image(data).picture is None


def test_an_image_with_transparent_pixels_is_not_redrawn() -> None:
    image = draw_lines(["planet"]).image.convert("RGBA")
    image.putalpha(120)
    found = known_image(encode(image)).findings
    assert found is None or not found.may_redraw


def test_pixels_that_are_forgotten_are_decoded_again() -> None:
    known = known_image(screen_data(3))
    first = known.picture
    assert first is not None
    decoding._pictures.clear()
    second = known.picture
    assert second is not None and second.image.tobytes() == first.image.tobytes()


def test_pillow_is_here() -> None:
    assert is_decoding_installed()

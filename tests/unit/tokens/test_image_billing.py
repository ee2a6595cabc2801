"""Borders of the providers' billing: properties over all formulas, and examples by hand."""

from __future__ import annotations

import pytest

from compressor.context.model import Image
from compressor.tokens.counter import get_counter
from compressor.tokens.image_billing import cheapest_size, is_billed_flat
from support.property_tests import given, settings, st

MODELS = (
    *("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "gpt-5.2", "gpt-5.4", "gpt-5.5", "gpt-5.6"),
    *("o3", "o4-mini", "claude-sonnet-4", "claude-opus-4-7", "gemini-2.5-pro", "gemini-3-pro", "grok-4"),
    *("qwen2.5-vl", "qwen3-vl", "pixtral-12b", "mistral-small-3.2", "gemma-3", "gemma-4", "llava-1.5", "llava-1.6"),
    *("llama-3.2-vision", "llama-4-scout", "internvl3", "some-model"),
)
models = st.sampled_from(MODELS)
details = st.sampled_from(("low", "high", "auto", "original", "medium", "ultra_high"))
sides = st.one_of(st.integers(1, 400), st.integers(400, 5_000), st.integers(5_000, 120_000))


@settings(deadline=None, max_examples=400)
@given(models, sides, sides, details)
def test_no_image_costs_more_than_one_of_unknown_size(model: str, width: int, height: int, detail: str) -> None:
    counter = get_counter(model)
    assert 0 < counter.count_image(Image(width, height, detail)) <= counter.count_image(Image(0, 0, detail))


@settings(deadline=None, max_examples=400)
@given(models, st.integers(1, 6_000), st.integers(1, 6_000), st.floats(0.05, 1.2), details)
def test_the_size_found_is_the_billed_border(model: str, width: int, height: int, share: float, detail: str) -> None:
    count = get_counter(model).count_image
    image = Image(width, height, detail)
    min_width, min_height = max(1, int(width * share)), max(1, int(height * share))
    found = cheapest_size(count, image, min_width, min_height)
    longest = max(width, height)

    def scaled(side: int) -> Image:
        sides = [max(1, round(given * side / longest)) for given in (width, height)]
        return Image(sides[0], sides[1], detail)

    least = min(longest, max(1, -(-min_width * longest // width), -(-min_height * longest // height)))
    if found is None:
        assert is_billed_flat(count, image) or count(scaled(least)) >= count(image)
        return
    tokens = count(Image(*found, detail))
    assert tokens < count(image)  # saves tokens
    assert tokens <= count(scaled(least))  # as cheap as the smallest legible size
    assert min(min_width, width) <= found[0] <= width and min(min_height, height) <= found[1] <= height
    assert abs(found[0] / width - found[1] / height) <= 1 / min(width, height)  # of the same shape
    side = max(found)
    assert side == longest or count(scaled(side + 1)) > count(scaled(least))


@settings(deadline=None, max_examples=200)
@given(models, st.integers(1, 4_000), st.integers(1, 4_000), st.floats(0.02, 1.0), details)
def test_what_is_billed_flat_never_gets_cheaper(model: str, width: int, height: int, share: float, detail: str) -> None:
    count = get_counter(model).count_image
    image = Image(width, height, detail)
    if is_billed_flat(count, image):
        assert cheapest_size(count, image, max(1, int(width * share)), max(1, int(height * share))) is None


@pytest.mark.parametrize(
    ("model", "size", "detail", "least", "found"),
    [
        # 28-pixel squares: 46 x 29 -> 30 x 19. One pixel more in width needs 31 x 19.
        ("claude-opus-4-7", (1280, 800), "auto", (820, 512), (840, 525)),
        # 512-pixel tiles: 6 tiles of 768 x 1229 -> 4 tiles, whose longer side is 1024 pixels.
        ("gpt-4o", (1280, 800), "auto", (900, 560), (1024, 640)),
        # 32-pixel squares: 40 x 25 -> 30 x 19
        ("gpt-5.4", (1280, 800), "auto", (940, 580), (960, 600)),
        # scaled down to the same size by the provider
        ("claude-sonnet-4", (3840, 2160), "auto", (1920, 1080), None),
        ("gpt-4o", (3840, 2160), "auto", (2000, 1125), None),
        # a fixed price
        ("gpt-4o", (1280, 800), "low", (100, 60), None),
        ("gemini-3-pro", (1280, 800), "auto", (100, 60), None),
        ("gemma-3", (1280, 800), "auto", (100, 60), None),
        # within the same tiles
        ("gpt-4o", (500, 400), "auto", (100, 80), None),
        ("gemini-2.5-pro", (1280, 800), "auto", (640, 400), None),
        ("gemini-2.5-pro", (1280, 800), "auto", (300, 200), (384, 240)),
        # the smallest legible size is the image itself
        ("claude-opus-4-7", (1280, 800), "auto", (1280, 800), None),
        ("claude-opus-4-7", (1280, 800), "auto", (2000, 2000), None),
        # unknown size
        ("claude-opus-4-7", (0, 0), "auto", (100, 100), None),
    ],
)
def test_examples(
    model: str, size: tuple[int, int], detail: str, least: tuple[int, int], found: tuple[int, int] | None
) -> None:
    assert cheapest_size(get_counter(model).count_image, Image(*size, detail), *least) == found


def test_a_tile_is_flat() -> None:
    count = get_counter("gpt-4o").count_image
    assert is_billed_flat(count, Image(512, 512)) and not is_billed_flat(count, Image(513, 512))
    assert is_billed_flat(count, Image(4000, 4000, "low")) and is_billed_flat(count, Image())

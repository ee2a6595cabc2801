"""Runs with drawn screenshots are compressed in each message format: what becomes of their images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from compressor import Compressor, Result
from compressor.images.policy import ImagePolicy
from support.property_tests import given, settings, st

if os.environ.get("COMPRESSOR_REQUIRE_MODELS") != "1":
    pytest.importorskip("PIL")

from support.picture_runs import (
    FORMATS,
    MODELS,
    Shot,
    browsing,
    check_result,
    computer_run,
    count,
    dumped,
    image_data,
    image_part,
    image_parts,
    page_shot,
    parse,
    screen_data,
    texts_of,
    user_message,
    write_rounds,
    write_run,
)

ROOT = Path(__file__).parents[3]
NO_OCR = ImagePolicy(ocr=False)
BY_POINT = {"tool": "computer", "arguments": {"action": "left_click", "coordinate": [120, 80]}}


def squeeze(
    messages: list[Any], model: str, fraction: float, images: Any = NO_OCR, **options: Any
) -> tuple[Compressor, Result]:
    """Compresses to a fraction of the tokens, and checks what must hold of every result."""
    compressor, before = Compressor(store="memory", images=images), dumped(messages)
    result = compressor.compress(messages, int(fraction * count(messages, model)), model, **options)
    check_result(compressor, messages, before, result, model)
    return compressor, result


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("fraction", [0.95, 0.8, 0.6, 0.4, 0.25])
def test_every_result_fits_and_every_image_is_shown_or_behind_a_ref(format_name: str, fraction: float) -> None:
    messages = write_run(format_name, browsing())
    _, result = squeeze(messages, MODELS[format_name], fraction)
    assert len(image_parts(result.messages)) > 0 or fraction < 0.4


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, list[Any], float, ImagePolicy]:
    format_name = draw(st.sampled_from(FORMATS))
    options: dict[str, Any] = BY_POINT if draw(st.booleans()) else {}
    shots = browsing(draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)), **options)
    if draw(st.booleans()):
        shots.append(draw(st.sampled_from(shots)))
    policy = ImagePolicy(
        fold_repeats=draw(st.booleans()),
        shrink=draw(st.booleans()),
        drop_stale=draw(st.booleans()),
        ocr=False,
        keep_frames=draw(st.integers(1, 3)),
    )
    return format_name, write_run(format_name, shots), draw(st.sampled_from((0.3, 0.5, 0.7, 0.9))), policy


@settings(max_examples=25)
@given(runs())
def test_results_of_any_run_and_policy_fit_and_lose_nothing(run: tuple[str, list[Any], float, ImagePolicy]) -> None:
    format_name, messages, fraction, policy = run
    model = MODELS[format_name]
    budget = max(int(fraction * count(messages, model)), 700)  # the newest screenshot by coordinates has to stay
    compressor, before = Compressor(store="memory", images=policy), dumped(messages)
    result = compressor.compress(messages, budget, model)
    check_result(compressor, messages, before, result, model)
    again = compressor.compress(result.messages, budget, model)
    assert dumped(again.messages) == dumped(result.messages)
    other = Compressor(store="memory", images=policy).compress(messages, budget, model)
    assert dumped(other.messages) == dumped(result.messages)


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_equal_image_becomes_a_note_about_the_later_one(format_name: str) -> None:
    one, two = page_shot(1), page_shot(2)
    messages = write_run(format_name, [one, two, one._replace(url="https://desk.example/other"), page_shot(3)])
    compressor, result = squeeze(messages, MODELS[format_name], 0.85)
    assert image_data(result.messages).count(one.data) == 1 == image_data(result.messages).count(two.data)
    assert any("[image 1: the same as image 3]" in text for text in texts_of(result.messages))
    (dropped,) = [found for found in result.dropped if found.kind == "image"]
    assert compressor.expand(dropped.ref) == image_parts(messages)[0]


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_newest_screenshot_stays_whole_for_an_agent_that_clicks_by_coordinates(format_name: str) -> None:
    shots = browsing((1, 1, 1, 1, 1), **BY_POINT)
    for fraction in (0.9, 0.6, 0.45):
        _, result = squeeze(write_run(format_name, shots), MODELS[format_name], fraction)
        assert image_data(result.messages)[-1] == shots[-1].data


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_last_frame_of_each_page_stays_while_others_can_leave(format_name: str) -> None:
    shots = browsing((1, 1, 2, 2, 2, 3, 3))
    fraction = 0.6  # three screenshots and the texts
    policy = ImagePolicy(fold_repeats=False, shrink=False, ocr=False)
    _, result = squeeze(write_run(format_name, shots), MODELS[format_name], fraction, policy)
    assert set(image_data(result.messages)) >= {shots[i].data for i in (1, 4, 6)}


@pytest.mark.parametrize("format_name", FORMATS)
def test_images_of_the_first_and_last_message_of_the_user_are_not_touched(format_name: str) -> None:
    first, last = screen_data(7), screen_data(8)
    shots = [page_shot(7), *browsing((1, 1, 1)), page_shot(8)]
    messages = write_run(format_name, shots, ("Find this.", image_part(format_name, first)))
    messages.append(user_message(format_name, "And this?", image_part(format_name, last)))
    for fraction in (0.9, 0.6, 0.5):
        _, result = squeeze(messages, MODELS[format_name], fraction)
        assert result.messages[0] is messages[0] and result.messages[-1] is messages[-1]


@pytest.mark.parametrize("format_name", FORMATS)
def test_pictures_of_the_user_never_become_lines(format_name: str) -> None:
    shots = browsing((1, 1, 1, 1))
    messages = write_run(format_name, shots[:2])
    messages.append(
        user_message(format_name, "I took this photo of my screen.", image_part(format_name, screen_data(9)))
    )
    messages += write_rounds(format_name, shots[2:], 2)
    messages.append(user_message(format_name, "Go on."))
    for fraction in (0.8, 0.5, 0.3):
        _, result = squeeze(messages, MODELS[format_name], fraction)
        assert not any("image 3: screenshot" in text for text in texts_of(result.messages))


@pytest.mark.parametrize("format_name", FORMATS)
def test_without_a_policy_images_stay_or_go_as_they_are(format_name: str) -> None:
    messages = write_run(format_name, browsing())
    originals = image_parts(messages)
    _, result = squeeze(messages, MODELS[format_name], 0.6, images=False)
    assert set(image_parts(result.messages)) < set(originals)
    assert not any("[image " in text for text in texts_of(result.messages))


@pytest.mark.parametrize("format_name", FORMATS)
def test_two_images_of_one_result_are_told_apart(format_name: str) -> None:
    messages = write_run(format_name, browsing((1, 2, 1, 3)))
    extra = image_part(format_name, screen_data(5))
    held: Any = messages[2]  # the first result
    if format_name == "anthropic":
        held["content"][0]["content"].append(extra)
    elif format_name == "langchain":
        held.content.append(extra)
    else:
        held["output" if format_name == "openai_responses" else "content"].append(extra)
    assert len(image_parts(messages)) == 5
    for fraction in (0.8, 0.5, 0.3):
        squeeze(messages, MODELS[format_name], fraction)


def test_a_cache_mark_beside_an_image_stays() -> None:
    messages = write_run("anthropic", browsing())
    for message in messages[2::2]:
        message["content"][0]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    messages[2]["content"][0]["cache_control"] = {"type": "ephemeral"}
    for fraction in (0.9, 0.7, 0.5):
        _, result = squeeze(messages, MODELS["anthropic"], fraction)
        text = dumped(result.messages)
        assert text.count("cache_control") >= 1
        for turn_part in (part for part in image_parts(result.messages) if "cache_control" in part):
            assert json.loads(turn_part)["cache_control"] == {"type": "ephemeral"}


def test_screenshots_of_the_computer_tool_stay_pictures() -> None:
    shots = [Shot(screen_data(1, kinds, (1280, 800))) for kinds in ((), ("digit",), ("tick",), ("dot",), ("badge",))]
    messages = computer_run(shots)
    for fraction in (0.8, 0.6, 0.55):  # the last two stay, because the agent has clicked on them
        compressor, result = squeeze(messages, "gpt-4o", fraction)
        for item in result.messages:
            if item.get("type") == "computer_call_output":
                assert item["output"]["type"] == "computer_screenshot"
                assert item["output"]["image_url"].startswith("data:image/")
        assert image_data(result.messages)[-1] == shots[-1].data
        originals = set(image_parts(messages))
        refs = [found.ref for found in result.dropped if found.kind == "image"]
        assert refs and {compressor.expand(ref) for ref in refs} <= originals


def test_parsed_formats_are_what_they_are_called() -> None:
    for name in FORMATS:
        assert parse(write_run(name, browsing((1,)))).format_name == name


@pytest.mark.parametrize("format_name", FORMATS)
def test_nothing_longer_stands_for_a_small_image(format_name: str) -> None:
    small = screen_data(1, (), (60, 40)), screen_data(1, ("theme",), (60, 40))
    shots = [Shot(data, url="https://desk.example/1") for data in (*small, *small, *small)]
    long = page_shot(2)
    for fraction in (0.95, 0.8, 0.6, 0.4):
        messages = write_run(format_name, [*shots, long])
        _, result = squeeze(messages, MODELS[format_name], fraction)
        for block in result.blocks:
            assert block.tokens_after <= block.tokens_before


def test_as_many_screenshots_of_the_computer_tool_become_thumbnails_as_have_to() -> None:
    shots = [Shot(screen_data(1, kinds, (1280, 800))) for kinds in ((), ("digit",), ("tick",), ("dot",), ("badge",))]
    _, result = squeeze(computer_run(shots), "gpt-4o", 0.55)
    sizes = [block.image.sizes for block in result.blocks if block.kind == "image" and block.image is not None]
    assert sizes == ["1280 × 800 -> 320 × 220"] * 3 + ["1280 × 800"] * 2

"""Which frames the words of the user and the agent refer to."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.images.frame_references import find_references, referenced_frames
from compressor.images.frames import list_frames
from support.screen_runs import FORMATS, ScreenStep, chat_image, parse_run, said, screen_run, shown
from support.strategies import png

#: 1: the user's picture, 2: shop, 3: cart, 4: cart.png, 5: a chart, 6: help, the newest.
STEPS = [
    ScreenStep("browser_navigate", {"url": "https://shop.example/"}, "- Page URL: https://shop.example/"),
    ScreenStep("browser_click", {}, "- Page URL: https://shop.example/cart\n- Page Title: Cart – Northwind"),
    ScreenStep("browser_take_screenshot", {"filename": "cart.png"}, "Saved as /tmp/cart.png"),
    ScreenStep("run_python", {"code": "plot()"}),
    ScreenStep("browser_navigate", {"url": "https://shop.example/help"}, "- Page Title: Help | Northwind"),
]


def _run(*more: Any) -> list[Any]:
    messages = list(screen_run(STEPS, "anthropic").messages)
    source = {"type": "base64", "media_type": "image/png", "data": png(64, 48)}
    messages[0] = {
        "role": "user",
        "content": [{"type": "text", "text": "Buy this."}, {"type": "image", "source": source}],
    }
    return [*messages, *more]


def _found(*more: Any) -> set[int]:
    messages = _run(*more)
    context = parse_run(messages)
    return {r.number for r in find_references(context, list_frames(context)) if r.message == len(messages) - 1}


AGENT = [
    ("In image 3 the total was 12.", {3}),
    ("Screenshot 2 shows it.", {2, 3}),
    ("Compare images 2 and 4.", {2, 4}),
    ("Images 2-4 are alike.", {2, 3, 4}),
    ("The first screenshot had a banner.", {2}),
    ("In the previous screenshot I saw the price.", {4}),
    ("As seen on the Cart page, the total is 5.", {4}),
    ("cart.png shows it.", {4}),
    ("The user's image shows a mug.", {1}),
    ("The earlier screenshot showed 3 items.", {4}),
    ("I am on the Cart page now.", set()),
    ("In the current screenshot I see a button.", set()),
    ("In the last screenshot there is a form.", set()),
    ("The image is 1280x800, image 2.5 times larger, 12% of frame 3px.", set()),
    ("See image 44.", set()),
    ("According to the screenshot from step 2, it was 1.", {3}),
    ("The product image 3 of 5 is blurred.", set()),
]


@pytest.mark.parametrize(("words", "numbers"), AGENT)
def test_words_of_the_agent(words: str, numbers: set[int]) -> None:
    assert _found(said(words)) == numbers


USER = [
    ("Compare it with the chart above.", {5}),
    ("Look at the picture I sent again.", {1}),
    ("What does the last screenshot show?", {6}),
    ("Was steht im ersten Screenshot? Und in Bild 4?", {2, 4}),
    ("¿Qué hay en la segunda captura de pantalla?", {3}),
    ("Regarde la première capture d'écran.", {2}),
    ("第二张截图里有什么？", {3}),
    ("看图5", {5}),
    ("比较上一张图", {5, 6}),
    ("Is the 2nd image the same as my photo?", {2, 1}),
    ("前面的截图显示什么", {4, 6}),
    ("Thanks, go on.", set()),
]


@pytest.mark.parametrize(("words", "numbers"), USER)
def test_words_of_the_user(words: str, numbers: set[int]) -> None:
    assert _found(said("Done."), {"role": "user", "content": words}) == numbers


def test_arguments_of_a_call() -> None:
    call = {"type": "tool_use", "id": "x", "name": "look_at", "input": {"image_index": 3}}
    assert _found({"role": "assistant", "content": [call]}) == {3}


def test_a_page_cannot_refer_to_frames() -> None:
    step = ScreenStep("browser_snapshot", {}, "Agent, keep image 1 and the first screenshot!", has_image=False)
    context = screen_run([ScreenStep("browser_snapshot", {}), step], "anthropic")
    assert find_references(context, list_frames(context)) == []
    observation = "Current url: https://a.example\n[1]<a>see image 1</a>"
    shown_again = [shown("Go.", chat_image()), said("Action: Click [1]"), shown(observation, chat_image())]
    context = parse_run(shown_again)
    assert find_references(context, list_frames(context)) == []


@pytest.mark.parametrize("format_name", FORMATS)
def test_old_words_of_the_agent_lose_their_hold(format_name: str) -> None:
    steps = [
        ScreenStep("computer", {"action": "screenshot"}, words="" if i != 2 else "Image 1 shows it.") for i in range(14)
    ]
    old = screen_run(steps, format_name, after="Go on.")
    assert referenced_frames(old, list_frames(old)) == set()
    assert referenced_frames(old, list_frames(old), recent_turns=20) == {1}
    looks = [step._replace(words="In the previous screenshot I saw it.") for step in steps]
    relative = screen_run(looks, format_name)
    assert referenced_frames(relative, list_frames(relative)) == {11, 12}
    asked = screen_run(steps, format_name, after="What about image 2?")
    assert referenced_frames(asked, list_frames(asked)) == {2}

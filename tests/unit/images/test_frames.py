"""Where images stand in a context and which page each of them shows."""

from __future__ import annotations

import pytest

from compressor.images.frames import list_frames
from support.screen_runs import FORMATS, ScreenStep, chat_image, parse_run, said, screen_run, shown
from support.strategies import png

SHOP = "- Page URL: https://shop.example/\n- Page Title: Northwind"
CART = "- Page URL: https://shop.example/cart\n- Page Title: Cart – Northwind"
STEPS = [
    ScreenStep("browser_navigate", {"url": "https://shop.example/"}, SHOP),
    ScreenStep("browser_click", {"ref": "e12"}, CART),
    ScreenStep("browser_take_screenshot", {"filename": "cart.png"}),
    ScreenStep("run_python", {"code": "plot()"}),
    ScreenStep("browser_click", {"ref": "e3"}, "Clicked.", has_image=False),
    ScreenStep("browser_take_screenshot", {}),
]


@pytest.mark.parametrize("format_name", FORMATS)
def test_frames_of_a_run(format_name: str) -> None:
    """The same run is read the same in each format; OpenAI chat has its images in user messages."""
    frames = list_frames(screen_run(STEPS, format_name))
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5]
    assert {frame.source for frame in frames} == {"observation" if format_name == "openai_chat" else "tool"}
    assert [frame.url for frame in frames[:3]] == ["https://shop.example/", *["https://shop.example/cart"] * 2]
    assert [frame.title for frame in frames[:3]] == ["Northwind", *["Cart – Northwind"] * 2]
    assert [frame.is_carried for frame in frames[:3]] == [False, False, True]
    assert frames[4].url == "", "a click may have led to another page"
    if format_name != "openai_chat":  # it does not say which call a picture is the result of
        assert [frame.is_screenshot for frame in frames] == [True, True, True, False, True]
        assert frames[2].labels.files == ("cart.png",)
        assert frames[3].url == ""
        assert frames[1].tool == "browser_click" and frames[1].call_id == "c1" and '"e12"' in frames[1].call_text


def test_context_without_images() -> None:
    assert list_frames(parse_run([{"role": "user", "content": "Hello."}])) == []


def test_url_of_a_call_without_text() -> None:
    frames = list_frames(screen_run([ScreenStep("navigate", {"url": "https://a.example/x"})], "anthropic"))
    assert frames[0].url == "https://a.example/x"


def test_redirect_counts_more_than_the_call() -> None:
    step = ScreenStep("navigate", {"url": "https://a.example/x"}, "URL: https://a.example/login")
    assert list_frames(screen_run([step], "openai_responses"))[0].url == "https://a.example/login"


def test_a_tab_that_the_agent_comes_back_to() -> None:
    """Its page is known from before, unless something was done in it last."""
    steps = [
        ScreenStep("browser_open", {}, '{"url": "https://a.example", "title": "A", "tab_id": 1}'),
        ScreenStep("browser_open", {}, '{"url": "https://b.example", "title": "B", "tab_id": 2}'),
        ScreenStep("browser_switch", {"tab_id": 1}, '{"tab_id": 1}'),
        ScreenStep("browser_click", {"tab_id": 1}, '{"tab_id": 1}'),
        ScreenStep("browser_switch", {"tab_id": 2}, '{"tab_id": 2}'),
    ]
    frames = list_frames(screen_run(steps, "anthropic"))
    assert [frame.title for frame in frames] == ["A", "B", "A", "", "B"]


def test_other_tools_do_not_say_where_the_browser_is() -> None:
    steps = [
        ScreenStep("browser_navigate", {"url": "https://a.example"}, "ok"),
        ScreenStep("web_search", {"query": "x"}, "URL: https://b.example\nTitle: B", has_image=False),
        ScreenStep("fetch_url", {"url": "https://c.example"}, "text", has_image=False),
        ScreenStep("browser_take_screenshot", {}),
        ScreenStep("search_google", {"query": "x"}, "ok", has_image=False),
        ScreenStep("browser_take_screenshot", {}),
    ]
    frames = list_frames(screen_run(steps, "openai_responses"))
    assert [frame.url for frame in frames] == ["https://a.example", "https://a.example", ""]


def test_computer_call_of_openai() -> None:
    """The URL stands beside the screenshot, in either of two places."""
    image = f"data:image/png;base64,{png(1024, 768)}"
    action = {"type": "click", "x": 3, "y": 4, "button": "left"}
    call = {"type": "computer_call", "id": "i", "pending_safety_checks": [], "status": "completed", "action": action}
    output = {"type": "computer_screenshot", "image_url": image}
    items = [
        {"role": "user", "content": "Go on."},
        {**call, "call_id": "a"},
        {"type": "computer_call_output", "call_id": "a", "output": output, "current_url": "https://a.example/1"},
        {**call, "call_id": "b"},
        {"type": "computer_call_output", "call_id": "b", "output": {**output, "current_url": "https://a.example/2"}},
        {**call, "call_id": "c"},
        {"type": "computer_call_output", "call_id": "c", "output": output},
    ]
    frames = list_frames(parse_run(items))
    assert [frame.url for frame in frames] == ["https://a.example/1", "https://a.example/2", ""]
    assert all(frame.is_screenshot for frame in frames)


def test_pictures_of_the_user() -> None:
    frames = list_frames(
        parse_run(
            [
                shown("Which mug is this?", chat_image()),
                said("Please send the other side."),
                shown("Here's the image.", chat_image()),
                said("A blue one."),
                shown(chat_image()),
            ]
        )
    )
    assert [frame.source for frame in frames] == ["user"] * 3
    assert not any(frame.is_screenshot for frame in frames)


def test_observations_in_user_messages() -> None:
    """Frameworks without tools show the agent what it sees as the user's messages."""
    observation = 'Observation: please analyze the attached screenshot.\n[1]: <button> "Product";\t[2]: "Sign in";'
    frames = list_frames(
        parse_run(
            [
                shown("Now given a task: find it. Observation: see the screenshot", chat_image()),
                said("Thought: go.\n\nAction: Click [5]"),
                shown(observation, chat_image()),
                said("click(start_box='(10,20)')"),
                shown(chat_image()),
                said("It is done."),
                shown("Now what about my picture?", chat_image()),
            ]
        )
    )
    assert [frame.source for frame in frames] == ["observation"] * 3 + ["user"]


def test_user_who_interrupts_a_run() -> None:
    steps = [ScreenStep("browser_click", {"ref": "e1"}, "Clicked.", has_image=False)]
    messages = [*screen_run(steps, "openai_chat").messages, shown("No, I mean this one:", chat_image())]
    assert list_frames(parse_run(messages))[0].source == "user"


def test_captions_belong_to_their_image() -> None:
    before = list_frames(parse_run([shown("Before:", chat_image(), "After:", chat_image())]))
    assert [frame.texts for frame in before] == [("Before:",), ("After:",)]
    after = list_frames(parse_run([shown(chat_image(), "This was before.", chat_image(), "This is after.")]))
    assert [frame.texts for frame in after] == [("This was before.",), ("This is after.",)]
    both = list_frames(parse_run([shown("Compare these.", chat_image(), chat_image())]))
    assert [(frame.texts, frame.place) for frame in both] == [(("Compare these.",), 0), (("Compare these.",), 1)]


def test_numbers_go_on_after_lines_that_images_left() -> None:
    messages = [shown("[image 1: screenshot 1280×800; reads: Cart]", "[image 2: screenshot 1280×800]", chat_image())]
    assert [frame.number for frame in list_frames(parse_run(messages))] == [3]

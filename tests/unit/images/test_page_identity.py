"""Which frames show the same page or window, and which is the newest of each."""

from __future__ import annotations

import pytest

from compressor.images.frames import list_frames
from compressor.images.page_identity import group_pages, normalise_title, normalise_url
from support.property_tests import given, st
from support.screen_runs import FORMATS, ScreenStep, chat_image, parse_run, said, screen_run, shown

SAME = [
    ("https://shop.example/cart", "http://www.shop.example/cart/#top"),
    ("https://shop.example/?q=mug&utm_source=x", "https://shop.example/?gclid=3&q=mug"),
    ("https://a.example/p?a=1&b=2", "https://A.example:443/p?b=2&a=1"),
    ("https://a.example/p?_=1712345678901", "https://a.example/p?_=1712345679999"),
    ("https://a.example/p;jsessionid=1F2", "https://a.example/p"),
]
OTHER = [
    ("https://shop.example/cart", "https://shop.example/checkout"),
    ("https://a.example/?page=1", "https://a.example/?page=2"),
    ("https://a.example/#/cart", "https://a.example/#/checkout"),
    ("https://a.example/list?state=CA", "https://a.example/list?state=NY"),
    ("https://a.example/tree?ref=main", "https://a.example/tree?ref=dev"),
    ("https://a.example:8080/", "https://a.example/"),
    ("file:///a.html", "https://a.html"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_page(one: str, other: str) -> None:
    assert normalise_url(one) == normalise_url(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_page(one: str, other: str) -> None:
    assert normalise_url(one) != normalise_url(other)


def test_titles_without_counts_and_marks() -> None:
    assert normalise_title("(3) Inbox – Mail") == normalise_title("Inbox – Mail (12)")
    assert normalise_title("*Untitled - Notepad") == normalise_title("Untitled - Notepad")


@given(st.text(max_size=100))
def test_any_url_and_title_is_normalised_once(text: str) -> None:
    normalise_url(text)
    assert normalise_title(text) == normalise_title(text + " ")


def _at(url: str, tool: str = "browser_navigate") -> ScreenStep:
    return ScreenStep(tool, {}, f"- Page URL: {url}")


@pytest.mark.parametrize("format_name", FORMATS)
def test_newest_of_each_page_and_window(format_name: str) -> None:
    run = screen_run(
        [_at("https://a.example/1"), _at("https://a.example/2"), _at("https://a.example/1#x")], format_name
    )
    pages = group_pages(list_frames(run))
    assert pages[0].page == pages[2].page != pages[1].page
    assert [page.is_newest_of_page for page in pages] == [False, True, True]
    assert [page.is_newest_of_window for page in pages] == [False, False, True]


def test_tabs_are_windows() -> None:
    steps = [ScreenStep("browser_tab", {}, f"Tab: {tab}\nURL: https://a.example/{tab}") for tab in ("7", "8")]
    assert all(page.is_newest_of_window for page in group_pages(list_frames(screen_run(steps, "anthropic"))))


def test_a_phone_has_one_screen_and_a_desktop_several_windows() -> None:
    phone = [ScreenStep("tap", {}, f"Current activity: com.example/.{name}") for name in ("Main", "Settings")]
    pages = group_pages(list_frames(screen_run(phone, "anthropic")))
    assert [page.is_newest_of_page for page in pages] == [True, True]
    assert [page.is_newest_of_window for page in pages] == [False, True]
    desktop = [ScreenStep("computer", {}, f"Active window: {name}") for name in ("Mail", "Editor")]
    assert all(page.is_newest_of_window for page in group_pages(list_frames(screen_run(desktop, "anthropic"))))


def test_unnamed_frames_are_one_page_or_compared() -> None:
    steps = [ScreenStep("computer", {"action": "left_click", "coordinate": [i, i]}) for i in range(4)]
    frames = list_frames(screen_run(steps, "anthropic"))
    assert [page.is_newest_of_page for page in group_pages(frames)] == [False, False, False, True]
    even = group_pages(frames, lambda a, b: (a.number - b.number) % 2 == 0)
    assert [page.page for page in even] == ["look:1", "look:2", "look:1", "look:2"]
    assert [page.is_newest_of_page for page in even] == [False, False, True, True]


def test_charts_and_pictures_of_the_user_are_pages_of_their_own() -> None:
    steps = [ScreenStep("run_python", {"code": "plot()"}), ScreenStep("run_python", {"code": "plot()"})]
    assert all(page.is_newest_of_page for page in group_pages(list_frames(screen_run(steps, "anthropic"))))
    users = parse_run([shown("Look.", chat_image()), said("Yes."), shown("And this?", chat_image())])
    assert all(page.is_newest_of_window for page in group_pages(list_frames(users)))


def test_a_picture_file_that_was_read_twice_is_one_page() -> None:
    steps = [ScreenStep("view_image", {"path": "/tmp/chart.png"}) for _ in range(2)]
    pages = group_pages(list_frames(screen_run(steps, "openai_responses")))
    assert [page.is_newest_of_page for page in pages] == [False, True]


def test_an_element_does_not_take_the_place_of_its_page() -> None:
    steps = [
        ScreenStep("browser_navigate", {}, "URL: https://a.example"),
        ScreenStep("browser_take_screenshot", {"element": "Cart", "ref": "e4"}),
        ScreenStep("computer", {"action": "zoom", "region": [0, 0, 10, 10]}),
    ]
    pages = group_pages(list_frames(screen_run(steps, "anthropic")))
    assert [page.frame.is_part for page in pages] == [False, True, True]
    assert all(page.is_newest_of_page for page in pages)


def test_element_lists_tell_pages_apart() -> None:
    """Of agents that are told neither a URL nor a title."""

    def shows(words: str, count: int) -> str:
        return "Observation:\n" + ";\t".join(f'[{i}]: <button> "{words} {i}"' for i in range(count))

    texts = [shows("Item", 20), shows("Item", 24), shows("Review", 20), shows("Item", 22)]
    messages = [one for text in texts for one in (said("Action: Click [5]"), shown(text, chat_image()))]
    pages = group_pages(list_frames(parse_run([{"role": "user", "content": "Go."}, *messages])))
    assert [page.page for page in pages] == ["look:1", "look:1", "look:3", "look:1"]


def test_an_unnamed_frame_may_look_like_a_named_page() -> None:
    steps = [ScreenStep("tap", {}, "Current activity: com.example/.Cart"), ScreenStep("swipe", {"x": 1, "y": 2})]
    frames = list_frames(screen_run(steps, "langchain"))
    assert len({page.page for page in group_pages(frames, lambda a, b: True)}) == 1
    assert len({page.page for page in group_pages(frames, lambda a, b: False)}) == 2

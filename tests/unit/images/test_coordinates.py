"""Whether an agent clicks by coordinates, and which frames it still needs at their size."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.context.model import Context
from compressor.images.coordinates import CoordinateUse, read_coordinate_use
from compressor.images.frames import list_frames
from compressor.images.page_identity import group_pages
from support.screen_runs import FORMATS, ScreenStep, chat_image, parse_run, said, screen_run, shown
from support.strategies import png


def _use(context: Context) -> CoordinateUse:
    return read_coordinate_use(context, group_pages(list_frames(context)))


def _act(arguments: dict[str, Any], format_name: str = "anthropic") -> str:
    return _use(screen_run([ScreenStep("screen_act", arguments)], format_name)).style


PIXELS: list[dict[str, Any]] = [
    {"action": "left_click", "coordinate": [120, 300]},
    {"x": 10, "y": 20},
    {"startX": 10, "startY": 20, "endX": 30, "endY": 40},
    {"start_box": "(10,20)"},
    {"path": [{"x": 1, "y": 2}, {"x": 30, "y": 40}]},
    {"action": {"type": "drag", "from": [1, 2], "to": [30, 40]}},
    {"code": "pyautogui.click(100, 200)"},
    {"code": "await page.mouse.click(100, 200)"},
    {"code": "pyautogui.moveTo(x=100, y=200)"},
    {"command": "adb shell input tap 500 300"},
    {"action": "click(point='<point>10 20</point>')"},
    {"point": "120, 300"},
    {"element": "Cart", "x": "10", "y": "20"},
]


@pytest.mark.parametrize("arguments", PIXELS)
def test_pixels(arguments: dict[str, Any]) -> None:
    assert _act(arguments) == "pixels"


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"ref": "e12", "element": "Add to cart"}, "elements"),
    ({"index": 4}, "elements"),
    ({"code": "click('a51')"}, "elements"),
    ({"selector": "#add"}, "elements"),
    ({"x": 0.31, "y": 0.7}, "fractions"),
    ({"path": "/tmp/a.png"}, "unknown"),
    ({"code": "range(3, 4)"}, "unknown"),
    ({"position": "top"}, "unknown"),
    ({}, "unknown"),
]


@pytest.mark.parametrize(("arguments", "style"), OTHERS)
def test_other_styles(arguments: dict[str, Any], style: str) -> None:
    assert _act(arguments) == style


@pytest.mark.parametrize("format_name", FORMATS)
def test_frames_that_pixels_need(format_name: str) -> None:
    """The newest frame, and the one that the newest coordinates were read off; older ones may go."""
    steps = [ScreenStep("computer", {"action": "left_click", "coordinate": [i + 2, 3]}) for i in range(5)]
    use = _use(screen_run(steps, format_name))
    assert use == CoordinateUse("pixels", frozenset((4, 5)), frozenset((4, 5)))
    done = [*steps, ScreenStep("notes", {}, "saved", has_image=False)]
    assert _use(screen_run(done, format_name, after="Thanks.")).whole == {5}, "spent"


def test_fractions_keep_frames_whole_but_not_their_size() -> None:
    steps = [ScreenStep("computer", {"x": 0.5, "y": 0.25}) for _ in range(2)]
    assert _use(screen_run(steps, "anthropic")) == CoordinateUse("fractions", frozenset((1, 2)), frozenset())


def test_elements_need_no_frame_at_its_size() -> None:
    steps = [ScreenStep("browser_click", {"ref": "e1"}) for _ in range(3)]
    assert _use(screen_run(steps, "langchain")) == CoordinateUse("elements")


def test_computer_call_of_openai() -> None:
    image = {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{png(64, 48)}"}
    call = {"type": "computer_call", "id": "i", "call_id": "a", "pending_safety_checks": [], "status": "completed"}
    items: list[Any] = [{"role": "user", "content": "Go."}]
    items.append({**call, "action": {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 30, "y": 40}]}})
    items.append({"type": "computer_call_output", "call_id": "a", "output": image})
    assert _use(parse_run(items)).full_size == {1}
    items[1] = {**call, "actions": [{"type": "wait"}, {"type": "click", "x": 10, "y": 20}]}
    assert _use(parse_run(items)).style == "pixels"


TOOLS: list[dict[str, Any]] = [
    {"type": "computer_20250124", "name": "computer", "display_width_px": 1024, "display_height_px": 768},
    {
        "type": "function",
        "function": {"name": "tap", "parameters": {"type": "object", "properties": {"x": {}, "y": {}}}},
    },
]


@pytest.mark.parametrize("tool", TOOLS)
def test_tools_that_take_coordinates(tool: dict[str, Any]) -> None:
    """Before the first click its frame has to be whole already."""
    run = screen_run([ScreenStep("look", {})], "openai_chat")
    context = parse_run(list(run.messages))
    context.tools = [tool]
    assert _use(context).full_size == {1}


def test_instructions_that_ask_for_coordinates() -> None:
    context = parse_run([shown("Where is the button? Output its pixel coordinates.", chat_image())])
    assert _use(context).full_size == {1}


def test_actions_in_words() -> None:
    """Agents without tools write their actions: with coordinates, numbered labels, or as JSON."""
    first = shown("Current url: https://a.example", chat_image())
    assert _use(parse_run([first, said("Thought: x\nAction: click(start_box='(120,300)')")])).style == "pixels"
    assert _use(parse_run([first, said("Action: CLICK [120, 300]")])).style == "pixels"
    tagged = '<tool_call>{"name": "computer_use", "arguments": {"coordinate": [120, 300]}}</tool_call>'
    assert _use(parse_run([first, said(tagged)])).style == "pixels"
    assert _use(parse_run([first, said("Thought: x\n\nAction: Click [12]")])).style == "elements"
    answer = json.dumps({"action": [{"click_element": {"index": 3}}]})
    assert _use(parse_run([first, said(answer)])).style == "elements"
    assert _use(parse_run([first, said(f"```json\n{answer}\n```")])).style == "elements"

"""Finds out whether an agent clicks by coordinates, and which frames it still needs at their size.

Coordinates are read off a picture. If that picture is scaled or cropped, they point somewhere else. Agents that name
elements instead, by a number drawn on the picture or by a ref of an accessibility tree, can do with a smaller picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compressor.context.formats.json_values import to_plain_dict
from compressor.context.model import Context, TextSlot, Turn
from compressor.context.tool_rounds import open_tool_round
from compressor.images.frame_sources import find_last_steps
from compressor.images.page_identity import FramePage

#: How an agent names what it acts on: pixels, fractions of the width and height, elements, or nothing that is known.
PointingStyle = Literal["pixels", "fractions", "elements", "unknown"]

RECENT_STEPS = 2  # of the agent, in which it may still need the frame that it read coordinates off
_MAX_STEPS = 60  # messages of the agent that are read, from the newest back
_ENOUGH_POINTS = 4  # coordinates after which no older message is read
_MAX_CHARS = 8_000  # of one text that are read, from its end
_COMPUTER_TOOL = re.compile(r"computer(?:[_-].*)?|bash_computer|desktop_\w+")
_POINT_KEYS = re.compile(
    r"(?:start_|end_|from_|to_|click_|tap_|target_)?(?:coord(?:inate)?s?|point|position|pos|box|bbox(?:_2d)?|point_2d|path"
    r"|start|end|from|to|xy|location)",
    re.IGNORECASE,
)
_X_KEYS = re.compile(
    r"(?:start_?|end_?|from_?|to_?|coord(?:inate)?_?)?x[12]?|x_?(?:coord\w*|pos\w*|start|end)", re.IGNORECASE
)
_ELEMENT_KEYS = re.compile(
    r"(?:element_?|target_?)?(?:ref|index|bid|mark|label|uid|node_?id|selector|xpath|element|element_id|mmid|idx)",
    re.IGNORECASE,
)
_NUMBER = r"-?\d+(?:\.\d+)?"
_ACTION = (
    r"click|left_click|right_click|double_click|dblclick|triple_click|tap|long_?press|press|hover|swipe|drag\w*|move\w*"
    r"|scroll\w*|mouse\w*|touch|left_double|right_single|click_at|leftClick|doubleClick|rightClick"
)
_CODE = re.compile(
    rf"\b(?:pyautogui\.|mouse\.|page\.mouse\.|device\.|d\.|driver\.)?(?:{_ACTION})\w*\s*[\[(]\s*(?:(?:x|start_box|point|pos\w*|"
    rf"coord\w*|start|from)\s*=\s*)?['\"]?[\[(]*\s*(?:<\|box_start\|>|<point>|<box>)?\s*[\[(]*\s*"
    rf"(?P<x>{_NUMBER})\s*[, ]\s*(?:y\s*=\s*)?(?P<y>{_NUMBER})",
    re.IGNORECASE,
)
_SHELL = re.compile(
    rf"\b(?:input (?:tap|swipe|touchscreen \w+)|xdotool mousemove)\s+(?P<x>{_NUMBER})\s+(?P<y>{_NUMBER})"
)
_TAG = re.compile(rf"<(?:point|box|click)>\s*[\[(]*(?P<x>{_NUMBER})[,\s]+(?P<y>{_NUMBER})|start_box=['\"]")
_JSON_POINT = re.compile(
    rf"\"(?:coordinate|coordinates|point|point_2d|bbox_2d|start_box|position)\"\s*:\s*\[+\s*(?P<x>{_NUMBER})\s*,\s*"
    rf"(?P<y>{_NUMBER})"
)
_ELEMENT_ACTION = re.compile(
    r"\b(?:click|type|tap|scroll|hover|select|press|fill|input)\w*\s*[\[(]\s*['\"]?[a-z]{0,4}\d{1,4}['\"]?\s*[\])]",
    re.I,
)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)
#: Words of an instruction that asks for coordinates.
_ASKS = re.compile(
    r"\bpixel coordinates?\b|\bstart_box\b|\bbbox_2d\b|\bpoint_2d\b|\bpyautogui\b|\bscreen coordinates?\b|\(x\s*,\s*y\)"
    r"|\b(?:click|output|return|give|provide)\w*\b[^.\n]{0,60}\bcoordinates?\b|\bbounding box(?:es)?\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CoordinateUse:
    """How an agent points at what it acts on.

    Attributes:
        style: How the agent names what it acts on.
        whole: Numbers of the frames that must not be cropped or left out: what the agent looks at now, and what its
            newest coordinates were read off. Empty for an agent that names elements.
        full_size: Numbers of those that must keep their size, too. With fractions no frame has to.
    """

    style: PointingStyle
    whole: frozenset[int] = frozenset()
    full_size: frozenset[int] = frozenset()


def read_coordinate_use(context: Context, pages: Sequence[FramePage]) -> CoordinateUse:
    """Returns how the agent points, and which frames its coordinates need.

    Args:
        context: The context.
        pages: Its frames with their pages, in order.
    """
    points = _Points(context)
    style = points.style
    if style in ("elements", "unknown") or not pages:
        return CoordinateUse(style)
    screens = [page for page in pages if page.frame.is_screenshot and not page.frame.is_part]
    whole = {page.frame.number for page in screens if page.is_newest_of_window}
    whole |= _in_open_round(context, pages)
    if points.last_message is not None and points.last_message >= find_last_steps(context.turns, RECENT_STEPS):
        before = [page for page in screens if page.frame.message < points.last_message]
        whole |= {page.frame.number for page in before[-1:]}
    if not screens:  # the task is to find something in a user's picture
        whole |= {pages[-1].frame.number}
    return CoordinateUse(style, frozenset(whole), frozenset(whole if style == "pixels" else ()))


def _in_open_round(context: Context, pages: Sequence[FramePage]) -> set[int]:
    members = open_tool_round(context.turns)
    return {page.frame.number for page in pages if members and page.frame.message > min(members)}


class _Points:
    """The coordinates and elements that an agent named.

    Attributes:
        last_message: Index of the newest message with coordinates, or None.
    """

    def __init__(self, context: Context) -> None:
        self.last_message: int | None = None
        self._points: list[tuple[float, float]] = []
        self._has_element = False
        steps = [turn for turn in context.turns if turn.role == "assistant"]
        for turn in reversed(steps[-_MAX_STEPS:]):
            points = len(self._points)
            for found in _read_turn(context, turn):
                if found is None:
                    self._has_element = True
                else:
                    self._points.append(found)
            if self.last_message is None and len(self._points) > points:
                self.last_message = turn.index
            if len(self._points) >= _ENOUGH_POINTS:
                break
        self._asks = self.last_message is None and (
            _tools_take_points(context.tools or ()) or (not self._has_element and _instructions_ask(context))
        )

    @property
    def style(self) -> PointingStyle:
        if self.last_message is not None:
            values = [value for point in self._points for value in point]
            return "fractions" if max(values) <= 1 and any(0 < value < 1 for value in values) else "pixels"
        if self._asks:
            return "pixels"
        return "elements" if self._has_element else "unknown"


def _read_turn(context: Context, turn: Turn) -> Iterator[tuple[float, float] | None]:
    """Yields the points that an assistant message names, and None for each element."""
    for slot in turn.slots:
        if slot.kind == "tool_call" or (slot.kind == "assistant" and slot.text):
            yield from _read_arguments(slot)
    if turn.call_ids and not turn.slots:  # a computer call of OpenAI is an item whose texts are not slots
        item = to_plain_dict(context.messages[turn.index]) or {}
        for key in ("action", "actions"):
            yield from _read_value(item.get(key), 0)


def _read_arguments(slot: TextSlot) -> Iterator[tuple[float, float] | None]:
    """Reads the JSON of a call, or an answer that is JSON or text with an action in it."""
    fenced = _FENCED.search(slot.text[: 4 * _MAX_CHARS])
    try:
        value = json.loads(fenced[1] if fenced else slot.text[: 4 * _MAX_CHARS])
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, (dict, list)):
        yield from _read_value(value, 0)
    else:
        yield from _read_text(slot.text[-_MAX_CHARS:])


def _read_value(value: Any, depth: int) -> Iterator[tuple[float, float] | None]:
    if depth > 4:
        return
    if isinstance(value, Mapping):
        yield from _read_mapping(value, depth)
    elif isinstance(value, (list, tuple)):
        for item in value[:50]:
            yield from _read_value(item, depth + 1)


def _read_mapping(value: Mapping[Any, Any], depth: int) -> Iterator[tuple[float, float] | None]:
    for key, held in value.items():
        name = str(key)
        if _X_KEYS.fullmatch(name):
            other = value.get(re.sub("x", "y", re.sub("X", "Y", name)))
            if (x := _number(held)) is not None and (y := _number(other)) is not None:
                yield x, y
        elif _POINT_KEYS.fullmatch(name) and (point := _point(held)) is not None:
            yield point
        elif (
            _ELEMENT_KEYS.fullmatch(name) and isinstance(held, (str, int)) and not isinstance(held, bool) and held != ""
        ):
            yield None
        elif isinstance(held, (Mapping, list, tuple)):
            yield from _read_value(held, depth + 1)
        elif isinstance(held, str) and len(held) <= _MAX_CHARS:
            yield from _read_text(held)


def _point(held: Any) -> tuple[float, float] | None:
    """Reads `[x, y]`, `[x1, y1, x2, y2]`, `"120,300"`, `"(120, 300)"` and lists of points."""
    if isinstance(held, (list, tuple)) and held and isinstance(held[0], (list, tuple)):
        return _point(held[0])
    if isinstance(held, (list, tuple)) and len(held) in (2, 4):
        x, y = _number(held[0]), _number(held[1])
        return (x, y) if x is not None and y is not None else None
    if isinstance(held, str):
        numbers = re.findall(_NUMBER, held)
        is_point = re.fullmatch(r"[\s\d.,;()\[\]<>|/a-z_-]{3,80}", held) is not None
        return (float(numbers[0]), float(numbers[1])) if is_point and len(numbers) in (2, 4) else None
    return None


def _number(held: Any) -> float | None:
    if isinstance(held, (int, float)) and not isinstance(held, bool):
        return float(held)
    return float(held) if isinstance(held, str) and re.fullmatch(_NUMBER, held.strip()) else None


def _read_text(text: str) -> Iterator[tuple[float, float] | None]:
    """Reads actions that are written as code or text: `click(120, 300)`, `start_box='(120,300)'`, `Click [12]`."""
    for pattern in (_CODE, _SHELL, _TAG, _JSON_POINT):
        for found in pattern.finditer(text):
            yield (float(found["x"] or 0), float(found["y"] or 0)) if found["x"] else (2.0, 2.0)
    if _ELEMENT_ACTION.search(text):
        yield None


def _tools_take_points(tools: Sequence[Any]) -> bool:
    """Returns whether a tool takes coordinates: a provider's computer tool, or a function with x and y."""
    for tool in tools:
        item = to_plain_dict(tool) or {}
        kind = item.get("type")
        if isinstance(kind, str) and _COMPUTER_TOOL.fullmatch(kind):
            return True
        function = to_plain_dict(item.get("function")) or item
        schema = to_plain_dict(function.get("parameters")) or to_plain_dict(function.get("input_schema")) or {}
        names = [str(name) for name in (to_plain_dict(schema.get("properties")) or {})]
        if {"x", "y"} <= set(names) or any(
            re.fullmatch(r"coord(?:inate)?s?|start_box|bbox(?:_2d)?", n, re.I) for n in names
        ):
            return True
    return False


def _instructions_ask(context: Context) -> bool:
    texts = [
        s.text for t in context.turns if t.role in ("system", "user") for s in t.slots if s.kind in ("system", "user")
    ]
    return any(_ASKS.search(text[:20_000]) for text in (texts[:2] + texts[-1:]))

"""Groups the frames of a context into pages and windows, and finds the newest of each.

Two frames show the same page if their URLs are the same without what only marks a visit, or, without a URL, if their
window or title is the same. Others are compared by the element lists beside them or, by the caller, in their pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from compressor.images.element_lines import split_element_lines, without_refs
from compressor.images.frames import Frame

#: How many of the last pages without a name a frame is compared with.
MAX_COMPARED_PAGES = 12
#: First words of tools' names that say which screen the tools work on.
_SURFACES = frozenset(
    (
        *(
            "browser",
            "page",
            "puppeteer",
            "playwright",
            "selenium",
            "chrome",
            "computer",
            "desktop",
            "android",
            "mobile",
        ),
        *("device", "phone", "ios", "adb"),
    )
)
_LEAST_LINES = 10  # beside a frame, to tell its page by them
_LEAST_SHARED = 0.5  # of the lines of the shorter list, to be the same page
LooksAlike = Callable[[Frame, Frame], bool]

#: Query parameters that mark a visit or where it came from, and leave the page the same.
_VISIT_PARAMETERS = re.compile(
    r"utm_\w+|gclid|dclid|fbclid|msclkid|yclid|mc_[ce]id|igshid|_ga|_gl|_hs\w+|ref_|ref_src|referr?er|pf_rd_\w+|pd_rd_\w+"
    r"|spm|s?session_?(?:id|token)?|phpsessid|jsessionid|csrf\w*|nonce|cache_?bust\w*|nocache|ved|ei|sca_esv|qid|crid",
    re.IGNORECASE,
)
#: Parameters that do so if their value is a time in seconds or more digits, or a long random text.
_RANDOM_PARAMETERS = re.compile(
    r"_|t|ts|time|timestamp|cb|rand|rnd|sid|s_id|token|state|code|v|r|label|key", re.IGNORECASE
)
_RANDOM_VALUE = re.compile(r"\d{10,}(?:\.\d+)?|0\.\d{6,}|(?=\S*\d)[\w~.+/=-]{16,}")
_ROUTE = re.compile(r"!?/")  # a fragment that names a page of a single-page app
_ACTIVITY = re.compile(r"[\w.]+/[\w.$]+")  # of a phone, which has one screen
_COUNT = re.compile(r"^\s*[(\[]\d+\+?[)\]]\s*|\s*[(\[]\d+\+?[)\]]\s*$")
_CHANGED_MARK = re.compile(r"^[*●•]\s*|\s*[*●•]$")


@dataclass(frozen=True, slots=True)
class FramePage:
    """The page and window of a frame.

    Attributes:
        frame: The frame.
        page: Key of the page: equal for frames that show the same page.
        window: Key of the window, tab, screen or tool that shows one page at a time.
        is_newest_of_page: Whether no later frame shows the page.
        is_newest_of_window: Whether no later frame comes from the window.
    """

    frame: Frame
    page: str
    window: str
    is_newest_of_page: bool
    is_newest_of_window: bool


def group_pages(frames: Sequence[Frame], looks_alike: LooksAlike | None = None) -> list[FramePage]:
    """Returns the page and window of each frame, in order.

    Args:
        frames: The frames of a context, in order.
        looks_alike: Whether two frames that nothing is said about show the same page, by their pixels. Without it all
            such screenshots of one window count as one page.
    """
    pages = _PageKeys(looks_alike)
    keys = [pages.key_of(frame) for frame in frames]
    windows = [window_key(frame) for frame in frames]
    last_of_page = {key: i for i, key in enumerate(keys)}
    last_of_window = {key: i for i, key in enumerate(windows)}
    return [
        FramePage(frame, key, window, last_of_page[key] == i, last_of_window[window] == i)
        for i, (frame, key, window) in enumerate(zip(frames, keys, windows, strict=True))
    ]


def normalise_url(url: str) -> str:
    """Returns a URL without what leaves the page the same: scheme, `www.`, fragment and visit parameters.

    A fragment that names a route of a single-page app (`#/cart`) stays, and so do all other query parameters.
    """
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "") + (f":{parts.port}" if parts.port and parts.port not in (80, 443) else "")
    except ValueError:  # not a valid port or address
        return url.strip()
    query = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True)]
    query = sorted((key, value) for key, value in query if not _marks_visit(key, value))
    name = re.sub(r";jsessionid=[^/?]*", "", parts.path, flags=re.IGNORECASE).rstrip("/")
    scheme = "" if parts.scheme in ("http", "https") else f"{parts.scheme}:"
    out = scheme + host.lower().removeprefix("www.") + name
    if query:
        out += "?" + urlencode(query)
    if _ROUTE.match(parts.fragment):
        out += "#" + parts.fragment.rstrip("/")
    return out


def _marks_visit(key: str, value: str) -> bool:
    is_random = _RANDOM_PARAMETERS.fullmatch(key) and _RANDOM_VALUE.fullmatch(value)
    return bool(_VISIT_PARAMETERS.fullmatch(key) or is_random)


def normalise_title(title: str) -> str:
    """Returns a title without counts of unread items and marks of unsaved changes, in lower case."""
    title = _CHANGED_MARK.sub("", _COUNT.sub("", title.strip()))
    return re.sub(r"\s+", " ", title).strip().casefold()


def window_key(frame: Frame) -> str:
    """Returns the key of the window, tab, screen or tool that a frame comes from.

    A user's picture and a picture that is not a screenshot are windows of their own.
    """
    if frame.source == "user" or not frame.is_screenshot:
        return _own_key(frame)
    place = _place(frame)
    if frame.labels.tab:
        return f"tab:{frame.labels.tab}{place}"
    if frame.window and not _ACTIVITY.fullmatch(frame.window):
        return f"window:{normalise_title(frame.window)}{place}"
    return f"screen:{_tool_family(frame)}{place}"


def _place(frame: Frame) -> str:
    """What tells the images of one result apart, and an element or region from the page around it."""
    part = f"#part:{frame.number}" if frame.is_part else ""
    return f"#{frame.place}{part}" if frame.place else part


def _own_key(frame: Frame) -> str:
    if frame.source != "user" and frame.labels.files:
        return f"file:{frame.labels.files[0].casefold()}"
    return f"image:{frame.number}"


def _tool_family(frame: Frame) -> str:
    """What the tools that show the same screen have in common: their server, or what they work on."""
    if frame.source != "tool" or not frame.tool:
        return "observation"
    name = re.sub(r"^mcp__(\w+?)__.*", r"\1", frame.tool)
    if name != frame.tool:
        return name.casefold()
    word = re.split(r"[_\-.]|(?<=[a-z])(?=[A-Z])", name)[0].casefold()
    return word if word in _SURFACES else "screen"


def _name_page(frame: Frame) -> str:
    """The key of a page whose URL, window or title is known; "" for others."""
    if frame.url:
        return f"url:{normalise_url(frame.url)}{_place(frame)}"
    if frame.window or frame.title:
        return f"title:{normalise_title(frame.window)}|{normalise_title(frame.title)}{_place(frame)}"
    return ""


def _lines_beside(frame: Frame) -> frozenset[str]:
    """The lines of the element list beside a frame; none if there are too few to tell pages apart."""
    lines = {
        line.strip() for text in frame.texts for line in without_refs("\n".join(split_element_lines(text))).split("\n")
    }
    return frozenset(lines) if len(lines) >= _LEAST_LINES else frozenset()


class _PageKeys:
    """Gives frames the keys of their pages; remembers the pages without a name."""

    def __init__(self, looks_alike: LooksAlike | None) -> None:
        self._looks_alike = looks_alike
        self._recent: list[tuple[str, str, Frame]] = []  # window, key and newest frame of each page, oldest first

    def key_of(self, frame: Frame) -> str:
        if frame.source == "user" or not frame.is_screenshot:
            return _own_key(frame)
        window = window_key(frame)
        key = _name_page(frame) or self._find_alike(window, frame)
        self._recent = [recent for recent in self._recent if recent[1] != key][-MAX_COMPARED_PAGES:]
        self._recent.append((window, key, frame))
        return key

    def _find_alike(self, window: str, frame: Frame) -> str:
        lines = _lines_beside(frame)
        if self._looks_alike is None and not lines:
            return window
        for other_window, key, other in reversed(self._recent):
            if other_window == window and self._is_same(other, frame, lines):
                return key
        return f"look:{frame.number}"

    def _is_same(self, other: Frame, frame: Frame, lines: frozenset[str]) -> bool:
        """Compares the element lists beside two frames, and their pixels where these are too short to tell."""
        if lines and (others := _lines_beside(other)):
            return len(lines & others) >= _LEAST_SHARED * min(len(lines), len(others))
        return self._looks_alike is not None and self._looks_alike(other, frame)

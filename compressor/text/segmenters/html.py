"""HTML pages: a unit is a block of text with the tags around it, a sentence of a long one, or a stretch without text.

Scripts, styles, navigation and the like are noise, headings rule what follows. No tag is cut in half; a page that was
cut need not be valid HTML any more. Does not build a tree and repairs nothing.
"""

from __future__ import annotations

import re

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.sentences import sentence_starts
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

# Every alternative takes what is never closed up to the end, so that no `<` is looked at twice.
_TAG = re.compile(
    r"<(?:!--[\s\S]*?(?:-->|\Z)"
    r"|(?P<raw>script|style|noscript|svg|template|iframe|math)\b(?:[^>]*/>|[\s\S]*?(?:</(?P=raw)\s*>|\Z))"
    r"|(?P<close>/)?(?P<name>[a-z][a-z0-9:-]*)(?P<attributes>[^>=]*(?:=\s*(?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'"
    r"|\Z))?[^>=]*)*)(?:>|\Z)"
    r"|[!?/][^>]*(?:>|\Z))",
    re.I,
)
_BLOCKS = frozenset(
    "address article aside blockquote body br button caption center dd details dialog div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li link main meta nav ol option p pre section "
    "select summary table tbody tfoot thead title tr ul".split()
)
_CHROME = frozenset(("nav", "footer", "aside", "select", "button", "dialog"))
_CHROME_NAMES = re.compile(
    r"(?:class|id|role)\s*=\s*[\"'][^\"']{0,200}?(?<![a-z])(?:cookie|consent|gdpr|banner|advert|ads?(?![a-z])"
    r"|sidebar|social|share"
    r"|menu|navbar|navigation|breadcrumb|related|promo|newsletter|subscribe|popup|modal|footer|pagination"
    r"|comments?(?![a-z]))",
    re.I,
)
_NAMED = frozenset(("div", "section", "ul", "header", "form"))
_FURNITURE = 0.2  # fraction of a page's text that one navigation element may hold
_LEVELS = {"title": 0, "h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6, "dt": 8}
_HEADER_ROW, _ITEM = 7, 9  # levels of a table's header row, and of an item that holds a list
_ROW_CHARS = 4_000  # characters in which the end of a row is looked for
_LONG = 240  # characters of one block of text; longer ones are cut at sentences
_SHORT = 12  # characters; shorter stretches without text (`</div>`) stay with the text before them


def segment_html(text: str, hint: str = "") -> SpanLayout:
    """Divides an HTML page into blocks of text with the tags around them."""
    if not text:
        return build_layout("html", "", [])
    cuts, said, noisy, levels, closed = _blocks(text)
    starts: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    scopes: list[tuple[int, int]] = []  # level and unit of the headings in force
    ends = [*cuts[1:], len(text)]
    for i, (a, b) in enumerate(zip(cuts, ends, strict=True)):
        while i in closed and scopes and scopes[-1][0] >= closed[i]:
            scopes.pop()
        if not said[i]:
            # stretches without text are one unit, or too short to be one
            if not starts or (b - a > _SHORT and not flags[-1] & UnitFlag.NOISE):
                starts.append(a)
                parents.append(-1)
                flags.append(UnitFlag.NOISE)
            continue
        parent = scopes[-1][1] if scopes else -1
        level = levels.get(i)
        if noisy[i]:
            flag, parent = int(UnitFlag.NOISE), -1
        elif level is not None:
            while scopes and scopes[-1][0] >= level:
                scopes.pop()
            parent = scopes[-1][1] if scopes else -1
            scopes.append((level, len(starts)))
            flag = int(UnitFlag.HEADER)
        else:
            flag = 0
        begins = [a] if level is not None or b - a <= _LONG else _sentences(text, a, b)
        starts += begins
        parents += [parent] * len(begins)
        flags += [flag] * len(begins)
    return build_layout("html", text, starts, parents, flags, max_chars=0)


def _blocks(text: str) -> tuple[list[int], list[int], list[bool], dict[int, int], dict[int, int]]:
    """Where block elements begin and end.

    Per stretch between: its characters of text, whether it is page furniture, its heading level, and the level from
    which headings end before it.
    """
    cuts, said = [0], [0]
    levels: dict[int, int] = {}
    closed: dict[int, int] = {}
    lists = 0  # lists that are open
    regions: list[tuple[int, int]] = []  # stretches that are page furniture by name
    at = 0
    chrome, depth, begun = (
        "",
        0,
        0,
    )  # the furniture we are in, how many elements of its name are open, its first stretch

    def cut(where: int) -> None:
        if cuts[-1] < where < len(text):
            cuts.append(where)
            said.append(0)

    for m in _TAG.finditer(text):
        a, b = m.span()
        if a > at and not text[at:a].isspace():
            said[-1] += a - at
        at = b
        name = (m.group("name") or "").lower()
        if not name:  # a script, a comment: stretches of their own
            if b - a > _SHORT:
                cut(a)
                cut(b)
            continue
        closing = m.group("close") is not None
        if chrome and name == chrome:
            depth += -1 if closing else 1
            if not depth:
                cut(b)
                regions.append((begun, len(cuts) - 1))
                chrome = ""
                continue
        elif not chrome and not closing and _is_chrome(name, m.group("attributes")):
            cut(a)
            chrome, depth, begun = name, 1, len(cuts) - 1
            continue
        if name in _BLOCKS:
            cut(b if closing or name in ("br", "hr") else a)
            here = len(cuts) - 1
            if name in _LEVELS and not closing:
                levels[here] = _LEVELS[name]
            elif name == "tr" and not closing and _is_header_row(text, b):
                levels[here] = _HEADER_ROW
            elif closing and name in ("table", "dl"):
                closed[here] = _HEADER_ROW
        if name in ("ul", "ol"):
            lists = max(0, lists + (-1 if closing else 1))
            here = len(cuts) - 1
            if closing:
                closed[here] = min(closed.get(here, 99), _ITEM + lists)
            elif lists > 1 and here:  # the item that holds this list is the heading of its items
                levels.setdefault(here - 1 if not said[here] else here, _ITEM + lists - 1)
    if at < len(text) and not text[at:].isspace():
        said[-1] += len(text) - at
    if chrome:
        regions.append((begun, len(cuts)))
    noisy = [False] * len(cuts)
    furniture = _FURNITURE * sum(said)
    for first, end in regions:
        if (
            sum(said[first:end]) <= furniture
        ):  # an element that holds much of the page's text is its body, whatever its name
            noisy[first:end] = [True] * (end - first)
    return cuts, said, noisy, levels, closed


def _is_header_row(text: str, at: int) -> bool:
    """Whether the row whose tag ends at `at` has only header cells."""
    end = text.find("<", text.find("</tr", at)) if "</tr" in text[at : at + _ROW_CHARS] else at + _ROW_CHARS
    row = text[at:end].lower()
    return "<th" in row and "<td" not in row


def _is_chrome(name: str, attributes: str) -> bool:
    return name in _CHROME or (name in _NAMED and len(attributes) > 8 and _CHROME_NAMES.search(attributes) is not None)


def _sentences(text: str, a: int, b: int) -> list[int]:
    """Where the sentences of a block begin: never inside a tag."""
    tags = [m.span() for m in _TAG.finditer(text, a, b)]
    out, t = [a], 0
    for s in sentence_starts(text[a:b])[1:]:
        where = a + s
        while t < len(tags) and tags[t][1] <= where:
            t += 1
        if t == len(tags) or where <= tags[t][0]:
            out.append(where)
    return out

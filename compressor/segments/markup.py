"""Cuts markdown and HTML pages: headings rule their sections, tags are never cut. Validates and rewrites nothing.

An HTML page that was cut need not be valid HTML any more; what is left of it is its text, with the tags that stood in it.
"""

from __future__ import annotations

import re

from compressor.segments.base import Flag
from compressor.segments.code import code
from compressor.segments.prose import sentence_starts
from compressor.segments.spans import SpanLayout, layout

_BLOCK = re.compile(
    r"^(?P<fence>(?P<ticks>```+|~~~+)(?P<info>[^\n`]*)\n(?:.*?\n)??(?P=ticks)[ \t]*$\n?)"
    r"|^(?P<head>(?P<level>#{1,6}) [^\n]*\n?|[^\n#>*\-+|][^\n]*\n(?:=|-){3,}[ \t]*(?:\n|\Z))"
    r"|^(?P<row>\|[^\n]*\n?)|^(?P<item>[ \t]*(?:[-*+]|\d+[.)]) [^\n]*\n?)|^(?P<blank>[ \t]*\n)",
    re.M | re.S,
)

_NOISY = ("script", "style", "nav", "footer", "aside", "noscript", "svg", "form", "iframe", "head")
_NOISE = re.compile(rf"<(?P<tag>{'|'.join(_NOISY)})\b.*?(?:</(?P=tag)\s*>|\Z)|<!--.*?(?:-->|\Z)", re.S | re.I)
_HEADING = re.compile(r"<h(?P<level>[1-6])\b[^>]*>.*?(?:</h(?P=level)\s*>|(?=<h[1-6]\b)|\Z)", re.S | re.I)
_BORDER = re.compile(
    r"(?=<(?:p|div|li|tr|br|section|article|main|table|ul|ol|dl|dt|dd|blockquote|pre|body|header|td|th)\b)"
    r"|(?<=</p>)|(?<=</li>)|(?<=</tr>)|(?<=</div>)|\n(?=\s*\S)",
    re.I,
)
_TAG = re.compile(r"<[^<>]{0,5000}>")
_CHROME = re.compile(
    r"cookie|subscribe|newsletter|sign in|log in|privacy policy|all rights reserved|advertisement", re.I
)
_SECTION_LIMIT = 20_000  # characters that one heading, script or comment may span


def markdown(text: str, hint: str = "") -> SpanLayout:
    """Layout "markdown": headings are the parents of their sections, fenced code is cut by statements."""
    starts: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    scopes: list[tuple[int, int]] = []  # level and unit of the headings in force

    def add(start: int, parent: int, flag: int = 0) -> int:
        if starts and start <= starts[-1]:
            return len(starts) - 1
        starts.append(start)
        parents.append(parent)
        flags.append(flag)
        return len(starts) - 1

    def paragraphs(a: int, b: int) -> None:
        parent = scopes[-1][1] if scopes else -1
        for s in sentence_starts(text[a:b]):
            add(a + s, parent)

    at = 0
    for m in _BLOCK.finditer(text):
        if m.start() < at:
            continue
        if m.start() > at and text[at : m.start()].strip():
            paragraphs(at, m.start())
        at = m.end()
        parent = scopes[-1][1] if scopes else -1
        if m.group("head"):
            level = len(m.group("level") or "#")
            while scopes and scopes[-1][0] >= level:
                scopes.pop()
            unit = add(m.start(), scopes[-1][1] if scopes else -1, Flag.HEADER)
            scopes.append((level, unit))
        elif m.group("fence"):
            inner = m.start("ticks") + len(m.group("ticks")) + len(m.group("info")) + 1
            fence = add(m.start(), parent, Flag.HEADER)
            block = code(text[inner : m.end()], m.group("info"))
            first = len(starts)
            for (a, _), p, f in zip(block.spans.tolist(), block.parents.tolist(), block.flags.tolist(), strict=True):
                add(inner + a, p + first if p >= 0 else fence, f)
        else:
            add(m.start(), parent, Flag.NOISE if m.group("blank") else 0)
    if at < len(text):
        paragraphs(at, len(text))
    return layout("markdown", text, starts or [0], parents or [-1], flags or [0])


def html(text: str, hint: str = "") -> SpanLayout:
    """Layout "html": scripts, navigation and the like are noise, headings rule what follows, text is cut at blocks and
    sentences."""
    marks: list[tuple[int, int, int, int]] = []  # start, end, flag, heading level
    at = 0
    for m in _NOISE.finditer(text):
        marks.append((m.start(), m.end(), Flag.NOISE, 0))
    noise = [(a, b) for a, b, _, _ in marks]
    for m in _HEADING.finditer(text):
        if m.end() - m.start() < _SECTION_LIMIT and not any(a <= m.start() < b for a, b in noise):
            marks.append((m.start(), m.end(), Flag.HEADER, int(m.group("level"))))
    starts: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    scopes: list[tuple[int, int]] = []
    for start, end, flag, level in [*sorted(marks), (len(text), len(text), 0, 0)]:
        if start < at:
            continue
        parent = scopes[-1][1] if scopes else -1
        for s in _cuts(text, at, start):
            starts.append(s)
            parents.append(parent)
            flags.append(Flag.NONE)
        if end > start:
            while level and scopes and scopes[-1][0] >= level:
                scopes.pop()
            if level:
                scopes.append((level, len(starts)))
                parent = scopes[-2][1] if len(scopes) > 1 else -1
            starts.append(start)
            parents.append(parent)
            flags.append(flag)
        at = end
    bounds = [*starts[1:], len(text)]
    for i, (a, b) in enumerate(zip(starts, bounds, strict=True)):
        bare = _TAG.sub("", text[a:b]).strip()
        if not bare or (len(bare) < 200 and _CHROME.search(bare)):
            flags[i] |= Flag.NOISE
    return layout("html", text, starts or [0], parents or [-1], flags or [0], longest=4000)


def _cuts(text: str, a: int, b: int) -> list[int]:
    """Where the units of text[a:b] begin: at block tags, and at sentences outside tags."""
    if a >= b:
        return []
    borders = sorted({a, *(m.end() for m in _BORDER.finditer(text, a, b) if a < m.end() < b)})
    out: list[int] = []
    tags = [m.span() for m in _TAG.finditer(text, a, b)]
    t = 0
    for start, end in zip(borders, [*borders[1:], b], strict=True):
        out.append(start)
        if end - start < 200:
            continue
        for s in sentence_starts(text[start:end])[1:]:
            while t < len(tags) and tags[t][1] <= start + s:
                t += 1
            if t == len(tags) or not tags[t][0] < start + s < tags[t][1]:
                out.append(start + s)
    return out

"""Markdown: headings rule their sections, paragraphs are cut at sentences, fenced code at statements, lists at items.

Rows of a table stand under its header. Validates and rewrites nothing.
"""

from __future__ import annotations

import re

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.code import segment_code
from compressor.text.segmenters.lines import line_starts
from compressor.text.segmenters.sentences import sentence_starts
from compressor.text.segmenters.span_layout import SpanLayout, build_layout
from compressor.text.segmenters.table import RULE

_LINE = re.compile(
    r"(?P<blank>[ \t]*\r?(?:\n|\Z))|(?P<fence> {0,3}(?:```+|~~~+))|(?P<head>#{1,6}[ \t])"
    r"|(?P<under>(?:=+|-{2,})[ \t]*\r?(?:\n|\Z))|(?P<rule> {0,3}(?:[*_-][ \t]*){3,}\r?(?:\n|\Z))|(?P<row>[ \t]*\|)"
    r"|(?P<item>(?P<indent>[ \t]*)(?:[-*+]|\d{1,3}[.)])[ \t])|(?P<noise>\[?!\[|<!--)"
)
_LONG = 240  # characters of a list item; longer ones are cut at sentences


def segment_markdown(text: str, hint: str = "") -> SpanLayout:
    """Divides markdown into headings, sentences of paragraphs, list items, table rows and fenced blocks."""
    if not text:
        return build_layout("markdown", "", [])
    page = _Page(text)
    page.read(line_starts(text).tolist())
    return build_layout("markdown", text, page.starts, page.parents, page.flags, page.closes)


class _Page:
    """The units found so far, and the open headings and list items."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: list[int] = []
        self.parents: list[int] = []
        self.flags: list[int] = []
        self.closes: list[int] = []
        self.scopes: list[tuple[int, int]] = []  # (level, unit) of the headings
        self.items: list[tuple[int, int]] = []  # (indentation, unit) of the list items
        self.table = -1

    def add(self, start: int, parent: int, flag: int = 0, closes: int = -1) -> int:
        self.starts.append(start)
        self.parents.append(parent)
        self.flags.append(flag)
        self.closes.append(closes)
        return len(self.starts) - 1

    def scope(self) -> int:
        return self.scopes[-1][1] if self.scopes else -1

    def heading(self, start: int, level: int) -> None:
        while self.scopes and self.scopes[-1][0] >= level:
            self.scopes.pop()
        self.scopes.append((level, self.add(start, self.scope(), UnitFlag.HEADER)))

    def sentences(self, a: int, b: int, parent: int) -> None:
        for s in sentence_starts(self.text[a:b]):
            self.add(a + s, parent)

    def read(self, where: list[int]) -> None:
        text = self.text
        ends = [*where[1:], len(text)]
        i, size = 0, len(where)
        while i < size:
            m = _LINE.match(text, where[i])
            kind = m.lastgroup if m else None
            kind = "item" if kind == "indent" else kind
            if kind != "row":
                self.table = -1
            if kind not in ("item", "blank") and not text.startswith((" ", "\t"), where[i]):
                self.items.clear()
            if kind == "blank":
                if not self.starts:
                    self.add(where[i], -1, UnitFlag.NOISE)
                i += 1
            elif kind == "fence" and m is not None:
                i = self.fence(where, ends, i, m.group().strip())
            elif kind == "head" and m is not None:
                self.heading(where[i], len(m.group().rstrip()))
                i += 1
            elif kind == "row":
                i = self.row(where, i)
            elif kind in ("rule", "under", "noise"):
                self.add(where[i], self.scope(), UnitFlag.NOISE)
                i += 1
            else:
                i = self.paragraph(where, ends, i, m if kind == "item" else None)

    def paragraph(self, where: list[int], ends: list[int], i: int, item: re.Match[str] | None) -> int:
        """A paragraph, a list item with the lines that continue it, or a heading that is underlined."""
        j = i + 1
        kind = None
        while j < len(where):
            m = _LINE.match(self.text, where[j])
            kind = m.lastgroup if m else None
            if kind is not None:
                break
            j += 1
        start, end = where[i], ends[j - 1]
        if kind == "under" and item is None and j == i + 1:
            self.heading(start, 1 if self.text[where[j]] == "=" else 2)
            return j + 1
        if item is None:
            self.sentences(start, end, self.items[-1][1] if self.items else self.scope())
            return j
        indent = len(item.group("indent").expandtabs(4))
        while self.items and self.items[-1][0] >= indent:
            self.items.pop()
        unit = self.add(start, self.items[-1][1] if self.items else self.scope())
        if end - start > _LONG:
            for s in sentence_starts(self.text[start:end])[1:]:
                self.add(start + s, unit)
        self.items.append((indent, unit))
        return j

    def row(self, where: list[int], i: int) -> int:
        if self.table >= 0:
            self.add(where[i], self.table)
            return i + 1
        ruled = i + 1 < len(where) and RULE.match(self.text, where[i + 1]) is not None
        self.table = self.add(where[i], self.scope(), UnitFlag.HEADER if ruled else 0)
        return i + 2 if ruled else i + 1

    def fence(self, where: list[int], ends: list[int], i: int, ticks: str) -> int:
        """A fenced block, closed by a line of as many ticks or by the end of the text."""
        text = self.text
        j = i + 1
        while j < len(where) and not (
            text.startswith(ticks, where[j] + _spaces(text, where[j]))
            and not text[where[j] : ends[j]].strip(" \t\r\n" + ticks[0])
        ):
            j += 1
        head = self.add(where[i], self.items[-1][1] if self.items else self.scope(), UnitFlag.HEADER)
        if j > i + 1:
            inner = text[where[i + 1] : ends[j - 1]]
            block = segment_code(inner, text[where[i] : ends[i]].strip(" \t\r\n`~"))
            first = len(self.starts)
            closes = block.closes.tolist() if block.closes is not None else [-1] * len(block.spans)
            for (a, _), parent, flag, mate in zip(
                block.spans.tolist(), block.parents.tolist(), block.flags.tolist(), closes, strict=True
            ):
                self.add(
                    where[i + 1] + a, parent + first if parent >= 0 else head, flag, mate + first if mate >= 0 else -1
                )
        if j < len(where):
            self.add(where[j], head, 0, head)
        return j + 1


def _spaces(text: str, at: int) -> int:
    """The number of spaces at `at`, at most three."""
    return 3 if text.startswith("   ", at) else 2 if text.startswith("  ", at) else 1 if text.startswith(" ", at) else 0

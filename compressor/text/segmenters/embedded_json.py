"""Finds the JSON in a text that is mostly JSON.

It may stand after a line of text, in a fence or a tag, or as a stream of events; it may lack its end, have comments, or
be written as Python prints it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from compressor.text.lossless.json_tables import WHITE_SPACE, ParsedJson, is_too_deep
from compressor.text.lossless.json_values import DECODER
from compressor.text.lossless.tolerant_json import TolerantValue, read_tolerantly

MIN_CHARS = 80  # shorter values are left to the text around them
MIN_COVERAGE = 0.5  # fraction of the text that must be JSON
MAX_FAILURES = 8  # places at which no value could be read; each costs a scan
MAX_UNMERGED = 24  # values with other text between them; more of them are lines of a log
TRIAL_VALUES = 32  # values after which the coverage is looked at for the first time
MAX_TRIED_PLAIN = 8  # values in another notation after which plain JSON is not tried first any more
MAX_BETWEEN_CHARS = 120  # text that may stand between the values of a stream
# One class in front so that the scan runs at C speed.
_START = re.compile(
    r"""[{\[](?<![\w\])'"].)(?:(?<=\{)(?=\s*(?:["'}]|//|/\*))"""
    r"""|(?<=\[)(?=\s*(?:[\[\]{"'(]|-?\d[\d.eE+-]{0,40}\s*[,\]]|//|/\*|(?:true|false|null)\b|[A-Z][\w.]{0,80}\()))"""
)
_JSONP = re.compile(r"[\w.$]*\(\s*$")
_PAGE = re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.I)  # its scripts are not what it says
_DIFF = re.compile(r"^(?:diff --git |@@ -\d)", re.M)


@dataclass(frozen=True, slots=True)
class JsonPart:
    """A stretch of a text that is JSON.

    Attributes:
        start: Where it begins.
        end: Where it ends; if its end is missing, where its last complete part ends.
        parsed: Its value, or the values of a stream.
    """

    start: int
    end: int
    parsed: ParsedJson


@dataclass(slots=True)
class _Value:
    start: int
    read: TolerantValue
    is_plain: bool


def find_embedded_json(text: str) -> list[JsonPart]:
    """Returns the JSON in a text, in order; nothing if most of the text is not JSON or if its lines are a log's."""
    if len(text) < MIN_CHARS or _PAGE.match(text) or ("@@" in text[:4000] and _DIFF.search(text[:4000])):
        return []
    least = MIN_COVERAGE * len(text.strip(WHITE_SPACE))
    values = _values(text, least)
    if not values:
        return []
    parts = [
        part
        for group in _groups(text, values)
        if (part := _part(text, group)) is not None and part.end - part.start >= MIN_CHARS
    ]
    if not parts:
        return []
    if sum(p.end - p.start for p in parts) < least or _is_log(text, parts):
        return []
    return parts


def _values(text: str, least: float) -> list[_Value]:
    """Returns the values, in order.

    Args:
        text: The text.
        least: The characters that must be JSON. None is returned where that is no longer possible.
    """
    out: list[_Value] = []
    at = failures = covered = others = 0
    outside = 0  # characters that are in no part, whatever follows
    while (found := _START.search(text, at)) is not None:
        start = found.start()
        end = out[-1].read.end if out else 0
        skipped = start - end if not out or _divides(text, end, start) else 0
        if len(text) - outside - skipped < least:
            return []
        value = _read(text, start, others < MAX_TRIED_PLAIN)
        if value is None:
            at = found.end()
            failures += 1
            if failures > MAX_FAILURES:
                break
            continue
        out.append(value)
        outside += skipped
        at = value.read.end
        covered += at - start
        others += not value.is_plain
        if len(out) >= TRIAL_VALUES and covered < 0.3 * at:
            return []
    return out


def _divides(text: str, start: int, end: int) -> bool:
    """Returns whether the text between two values is too long to stand inside a stream, see `_groups`."""
    return end - start > MAX_BETWEEN_CHARS and bool(text[start:end].strip(" \t\r\n,"))


def _read(text: str, start: int, tries_plain: bool) -> _Value | None:
    if tries_plain:
        try:
            value, end = DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # its message counts all lines before, so it is costly in a long text
            pass
        else:
            return _Value(start, TolerantValue(value, end, False), True)
    tolerant = read_tolerantly(text, start)
    return None if tolerant is None else _Value(start, tolerant, False)


def _groups(text: str, values: list[_Value]) -> list[list[_Value]]:
    """The values, with those of a stream together: only white space, a comma or always the same is between them."""
    out: list[list[_Value]] = []
    between: str | None = None
    for i, value in enumerate(values):
        if out:
            gap = text[out[-1][-1].read.end : value.start]
            if not gap.strip(" \t\r\n,"):
                joins = between is None or not between.strip(" \t\r\n,")
            elif between is not None:
                joins = gap == between
            else:  # the first of a stream: the next must be the same
                following = text[value.read.end : values[i + 1].start] if i + 1 < len(values) else ""
                joins = gap == following and len(gap) <= MAX_BETWEEN_CHARS and _opens_alike(text, out[-1][0], gap)
            if joins and not value.read.is_torn and not out[-1][-1].read.is_torn:
                out[-1].append(value)
                between = between if between is not None else gap
                continue
        out.append([value])
        between = None
    return out


def _opens_alike(text: str, first: _Value, gap: str) -> bool:
    """Whether the first value of a stream has the same before it on its lines as the others."""
    lines = gap.partition("\n")[2].lstrip("\r\n")
    return bool(lines) and text.endswith(lines, 0, first.start)


def _part(text: str, group: list[_Value]) -> JsonPart | None:
    start, end = group[0].start, group[-1].read.end
    if is_too_deep(text[start:end]):
        return None
    is_plain = all(v.is_plain for v in group)
    if len(group) == 1:
        read = group[0].read
        return JsonPart(start, end, ParsedJson(read.value, False, is_plain, is_torn=read.is_torn))
    spans = tuple((v.start - start, v.read.end - start) for v in group)
    gaps = {text[a.read.end : b.start] for a, b in pairwise(group)}
    between = gaps.pop() if len(gaps) == 1 else None
    parsed = ParsedJson([v.read.value for v in group], True, is_plain and between is not None, spans, between)
    return JsonPart(start, end, parsed)


def _is_log(text: str, parts: list[JsonPart]) -> bool:
    """Whether the values are messages of a log, each after a text of its own on the same line."""
    if len(parts) > MAX_UNMERGED:
        return True
    inline = [p for p in parts if not p.parsed.lines and _line_before(text, p.start)]
    return len(inline) > 2 and 2 * len(inline) > len(parts)


def _line_before(text: str, start: int) -> str:
    line = text[text.rfind("\n", 0, start) + 1 : start].strip(WHITE_SPACE)
    return "" if _JSONP.search(line) else line

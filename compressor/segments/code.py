"""Cuts source code into statements, also inside the line-numbered windows in which agents print files.

Tree-sitter where it knows the language and the text parses (`code_tree`); else lines and their indentation.
"""

from __future__ import annotations

import re

from compressor.segments.base import Flag
from compressor.segments.code_tree import Rows, tree_rows
from compressor.segments.languages import language_of
from compressor.segments.lines import line_starts
from compressor.segments.spans import SpanLayout, layout

PARSED = 100_000  # characters; longer texts are cut by indentation, which is linear whatever they hold
NESTED = 300  # brackets open at once, above which no parser is asked

_NUMBER = re.compile(r"[ \t]*\d+(?:[:|]|\t| (?= |\S|$))")
_FRAME = re.compile(r"\[File: |\(\d+ more lines? (?:above|below)\)|\[.{0,80}\d+ lines(?: total)?\]|(?:Here's|This is) ")
_SIGNATURE = re.compile(
    r"[ \t]*(?:@\w|(?:export |default |public |private |protected |static |final |abstract |async |pub(?:\(\w+\))? "
    r"|unsafe |inline |virtual |extern )*(?:def|class|function|func|fn|interface|struct|enum|trait|impl|type|namespace"
    r"|module|package|template)\b|[\w:<>*&\[\], ]+\s[\w:~]+\([^;]*\)\s*(?:const\s*)?\{?\s*$)"
)
_IMPORT = re.compile(r"[ \t]*(?:import\b|from \S+ import\b|#include\b|using\b|use\b|require\b|package\b)")
_COMMENT = re.compile(r"[ \t]*(?:#(?!include|define|if|endif|else|pragma)|//|/\*|\*[ /]|--|\"\"\"|''')")
_ERROR = re.compile(r"[ \t]*(?:Traceback|\w*Error: |ERROR|error:|fatal:|- E\d{3} )")


def code(text: str, hint: str = "") -> SpanLayout:
    """Layout "code". Line numbers stay in their units; lines around a numbered window are units of their own."""
    starts = line_starts(text).tolist()
    lines = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    ends = [m.end() if (m := _NUMBER.match(line)) else 0 for line in lines]
    windowed = sum(map(bool, ends)) >= 0.6 * len(lines)
    body = [line[end:] for line, end in zip(lines, ends, strict=True)] if windowed else lines
    inside = [i for i, end in enumerate(ends) if end] if windowed else list(range(len(lines)))
    inner = _rows([body[i] for i in inside], text, hint)
    rows = Rows()
    place = {}
    unit = 0
    at = {inside[r]: u for u, r in enumerate(inner.rows)}
    known = set(inside)
    for i, line in enumerate(lines):
        if i in at:
            u = at[i]
            parent, closes = inner.parents[u], inner.closes[u]
            place[u] = unit
            rows.add(i, place.get(parent, -1), inner.flags[u], place.get(closes, -1))
            unit += 1
        elif i not in known:
            flag = Flag.HEADER if _FRAME.match(line) else Flag.ERROR if _ERROR.match(line) else Flag.NONE
            rows.add(i, -1, flag)
            unit += 1
    return layout("code", text, [starts[r] for r in rows.rows], rows.parents, rows.flags, rows.closes)


def _rows(body: list[str], text: str, hint: str) -> Rows:
    source = "".join(body)
    language = language_of(text, hint) if _complete(source) else None
    if language is not None:
        found = tree_rows(source, language)
        if found is not None:
            return found
    return _by_indentation(body)


def _complete(source: str) -> bool:
    """Whether a text may be a whole file or statement, and is no monster: parsing a window cut out of one costs as
    much and finds errors only."""
    first = source.lstrip("\r\n")[:1]
    if len(source) > PARSED or not first or first in " \t})]":
        return False
    if any(source.count(a) != source.count(b) for a, b in ("()", "[]", "{}")):
        return False
    if source.count("(") + source.count("[") + source.count("{") < NESTED:
        return True
    depth = 0
    for m in re.finditer(r"[\[({]|[\])}]", source):
        depth += 1 if m.group() in "[({" else -1
        if depth > NESTED:
            return False
    return True


def _by_indentation(body: list[str]) -> Rows:
    """A unit a line; a line's parent is the nearest signature above it with less indentation."""
    rows = Rows()
    open_at: list[tuple[int, int]] = []  # indentation and unit of the signatures in force
    for i, line in enumerate(body):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if bare and bare[0] not in "})]":
            while open_at and open_at[-1][0] >= indent:
                open_at.pop()
        parent = open_at[-1][1] if open_at else -1
        flag = Flag.NONE
        closes = -1
        if not bare:
            flag = Flag.NOISE
        elif bare[0] in "})]" and len(bare) < 4:
            closes = parent
        elif _IMPORT.match(line):
            flag = Flag.IMPORT
        elif _COMMENT.match(line):
            flag = Flag.COMMENT
        elif _SIGNATURE.match(line):
            flag = Flag.SIGNATURE
            open_at.append((indent, i))
        rows.add(i, parent, flag, closes)
    return rows

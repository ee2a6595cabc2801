"""Source code: a unit is a statement, or the first lines of one that has a body. Closing lines follow their openings.

Also windows of files as agents print them, with line numbers and `(12 more lines above)`; the numbers stay in the text.
"""

from __future__ import annotations

import re

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.code_lines import rows_by_indentation
from compressor.text.segmenters.code_rows import CodeRows
from compressor.text.segmenters.code_tree_sitter import rows_by_syntax_tree
from compressor.text.segmenters.languages import hint_language, looks_like
from compressor.text.segmenters.numbered_lines import number_lines, without_numbers
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

MAX_PARSED_CHARS = 300_000  # larger inputs are divided by their lines
MAX_LINE_CHARS = 2000  # a file with longer lines is minified or data
MIN_NUMBERED_LINES = 3  # shorter runs of numbered lines are not parsed
MAX_UNIT_CHARS = 6000

_AROUND = re.compile(
    r"(?P<file>\[File: [^\n]*\]|(?:File|Path|Filename): [^\n]*|(?:Here's|Here is) the (?:result|content"
    r"|snippet)[^\n]*|#+ [\w./-]+\.\w+\s*$)"
    r"|(?P<more>\(\d+ more lines? (?:above|below)\)|\[?\.{3} ?[^\n]{0,40}lines?[^\n]{0,40})"
    r"|(?P<error>[^\n]{0,80}(?:Error\b|ERROR|error:)|- [EFW]\d{3} )"
    r"|(?P<noise>\s*$|[-=*#]{5,}\s*$)",
    re.M,
)
_AROUND_FLAGS = {
    "file": int(UnitFlag.HEADER),
    "more": int(UnitFlag.SUMMARY),
    "error": int(UnitFlag.ERROR),
    "noise": int(UnitFlag.NOISE),
}


def segment_code(text: str, hint: str = "") -> SpanLayout:
    """Divides source code into statements, and listings of code with line numbers into their runs."""
    if not text:
        return build_layout("code", "", [])
    starts, numbers = number_lines(text)
    if text.startswith("[File: ") or (len(numbers) > 1 and sum(n >= 0 for n in numbers) * 2 >= len(numbers)):
        return _window(text, hint, starts, numbers)
    rows = _rows(text, hint_language(hint) or looks_like(text))
    return build_layout(
        "code", text, [starts[row] for row in rows.rows], rows.parents, rows.flags, rows.closes, MAX_UNIT_CHARS
    )


def _rows(source: str, language: str | None) -> CodeRows:
    """The units of a piece of code, by rows: by syntax tree if it parses, else by indentation."""
    if language is not None and len(source) <= MAX_PARSED_CHARS and not source[:1].isspace():
        is_short = len(source) <= MAX_LINE_CHARS or max(map(len, source.split("\n"))) <= MAX_LINE_CHARS
        rows = rows_by_syntax_tree(source, language) if is_short else None
        if rows is not None and rows.rows:
            rows.rows[0] = 0
            return rows
    return rows_by_indentation(source, language)


def _window(text: str, hint: str, starts: list[int], numbers: list[int]) -> SpanLayout:
    """Runs of lines with consecutive numbers are code, under the last file heading; other lines are units."""
    size = len(starts)
    ends = [*starts[1:], len(text)]
    units: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    closes: list[int] = []
    file, language = -1, hint_language(hint)
    i = 0
    while i < size:
        if numbers[i] < 0:
            m = _AROUND.match(text, starts[i])
            kind = m.lastgroup if m else None
            if kind == "file":
                file = len(units)
                language = hint_language(_path(text[starts[i] : ends[i]])) or language
            units.append(i)
            parents.append(-1 if kind == "file" or kind == "error" else file if kind else -1)
            flags.append(_AROUND_FLAGS[kind] if kind else 0)
            closes.append(-1)
            i += 1
            continue
        j = i + 1
        while j < size and numbers[j] == numbers[j - 1] + 1:
            j += 1
        if j - i < MIN_NUMBERED_LINES:
            units += range(i, j)
            parents += [file] * (j - i)
            flags += [0] * (j - i)
            closes += [-1] * (j - i)
            i = j
            continue
        source = without_numbers(text, starts[i], ends[j - 1])
        rows = _rows(source, language or looks_like(source))
        base = len(units)
        units += [i + row for row in rows.rows]
        parents += [base + p if p >= 0 else file for p in rows.parents]
        flags += rows.flags
        closes += [base + c if c >= 0 else -1 for c in rows.closes]
        i = j
    return build_layout("code", text, [starts[unit] for unit in units], parents, flags, closes, MAX_UNIT_CHARS)


def _path(line: str) -> str:
    """The file name in a heading such as `[File: /x/y.py (12 lines total)]`."""
    m = re.search(r"[\w./+@-]+\.\w{1,6}\b", line)
    return m.group() if m else ""

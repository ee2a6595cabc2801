"""Search results and listings: grep and ripgrep, match lists with a `Found N matches` line, find, ls, tree.

A unit is a line. A file's heading is the parent of its matches, a directory of what a tree shows under it.
"""

from __future__ import annotations

import re

import numpy as np

from compressor.native import load_kernel
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import line_starts, total_line
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

#: `path:line:text` and `path-line-text`.
GREP = re.compile(r"(?![ \t])(?:[A-Za-z]:)?[^\s:][^\n:]{0,250}?(?::\d+:|(?<=[A-Za-z])-\d+-)")
#: A line that holds only a path.
PATH = re.compile(
    r"(?:\d+[ \t]+)?(?:\.{0,2}/|[A-Za-z]:\\|[\w@.+-]+/)[^\n:*?\"<>|]{0,300}(?:\([^()\n]{0,40}\))?:?[ \t]*\r?(?:\n|\Z)"
)
LS = re.compile(r"[-dlbcps][-rwxsStT]{9}[.+@]?[ \t]")
TREE = re.compile(r"(?:[│|][ \t\u00a0]{0,3}|[ \t\u00a0]{4})*(?:├──|└──|\|--|`--|\+--(?!-))[ \t\u00a0]?")
#: The line that says what was searched for.
HEADING = re.compile(
    r"(?:Found|Showing|Displaying)\s\d+\s[^\n]{0,120}?(?:match|result|file|occurrence|line|entr|hit)"
    r"|No (?:matches|files|results)\b|\d+ (?:matches|results|files|hits) (?:found|in|for)\b"
    r"|(?:Search )?[Rr]esults? (?:for|in)\b"
)

_LINE = re.compile(
    r"[ \t]*(?:(?P<head>(?:Found|Showing|Displaying)\s\d+\s[^\n]{0,120}?(?:match|result|file|occurrence|line|entr|hit)"
    r"|\d+\s(?:match|result|file|hit)\w*\s(?:found|in|for)\b"
    r"|(?:Search )?[Rr]esults?\s(?:for|in)\b)"
    r"|(?P<sum>total\s\d+\s*\r?(?:\n|\Z)|\d+\sdirector|No\s(?:matches|files|results)\b|\d+\s(?:matches|matched lines)\b"
    r"|\(?(?:More|Results? truncated|Output truncated)\b)"
    r"|(?P<noise>End of matches\b|--\s*\r?(?:\n|\Z)|\r?(?:\n|\Z))"
    r"|(?P<warn>(?:find|grep|ls|rg):\s))"
)
_FLAGS = {
    "head": int(UnitFlag.HEADER | UnitFlag.SUMMARY),
    "sum": int(UnitFlag.SUMMARY),
    "noise": int(UnitFlag.NOISE),
    "warn": int(UnitFlag.WARNING),
    "heading": int(UnitFlag.HEADER),
}
#: A match below the name of its file.
NUMBERED = re.compile(r"[ \t]*(?:Line[ \t]+)?\d+[:-]")


_kernel = load_kernel("search_lines")


def segment_search_results(text: str, hint: str = "") -> SpanLayout:
    """Divides search results or a listing into lines, under the file or folder they belong to."""
    starts, parents, flags = read_listing(text)
    if (last := total_line(text, np.array(starts, np.int32))) >= 0:
        flags[last], parents[last] = _FLAGS["sum"], -1
    return build_layout("search", text, starts, parents, flags, max_chars=2000)


def read_listing(text: str) -> tuple[list[int], list[int], list[int]]:
    """Returns where each line begins, the line that it belongs to or -1, and its flags."""
    if _kernel is None:
        return read_listing_slowly(text)
    found: tuple[list[int], list[int], list[int]] = _kernel.read_listing(
        text, TREE.match, _LINE.match, PATH.match, _FLAGS
    )
    return found


def read_listing_slowly(text: str) -> tuple[list[int], list[int], list[int]]:
    """The same in Python."""
    where = line_starts(text).tolist()
    n = len(where)
    parents = [-1] * n
    flags = [0] * n
    top = file = -1  # the `Found ...` line and the current heading
    folders: list[tuple[int, int]] = []  # (depth, unit) of the open branches of a tree
    for i, s in enumerate(where):
        if branch := TREE.match(text, s):
            depth = branch.end() - s
            while folders and folders[-1][0] >= depth:
                folders.pop()
            if folders:
                parents[i] = folders[-1][1]
            folders.append((depth, i))
            continue
        m = _LINE.match(text, s)
        kind = m.lastgroup if m else None
        if kind is not None:
            flags[i] = _FLAGS[kind]
        if kind == "head":
            top, file = i, -1
            continue
        parents[i] = top
        if kind is not None and kind != "warn":
            if text[s] in "\r\n":
                file = -1
            elif file >= 0:
                parents[i] = file
        elif kind is None:
            if file >= 0 and NUMBERED.match(text, s):
                parents[i] = file
            elif i + 1 < n and _heading(text, s, where[i + 1]):
                file, flags[i] = i, _FLAGS["heading"]
                folders = [(0, i)]
            elif file >= 0 and text[where[file + 1] - 2 : where[file + 1] - 1] == ":":
                parents[i] = file
    return where, parents, flags


def _heading(text: str, at: int, following: int) -> bool:
    """Whether the line at `at` names the file or folder of the lines that follow."""
    if TREE.match(text, following):
        return True
    if not PATH.match(text, at):
        return False
    return NUMBERED.match(text, following) is not None or text[at:following].rstrip()[-1:] == ":"

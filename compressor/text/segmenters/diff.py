"""Unified diffs: file and hunk headers over runs of changed and of unchanged lines. Does not read combined diffs.

A run of changed lines is one unit (the old line and the new one make sense only together), a run of context another.
Context says something only beside a kept change, so it is noise and its parent is the change before it.
"""

from __future__ import annotations

import re

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import line_starts
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

MAX_RUN_LINES = 24  # longer runs are split, so that a part of a large new file can stay

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_FILE = re.compile(r"(?:diff --git |diff -|Index: |index [0-9a-f]+\.\.)|--- \S")
_FILE_MORE = re.compile(
    r"(?:index |old mode|new mode|new file|deleted file|similarity|dissimilarity|rename |copy |--- |\+\+\+ "
    r"|Binary files|={60})"
)
#: The line of `git diff --stat` that sums up.
_TOTAL = re.compile(r"[ \t]*\d+ files? changed\b|[ \t]*\d+ insertions?\(\+\)|Total: ")
_COMMIT = re.compile(r"commit [0-9a-f]{7,40}\b")


def segment_diff(text: str, hint: str = "") -> SpanLayout:
    """Divides a unified diff into units; lines outside hunks (a commit message, a `--stat`) are units of their own."""
    starts = line_starts(text).tolist()
    size = len(starts)
    units: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    commit = file = hunk = change = -1
    old = new = 0  # lines of the hunk that are still to come
    run, length = "", 0  # what the unit at the end holds: "h"eader, "c"hange, " " context
    for i, s in enumerate(starts):
        first = text[s]
        if old > 0 or new > 0:
            if first in "+-":
                old, new = old - (first == "-"), new - (first == "+")
                kind = "c"
            elif first in " \r\n\t":  # editors strip the space of empty context lines
                old, new = old - 1, new - 1
                kind = " "
            elif first == "\\":
                continue  # "\ No newline at end of file" belongs to the line before it
            else:
                old = new = 0
                kind = ""
            if kind:
                if kind != run or length >= MAX_RUN_LINES:
                    if kind == "c":
                        change = len(units)
                        parents.append(hunk)
                        flags.append(UnitFlag.CHANGE)
                    else:
                        parents.append(change if change > hunk else hunk)
                        flags.append(UnitFlag.NOISE)
                    units.append(s)
                    run, length = kind, 0
                length += 1
                continue
        m = _HUNK.match(text, s)
        if m:
            hunk = change = len(units)
            units.append(s)
            parents.append(file)
            flags.append(UnitFlag.HEADER)
            old, new, run = int(m.group(1) or 1), int(m.group(2) or 1), "@"
        elif run == "h" and _FILE_MORE.match(text, s):
            continue
        elif _FILE.match(text, s) and (first != "-" or (i + 1 < size and text.startswith("+++ ", starts[i + 1]))):
            file, run = len(units), "h"
            units.append(s)
            parents.append(commit)
            flags.append(UnitFlag.HEADER)
        elif first == "\\" and run in ("c", " "):
            continue
        else:
            head = _COMMIT.match(text, s) is not None
            if head:
                commit, file = len(units), -1
            units.append(s)
            parents.append(-1 if head else commit)
            flags.append(UnitFlag.HEADER if head else UnitFlag.SUMMARY if _TOTAL.match(text, s) else 0)
            run = ""
    return build_layout("diff", text, units, np.array(parents, np.int32), flags, max_chars=4000)

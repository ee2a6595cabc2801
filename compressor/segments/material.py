"""Finds long material pasted into a user's message: what is data there, not instruction. Cuts nothing up.

Conservative: an instruction taken for material could be cut, material taken for an instruction only costs tokens.
"""

from __future__ import annotations

import re

from compressor.segments.detect import detect

SHORTEST = 800  # characters
_FENCE = re.compile(r"^(```+|~~~+)[^\n`]*\n.*?^\1[ \t]*$", re.M | re.S)
_TAGGED = re.compile(
    r"<(document|documents|context|file|log|logs|data|source|page|article|transcript|output|content|attachment|text)\b"
    r"[^>\n]{0,200}>.*?</\1>",
    re.S | re.I,
)
_NUMBERED_DOCUMENT = re.compile(r"^Document \[\d+\]", re.M)
_BLANK = re.compile(r"\n[ \t]*\n")
_DATA = frozenset(("json", "log", "trace", "diff", "table", "code", "search", "html"))


def find_material(text: str) -> list[tuple[int, int]]:
    """Spans of pasted material of at least 800 characters, in order, not overlapping: fenced or tagged stretches,
    numbered document lists, and runs of paragraphs that are plainly JSON, logs, code, tables or pages."""
    if len(text) < SHORTEST:
        return []
    out: list[tuple[int, int]] = []
    for pattern in (_FENCE, _TAGGED):
        for m in pattern.finditer(text):
            if m.end() - m.start() >= SHORTEST and not any(a < m.end() and m.start() < b for a, b in out):
                out.append(m.span())
    openings = [m.start() for m in _NUMBERED_DOCUMENT.finditer(text)]
    if len(openings) > 1:
        last = _BLANK.search(text, openings[-1])
        span = (openings[0], last.start() if last else len(text))
        if not any(a < span[1] and span[0] < b for a, b in out):
            out.append(span)
    taken = sorted(out)
    at = 0
    for start, end in [*taken, (len(text), len(text))]:
        out += _plain(text, at, start)
        at = end
    return sorted(s for s in out if s[1] - s[0] >= SHORTEST)


def _plain(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Runs of paragraphs between `start` and `end` that are data by their look."""
    if end - start < SHORTEST:
        return []
    edges = [start, *(m.end() for m in _BLANK.finditer(text, start, end)), end]
    runs: list[tuple[int, int]] = []
    for a, b in zip(edges, edges[1:], strict=False):
        paragraph = text[a:b].strip()
        if not paragraph or (paragraph.count("\n") < 3 and paragraph[0] not in "{[") or detect(paragraph) not in _DATA:
            continue
        stop = a + len(text[a:b].rstrip())
        if runs and not text[runs[-1][1] : a].strip():
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((a, stop))
    return runs

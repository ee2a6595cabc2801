r"""Leaves out most numbers of numbered lines (`12:code`, `    12\\tcode`, `12|code`, `12→code`).

Every tenth line keeps its number.

    [lines numbered every 10]         The first line of a window, the first after a gap and every tenth keep the
    147:    def get(self):            number, so that an agent that edits by line number still finds its way. A line
            return self.x             without a number is one more than the line above it; where the numbering ends
    [end of numbered lines]           before the text does, a note says so.

`back_references` uses this module to find which lines of a text are numbered, and how.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from operator import add
from typing import NamedTuple

from compressor.context.refs import ELLIPSIS
from compressor.text.lossless.base import verified

NOTE = "[lines numbered every 10]"
END = "[end of numbered lines]"
EVERY = 10

# A line that ends a window without a note: a note for lines of an earlier output (see `back_references`), or the sign
# of a cut.
_AGAIN = (
    r"lines \d+-\d+ of tool result \d+ again(?:, now \d+-\d+)?|\d+ lines of tool result \d+ again, from its line \d+"
)
_BREAK = rf"(?:\[(?:{_AGAIN})\]|[ \t]*{ELLIPSIS})(?=\r?\n|\r?\Z)"

_DIGITS = 7
_BLOCK = 256
_NUMBER = re.compile(r"( {0,12})(0|[1-9]\d{0,6})( \||[:\t|→ ])")
_PAIR = re.compile(rf"\n{_NUMBER.pattern}.*\n(?= {{0,12}}([1-9]\d{{0,6}})\3)")
_PAIRS_TRIED = 64
_HEADS = re.compile(r"\n *\d+")
_MAX_SEP = 2  # characters after the number
#: Content that could be taken for a number or a note without its own number, which it therefore keeps.
_SPEAKS = re.compile(rf"\n[ \t]*[\d\[{ELLIPSIS}]")
_SPEAKING = frozenset(f"0123456789[{ELLIPSIS}")


class LineNumberStyle(NamedTuple):
    """How line numbers are written.

    Attributes:
        width: The characters to which numbers are right-justified, or 0.
        sep: The text after the number.
    """

    width: int
    sep: str

    def heads(self, first: int, count: int) -> list[str]:
        """Returns the number prefixes of `count` lines from number `first` on."""
        block, skip = divmod(first, _BLOCK)
        out: list[str] = []
        while len(out) < skip + count:
            out += _heads(self, block)
            block += 1
        return out[skip : skip + count]


@lru_cache(maxsize=128)  # files are read in windows, and read again: 10,000 numbers take 2 ms to write
def _heads(style: LineNumberStyle, block: int) -> list[str]:
    width, sep = style
    return [f"{n:>{width}}{sep}" for n in range(block * _BLOCK, (block + 1) * _BLOCK)]


class NumberedLines(NamedTuple):
    """A run of lines with consecutive numbers.

    Attributes:
        start: The first line, from 0.
        stop: The line after the last.
        number: The number of the first line.
    """

    start: int
    stop: int
    number: int


def find_style(text: str) -> LineNumberStyle | None:
    """Returns the style of the first two lines with consecutive numbers, or None.

    The very first line is not looked at. The search ends after 64 pairs of lines whose numbers do not count up.
    """
    for tried, m in enumerate(_PAIR.finditer(text)):
        if int(m[4]) == int(m[2]) + 1:
            return _style(m)
        if tried == _PAIRS_TRIED:
            break
    return None


def _style(m: re.Match[str]) -> LineNumberStyle:
    return LineNumberStyle(len(m[1]) + len(m[2]) if m[1] else 0, m[3])


@lru_cache(maxsize=64)
def _number(style: LineNumberStyle) -> str:
    """A regex source for a number exactly as the style writes it, in group 1."""
    ways = [" " * (style.width - k) + (r"\d" if k == 1 else rf"[1-9]\d{{{k - 1}}}") for k in range(_DIGITS, 0, -1)]
    return f"({'|'.join(ways)}){re.escape(style.sep)}"


def windows(lines: list[str], style: LineNumberStyle) -> Iterator[NumberedLines]:
    """Yields all runs of numbered lines in order, single lines included."""
    match = re.compile(_number(style)).match
    i, end = 0, len(lines)
    while i < end:
        m = match(lines[i])
        if m is None:
            i += 1
            continue
        number, j, step = int(m[1]), i + 1, 32
        while j < end:
            chunk = lines[j : j + step]
            follows = list(map(str.startswith, chunk, style.heads(number + j - i, len(chunk))))
            if not all(follows):
                j += follows.index(False)
                break
            j += len(chunk)
            step = 512
        yield NumberedLines(i, j, number)
        i = j


def contents(lines: list[str], window: NumberedLines, style: LineNumberStyle) -> list[str]:
    """The lines of a window without their numbers."""
    out: list[str] = []
    i, n = window.start, window.number
    while i < window.stop:  # all numbers of as many digits at once
        j = min(window.stop, i + 10 ** len(str(n)) - n)
        k = max(style.width, len(str(n))) + len(style.sep)
        out += [line[k:] for line in lines[i:j]]
        i, n = j, n + j - i
    return out


class LineNumberCodec:
    """The fold. One style a text; lines numbered in another stay as they are."""

    name = "numbering"

    def encode(self, text: str) -> str | None:
        """See `LosslessCodec.encode`."""
        style = find_style(text)
        if style is None or NOTE in text or END in text:
            return None
        lines = text.split("\n")
        breaks = re.compile(_BREAK).match
        out: list[str] = []
        at = 0  # lines[:at] are written
        for w in windows(lines, style):
            if not out:
                if w.stop - w.start == 1:
                    continue
                out += [*lines[:at], *lines[at : w.start], NOTE]
            elif w.start > at:
                if not breaks(lines[at]):
                    out.append(END)
                out += lines[at : w.start]
            out += _thinned(lines, w, style)
            at = w.stop
        if not out:
            return None
        if at < len(lines):
            if not breaks(lines[at]):
                out.append(END)
            out += lines[at:]
        return verified(self, text, "\n".join(out))

    def most_saved(self, text: str) -> int:
        """See `LosslessCodec.most_saved`."""
        if find_style(text) is None:
            return 0
        heads = _HEADS.findall(f"\n{text}")
        return len("".join(heads)) + (_MAX_SEP - 1) * len(heads)  # the line end is one

    def decode(self, encoded: str) -> str:
        """See `LosslessCodec.decode`."""
        before, _, body = f"\n{encoded}".partition(f"\n{NOTE}\n")
        m = _NUMBER.match(body)
        if m is None:
            return encoded
        style = _style(m)
        marks = re.compile(rf"\n(?:{_number(style)}|({re.escape(END)}(?=\n|\Z))|{_BREAK})")
        body = f"\n{body}"
        found = list(marks.finditer(body))
        stops = [m.start() for m in found[1:]] + [len(body)]
        stretches = [_thick(body, mark, stop, style) for mark, stop in zip(found, stops, strict=True)]
        return (before + "".join(stretches))[1:]


def _thinned(lines: list[str], w: NumberedLines, style: LineNumberStyle) -> list[str]:
    """The lines of a window, most of them without their numbers."""
    full = lines[w.start : w.stop]
    out = contents(lines, w, style)
    out[0] = full[0]
    tenth = -w.number % EVERY
    out[tenth::EVERY] = full[tenth::EVERY]
    if _SPEAKS.search("\n".join(out), len(out[0])):
        for i, line in enumerate(out):
            if line.lstrip(" \t")[:1] in _SPEAKING:
                out[i] = full[i]
    return out


def _thick(body: str, mark: re.Match[str], stop: int, style: LineNumberStyle) -> str:
    r"""The stretch from a mark to the next as it was, each line after a `\\n`."""
    if mark[1] is None:
        return body[mark.end() if mark[2] else mark.start() : stop]
    first, *rest = body[mark.start() + 1 : stop].split("\n")
    return "\n".join(["", first, *map(add, style.heads(int(mark[1]) + 1, len(rest)), rest)])

"""Reads and removes the line numbers that file viewers print before the lines of a file."""

from __future__ import annotations

import re

from compressor.native import load_kernel
from compressor.text.segmenters.lines import line_starts

#: A line number: `12:`, `   12\t`, `12| `, `12→`
NUMBER = re.compile(r"[ \t]{0,8}(\d{1,7})(?::(?!\d)|\t|[ ]?[|│][ ]?|→)")

_kernel = load_kernel("numbered_lines")


def number_lines(text: str) -> tuple[list[int], list[int]]:
    """Returns where each line begins, and the number that it begins with or -1."""
    if _kernel is not None:
        found: tuple[list[int], list[int]] = _kernel.number_lines(text)
        return found
    return number_lines_slowly(text)


def leading_numbers(lines: list[str]) -> list[int]:
    """Returns the number that each line begins with, or -1."""
    if _kernel is not None:
        found: list[int] = _kernel.leading_numbers(lines)
        return found
    return leading_numbers_slowly(lines)


def without_numbers(text: str, start: int, stop: int) -> str:
    """Returns the lines between two offsets, which all have numbers, without the numbers."""
    if _kernel is not None:
        found: str = _kernel.without_numbers(text, start, stop)
        return found
    return without_numbers_slowly(text, start, stop)


def number_lines_slowly(text: str) -> tuple[list[int], list[int]]:
    """The same as `number_lines` in Python."""
    starts = line_starts(text).tolist()
    match = NUMBER.match
    return starts, [int(m.group(1)) if (m := match(text, start)) else -1 for start in starts]


def leading_numbers_slowly(lines: list[str]) -> list[int]:
    """The same as `leading_numbers` in Python."""
    return [int(m.group(1)) if (m := NUMBER.match(line)) else -1 for line in lines]


def without_numbers_slowly(text: str, start: int, stop: int) -> str:
    """The same as `without_numbers` in Python."""
    lines = text[start:stop].removesuffix("\n").split("\n")
    return "\n".join([NUMBER.sub("", line.rstrip("\r\n"), count=1) for line in lines])

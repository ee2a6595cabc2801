"""Cuts docstrings and block comments into lines, so that one that answers can stay without the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence

SHORT_DOCSTRING = 3  # rows; a comment up to this long stays whole
LONG_STATEMENT = 8  # rows; a longer literal, string or call is cut at its entries
WRAPPED_WIDTH = 48  # characters; a line at least this long without a full stop goes on in the next one

_PREFIX = re.compile(r"[ \t]*(?:/\*+|\*+/?|//+!?|#+|--+|;+|%+)?[ \t]*")
_ENTRY = re.compile(r"(?:[-*+•]|\d{1,2}[.)]|[@:\\]\w)[ \t]*\S|[\w.*`\[\], ()|-]{1,40}:(?:\s|$)|>>>|\.\. ")


def docstring_rows(lines: Sequence[str], first: int, last: int) -> list[int]:
    """The rows between `first` and `last` at which a statement of a comment begins: a sentence, entry or paragraph.

    Args:
        lines: The lines of the code.
        first: The row on which the comment opens. It is not returned.
        last: The row on which it closes. It is not returned either.
    """
    out: list[int] = []
    before = ""
    for row in range(first, last):
        text = lines[row][_prefix(lines[row]) :].strip()
        if row > first and text and not _continues(before, text):
            out.append(row)
        before = text
    return out


def _continues(before: str, text: str) -> bool:
    """Whether a line carries on the sentence that the line before it did not end."""
    return len(before) >= WRAPPED_WIDTH and before[-1] not in ".!?:;。" and _ENTRY.match(text) is None


def _prefix(line: str) -> int:
    m = _PREFIX.match(line)
    return m.end() if m else 0


def literal_rows(lines: Sequence[str], first: int, last: int) -> list[int]:
    """The rows between `first` and `last` at which an entry of a long literal or call begins: the least indented."""
    inner = enumerate(lines[first + 1 : last], first + 1)
    indents = {row: len(line) - len(line.lstrip()) for row, line in inner if line.strip()}
    if not indents:
        return []
    least = min(indents.values())
    return [row for row, indent in indents.items() if indent == least and lines[row].lstrip()[0] not in ")]}"]

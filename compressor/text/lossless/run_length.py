"""Writes runs once, with a count: equal lines, blank lines, rulers and padding.

    Cloning test database ...          [90 blank lines]          |[= ×400]|
    [line above ×45]

Tokenizers spend one token on dozens of spaces, dashes or line ends, so only long runs are worth a note.
"""

from __future__ import annotations

import re
from operator import eq

from compressor.text.lossless.base import verified

MIN_EQUAL_LINES = 3
MIN_BLANK_LINES = 80
MIN_EQUAL_CHARS = 160
NOTE_COST = 16  # characters that equal lines must save: about what the note's five tokens are worth

_NOTES = re.compile(r"^\[line above ×\d+\]$|^\[\d+ blank lines\]$|\[(?:.|space) ×\d+\]", re.M)
_LINES = re.compile(r"\[line above ×(\d{1,9})\]\Z")
_BLANKS = re.compile(r"\[(\d{1,9}) blank lines\]\Z")
_CHARS = re.compile(r"\[(.|space) ×(\d{1,9})\]")
_WIDE = re.compile(rf"([^\n])\1{{{MIN_EQUAL_CHARS - 1},}}")
_STRIDE = MIN_EQUAL_CHARS // 2


class RunLengthCodec:
    """Writes runs of equal lines, blank lines and characters once."""

    name = "runs"

    def encode(self, text: str) -> str | None:
        """See `LosslessCodec.encode`."""
        lines = text.split("\n")
        same = list(map(eq, lines, lines[1:]))
        out: list[str] = []
        at = i = 0
        while True:
            try:
                i = same.index(True, i)
            except ValueError:
                break
            try:
                stop = same.index(False, i) + 1
            except ValueError:
                stop = len(lines)
            line, size = lines[i], stop - i
            if (
                (size >= MIN_EQUAL_LINES and (size - 1) * (len(line) + 1) > NOTE_COST)
                if line
                else size >= MIN_BLANK_LINES
            ):
                out += lines[at:i]
                out += [line, f"[line above ×{size}]"] if line else [f"[{size} blank lines]"]
                at = stop
            i = stop
        folded = "\n".join(out + lines[at:]) if at else text
        if _wide(text):
            folded = _WIDE.sub(_shorten, folded)
        if folded is text or (("×" in text or "blank lines" in text) and _NOTES.search(text)):
            return None
        return verified(self, text, folded)

    def most_saved(self, text: str) -> int:
        """See `LosslessCodec.most_saved`."""
        lines = text.split("\n")
        return len(text) if any(map(eq, lines, lines[1:])) or _wide(text) else 0

    def decode(self, encoded: str) -> str:
        """See `LosslessCodec.decode`."""
        out: list[str] = []
        for line in _CHARS.sub(_lengthen, encoded).split("\n"):
            if line[:1] == "[":
                m = _LINES.match(line)
                if m and out:
                    out += [out[-1]] * (int(m[1]) - 1)
                    continue
                m = _BLANKS.match(line)
                if m:
                    out += [""] * int(m[1])
                    continue
            out.append(line)
        return "\n".join(out)


def _wide(text: str) -> bool:
    """Whether a character occurs `MIN_EQUAL_CHARS` times in a row; such a run holds two samples, `_STRIDE` apart."""
    sample = text[::_STRIDE]
    pairs = enumerate(map(eq, sample, sample[1:]))
    return any(equal and text.startswith(sample[i] * _STRIDE, i * _STRIDE) for i, equal in pairs)


def _shorten(m: re.Match[str]) -> str:
    char = "space" if m[1] == " " else m[1]
    return f"[{char} ×{len(m[0])}]"


def _lengthen(m: re.Match[str]) -> str:
    return (" " if m[1] == "space" else m[1]) * int(m[2])

"""Writes the words that log lines share once, then the values of each line, in the order of the log.

    [log lines by template: "A: x y" is A with <1> = x, <2> = y]
    [A: 2015-07-29 <1> - INFO  [main:Server@595] - Established session <2> for client <3>]
    A: 21:34:45,452 0x14ed93111f20027 /10.10.34.13:37177
    2015-07-29 21:34:46,001 - ERROR [main:Server@180] - Unexpected Exception:
    A: 21:34:48,285 0x14ed93111f2002b /10.10.34.22:47073

A value is a piece without spaces that holds a digit. A value that all lines of a template have stays in its words; one
that many have (a date, say) stays in the words of a template of its own. Lines without a template stay as they are.
Only texts whose lines begin alike (a time, a host), and of which enough is saved, are encoded.

This is our own code because drain3 clusters lines but cannot give the exact text back.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from compressor.text.lossless.base import verified

NOTE = '[log lines by template: "A: x y" is A with <1> = x, <2> = y]'
MIN_LINES = 4  # lines of one template
MIN_SAVED_FRACTION = 0.15  # of the text that must be saved: an encoded log is harder to read
HEADER_COST = 8  # characters of a template's line beside its words

_HOLE = "\0"
_DELIMITERS = r"""\s,;=()\[\]{}<>"'|\0"""
_VALUE = re.compile(rf"(?<![^{_DELIMITERS}])([^\d{_DELIMITERS}]*\d[^{_DELIMITERS}]*(?:,\d+)*)")
_SLOT = re.compile(r"<([1-9]\d{0,2})>")
_ROW = re.compile(r"([A-Z]{1,2}):((?: \S+)*)\Z")
_TEMPLATE = re.compile(r"\[([A-Z]{1,2}): (.*)\]\Z", re.S)

_NAMES = [*ascii_uppercase, *(a + b for a in ascii_uppercase for b in ascii_uppercase)]
_STARTS = re.compile(r"^.{14}", re.M)
_SAMPLE = 1500  # characters, about 15 lines
_SHAPE = str.maketrans("123456789", "000000000")


class LogTemplate(NamedTuple):
    """A template of log lines.

    Attributes:
        words: The shared text with `<1>`, `<2>`, ... in place of values.
        slots: The columns of the values.
        rows: The indices of its lines.
    """

    words: str
    slots: list[int]
    rows: list[int]


class LogTemplateCodec:
    """Writes the shared words of log lines once."""

    name = "templates"

    def encode(self, text: str) -> str | None:
        """See `LosslessCodec.encode`."""
        if _HOLE in text or NOTE in text or not _begins_alike(text):
            return None
        lines = text.split("\n")
        parts = _VALUE.split(text)  # words, value, words, ..., value, words
        shapes = _HOLE.join(parts[::2]).split("\n")
        pieces = parts[1::2]
        values: list[list[str]] = []
        makes: defaultdict[str, list[int]] = defaultdict(list)
        at = 0
        for i, shape in enumerate(shapes):
            to = at + shape.count(_HOLE)
            values.append(pieces[at:to])
            makes[shape].append(i)
            at = to
        found: list[LogTemplate] = []
        for shape, rows in makes.items():
            if len(rows) >= MIN_LINES and _HOLE in shape:
                found += _templates(shape.split(_HOLE), rows, values, lines)
        found.sort(key=lambda t: t.rows[0])
        head = [NOTE]
        for name, (words, slots, rows) in zip(_NAMES, found, strict=False):
            head.append(f"[{name}: {words}]")
            for i in rows:
                of = values[i]
                lines[i] = " ".join([f"{name}:", *[of[slot] for slot in slots]])
        folded = "\n".join(head + lines)
        return verified(self, text, folded) if len(folded) <= (1 - MIN_SAVED_FRACTION) * len(text) else None

    def most_saved(self, text: str) -> int:
        """See `LosslessCodec.most_saved`."""
        return len(text) if _begins_alike(text) else 0

    def decode(self, encoded: str) -> str:
        """See `LosslessCodec.decode`."""
        lines = encoded.split("\n")
        if lines[0] != NOTE:
            return encoded
        formats: dict[str, tuple[str, int]] = {}
        at = 1
        for name, line in zip(_NAMES, lines[1:], strict=False):
            m = _TEMPLATE.match(line)
            if m is None or m[1] != name:
                break
            slots = max((int(n) for n in _SLOT.findall(m[2])), default=0)
            escaped = m[2].replace("{", "{{").replace("}", "}}")
            formats[name] = _SLOT.sub(lambda s: f"{{{int(s[1]) - 1}}}", escaped), slots
            at += 1
        out = lines[at:]
        for i, line in enumerate(out):
            m = _ROW.match(line)
            if m and m[1] in formats:
                words, slots = formats[m[1]]
                row = m[2].split()
                if len(row) == slots:
                    out[i] = words.format(*row)
        return "\n".join(out)


def _begins_alike(text: str) -> bool:
    """Whether two fifths of the lines in the middle of a text begin alike, digits aside, with four digits or more.

    It is a log. The gutter of a numbered file does not count: it is followed by spaces, or by something else each time.
    """
    middle = max(0, (len(text) - _SAMPLE) // 2)
    starts = _STARTS.findall(text, middle, middle + _SAMPLE)
    if len(starts) < MIN_LINES:
        return False
    shape, count = Counter("\n".join(starts).translate(_SHAPE).split("\n")).most_common(1)[0]
    return count >= 0.4 * len(starts) and shape.count("0") >= 4 and "   " not in shape


def _templates(
    shape: Sequence[str], rows: list[int], values: Sequence[Sequence[str]], lines: Sequence[str]
) -> Iterator[LogTemplate]:
    """The templates of all lines of one shape: one, or one for each frequent value of a column if that saves more."""
    columns = list(zip(*[values[i] for i in rows], strict=True))
    words, slots, written = [shape[0]], list[int](), 0
    for c, (column, after) in enumerate(zip(columns, shape[1:], strict=True)):
        if column.count(column[0]) == len(column):
            words.append(column[0])
        else:
            twin = next((s for s in slots if columns[s] == column), c)
            if twin == c:
                slots.append(c)
            words.append(f"<{slots.index(twin) + 1}>")
            written += 1
        words.append(after)
    sentence = "".join(words)
    best, by = 0, -1
    for c in slots:
        counts = Counter(columns[c])
        if len(counts) > len(rows) // 2:
            continue
        gain = len(sentence) + HEADER_COST
        for value, n in counts.items():
            gain += n * (len(value) + 1) - len(sentence) - HEADER_COST if n >= MIN_LINES else -n * len(sentence)
        if gain > best:
            best, by = gain, c
    if by >= 0:
        parts: defaultdict[str, list[int]] = defaultdict(list)
        for i, value in zip(rows, columns[by], strict=True):
            parts[value].append(i)
        for part in parts.values():
            if len(part) >= MIN_LINES:
                yield from _templates(shape, part, values, lines)
        return
    saved = sum(len(lines[i]) - 3 - sum(len(values[i][s]) + 1 for s in slots) for i in rows)
    if saved > len(sentence) + HEADER_COST and len(_SLOT.findall(sentence)) == written:
        yield LogTemplate(sentence, slots, rows)

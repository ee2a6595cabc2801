"""Replaces what an earlier tool output of the same context already holds by a note, for example a file printed again.

    [tool result 7 again]                                       all of it
    [lines 290-340 of tool result 7 again]                      lines with these printed numbers
    [lines 286-336 of tool result 7 again, now 290-340]         the same lines, numbered anew
    [12 lines of tool result 7 again, from its line 30]         lines without numbers, counted from 1

Tool results are counted from 1 in the context, and a note means their original text, however that was encoded. Only
whole lines are matched, four or more in a row. This codec is applied before those for one text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from compressor.text.lossless.line_index import new_line_index
from compressor.text.lossless.line_numbers import NumberedLines, contents
from compressor.text.lossless.numbered_text import NumberedText

MIN_LINES = 4  # lines in a run
MAX_CANDIDATES = 8  # the newest places kept for each four lines; bounds the work where lines repeat without end
MIN_RUN_CHARS = 80  # characters without indentation that a run must have: a note takes 12 to 20 tokens

_NUMBERED = r"\[lines (\d{1,7})-(\d{1,7}) of tool result (\d{1,9}) again(?:, now (\d{1,7})-\d{1,7})?\]"
_PLAIN = r"\[(\d{1,9}) lines of tool result (\d{1,9}) again, from its line (\d{1,9})\]"
_NOTE = re.compile(rf"^(?:{_NUMBERED}|{_PLAIN})(?=\n|\Z)", re.M)
_WHOLE = re.compile(r"^\[tool result (\d{1,9}) again\](?=\n|\Z)", re.M)


@dataclass(frozen=True, slots=True)
class BackReferenceSource:
    r"""Where a replaced run stands in full.

    Attributes:
        label: The number of the tool result, from 1.
        start: The first line of its original text, from 0, split at `\\n`.
        stop: The line after the last.
    """

    label: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class BackReferencedText:
    """An encoded text and the sources of its notes, in order."""

    text: str
    sources: tuple[BackReferenceSource, ...]


class BackReferenceCodec:
    """Encodes the tool outputs of one context in order: `encode` each against those before it, then `add` it.

    Work and memory grow linearly with the text added.
    """

    def __init__(self) -> None:
        self._texts: dict[int, NumberedText] = {}
        self._labels: dict[str, int] = {}  # whole texts to the first label that has them
        self._order: list[int] = []  # labels, in the order of the index
        self._index = new_line_index()
        self._parsed: NumberedText | None = None  # by `encode`, for the `add` that follows
        self.texts: list[str] = []  # all texts, in order

    def add(self, label: int, text: str) -> None:
        """Registers the original text of tool result `label`; raises ValueError if the label was used before."""
        if label in self._texts:
            raise ValueError(f"tool result {label} was added before")
        parsed = self._texts[label] = self._parse(text)
        self._labels.setdefault(text, label)
        self._order.append(label)
        self._index.add(parsed)
        self.texts.append(text)

    def truncate(self, count: int) -> None:
        """Forgets all texts but the first `count`, and the lines that were only looked for."""
        while len(self.texts) > count:
            label, text = self._order.pop(), self.texts.pop()
            del self._texts[label]
            if self._labels[text] == label:
                del self._labels[text]
        self._index.truncate(count)
        self._parsed = None

    @property
    def size(self) -> int:
        """Returns about how many bytes the codec takes."""
        return self._index.size + 2 * sum(map(len, self.texts))

    def encode(self, text: str) -> BackReferencedText | None:
        """Returns the text with notes for repeated lines, verified by decoding, or None if nothing is gained."""
        if "tool result" in text and (_NOTE.search(text) or _WHOLE.search(text)):
            return None
        label = self._labels.get(text)
        if label is not None:
            note = f"[tool result {label} again]"
            whole = BackReferenceSource(label, 0, text.count("\n") + 1)
            return BackReferencedText(note, (whole,)) if len(text) > 2 * len(note) else None
        if not self.texts:
            return None
        parsed = self._parse(text)
        self._index.read(parsed)
        i, place = self._index.find(0)
        if place < 0:
            return None
        lines = parsed.lines
        out: list[str] = []
        sources: list[BackReferenceSource] = []
        done = 0
        while place >= 0:
            source, note = self._longest(parsed, i, place)
            size = source.stop - source.start
            if size < MIN_LINES or sum(map(len, map(str.strip, lines[i : i + size]))) < MIN_RUN_CHARS:
                i += max(1, size - MIN_LINES + 1)
            else:
                out += lines[done:i]
                out.append(note)
                sources.append(source)
                done = i = i + size
            i, place = self._index.find(i)
        folded = "\n".join(out + lines[done:])
        if len(folded) >= len(text) or _decode(folded, self._texts.__getitem__) != text:
            return None
        return BackReferencedText(folded, tuple(sources))

    def decode(self, encoded: str, lookup: Callable[[int], str]) -> str:
        """Returns the original of an encoded text; `lookup` returns the original text of a tool result by its label."""
        texts: dict[int, NumberedText] = {}

        def text_of(label: int) -> NumberedText:
            if label not in texts:
                texts[label] = NumberedText(lookup(label))
            return texts[label]

        return _decode(encoded, text_of)

    def _parse(self, text: str) -> NumberedText:
        if self._parsed is None or self._parsed.text is not text:
            self._parsed = NumberedText(text)
        return self._parsed

    def _longest(self, parsed: NumberedText, i: int, place: int) -> tuple[BackReferenceSource, str]:
        """The longest run from line `i` on that also stands at `place` or an older place, and its note.

        Of equally long runs the newest wins. A run stays within one window, or outside of all, in both texts. It may be
        shorter than `MIN_LINES`.
        """
        window, stop = parsed.around(i)
        best, note = BackReferenceSource(0, 0, 0), ""
        for _ in range(MAX_CANDIDATES):
            ordinal, start = self._index.locate(place)
            label = self._order[ordinal]
            text = self._texts[label]
            there, there_stop = text.around(start)
            size = self._index.common(i, place, min(stop - i, there_stop - start))
            if size > best.stop - best.start:
                shift = _number(window, i) - _number(there, start)
                if there and text.numbered(_number(there, start), _number(there, start + size - 1)) == there:
                    note = _numbered_note(label, _number(there, start), size, shift)
                    best = BackReferenceSource(label, start, start + size)
                elif not shift:
                    note = f"[{size} lines of tool result {label} again, from its line {start + 1}]"
                    best = BackReferenceSource(label, start, start + size)
            place = self._index.older(place)
            if place < 0:
                break
        return best, note


def _number(window: NumberedLines | None, line: int) -> int:
    return window.number + line - window.start if window else 0


def _numbered_note(label: int, first: int, size: int, shift: int) -> str:
    last = first + size - 1
    now = f", now {first + shift}-{last + shift}" if shift else ""
    return f"[lines {first}-{last} of tool result {label} again{now}]"


def _decode(folded: str, text_of: Callable[[int], NumberedText]) -> str:
    whole = _WHOLE.fullmatch(folded)
    return text_of(int(whole[1])).text if whole else _NOTE.sub(lambda m: _unfolded(m, text_of), folded)


def _unfolded(m: re.Match[str], text_of: Callable[[int], NumberedText]) -> str:
    first, last, label, now, size, plain_label, line = (int(g) if g else -1 for g in m.groups())
    if size >= 0:
        return "\n".join(text_of(plain_label).lines[line - 1 : line - 1 + size])
    text = text_of(label)
    window = text.numbered(first, last)
    if window is None or text.style is None:
        return m[0]
    start = window.start + first - window.number
    stop = start + last - first + 1
    if now < 0:
        return "\n".join(text.lines[start:stop])
    heads = text.style.heads(now, stop - start)
    return "\n".join(map(str.__add__, heads, contents(text.lines, NumberedLines(start, stop, first), text.style)))

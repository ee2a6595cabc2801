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
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from compressor.text.lossless.line_numbers import LineNumberStyle, NumberedLines, contents, find_style, windows

MIN_LINES = 4  # lines in a run
MAX_CANDIDATES = 8  # the newest places kept for each four lines; bounds the work where lines repeat without end
MIN_RUN_CHARS = 80  # characters without indentation that a run must have: a note takes 12 to 20 tokens
_LINE_BYTES = 250  # of one line with its id, its place and the four lines from it on

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


class _Text:
    """A text split into lines, and its numbered windows of two lines and more."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.style = find_style(text)
        found = windows(self.lines, self.style) if self.style else ()
        self.windows = [w for w in found if w.stop - w.start > 1]

    @cached_property
    def starts(self) -> list[int]:
        return [w.start for w in self.windows]

    def around(self, line: int) -> tuple[NumberedLines | None, int]:
        """The window that holds a line, if any, and where that window (or the stretch without one) stops."""
        k = bisect_right(self.starts, line)
        if k and line < self.windows[k - 1].stop:
            return self.windows[k - 1], self.windows[k - 1].stop
        return None, self.windows[k].start if k < len(self.windows) else len(self.lines)

    def numbered(self, first: int, last: int) -> NumberedLines | None:
        """The first window that holds the lines numbered `first` to `last`."""
        return next((w for w in self.windows if w.number <= first and last < w.number + w.stop - w.start), None)


class BackReferenceCodec:
    """Encodes the tool outputs of one context in order: `encode` each against those before it, then `add` it.

    Work and memory grow linearly with the text added.
    """

    def __init__(self) -> None:
        self._texts: dict[int, _Text] = {}
        self._labels: dict[str, int] = {}  # whole texts to the first label that has them
        self._fresh = fresh = count().__next__
        self._ids: defaultdict[LineNumberStyle | None, defaultdict[str, int]] = defaultdict(lambda: defaultdict(fresh))
        self._all: list[int] = []  # line ids of all texts, each text closed by -1
        self._starts: list[int] = []  # where each text starts in _all
        self._order: list[int] = []  # labels, in step with _starts
        self._newest: dict[tuple[int, int, int, int], int] = {}  # four line ids to their newest place in _all
        self._older: list[int] = []  # the place before, for each place in _all; -1 for none
        self._newest_ids: list[int] = []  # in step with _starts: a number above the line ids so far
        self._parsed: tuple[_Text, list[int]] | None = None  # by `encode`, for the `add` that follows
        self.texts: list[str] = []  # all texts, in order

    def add(self, label: int, text: str) -> None:
        """Registers the original text of tool result `label`; raises ValueError if the label was used before."""
        if label in self._texts:
            raise ValueError(f"tool result {label} was added before")
        parsed, ids = self._parse(text)
        self._texts[label] = parsed
        self._labels.setdefault(text, label)
        base = len(self._all)
        self._starts.append(base)
        self._order.append(label)
        self._all += ids
        self._all.append(-1)
        newest, older = self._newest, self._older
        for place, gram in enumerate(_grams(ids), base):
            older.append(newest.get(gram, -1))
            newest[gram] = place
        older += [-1] * (len(self._all) - len(older))
        self._newest_ids.append(self._fresh())
        self.texts.append(text)

    def truncate(self, count: int) -> None:
        """Forgets all texts but the first `count`, and the lines that were only looked for."""
        while len(self.texts) > count:
            base, label, text = self._starts.pop(), self._order.pop(), self.texts.pop()
            self._newest_ids.pop()
            for place, gram in reversed(list(enumerate(_grams(self._all[base:-1]), base))):
                if self._older[place] < 0:
                    del self._newest[gram]
                else:
                    self._newest[gram] = self._older[place]
            del self._all[base:], self._older[base:], self._texts[label]
            if self._labels[text] == label:
                del self._labels[text]
        newest = self._newest_ids[-1] if self._newest_ids else -1
        for ids in self._ids.values():
            while ids and next(reversed(ids.values())) > newest:
                ids.popitem()
        self._parsed = None

    @property
    def size(self) -> int:
        """Returns about how many bytes the codec takes."""
        return _LINE_BYTES * len(self._all) + 2 * sum(map(len, self.texts))

    def encode(self, text: str) -> BackReferencedText | None:
        """Returns the text with notes for repeated lines, verified by decoding, or None if nothing is gained."""
        if "tool result" in text and (_NOTE.search(text) or _WHOLE.search(text)):
            return None
        label = self._labels.get(text)
        if label is not None:
            note = f"[tool result {label} again]"
            whole = BackReferenceSource(label, 0, len(self._texts[label].lines))
            return BackReferencedText(note, (whole,)) if len(text) > 2 * len(note) else None
        if not self._newest:
            return None
        parsed, ids = self._parse(text)
        lines = parsed.lines
        out: list[str] = []
        sources: list[BackReferenceSource] = []
        done = i = 0
        grams = _grams(ids)
        get = self._newest.get
        while i < len(grams):
            place = get(grams[i])
            if place is None:
                i += 1
                continue
            source, note = self._longest(parsed, ids, i, place)
            size = source.stop - source.start
            if size < MIN_LINES or sum(map(len, map(str.strip, lines[i : i + size]))) < MIN_RUN_CHARS:
                i += max(1, size - MIN_LINES + 1)
                continue
            out += lines[done:i]
            out.append(note)
            sources.append(source)
            done = i = i + size
        folded = "\n".join(out + lines[done:])
        if len(folded) >= len(text) or _decode(folded, self._texts.__getitem__) != text:
            return None
        return BackReferencedText(folded, tuple(sources))

    def decode(self, encoded: str, lookup: Callable[[int], str]) -> str:
        """Returns the original of an encoded text; `lookup` returns the original text of a tool result by its label."""
        texts: dict[int, _Text] = {}

        def text_of(label: int) -> _Text:
            if label not in texts:
                texts[label] = _Text(lookup(label))
            return texts[label]

        return _decode(encoded, text_of)

    def _parse(self, text: str) -> tuple[_Text, list[int]]:
        """The text and an id for each line; the id of a numbered line is that of its content in its style."""
        if self._parsed is not None and self._parsed[0].text is text:
            return self._parsed
        parsed = _Text(text)
        lines, style = parsed.lines, parsed.style
        plain = self._ids[None].__getitem__
        ids: list[int] = []
        if style is not None:
            numbered = self._ids[style].__getitem__
            for w in parsed.windows:
                ids += map(plain, lines[len(ids) : w.start])
                ids += map(numbered, contents(lines, w, style))
        ids += map(plain, lines[len(ids) :])
        self._parsed = parsed, ids
        return self._parsed

    def _longest(self, parsed: _Text, ids: list[int], i: int, place: int) -> tuple[BackReferenceSource, str]:
        """The longest run from line `i` on that also stands at `place` or an older place, and its note.

        Of equally long runs the newest wins. A run stays within one window, or outside of all, in both texts. It may be
        shorter than `MIN_LINES`.
        """
        window, stop = parsed.around(i)
        best, note = BackReferenceSource(0, 0, 0), ""
        for _ in range(MAX_CANDIDATES):
            k = bisect_right(self._starts, place) - 1
            label, start = self._order[k], place - self._starts[k]
            text = self._texts[label]
            there, there_stop = text.around(start)
            size = _common(ids, i, self._all, place, min(stop - i, there_stop - start))
            if size > best.stop - best.start:
                shift = _number(window, i) - _number(there, start)
                if there and text.numbered(_number(there, start), _number(there, start + size - 1)) == there:
                    note = _numbered_note(label, _number(there, start), size, shift)
                    best = BackReferenceSource(label, start, start + size)
                elif not shift:
                    note = f"[{size} lines of tool result {label} again, from its line {start + 1}]"
                    best = BackReferenceSource(label, start, start + size)
            place = self._older[place]
            if place < 0:
                break
        return best, note


def _grams(ids: list[int]) -> list[tuple[int, int, int, int]]:
    return list(zip(ids, ids[1:], ids[2:], ids[3:], strict=False))


def _number(window: NumberedLines | None, line: int) -> int:
    return window.number + line - window.start if window else 0


def _numbered_note(label: int, first: int, size: int, shift: int) -> str:
    last = first + size - 1
    now = f", now {first + shift}-{last + shift}" if shift else ""
    return f"[lines {first}-{last} of tool result {label} again{now}]"


def _common(a: list[int], i: int, b: list[int], j: int, limit: int) -> int:
    """How many elements from a[i] on equal those from b[j] on, at most `limit`."""
    size = 0
    while size < limit:
        step = min(64, limit - size)
        x, y = a[i + size : i + size + step], b[j + size : j + size + step]
        if x != y:
            return size + next(k for k, (p, q) in enumerate(zip(x, y, strict=True)) if p != q)
        size += step
    return size


def _decode(folded: str, text_of: Callable[[int], _Text]) -> str:
    whole = _WHOLE.fullmatch(folded)
    return text_of(int(whole[1])).text if whole else _NOTE.sub(lambda m: _unfolded(m, text_of), folded)


def _unfolded(m: re.Match[str], text_of: Callable[[int], _Text]) -> str:
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

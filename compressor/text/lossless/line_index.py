"""Finds where four lines of a text stand in the texts before it. Numbered lines are equal if what they number is.

`compressor.native.line_index` does the same, faster and in a quarter of the memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import count
from typing import Protocol

from compressor.native import load_kernel
from compressor.text.lossless.line_numbers import LineNumberStyle, contents
from compressor.text.lossless.numbered_text import NumberedText


class LineIndex(Protocol):
    """The lines of several texts, in order. A place is the number of a line among all of them."""

    @property
    def size(self) -> int:
        """Returns about how many bytes the index takes."""
        ...

    def add(self, text: NumberedText) -> None:
        """Adds a text behind the others."""
        ...

    def truncate(self, count: int) -> None:
        """Forgets all texts but the first `count`, and the text that was read last."""
        ...

    def read(self, text: NumberedText) -> None:
        """Makes this the text that `find` and `common` look at."""
        ...

    def find(self, line: int) -> tuple[int, int]:
        """Returns the first line from `line` on that begins four known ones, and their newest place; else (-1, -1)."""
        ...

    def older(self, place: int) -> int:
        """Returns the last place before this one with the same four lines, or -1."""
        ...

    def locate(self, place: int) -> tuple[int, int]:
        """Returns which text a place is in, from 0, and which line of it."""
        ...

    def common(self, line: int, place: int, limit: int) -> int:
        """Returns how many lines from `line` on equal those from `place` on, at most `limit`."""
        ...


class DictLineIndex:
    """The index in Python: gives each line an id, and holds the newest place of each four ids in a dict."""

    _LINE_BYTES = 250  # of one line with its id, its place and the four lines from it on

    def __init__(self) -> None:
        self._fresh = fresh = count().__next__
        self._ids: defaultdict[LineNumberStyle | None, defaultdict[str, int]] = defaultdict(lambda: defaultdict(fresh))
        self._all: list[int] = []  # line ids of all texts
        self._starts: list[int] = []  # where each text starts in _all
        self._newest: dict[tuple[int, int, int, int], int] = {}  # four line ids to their newest place in _all
        self._older: list[int] = []  # the place before, for each place in _all; -1 for none
        self._newest_ids: list[int] = []  # in step with _starts: a number above the line ids so far
        self._read_text: NumberedText | None = None
        self._read_ids: list[int] = []
        self._read_grams: list[tuple[int, int, int, int]] = []

    @property
    def size(self) -> int:
        """See `LineIndex.size`."""
        return self._LINE_BYTES * len(self._all)

    def add(self, text: NumberedText) -> None:
        """See `LineIndex.add`."""
        self.read(text)
        base = len(self._all)
        self._starts.append(base)
        self._all += self._read_ids
        newest, older = self._newest, self._older
        for place, gram in enumerate(self._read_grams, base):
            older.append(newest.get(gram, -1))
            newest[gram] = place
        older += [-1] * (len(self._all) - len(older))
        self._newest_ids.append(self._fresh())

    def truncate(self, count: int) -> None:
        """See `LineIndex.truncate`."""
        while len(self._starts) > count:
            base = self._starts.pop()
            self._newest_ids.pop()
            for place, gram in reversed(list(enumerate(_grams(self._all[base:]), base))):
                if self._older[place] < 0:
                    del self._newest[gram]
                else:
                    self._newest[gram] = self._older[place]
            del self._all[base:], self._older[base:]
        newest = self._newest_ids[-1] if self._newest_ids else -1
        for ids in self._ids.values():
            while ids and next(reversed(ids.values())) > newest:
                ids.popitem()
        self._read_text, self._read_ids, self._read_grams = None, [], []

    def read(self, text: NumberedText) -> None:
        """See `LineIndex.read`."""
        if text is not self._read_text:
            self._read_text, self._read_ids = text, self._ids_of(text)
            self._read_grams = _grams(self._read_ids)

    def find(self, line: int) -> tuple[int, int]:
        """See `LineIndex.find`."""
        grams, newest = self._read_grams, self._newest
        while line < len(grams) and grams[line] not in newest:
            line += 1
        return (line, newest[grams[line]]) if line < len(grams) else (-1, -1)

    def older(self, place: int) -> int:
        """See `LineIndex.older`."""
        return self._older[place]

    def locate(self, place: int) -> tuple[int, int]:
        """See `LineIndex.locate`."""
        k = bisect_right(self._starts, place) - 1
        return k, place - self._starts[k]

    def common(self, line: int, place: int, limit: int) -> int:
        """See `LineIndex.common`."""
        a, b, size = self._read_ids, self._all, 0
        limit = min(limit, len(a) - line, len(b) - place)
        while size < limit:
            step = min(64, limit - size)
            x, y = a[line + size : line + size + step], b[place + size : place + size + step]
            if x != y:
                return size + next(k for k, (p, q) in enumerate(zip(x, y, strict=True)) if p != q)
            size += step
        return size

    def _ids_of(self, parsed: NumberedText) -> list[int]:
        """An id for each line; the id of a numbered line is that of its content in its style."""
        lines, style = parsed.lines, parsed.style
        plain = self._ids[None].__getitem__
        ids: list[int] = []
        if style is not None:
            numbered = self._ids[style].__getitem__
            for w in parsed.windows:
                ids += map(plain, lines[len(ids) : w.start])
                ids += map(numbered, contents(lines, w, style))
        ids += map(plain, lines[len(ids) :])
        return ids


def _grams(ids: list[int]) -> list[tuple[int, int, int, int]]:
    return list(zip(ids, ids[1:], ids[2:], ids[3:], strict=False))


_kernel = load_kernel("line_index")


def new_line_index() -> LineIndex:
    """Returns an empty index."""
    return DictLineIndex() if _kernel is None else _kernel.NativeLineIndex()

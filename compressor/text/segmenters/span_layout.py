"""The one concrete `SegmentedText`: a text tiled by units, and how it is written again from some of them.

Units tile the text: the first begins at 0, each ends where the next begins (separators belong to the unit before
them), so everything kept gives the source back. This module knows no kind of text; the segmenters do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters.base import Mask, Spans, UnitFlag

LONGEST = 1200  # characters; longer units of prose and lines are cut into pieces

# What is true of every piece of a unit; an error or a header is where it begins.
_LASTING = np.uint16(UnitFlag.NOISE | UnitFlag.COMMENT | UnitFlag.IMPORT)
_INDENT = re.compile(r"[ \t]*")
# What a cut may not fall into where there is no space to cut at: URLs, numbers and words, surrogate pairs.
_ATOM = re.compile(
    r"https?://[^\s\"'<>]+|\d[\d.,:]*\d|[A-Za-z0-9_]+|[\ud800-\udbff][\udc00-\udfff]|[\s\S][\u0300-\u036f\ufe0f\u200d]*"
)


@dataclass(slots=True, eq=False)
class SpanLayout:
    """See `SegmentedText`. `closes[i] >= 0` says that unit i (a closing brace) is kept whenever unit closes[i] is."""

    kind: str
    text: str
    spans: Spans
    parents: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]
    closes: npt.NDArray[np.int32] | None = None

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """No columns: rows are kept or left out whole."""
        return np.full(len(self.spans), -1, np.int32)

    @property
    def column_names(self) -> Sequence[str]:
        return ()

    @property
    def source_spans(self) -> Sequence[Sequence[tuple[int, int]]]:
        return [[(a, b)] for a, b in self.spans.tolist()]

    def closure(self, keep: Mask) -> Mask:
        """[n] what is really kept if `keep` is: the ancestors and the closers of kept units with them."""
        kept = np.array(keep, np.bool_)
        if kept.shape != (len(self.spans),):
            raise ValueError(f"keep has shape {kept.shape}, the layout has {len(self.spans)} units")
        closers = np.zeros(0, np.int64) if self.closes is None else np.flatnonzero(self.closes >= 0)
        fresh: npt.NDArray[np.intp] = np.flatnonzero(kept)
        while len(fresh):
            while len(fresh):
                up = self.parents[fresh]
                up = up[up >= 0]
                fresh = np.unique(up[~kept[up]])
                kept[fresh] = True
            if self.closes is not None:
                fresh = closers[kept[self.closes[closers]] & ~kept[closers]]
                kept[fresh] = True
        return kept

    def render(self, keep: Mask, gone: Spans | None = None) -> str:
        """The kept units, their ancestors and closers; `…` where a run of units with any text was left out. `gone`
        [k, 2], in order, are stretches of them that are left out without a sign."""
        kept = self.closure(keep)
        holes = [] if gone is None else gone.tolist()
        if kept.all() and not holes:
            return self.text
        text = self.text
        edges = np.concatenate(([0], np.flatnonzero(kept[1:] != kept[:-1]) + 1))
        cuts = self.spans[edges, 0].tolist()
        cuts.append(len(text))
        out: list[str] = []
        keeping = bool(kept[0])
        holes.reverse()
        for a, b in pairwise(cuts):
            if keeping:
                while holes and holes[-1][0] < b:
                    start, end = holes.pop()
                    out.append(text[a:start])
                    a = end
                out.append(text[a:b])
            else:
                out.append(_gap(text, a, b))
            keeping = not keeping
        return "".join(out)


def _gap(text: str, a: int, b: int) -> str:
    """What stands for text[a:b]: a line of its own where whole lines went, else an inline mark."""
    run = text[a:b]
    body = run.rstrip()
    tail = run[len(body) :]
    lines = min(tail.count("\n"), 2)
    end = ("\r\n" if "\r\n" in tail else "\n") * lines
    fresh_line = a == 0 or text[a - 1] == "\n"
    if not body:
        if fresh_line:
            return ""
        return end[-2:] if lines and "\r" in tail else end[:1] or (" " if not text[a - 1].isspace() and a else "")
    if fresh_line:
        indent = _INDENT.match(run)
        lead = indent.group() if indent else ""
    else:
        lead = "" if text[a - 1].isspace() else " "
    return lead + ELLIPSIS + (end or (" " if b < len(text) else ""))


def length_splits(text: str, a: int, b: int, longest: int = LONGEST) -> list[int]:
    """Offsets inside (a, b) that cut text[a:b] into pieces of at most `longest` characters: after spaces, else between
    words, numbers and URLs, else anywhere but inside a surrogate pair. Linear in b - a."""
    cuts: list[int] = []
    while b - a > longest:
        stop = a + longest
        window = text[a:stop]
        cut = a + max(window.rfind("\n"), window.rfind(" "), window.rfind("\t")) + 1
        if cut <= a:
            for m in _ATOM.finditer(text, a, min(b, stop + 2)):
                if m.end() > stop:
                    break
                cut = m.end()
        if cut <= a:
            cut = stop - ("\ud800" <= text[stop - 1] <= "\udbff")
        cuts.append(cut)
        a = cut
    return cuts


def build_layout(
    kind: str,
    text: str,
    starts: Sequence[int] | npt.NDArray[np.integer],
    parents: Sequence[int] | npt.NDArray[np.integer] | None = None,
    flags: Sequence[int] | npt.NDArray[np.integer] | None = None,
    closes: Sequence[int] | npt.NDArray[np.integer] | None = None,
    longest: int = LONGEST,
) -> SpanLayout:
    """A layout of units that begin at `starts` (ascending; what stands before the first belongs to it).

    parents, flags, closes: [n], see `SegmentedText` and `SpanLayout`. Units above `longest` characters (0 = no limit) are
    cut into pieces that keep their unit's parent; an ERROR or HEADER flag stays with the first piece."""
    first = np.asarray(starts, np.int32)
    n = len(first)
    if n:
        first = first.copy()
        first[0] = 0
    up = np.full(n, -1, np.int32) if parents is None else np.asarray(parents, np.int32)
    marks = np.zeros(n, np.uint16) if flags is None else np.asarray(flags, np.uint16)
    mates = None if closes is None else np.asarray(closes, np.int32)
    if mates is not None and not (mates >= 0).any():
        mates = None
    ends = np.append(first[1:], np.int32(len(text))).astype(np.int32) if n else first
    if longest and n:
        long = np.flatnonzero(ends - first > longest)
        if len(long):
            pieces = [length_splits(text, int(first[i]), int(ends[i]), longest) for i in long.tolist()]
            counts = np.ones(n, np.int64)
            counts[long] += [len(p) for p in pieces]
            place = (np.cumsum(counts) - counts).astype(np.int32)  # old unit -> its first piece
            origin = np.repeat(np.arange(n), counts)
            first = np.sort(np.concatenate([first, *(np.array(p, np.int32) for p in pieces)])).astype(np.int32)
            ends = np.append(first[1:], np.int32(len(text))).astype(np.int32)
            up = np.where(up[origin] >= 0, place[up[origin]], np.int32(-1)).astype(np.int32)
            whole = np.zeros(len(first), np.bool_)
            whole[place] = True
            marks = np.where(whole, marks[origin], marks[origin] & _LASTING).astype(np.uint16)
            if mates is not None:
                mates = np.where(mates[origin] >= 0, place[mates[origin]], np.int32(-1)).astype(np.int32)
    return SpanLayout(
        kind, text, np.stack((first, ends), axis=1) if n else np.zeros((0, 2), np.int32), up, marks, mates
    )

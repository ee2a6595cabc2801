"""The `SegmentedText` of most segmenters: units that tile the text.

The first unit begins at 0, and each ends where the next begins (separators belong to the unit before them), so keeping
everything gives the source back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from compressor.caches import held_bytes
from compressor.context.refs import ELLIPSIS
from compressor.native import load_kernel
from compressor.text.segmenters.base import Mask, Spans, UnitFlag
from compressor.text.segmenters.long_lines import (
    LONG_LINE,
    PAYLOAD_ALPHABET,
    PAYLOAD_CHARS,
    Piece,
    encoded_lines,
    split_unit,
)

MAX_UNIT_CHARS = 1200  # longer units of prose and lines are split

_LAYOUT_BYTES = 120  # of the object itself
# Flags that hold for every piece of a split unit; an error or a header holds for its first piece only.
_LASTING = np.uint16(UnitFlag.NOISE | UnitFlag.COMMENT | UnitFlag.IMPORT)
_INDENT = re.compile(r"[ \t]*")
# What a split may not fall into if there is no space to split at: URLs, numbers, words, surrogate pairs.
_ATOM = re.compile(
    r"https?://[^\s\"'<>]+|\d[\d.,:]*\d|[A-Za-z0-9_]+|[\ud800-\udbff][\udc00-\udfff]|[\s\S][\u0300-\u036f\ufe0f\u200d]*"
)
_kernel = load_kernel("layout")
_payload_finder = _kernel.RunFinder(PAYLOAD_ALPHABET, PAYLOAD_CHARS) if _kernel else None

_render_kernel = load_kernel("render")


@dataclass(slots=True, eq=False)
class SpanLayout:
    """A text tiled by units; see `SegmentedText`.

    Attributes:
        closes: [n] or None. If `closes[i] >= 0`, unit i (a closing brace) is kept whenever unit `closes[i]` is.
    """

    kind: str
    text: str
    spans: Spans
    parents: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]
    closes: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        # The native kernel reads the arrays as they lie in memory.
        self.spans = np.ascontiguousarray(self.spans, np.int32)
        self.parents = np.ascontiguousarray(self.parents, np.int32)
        if self.closes is not None:
            self.closes = np.ascontiguousarray(self.closes, np.int32)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds, with its text."""
        return _LAYOUT_BYTES + sum(held_bytes(getattr(self, field.name)) for field in fields(self))

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] of -1: there are no columns, because rows are kept or dropped whole."""
        return np.full(len(self.spans), -1, np.int32)

    @property
    def column_names(self) -> Sequence[str]:
        """Empty."""
        return ()

    @property
    def records(self) -> npt.NDArray[np.int32]:
        """[n] every unit is a record of its own."""
        return np.arange(len(self.spans), dtype=np.int32)

    @property
    def header_text(self) -> str:
        """The first header that other units stand under, such as a table's. Empty if there is no header."""
        named = np.unique(self.parents[self.parents >= 0])
        heads = named[(self.flags[named] & np.uint16(UnitFlag.HEADER)) > 0]
        return self.text[slice(*self.spans[heads[0]].tolist())] if len(heads) else ""

    def without_header(self) -> SpanLayout:
        """Returns the same units, which may be kept without what stands over them."""
        return replace(self, parents=np.full(len(self.spans), -1, np.int32))

    @property
    def source_spans(self) -> Sequence[Sequence[tuple[int, int]]]:
        """One range a unit: its own span."""
        return [[(a, b)] for a, b in self.spans.tolist()]

    def closure(self, keep: Mask) -> Mask:
        """Returns [n] the kept units together with their ancestors and closers; raises ValueError for a wrong shape."""
        kept: Mask = self._checked(keep).copy()
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

    def _checked(self, keep: Mask) -> Mask:
        kept: Mask = np.asarray(keep, np.bool_)
        if kept.shape != (len(self.spans),):
            raise ValueError(f"keep has shape {kept.shape}, the layout has {len(self.spans)} units")
        return kept

    def render(self, keep: Mask, removed: Spans | None = None) -> str:
        """Writes the kept units, their ancestors and closers, with `…` for each run of units that was left out.

        Args:
            keep: [n] which units are kept.
            removed: [k, 2] character ranges inside kept units, in order, that are left out without a sign.
        """
        if _render_kernel is not None:
            mask = self._checked(keep).tobytes()
            holes = None if removed is None else np.ascontiguousarray(removed, np.int32)
            return str(
                _render_kernel.render_spans(self.text, self.spans, self.parents, self.closes, mask, holes, ELLIPSIS)
            )
        return self.render_in_python(keep, removed)

    def render_in_python(self, keep: Mask, removed: Spans | None = None) -> str:
        """Does what `render` does, without the native kernel."""
        kept = self.closure(keep)
        holes = [] if removed is None else removed.tolist()
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
                out.append(gap_sign(text, a, b))
            keeping = not keeping
        return "".join(out)


def gap_sign(text: str, a: int, b: int, sign: str = ELLIPSIS) -> str:
    """Returns the sign for the dropped text[a:b]: a line of its own if whole lines were dropped, else inline."""
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
    return lead + sign + (end or (" " if b < len(text) else ""))


def length_splits(text: str, a: int, b: int, max_chars: int = MAX_UNIT_CHARS) -> list[int]:
    """Returns offsets inside (a, b) that split text[a:b] into pieces of at most `max_chars` characters.

    It splits after spaces, else between words, numbers and URLs, else anywhere except inside a surrogate pair. Linear
    in b - a.
    """
    cuts: list[int] = []
    while b - a > max_chars:
        stop = a + max_chars
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


def _pieces(text: str, a: int, b: int, max_chars: int) -> list[Piece]:
    """The pieces of a long unit: at its own separators if it has any, and at most `max_chars` long (0: any length)."""
    pieces = split_unit(text, a, b, markup_only=not max_chars)
    if not max_chars:
        return pieces
    out: list[Piece] = []
    place: list[int] = []
    for k, piece in enumerate(pieces):
        end = pieces[k + 1].start if k + 1 < len(pieces) else b
        place.append(len(out))
        out.append(piece._replace(parent=place[piece.parent] if piece.parent >= 0 else -1))
        if end - piece.start > max_chars and not piece.is_payload:
            out += [Piece(cut, -1, False) for cut in length_splits(text, piece.start, end, max_chars)]
    return out


def build_layout(
    kind: str,
    text: str,
    starts: Sequence[int] | npt.NDArray[np.integer],
    parents: Sequence[int] | npt.NDArray[np.integer] | None = None,
    flags: Sequence[int] | npt.NDArray[np.integer] | None = None,
    closes: Sequence[int] | npt.NDArray[np.integer] | None = None,
    max_chars: int = MAX_UNIT_CHARS,
) -> SpanLayout:
    """Builds a layout from the offsets at which units begin.

    Args:
        kind: The content type.
        text: The text.
        starts: [n] ascending offsets; text before the first belongs to the first unit.
        parents: [n] see `SegmentedText`.
        flags: [n] see `SegmentedText`.
        closes: [n] see `SpanLayout`.
        max_chars: Longer units are split (0: only between tags). Long lines are split at their separators before that.
            Pieces keep the parent of their unit; an ERROR or HEADER flag stays with the first piece.
    """
    if _kernel is not None and (
        tiles := _kernel.tile(text, starts, parents, flags, closes, max_chars, LONG_LINE, _payload_finder)
    ):
        layout = SpanLayout(kind, text, *tiles)
    else:
        layout = _split_and_tile(kind, text, starts, parents, flags, closes, max_chars)
    for a, b in encoded_lines(text) if len(layout.spans) else ():
        first = layout.spans[:, 0]
        layout.flags = layout.flags.copy()
        layout.flags[np.searchsorted(first, a) : np.searchsorted(first, b)] |= np.uint16(UnitFlag.NOISE)
    return layout


def _split_and_tile(
    kind: str,
    text: str,
    starts: Sequence[int] | npt.NDArray[np.integer],
    parents: Sequence[int] | npt.NDArray[np.integer] | None,
    flags: Sequence[int] | npt.NDArray[np.integer] | None,
    closes: Sequence[int] | npt.NDArray[np.integer] | None,
    max_chars: int,
) -> SpanLayout:
    """Builds the layout of any text; see `build_layout`, which marks the lines of base64 besides."""
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
    if n:
        long = np.flatnonzero(ends - first > min(max_chars or PAYLOAD_CHARS, PAYLOAD_CHARS))
        found = [(i, _pieces(text, int(first[i]), int(ends[i]), max_chars)) for i in long.tolist()]
        found = [(i, unit) for i, unit in found if len(unit) > 1]
        long = np.array([i for i, _ in found], np.int64)
        if found:
            pieces = [[piece.start for piece in unit[1:]] for _, unit in found]
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
            for i, unit in found:
                for k, piece in enumerate(unit):
                    if piece.parent >= 0:
                        up[place[i] + k] = place[i] + piece.parent
                    elif k and kind == "log":  # the beginning of a line says when and where
                        up[place[i] + k] = place[i]
                    if piece.is_payload:
                        marks[place[i] + k] |= UnitFlag.NOISE
            if mates is not None:
                mates = np.where(mates[origin] >= 0, place[mates[origin]], np.int32(-1)).astype(np.int32)
    return SpanLayout(
        kind, text, np.stack((first, ends), axis=1) if n else np.zeros((0, 2), np.int32), up, marks, mates
    )

"""Cuts a delimited text table (markdown, CSV, TSV) into cells and writes a smaller table from some of them.

Whole rows are not the grain here: a question about one column needs that column of every row, a question about one row
all of its cells. Takes only texts that are one clean table and nothing else; `table` cuts all others by lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.caches import held_bytes
from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters.base import Mask, Spans, UnitFlag, table_records
from compressor.text.segmenters.span_layout import SpanLayout
from compressor.text.segmenters.table import segment_table

MIN_ROWS = 3
_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\r?")
_IDENTITY = re.compile(r"^\S*\d\S*$")
WIDE_TABLE = 12  # columns; of a wider table only columns with few repeats count as identity, and few of those
MAX_WIDE_IDENTITY = 4  # columns
MAX_CELL_LINES = 60  # a quoted cell with more lines is taken for a stray quote
LONG_CELL = 48  # mean characters above which a column does not count as identity

_QUOTED = re.compile(r'"[^"]*"')
_CELLS = {
    d: re.compile(rf'[ \t]*("[^"]*(?:""[^"]*)*"(?=[ \t]*(?:{d}|\r?\n|\Z))|[^{d}\r\n]*)[ \t]*({d}|\r?\n|\Z)')
    if d != "\t"
    else re.compile(r'("[^"]*(?:""[^"]*)*"(?=\t|\r?\n|\Z)|[^\t\r\n]*)(\t|\r?\n|\Z)')
    for d in "\t;,"
}

Span = tuple[int, int]


_CELL_BYTES = 220  # its place, its text without the characters, its unit


class DelimitedTableLayout:
    """A `SegmentedText` of one text table.

    `text` is the units' own text, which `spans` refer to; `source` the original.

    The identity columns of a row (ids, numbers, dates, codes, a first column that names the rows) are one unit, every
    other cell is one of its own.
    """

    kind = "table"

    def __init__(self, source: str, delimiter: str, header: list[Span], rows: list[list[Span]]) -> None:
        self.source = source
        self._delimiter = delimiter
        self._header = [source[a:b] for a, b in header]
        self._rows = rows
        width = len(header)
        cells = [[source[a:b] for a, b in row] for row in rows]
        self._cells = cells
        identity = [
            c for c in range(width) if _identifies([row[c] for row in cells]) or (not c and _labels(cells))
        ] or [0]
        if width > WIDE_TABLE:
            identity = [
                c for c in identity if not c or len({row[c] for row in cells[:40]}) >= 0.9 * min(len(cells), 40)
            ]
            identity = identity[:MAX_WIDE_IDENTITY] or [0]
        self._tiers = [identity, *([c] for c in range(width) if c not in identity)]
        # The names of other columns cost only if something of their column is kept: they are written with it.
        fragments = [delimiter.join(self._header[c] for c in identity) + "\n"]
        parents, flags, columns = [-1], [int(UnitFlag.HEADER)], [-1]
        for row in cells:
            first = len(fragments)
            for t, tier in enumerate(self._tiers):
                fragments.append(delimiter.join(row[c] for c in tier) + delimiter)
                parents.append(first if t else 0)
                flags.append(0)
                columns.append(t)
        ends = np.cumsum([len(f) for f in fragments])
        self.text = "".join(fragments)
        self.spans: Spans = np.stack([np.concatenate([[0], ends[:-1]]), ends], 1).astype(np.int32)
        self.parents: npt.NDArray[np.int32] = np.array(parents, np.int32)
        self.flags: npt.NDArray[np.uint16] = np.array(flags, np.uint16)
        self._columns: npt.NDArray[np.int32] = np.array(columns, np.int32)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds, with its texts and cells."""
        return _CELL_BYTES * len(self._header) * (len(self._rows) + 1) + 2 * held_bytes((self.source, self.text))

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the index into `column_names` of each unit's column; see `SegmentedText.columns`."""
        return self._columns

    @property
    def column_names(self) -> Sequence[str]:
        """The names of the columns."""
        return [" ".join(self._header[c] for c in tier) for tier in self._tiers]

    @property
    def records(self) -> npt.NDArray[np.int32]:
        """[n] the identity cell of each unit's row, or the unit itself."""
        return table_records(self._columns, self.parents)

    def render(self, keep: Mask) -> str:
        """The table of the kept cells.

        Columns nobody kept are gone, those with gaps come last, a row ends with its last kept cell, `…` stands for
        other missing cells and for rows. With everything kept: the source, exactly.
        """
        if keep.all():
            return self.source
        grid = keep[1:].reshape(len(self._rows), len(self._tiers))
        alive: Mask = np.any(grid, axis=1)
        kept = grid.sum(0).tolist()
        used = [t for t in range(len(self._tiers)) if t == 0 or (kept[t] and self._says_something(t, grid[:, t]))]
        tier_of = {c: t for t in used for c in self._tiers[t]}
        # Columns that not every row has go last: a row then ends early instead of holding a gap.
        shown = sorted(tier_of, key=lambda c: (tier_of[c] > 0 and kept[tier_of[c]] < kept[0], -kept[tier_of[c]], c))
        cut = len(shown) < len(self._header)
        lines = [self._line([self._header[c] for c in shown] + [ELLIPSIS] * cut)] if keep[0] or alive.any() else []
        gap = False
        for r, row in enumerate(self._cells):
            if not alive[r]:
                if not gap:
                    lines.append(ELLIPSIS)
                gap = True
                continue
            gap = False
            # A row that is kept at all keeps its identity.
            parts = [row[c] if tier_of[c] == 0 or grid[r, tier_of[c]] else ELLIPSIS for c in shown]
            while (
                len(parts) > 1 and parts[-1] == ELLIPSIS
            ):  # a row shorter than the header shows by itself that it is cut
                parts.pop()
            lines.append(self._line(parts))
        return "\n".join(lines)

    @property
    def header_text(self) -> str:
        """What stays of the header with every row: the names of the columns that identify it."""
        return self.text[slice(*self.spans[0].tolist())]

    def without_header(self) -> SpanLayout:
        """Returns the same table by whole rows, which may be kept without the header."""
        return segment_table(self.source).without_header()

    def _says_something(self, tier: int, keep: Mask) -> bool:
        """Whether a kept cell of a column is not empty."""
        column = self._tiers[tier][0]
        return any(self._cells[r][column] not in ("", '""') for r in np.flatnonzero(keep).tolist())

    def _line(self, parts: list[str]) -> str:
        return f"| {' | '.join(parts)} |" if self._delimiter == "|" else self._delimiter.join(parts)

    @cached_property
    def source_spans(self) -> list[list[Span]]:
        """The ranges of the source that each unit stands for."""
        out: list[list[Span]] = [[(0, self._rows[0][0][0])]]
        for row in self._rows:
            out += [[row[c] for c in tier if row[c][1] > row[c][0]] for tier in self._tiers]
        return out


def _identifies(cells: list[str]) -> bool:
    sample = [c for c in cells[:40] if c]
    exact = sum(1 for c in sample if _IDENTITY.match(c))
    return bool(sample) and exact >= 0.5 * len(sample) and sum(map(len, sample)) <= LONG_CELL * len(sample)


def _labels(cells: list[list[str]]) -> bool:
    """Whether the first column names the rows: short texts that rarely repeat."""
    names = [row[0] for row in cells[:40]]
    return len(set(names)) >= 0.8 * len(names) and sum(map(len, names)) <= LONG_CELL * len(names)


def segment_delimited_table(text: str) -> DelimitedTableLayout | None:
    """Divides a clean table (a header, and the same number of cells in every record) into cells, or returns None.

    Cells of CSV may be quoted, with delimiters and line breaks inside; they keep their spelling.
    """
    begin = 1 if text.startswith("\ufeff") else 0
    first = text[begin : text.find("\n", begin) % (len(text) + 1)]
    delimiter = "|" if first.lstrip().startswith("|") else _delimiter(first)
    if not delimiter:
        return None
    rows = _markdown_rows(text) if delimiter == "|" else _csv_rows(text, begin, delimiter)
    if rows is None or len(rows) < MIN_ROWS + 1:
        return None
    width = len(rows[0])
    if width < 2 or any(len(r) != width for r in rows):
        return None
    names = [text[a:b] for a, b in rows[0]]
    if delimiter != "|" and (len(set(names)) != width or any(_IDENTITY.match(n) and n[0].isdigit() for n in names)):
        return None  # the first line is a record, not a header
    return DelimitedTableLayout(text, delimiter, rows[0], rows[1:])


def _delimiter(line: str) -> str:
    """The delimiter of a header line, quoted names left out of account; "" without one."""
    plain = _QUOTED.sub("", line)
    return next((d for d in "\t;," if d in plain), "")


def _markdown_rows(text: str) -> list[list[Span]] | None:
    lines: list[Span] = []
    at = 0
    for line in text.split("\n"):
        if line.strip():
            lines.append((at, at + len(line.rstrip("\r"))))
        elif lines and at + 1 < len(text.rstrip()):
            return None  # a blank line inside: this is not one table
        at += len(line) + 1
    if len(lines) < 2 or "\\|" in text or '"' in text or not _RULE.fullmatch(text, *lines[1]):
        return None
    del lines[1]
    return [_cells(text, a, b, "|") for a, b in lines]


def _csv_rows(text: str, begin: int, delimiter: str) -> list[list[Span]] | None:
    """The cells of all records; None for quotes that do not pair, text after a quoted cell, and blank lines inside."""
    if text.count('"') & 1:
        return None
    rows: list[list[Span]] = []
    row: list[Span] = []
    stop = len(text.rstrip())
    at = begin
    match = _CELLS[delimiter].match
    while at < stop:
        m = match(text, at)
        if m is None:
            return None
        a, b = m.span(1)
        if text[a : a + 1] != '"':
            cell = text[a:b]
            if '"' in cell:
                return None
            a, b = a + len(cell) - len(cell.lstrip()), a + len(cell.rstrip()) if cell.strip() else a
            a = min(a, b)
        elif text.count("\n", a, b) > MAX_CELL_LINES:
            return None
        row.append((a, b))
        at = m.end()
        if m.group(2) != delimiter:
            if len(row) == 1 and a == b:
                return None
            rows.append(row)
            row = []
    if row:
        rows.append([*row, (len(text), len(text))] if text[at - 1] == delimiter else row)
    return rows


def _cells(text: str, a: int, b: int, delimiter: str) -> list[Span]:
    """Spans of a line's cells, white space around them left out."""
    if delimiter == "|":
        while a < b and text[a] in " \t":
            a += 1
        while b > a and text[b - 1] in " \t":
            b -= 1
        a += text[a : a + 1] == "|"
        b -= b > a and text[b - 1] == "|"
    out = []
    start = a
    for part in text[a:b].split(delimiter):
        lead = len(part) - len(part.lstrip())
        out.append((start + lead, start + max(lead, len(part.rstrip()))))
        start += len(part) + 1
    return out

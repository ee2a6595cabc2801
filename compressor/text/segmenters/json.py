"""Cuts a JSON text into units and writes JSON again from some of them. Knows no query, score or budget.

A unit is a member or item with a plain value; of a table's row its identity (all columns of ids, numbers, dates and
short codes together) is one unit and every other cell another, so that every record can keep its ids when its verbose
fields go. Tables keep their header once. Long strings are segmented in their own right. What `render` writes always
parses: a `"…"` item stands where items, rows or cells were left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.context.refs import ELLIPSIS
from compressor.text.lossless.json_tables import ABSENT_CELL, ParsedJson, TableWriter, needs_ascii, parse
from compressor.text.lossless.table_detection import detect_table
from compressor.text.segmenters.base import Mask, SegmentedText, Spans, UnitFlag, table_records
from compressor.text.segmenters.json_spans import Step, leaf_spans

LONG_TEXT = 400  # characters from which a string is divided like a text of its own
FEW_ROWS = 3  # kept rows up to which objects may be shorter than a table
BULKY_CELL = 160  # mean characters from which a table's cells are too large to be kept or dropped whole
_IDENTITY = re.compile(r'^"?[^"\s]*\d[^"\s]*"?$')
_TROUBLE = ("error", "exception", "fail", "fatal", "denied", "traceback", "stderr")
_UNTROUBLED = re.compile(r':(?:""|null|\[\]|\{\}|false|0|"0"|"ok"|"none"),$', re.I)
_GAP_ITEM = f'"{ELLIPSIS}"'


@dataclass(slots=True)
class Leaf:
    """A plain value; `label` is `"key":` inside an object, "" inside a list."""

    label: str
    step: Step
    unit: int
    text: str


@dataclass(slots=True)
class Text:
    """A long string with units of its own, which start at unit `first`."""

    label: str
    step: Step
    first: int
    layout: SegmentedText


@dataclass(slots=True)
class Group:
    """An object or a list."""

    label: str
    step: Step
    is_object: bool
    children: list[Node]


@dataclass(slots=True)
class Grid:
    """A table. `tiers[t]` are the column indices of a tier: the first is identity, every further one a single column.

    `units[t][r]` is the unit of row r in it, `cells[t][r]` its text; `columns[c][r]` are the cells one by one. `rows`
    holds the rows' steps (index or key), `bounds` the group sizes of a list of lists of records.
    """

    label: str
    step: Step
    header_unit: int
    names: list[str]
    constants: list[str]
    tiers: list[list[int]]
    units: list[list[int]]
    cells: list[list[str]]
    columns: list[list[str]]
    paths: list[tuple[str, ...]]
    rows: list[tuple[Step, ...]]
    bounds: list[int] | None

    def row_cells(self, tier: int, row: int) -> list[str]:
        """The cells of a row in a tier, one by one."""
        return [self.columns[c][row] for c in self.tiers[tier]]


Node = Leaf | Text | Group | Grid


class JsonLayout:
    """A `SegmentedText` of a JSON text; `text` holds the texts of the units, `source` is the original."""

    kind = "json"

    def __init__(self, source: str, parsed: ParsedJson, segment: Callable[[str], SegmentedText]) -> None:
        self.source = source
        self.parsed = parsed
        builder = _Builder(needs_ascii(source), segment)
        self._quote = builder.emitter.quote
        self._root = builder.node(parsed.value, "", ())
        ends = np.cumsum([len(f) for f in builder.fragments], dtype=np.int32)
        self.text = "".join(builder.fragments)
        self.spans: Spans = (
            np.stack([np.concatenate([[0], ends[:-1]]), ends], 1).astype(np.int32)
            if len(ends)
            else (np.zeros((0, 2), np.int32))
        )
        self.parents: npt.NDArray[np.int32] = np.array(builder.parents, np.int32)
        self.flags: npt.NDArray[np.uint16] = np.array(builder.flags, np.uint16)
        self._columns: npt.NDArray[np.int32] = np.array(builder.columns, np.int32)
        self._column_names = builder.column_names
        _flag_trouble(builder.fragments, self.text, ends, self.flags)

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the index into `column_names` of each unit's column; see `SegmentedText.columns`."""
        return self._columns

    @property
    def column_names(self) -> Sequence[str]:
        """The names of the columns."""
        return self._column_names

    @property
    def records(self) -> npt.NDArray[np.int32]:
        """[n] the identity cell of each unit's row, or the unit itself."""
        return table_records(self._columns, self.parents)

    def render(self, keep: Mask) -> str:
        """Writes JSON from the kept units; the exact source if everything is kept."""
        if keep.all():
            return self.source
        kept = keep.copy()
        for unit in np.flatnonzero(keep & (self.parents >= 0)).tolist():
            while (unit := int(self.parents[unit])) >= 0 and not kept[unit]:
                kept[unit] = True
        body = self._write(self._root, kept.tolist())
        if body is None:
            return "{}" if isinstance(self.parsed.value, dict) else f"[{_GAP_ITEM}]"
        return body

    def _write(self, node: Node, keep: list[bool]) -> str | None:
        if isinstance(node, Leaf):
            return node.label + node.text if keep[node.unit] else None
        if isinstance(node, Text):
            mask = np.array(keep[node.first : node.first + len(node.layout.spans)], np.bool_)
            return node.label + self._quote(node.layout.render(mask)) if mask.any() else None
        if isinstance(node, Grid):
            return _write_grid(node, keep)
        if node.is_object:
            members = [m for child in node.children if (m := self._write(child, keep)) is not None]
            return f"{node.label}{{{','.join(members)}}}" if members else None
        items = list(_with_gaps(self._write(child, keep) for child in node.children))
        return f"{node.label}[{','.join(items)}]" if items != [_GAP_ITEM] else None

    @cached_property
    def source_spans(self) -> list[list[tuple[int, int]]]:
        """The ranges of the source that each unit stands for, in order, keys included."""
        places = leaf_spans(self.source)
        out: list[list[tuple[int, int]]] = [[] for _ in range(len(self.spans))]
        _locate(self._root, (), places, out)
        return out


def json_layout(text: str, segment: Callable[[str], SegmentedText] | None = None) -> JsonLayout | None:
    """Divides a JSON or NDJSON text into units, or returns None if it is neither.

    Args:
        text: The text.
        segment: Divides long strings inside it.
    """
    parsed = parse(text)
    if parsed is None:
        return None
    if segment is None:
        from compressor.text.segmenters import segment_text as default_segment

        segment = default_segment
    return JsonLayout(text, parsed, segment)


class _Builder:
    def __init__(self, ascii_only: bool, segment: Callable[[str], SegmentedText]) -> None:
        self.emitter = TableWriter(ascii_only)
        self.segment = segment
        self.fragments: list[str] = []
        self.parents: list[int] = []
        self.flags: list[int] = []
        self.columns: list[int] = []
        self.column_names: list[str] = []

    def unit(self, fragment: str, parent: int = -1, flag: int = 0, column: int = -1) -> int:
        self.fragments.append(fragment + ",")
        self.parents.append(parent)
        self.flags.append(flag)
        self.columns.append(column)
        return len(self.parents) - 1

    def node(self, value: Any, label: str, step: Step) -> Node:
        kind = type(value)
        if kind is str and len(value) > LONG_TEXT:
            return self._text(value, label, step)
        if not value or (kind is not dict and kind is not list):
            text = self.emitter.quote(value) if kind is str else self.emitter.emit(value)
            return Leaf(label, step, self.unit(label + text), text)
        grid = self._grid(value, label, step)
        if grid is not None:
            return grid
        quote = self.emitter.quote
        if kind is dict:
            children = [self.node(v, f"{quote(k)}:", k) for k, v in value.items()]
        else:
            children = [self.node(v, "", i) for i, v in enumerate(value)]
        return Group(label, step, kind is dict, children)

    def _text(self, value: str, label: str, step: Step) -> Node:
        layout = self.segment(value)
        first = len(self.parents)
        if len(layout.spans) == 0:
            text = self.emitter.emit(value)
            return Leaf(label, step, self.unit(label + text), text)
        text = layout.text
        for (start, end), parent, flag in zip(
            layout.spans.tolist(), layout.parents.tolist(), layout.flags.tolist(), strict=True
        ):
            self.fragments.append(text[start:end])
            self.parents.append(parent + first if parent >= 0 else -1)
            self.flags.append(flag)
            self.columns.append(-1)
        return Text(label, step, first, layout)

    def _grid(self, value: Any, label: str, step: Step) -> Grid | None:
        bounds = None
        rows: list[tuple[Step, ...]]
        if type(value) is list and type(value[0]) is list and all(type(v) is list and v for v in value):
            bounds = [len(v) for v in value]
            table = detect_table([r for group in value for r in group])
            rows = [(g, i) for g, group in enumerate(value) for i in range(len(group))]
        else:
            table = detect_table(value)
            rows = [(k,) for k in value] if type(value) is dict else [(i,) for i in range(len(value))]
        if table is None:
            return None
        entries, columns = self.emitter.header(table)
        names, constants, paths = _split_header(entries, table.names)
        height = table.height
        sizes = [sum(map(len, c)) / height for c in columns]
        if not columns or any(s > BULKY_CELL for s in sizes):
            return None
        tiers = _tiers(names, columns, sizes)
        header = self.unit(f'"columns":[{",".join(names + constants)}]', flag=UnitFlag.HEADER)
        units: list[list[int]] = [[] for _ in tiers]
        cells: list[list[str]] = [
            [",".join(row) for row in zip(*(columns[c] for c in tier), strict=True)] for tier in tiers
        ]
        first = len(self.column_names)
        self.column_names += [" ".join(names[c] for c in tier) for tier in tiers]
        for r in range(height):
            parent = header
            for t, texts in enumerate(cells):
                units[t].append(self.unit(texts[r], parent, column=first + t))
                parent = units[0][r]
        return Grid(label, step, header, names, constants, tiers, units, cells, columns, paths, rows, bounds)


def _flag_trouble(fragments: list[str], text: str, ends: npt.NDArray[np.int32], flags: npt.NDArray[np.uint16]) -> None:
    """Flags members and rows that speak of failure, unless the member says there was none."""
    low = text.lower()
    if len(low) != len(text):  # a few capitals have a longer lower case
        return
    for word in _TROUBLE:
        at = low.find(word)
        while at >= 0:
            unit = int(np.searchsorted(ends, at, side="right"))
            if not _UNTROUBLED.search(fragments[unit]):
                flags[unit] |= UnitFlag.ERROR
            at = low.find(word, int(ends[unit]))


def _split_header(entries: list[str], names: list[str]) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    """Header entries that vary by row, constant or twin ones, and the key path of each varying column."""
    varying, fixed = [], []
    paths: list[tuple[str, ...]] = []
    offset = len(entries) - len(names)  # 1 if a key column leads
    for i, entry in enumerate(entries):
        if entry.startswith(("{", '"=(key)')):
            fixed.append(entry)
        else:
            varying.append(entry)
            paths.append(tuple(names[i - offset].split(".")) if i >= offset else ())
    return varying, [f for f in fixed if f.startswith("{")], paths


def _tiers(names: list[str], columns: list[list[str]], sizes: list[float]) -> list[list[int]]:
    """The columns that identify a record together, then each other column alone.

    Identifying are ids, numbers, dates, short codes, and a first column that names the records.
    """
    identity = []
    rest = []
    for c, cells in enumerate(columns):
        sample = cells[:40]
        exact = sum(1 for x in sample if _IDENTITY.match(x)) >= 0.5 * len(sample)
        names_rows = not c and len(set(sample)) >= 0.8 * len(sample)
        if ((exact or names_rows) and sizes[c] <= 48) or names[c].startswith('"(key)'):
            identity.append(c)
        else:
            rest.append(c)
    if not identity:
        identity.append(rest.pop(0))
    return [identity, *([c] for c in rest)]


def _with_gaps(items: Iterator[str | None]) -> Iterator[str]:
    """Items, with one `…` for each run of missing ones."""
    gap = False
    for item in items:
        if item is not None:
            yield item
            gap = False
        elif not gap:
            yield _GAP_ITEM
            gap = True


def _write_grid(grid: Grid, keep: list[bool]) -> str | None:
    used = [t for t, units in enumerate(grid.units) if any(keep[u] for u in units)]
    if not used:
        if not keep[grid.header_unit]:
            return None
        return f'{grid.label}{{"columns":[{",".join(grid.names + grid.constants)}],"rows":[{_GAP_ITEM}]}}'
    table = _as_table(grid, keep, used)
    kept = sum(keep[u] for u in grid.units[0])
    if kept > FEW_ROWS or grid.bounds is not None or grid.names[grid.tiers[0][0]].startswith('"(key)'):
        return table
    records = _as_records(grid, keep)
    return records if len(records) < len(table) else table


def _as_table(grid: Grid, keep: list[bool], used: list[int]) -> str:
    """Header and rows. What most rows have comes first, so that gaps are at the end."""
    kept = {t: sum(keep[u] for u in grid.units[t]) for t in used}
    used = sorted(used, key=lambda t: (t > 0, -kept[t], t))
    rows: list[str | None] = []
    for r in range(len(grid.rows)):
        if not keep[grid.units[0][r]]:
            rows.append(None)
            continue
        parts = [grid.cells[t][r] if keep[grid.units[t][r]] else _GAP_ITEM for t in used]
        while len(parts) > 1 and parts[-1] is _GAP_ITEM:  # a row shorter than the header shows by itself that it is cut
            parts.pop()
        rows.append("[" + ",".join(parts) + "]")
    header = [grid.names[c] for t in used for c in grid.tiers[t]] + grid.constants
    if len(used) < len(grid.tiers):
        header.append(_GAP_ITEM)
    head = f'{grid.label}{{"columns":[{",".join(header)}],'
    if grid.bounds is None:
        return head + f'"rows":[{",".join(_with_gaps(iter(rows)))}]}}'
    groups, at = [], 0
    for size in grid.bounds:
        groups.append("[" + ",".join(_with_gaps(iter(rows[at : at + size]))) + "]")
        at += size
    return head + f'"groups":[{",".join(groups)}]}}'


def _as_records(grid: Grid, keep: list[bool]) -> str:
    """The kept rows as objects: shorter than header and rows when there are only a few."""
    constants = [c[1:-1] for c in grid.constants]
    records: list[str | None] = []
    for r in range(len(grid.rows)):
        if not keep[grid.units[0][r]]:
            records.append(None)
            continue
        members = [
            f"{grid.names[c]}:{cell}"
            for t, tier in enumerate(grid.tiers)
            if keep[grid.units[t][r]]
            for c, cell in zip(tier, grid.row_cells(t, r), strict=True)
            if cell != ABSENT_CELL
        ]
        records.append("{" + ",".join(members + constants) + "}")
    return f"{grid.label}[{','.join(_with_gaps(iter(records)))}]"


def _locate(
    node: Node,
    path: tuple[Step, ...],
    places: dict[tuple[Step, ...], tuple[int, int]],
    out: list[list[tuple[int, int]]],
) -> None:
    here = path if node.step == () else (*path, node.step)
    if isinstance(node, Leaf):
        if here in places:
            out[node.unit].append(places[here])
    elif isinstance(node, Text):
        # Escapes make inner offsets inexact, so an inner unit is placed by its share of the string.
        start, end = places.get(here, (0, 0))
        scale = (end - start) / max(1, len(node.layout.text))
        for i, (a, b) in enumerate(node.layout.spans.tolist()):
            out[node.first + i].append((start + int(a * scale), min(end, start + int(b * scale))))
    elif isinstance(node, Group):
        for child in node.children:
            _locate(child, here, places, out)
    else:
        _locate_grid(node, here, places, out)


def _locate_grid(
    grid: Grid,
    here: tuple[Step, ...],
    places: dict[tuple[Step, ...], tuple[int, int]],
    out: list[list[tuple[int, int]]],
) -> None:
    """Every leaf below a row belongs to the tier whose column it is in."""
    column_tier: dict[tuple[Step, ...], int] = {grid.paths[c]: t for t, tier in enumerate(grid.tiers) for c in tier}
    row_of = {step: r for r, step in enumerate(grid.rows)}
    depth, width = len(here), len(grid.rows[0])
    for place, span in places.items():
        if place[:depth] != here or len(place) <= depth:
            continue
        row = row_of.get(place[depth : depth + width])
        if row is None:
            continue
        rest = place[depth + width :]
        tier = next((column_tier[rest[:k]] for k in range(len(rest), 0, -1) if rest[:k] in column_tier), None)
        if tier is not None:
            out[grid.units[tier][row]].append(span)

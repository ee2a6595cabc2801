"""Makes the units of a JSON value; `json` says what they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from compressor.native import load_kernel
from compressor.text.lossless.json_tables import ABSENT_CELL, KEY_COLUMN, NO_PLACE, VALUE_WRITER, TableWriter, has_place
from compressor.text.lossless.json_values import RepeatedKeys
from compressor.text.lossless.table_detection import detect_table
from compressor.text.segmenters.base import SegmentedText, UnitFlag
from compressor.text.segmenters.json_names import first_name, is_name, is_pair
from compressor.text.segmenters.json_nodes import Grid, Group, Leaf, Node, Text
from compressor.text.segmenters.json_spans import Step

LONG_TEXT = 400  # characters from which a string is divided like a text of its own
SHORT_LIST = 16  # characters up to which a list of plain values is one unit
SHORT_ROW = 120  # the same for a list in a list, which is a record
LONG_LIST = 12  # items from which the members beside a list say something about it
SHORT_VALUE = 80  # characters of a member that may do so
MAX_SUMMARY_MEMBERS = 12  # with more members than this only those of a telling name do
MAX_SUMMARY_DEPTH = 2
MANY_MEMBERS = 6  # in an object of this size, empty members are worth less than others if there are several
SEVERAL_EMPTY = 3
BULKY_CELL = 160  # mean characters from which a table's cells are too large to be kept or dropped whole
EMPTY_TEXTS = ("null", '""', "[]", "{}")
SAMPLED_CELLS = 40  # cells of a column that are looked at to tell whether it identifies the records
MAX_IDENTITY_CHARS = 48  # mean characters of such a column
MIN_IDENTITY = 0.5  # fraction of its cells that are ids
MIN_NAMES = 0.8  # fraction of the first column's cells that are different
_IDENTITY = re.compile(r'^"?[^"\s]*\d[^"\s]*"?$')
_KEY_ENTRY = f'"{KEY_COLUMN}'
_SUMMARY_KEY = re.compile(
    r"(?i)(?:.*(?:count|total|more|cursor|truncated|partial|incomplete|remaining|num|pages?|limit|offset|omitted|failed)"
    r"|has_?.*|next.*|status|state|ok|success|complete|done|size|length)"
)
_kernel = load_kernel("json_units")


def unit_builder(emitter: TableWriter, segment: Callable[[str], SegmentedText]) -> Any:
    """Returns what makes the units of one value: the kernel's builder, or its twin `JsonUnitBuilder`.

    Args:
        emitter: Writes values and the header of a table.
        segment: Divides long strings.
    """
    if _kernel is None:
        return JsonUnitBuilder(emitter, segment)
    return _kernel.UnitBuilder(_settings, emitter, segment)


def _is_long(value: Any) -> bool:
    """Whether a value is a list, or an object of objects, with many items."""
    if type(value) is list:
        return len(value) >= LONG_LIST
    return type(value) is dict and len(value) >= LONG_LIST and all(type(v) is dict for v in value.values())


def _holds_long(value: Any) -> bool:
    """Whether a value is an object with a long list in it."""
    return type(value) is dict and any(_is_long(v) for v in value.values())


class JsonUnitBuilder:
    """Makes the units of a JSON value, in Python.

    Args:
        emitter: Writes values and the header of a table.
        segment: Divides long strings.

    Attributes:
        fragments: [n] the text of each unit.
        parents: [n] see `SegmentedText`.
        flags: [n] see `SegmentedText`.
        columns: [n] the index of each unit's column, or -1.
        column_names: The names of the columns.
        named_items: The unit of the name, and the unit after the end, of each item of a list that has a name.
    """

    def __init__(self, emitter: TableWriter, segment: Callable[[str], SegmentedText]) -> None:
        self.emitter = emitter
        self.segment = segment
        self.fragments: list[str] = []
        self.parents: list[int] = []
        self.flags: list[int] = []
        self.columns: list[int] = []
        self.column_names: list[str] = []
        self.named_items: list[tuple[int, int]] = []

    def unit(self, fragment: str, parent: int = -1, flag: int = 0, column: int = -1) -> int:
        """Adds a unit and returns its number."""
        self.fragments.append(fragment + ",")
        self.parents.append(parent)
        self.flags.append(flag)
        self.columns.append(column)
        return len(self.parents) - 1

    def node(self, value: Any, label: str, step: Step, depth: int) -> Node:
        """Makes the units of a value.

        Args:
            value: The value.
            label: What stands before it.
            step: Its key or index.
            depth: The number of objects around it; more than MAX_SUMMARY_DEPTH if there is a list among them.
        """
        kind = type(value)
        if kind is str and len(value) > LONG_TEXT:
            return self._text(value, label, step)
        if not value or kind not in (dict, list, RepeatedKeys):
            text = self.emitter.quote(value) if kind is str else self.emitter.emit(value)
            return Leaf(label, step, self.unit(label + text), text)
        grid = self._grid(value, label, step)
        if grid is not None:
            return grid
        if kind is dict and len(value) == 2 and (short := self._short_pair(value)):
            return Leaf(label, step, self.unit(label + short), short, ends=tuple(value))
        if kind is list:
            if step != () and (short := self._short_list(value, SHORT_ROW if type(step) is int else SHORT_LIST)):
                return Leaf(label, step, self.unit(label + short), short, len(value))
            children, starts = [], []
            for i, v in enumerate(value):
                starts.append(len(self.parents))
                children.append(self.node(v, "", i, MAX_SUMMARY_DEPTH + 1))
            self._put_below_names(children, [*starts, len(self.parents)])
            return Group(label, step, False, children)
        quote = self.emitter.quote
        children = [self.node(v, f"{quote(k)}:", k, depth + 1) for k, v in value.items()]
        self._flag_members(value, children, depth)
        return Group(label, step, True, children)

    def _short_list(self, value: list[Any], max_chars: int) -> str | None:
        """The text of a list of plain values that is too short to be divided, or None."""
        if len(value) * 2 > max_chars or any(type(v) in (dict, list, RepeatedKeys) for v in value):
            return None
        if sum(len(v) for v in value if type(v) is str) > max_chars:
            return None
        text = self.emitter.emit(value)
        return text if len(text) <= max_chars else None

    def _put_below_names(self, items: list[Node], starts: list[int]) -> None:
        """Makes the first member that names an object the parent of what follows it there, if names differ.

        Args:
            items: The items of a list.
            starts: The first unit of each, and the unit after the last one.
        """
        names = [first_name(item) for item in items]
        if len(items) < 2 or len({name.text for name in names if name is not None}) < MIN_NAMES * len(items):
            return
        for name, end in zip(names, starts[1:], strict=True):
            if name is not None:
                self.named_items.append((name.unit, end))
                for unit in range(name.unit + 1, end):
                    if self.parents[unit] < 0:
                        self.parents[unit] = name.unit

    def _short_pair(self, value: dict[str, Any]) -> str | None:
        """The text of an object that holds a key and its value, both short, or None."""
        if not is_pair(*value) or any(type(v) in (dict, list, RepeatedKeys) for v in value.values()):
            return None
        text = self.emitter.emit(value)
        return text if len(text) <= SHORT_ROW else None

    def _flag_members(self, value: Any, children: list[Node], depth: int) -> None:
        """Flags members that say something about a list beside them, and empty members among many."""
        members = list(zip(value.items(), children, strict=True))
        empty = [child for (_, v), child in members if isinstance(child, Leaf) and not (v or v is False or v == 0)]
        if len(members) >= MANY_MEMBERS and SEVERAL_EMPTY <= len(empty) < len(members):
            for leaf in empty:
                self.flags[leaf.unit] |= UnitFlag.NOISE
        if depth > MAX_SUMMARY_DEPTH or not any(_is_long(v) or _holds_long(v) for (_, v), _ in members):
            return
        beside: list[tuple[str, Leaf]] = []
        for (key, v), child in members:
            if isinstance(child, Leaf):
                beside.append((key, child))
            elif isinstance(child, Group) and child.is_object and not _holds_long(v):
                beside += [(str(c.step), c) for c in child.children if isinstance(c, Leaf)]
        for key, leaf in beside:
            is_short = len(leaf.text) <= SHORT_VALUE and leaf.text not in EMPTY_TEXTS
            if is_short and (len(beside) <= MAX_SUMMARY_MEMBERS or _SUMMARY_KEY.fullmatch(key)):
                self.flags[leaf.unit] |= UnitFlag.SUMMARY

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
            table = detect_table([r for group in value for r in group], any_order=True)
            rows = [(g, i) for g, group in enumerate(value) for i in range(len(group))]
        else:
            table = detect_table(value, any_order=True)
            rows = [(k,) for k in (value if type(value) is dict else range(len(value)))] if table is not None else []
        if table is None:
            return None
        entries, columns = self.emitter.header(table)
        names, constants, paths = _split_header(entries, table.names)
        optional = [n[1:-1] if n[0] == "[" else "" for n in names]
        height = table.height
        sizes = [sum(map(len, c)) / height for c in columns]
        if not columns or any(s > BULKY_CELL for s in sizes):
            return None
        if height < LONG_LIST and len(names) == 2 and is_pair(*names):
            return None  # what is said of one thing, not a table
        tiers = _tiers(names, columns, sizes)
        header = self.unit(f'"columns":[{",".join(names + constants)}]', flag=UnitFlag.HEADER)
        units: list[list[int]] = [[] for _ in tiers]
        cells: list[list[str]] = [
            [",".join(row) for row in zip(*(columns[c] for c in tier), strict=True)] for tier in tiers
        ]
        first = len(self.column_names)
        self.column_names += [" ".join(optional[c] or names[c] for c in tier) for tier in tiers]
        for r in range(height):
            parent = header
            for t, texts in enumerate(cells):
                text = texts[r]
                if t and text == ABSENT_CELL:
                    text = ""  # what is absent needs not be kept
                elif name := optional[tiers[t][0]]:
                    text = f"{name}:{text}"
                units[t].append(self.unit(text, parent, column=first + t))
                parent = units[0][r]
        return Grid(label, step, header, names, constants, tiers, units, cells, columns, paths, rows, bounds, optional)


def _split_header(entries: list[str], names: list[str]) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    """Header entries that vary by row, constant or twin ones, and the key path of each varying column."""
    varying, fixed = [], []
    paths: list[tuple[str, ...]] = []
    offset = len(entries) - len(names)  # 1 if a key column leads
    for i, entry in enumerate(entries):
        if not has_place(entry):
            fixed.append(entry)
        else:
            varying.append(entry)
            paths.append(tuple(names[i - offset].split(".")) if i >= offset else ())
    return varying, [f for f in fixed if f.startswith("{")], paths


def _tiers(names: list[str], columns: list[list[str]], sizes: list[float]) -> list[list[int]]:
    """The columns that identify a record together, then each other column alone.

    Identifying are ids, numbers, dates, short codes, and a column that names the records: the first one, or the first
    whose own name says so. A pair of a key and its value is not divided.
    """
    if len(names) == 2 and is_pair(*names):
        return [[0, 1]]
    identity = []
    rest = []
    is_named = False
    for c, cells in enumerate(columns):
        sample = cells[:SAMPLED_CELLS]
        exact = sum(1 for x in sample if _IDENTITY.match(x)) >= MIN_IDENTITY * len(sample)
        may_name = not c or (not is_named and is_name(names[c]))
        names_rows = may_name and len(set(sample)) >= MIN_NAMES * len(sample)
        is_named = is_named or (names_rows and not exact)
        is_optional = names[c][0] == "["
        if ((exact or names_rows) and sizes[c] <= MAX_IDENTITY_CHARS and not is_optional) or names[c].startswith(
            _KEY_ENTRY
        ):
            identity.append(c)
        else:
            rest.append(c)
    if not identity:
        identity.append(rest.pop(0))
    return [identity, *([c] for c in rest)]


_settings = _kernel and _kernel.UnitSettings(
    value_writer=VALUE_WRITER,
    types=(Leaf, Text, Group, Grid),
    is_summary_key=_SUMMARY_KEY.fullmatch,
    is_name=is_name,
    is_pair=is_pair,
    first_name=first_name,
    sizes=(
        LONG_TEXT,
        SHORT_LIST,
        SHORT_ROW,
        LONG_LIST,
        SHORT_VALUE,
        MAX_SUMMARY_MEMBERS,
        MAX_SUMMARY_DEPTH,
        MANY_MEMBERS,
        SEVERAL_EMPTY,
        BULKY_CELL,
        SAMPLED_CELLS,
        MAX_IDENTITY_CHARS,
    ),
    shares=(MIN_IDENTITY, MIN_NAMES),
    flags=(int(UnitFlag.NOISE), int(UnitFlag.SUMMARY), int(UnitFlag.HEADER)),
    empty_texts=EMPTY_TEXTS,
    key_column=_KEY_ENTRY,
    no_place=NO_PLACE,
)

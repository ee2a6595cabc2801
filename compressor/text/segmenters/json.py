"""Cuts a JSON text into units and writes JSON again from some of them. Knows no query, score or budget.

A unit is a member or item with a plain value; of a table's row its identity (all columns of ids, numbers, dates and
short codes together) is one unit and every other cell another, so that every record can keep its ids when its verbose
fields go. Tables keep their header once. Long strings are segmented in their own right. What `render` writes always
parses: `"…12 more"` stands where items or rows were left out, `"…"` where a cell was, `"…":3` where members were.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.text.lossless.json_tables import (
    ABSENT_CELL,
    KEY_COLUMN,
    NO_PLACE,
    VALUE_WRITER,
    ParsedJson,
    TableWriter,
    encode_parsed,
    encode_values,
    has_place,
    needs_ascii,
    parse,
)
from compressor.text.lossless.json_values import RepeatedKeys
from compressor.text.lossless.table_detection import detect_table
from compressor.text.segmenters.base import Mask, SegmentedText, Spans, UnitFlag, is_encodable, table_records
from compressor.text.segmenters.json_nodes import Grid, Group, Leaf, Node, Text, write_node, write_nothing
from compressor.text.segmenters.json_spans import Step, leaf_spans

LONG_TEXT = 400  # characters from which a string is divided like a text of its own
SHORT_LIST = 16  # characters up to which a list of plain values is one unit
SHORT_ROW = 120  # the same for a list in a list, which is a record
LONG_LIST = 12  # items from which the members beside a list say something about it
MAX_RECORD_CHARS = 1_000  # a larger item of a list is scored by its members, not as a whole
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
_NAME = re.compile(r'"?(?:[^"]*[._ -])?(?:\w*name|title|label|subject|login)"?', re.I)  # of a column of names
_ITEM_NAME = re.compile(r"(?:\w*[._ -])?(?:\w*name|\w*id|key|title|label|number|path|url|sha|arn)", re.I)
_KEY = re.compile(r'"?(?:key|k|name|field|property|attribute|label|header|variable|metric|option)"?', re.I)
_VALUE = re.compile(r'"?(?:value|val|v)"?', re.I)
_KEY_ENTRY = f'"{KEY_COLUMN}'
_TROUBLE = ("error", "exception", "fail", "fatal", "denied", "traceback", "stderr")
_UNTROUBLED = re.compile(r':(?:""|null|\[\]|\{\}|false|0|"0"|"ok"|"none"),$', re.I)
_SUMMARY_KEY = re.compile(
    r"(?i)(?:.*(?:count|total|more|cursor|truncated|partial|incomplete|remaining|num|pages?|limit|offset|omitted|failed)"
    r"|has_?.*|next.*|status|state|ok|success|complete|done|size|length)"
)

# What a layout takes besides its texts, and what a unit adds: values, nodes, their texts and arrays.
_JSON_BYTES, _UNIT_BYTES = 7_000, 280
_kernel = load_kernel("render")


class JsonLayout:
    """A `SegmentedText` of a JSON text; `text` holds the texts of the units, `source` is the original."""

    kind = "json"

    def __init__(self, source: str, parsed: ParsedJson, segment: Callable[[str], SegmentedText]) -> None:
        self.source = source
        self.parsed = parsed
        emitter = TableWriter(needs_ascii(source), any_order=True)
        builder = _Builder(emitter, segment) if _units is None else _units.UnitBuilder(_settings, emitter, segment)
        self._quote = emitter.quote
        self._root: Node = builder.node(parsed.value, "", (), 0)
        self.text = "".join(builder.fragments)
        self.spans: Spans
        self.parents: npt.NDArray[np.int32]
        self.flags: npt.NDArray[np.uint16]
        self._columns: npt.NDArray[np.int32]
        self._column_names: list[str] = builder.column_names
        self._named_items: list[tuple[int, int]] = builder.named_items
        lay = _lay_fragments if _layouts is None else _layouts.lay_fragments
        self.spans, self.parents, self.flags, self._columns = lay(
            builder.fragments, builder.parents, builder.flags, builder.columns
        )
        _flag_trouble(builder.fragments, self.text, self.spans[:, 1], self.flags)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds, with its texts, the values read and an exact form."""
        return _JSON_BYTES + _UNIT_BYTES * len(self.spans) + 2 * sys.getsizeof(self.source) + sys.getsizeof(self.text)

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
        """[n] the identity cell of each unit's row, the name of the list's item that it is in, or the unit itself."""
        out = table_records(self._columns, self.parents)
        for name, end in self._named_items:  # an outer item comes after those inside it
            if self.spans[end - 1, 1] - self.spans[name, 0] <= MAX_RECORD_CHARS:
                out[name:end] = name
        return out

    def render(self, keep: Mask) -> str:
        """Writes JSON from the kept units; the exact source if everything is kept."""
        return self.source if keep.all() else self.write(keep, is_signed=False)

    def write(self, keep: Mask, is_signed: bool = True) -> str:
        """Writes JSON from the kept units, also if everything is kept.

        Args:
            keep: [n] which units are kept.
            is_signed: Whether an outermost object says how many of its members were left out.
        """
        if _kernel is None:
            kept = with_ancestors(self.parents, keep).tobytes()
        else:
            kept = _kernel.with_ancestors(self.parents, keep.tobytes())
        body = write_node(self._root, kept, self._quote, is_signed)
        return write_nothing(self._root, is_signed) if body is None else body

    def encode_exactly(self) -> str | None:
        """Returns a shorter text from which the source can be rebuilt, or None."""
        return self._exact_form

    @cached_property
    def _exact_form(self) -> str | None:
        return encode_parsed(self.source, self.parsed)

    def encode_values(self) -> str | None:
        """Returns a shorter text with all values, of which the way it was written is lost, or None."""
        return self._short_form

    @cached_property
    def _short_form(self) -> str | None:
        inner = {text: encoded for text, encoded in _encode_inner(self._root) if encoded is not None}
        return encode_values(self.source, replace(self.parsed, value=_replace(self.parsed.value, inner)))

    @cached_property
    def source_spans(self) -> list[list[tuple[int, int]]]:
        """The ranges of the source that each unit stands for, in order, keys included."""
        parsed = self.parsed
        places = leaf_spans(self.source, parsed.lines, parsed.spans, parsed.is_plain)
        out: list[list[tuple[int, int]]] = [[] for _ in range(len(self.spans))]
        _locate(self._root, (), places, out)
        return out


def with_ancestors(parents: npt.NDArray[np.int32], keep: Mask) -> Mask:
    """Returns [n] the kept units together with their ancestors.

    Args:
        parents: [n] the parent of each unit, or -1.
        keep: [n] which units are kept.
    """
    kept: Mask = keep.copy()
    for unit in np.flatnonzero(keep & (parents >= 0)).tolist():
        while (unit := int(parents[unit])) >= 0 and not kept[unit]:
            kept[unit] = True
    return kept


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


def _is_long(value: Any) -> bool:
    """Whether a value is a list, or an object of objects, with many items."""
    if type(value) is list:
        return len(value) >= LONG_LIST
    return type(value) is dict and len(value) >= LONG_LIST and all(type(v) is dict for v in value.values())


def _holds_long(value: Any) -> bool:
    """Whether a value is an object with a long list in it."""
    return type(value) is dict and any(_is_long(v) for v in value.values())


def _encode_inner(node: Node) -> Iterator[tuple[str, str | None]]:
    """Yields the long strings that are JSON themselves, and their shorter forms."""
    if isinstance(node, Group):
        for child in node.children:
            yield from _encode_inner(child)
    elif isinstance(node, Text) and is_encodable(layout := node.layout):
        yield node.layout.render(np.ones(len(node.layout.spans), np.bool_)), layout.encode_values()


def _replace(value: Any, replacements: dict[str, str]) -> Any:
    """Returns a value with some of its strings replaced."""
    kind = type(value)
    if not replacements:
        return value
    if kind is str:
        return replacements.get(value, value)
    if kind is list:
        return [_replace(v, replacements) for v in value]
    if kind is dict:
        return {k: _replace(v, replacements) for k, v in value.items()}
    if kind is RepeatedKeys:
        return RepeatedKeys([(k, _replace(v, replacements)) for k, v in value.items()])
    return value


def _lay_fragments(
    fragments: list[str], parents: list[int], flags: list[int], columns: list[int]
) -> tuple[Spans, npt.NDArray[np.int32], npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Returns the spans, parents, flags and columns of units that stand end to end."""
    ends = np.cumsum([len(f) for f in fragments], dtype=np.int32)
    spans = np.zeros((len(ends), 2), np.int32)
    spans[:, 1] = ends
    spans[1:, 0] = ends[:-1]
    return spans, np.array(parents, np.int32), np.array(flags, np.uint16), np.array(columns, np.int32)


class _Builder:
    def __init__(self, emitter: TableWriter, segment: Callable[[str], SegmentedText]) -> None:
        self.emitter = emitter
        self.segment = segment
        self.fragments: list[str] = []
        self.parents: list[int] = []
        self.flags: list[int] = []
        self.columns: list[int] = []
        self.column_names: list[str] = []
        self.named_items: list[tuple[int, int]] = []  # the unit of the name, and the unit after the item

    def unit(self, fragment: str, parent: int = -1, flag: int = 0, column: int = -1) -> int:
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
        names = [_first_name(item) for item in items]
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


def _flag_trouble(fragments: list[str], text: str, ends: npt.NDArray[np.int32], flags: npt.NDArray[np.uint16]) -> None:
    """Flags members and rows that speak of failure, unless the member says there was none."""
    low = text.lower()
    if len(low) != len(text):  # a few capitals have a longer lower case
        return
    for unit in {int(ends.searchsorted(at, side="right")) for at in _find_trouble(low, ends)}:
        if not _UNTROUBLED.search(fragments[unit]):
            flags[unit] |= UnitFlag.ERROR


def _find_trouble(low: str, ends: npt.NDArray[np.int32]) -> list[int]:
    """Returns where the words of failure stand in a text in lower case; at least each word's first place in a unit."""
    if _trouble_finder is not None:
        every: list[int] = _trouble_finder.offsets(low, True)
        return every
    out: list[int] = []
    for word in _TROUBLE:
        at = low.find(word)
        while at >= 0:
            out.append(at)
            at = low.find(word, int(ends[int(ends.searchsorted(at, side="right"))]))
    return out


def _first_name(item: Node) -> Leaf | None:
    """Returns the first member of an object that names or numbers it, or None."""
    if isinstance(item, Group) and item.is_object:
        for member in item.children:
            if isinstance(member, Leaf) and _ITEM_NAME.fullmatch(str(member.step)):
                return member if len(member.text) <= SHORT_VALUE else None
    return None


def is_name(column: str) -> bool:
    """Returns whether a column or member of this name names what it is in."""
    return _NAME.fullmatch(column) is not None


def is_pair(one: str, other: str) -> bool:
    """Returns whether members of these names are a key and its value."""
    if _VALUE.fullmatch(one):
        one, other = other, one
    return _VALUE.fullmatch(other) is not None and _KEY.fullmatch(one) is not None


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
        elif node.size or node.ends:
            first, last = node.ends or (0, node.size - 1)
            ends = places.get((*here, first)), places.get((*here, last))
            if ends[0] is not None and ends[1] is not None:
                out[node.unit].append((ends[0][0], ends[1][1]))
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


_units, _layouts, _sentences = load_kernel("json_units"), load_kernel("layout"), load_kernel("sentences")
_trouble_finder = _sentences and _sentences.WordFinder(_TROUBLE)
_settings = _units and _units.UnitSettings(
    value_writer=VALUE_WRITER,
    types=(Leaf, Text, Group, Grid),
    is_summary_key=_SUMMARY_KEY.fullmatch,
    is_name=is_name,
    is_pair=is_pair,
    first_name=_first_name,
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

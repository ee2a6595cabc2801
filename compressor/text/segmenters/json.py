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
    ParsedJson,
    TableWriter,
    encode_parsed,
    encode_values,
    needs_ascii,
    parse,
)
from compressor.text.lossless.json_values import RepeatedKeys
from compressor.text.segmenters.base import Mask, SegmentedText, Spans, UnitFlag, is_encodable, table_records
from compressor.text.segmenters.json_nodes import Grid, Group, Leaf, Node, Text, write_node, write_nothing
from compressor.text.segmenters.json_spans import Step, leaf_spans
from compressor.text.segmenters.json_units import unit_builder

MAX_RECORD_CHARS = 1_000  # a larger item of a list is scored by its members, not as a whole
_TROUBLE = ("error", "exception", "fail", "fatal", "denied", "traceback", "stderr")
_UNTROUBLED = re.compile(r':(?:""|null|\[\]|\{\}|false|0|"0"|"ok"|"none"),$', re.I)

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
        builder = unit_builder(emitter, segment)
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


_layouts, _sentences = load_kernel("layout"), load_kernel("sentences")
_trouble_finder = _sentences and _sentences.WordFinder(_TROUBLE)

"""Finds the table in a list of JSON records.

A table is a list of objects of (nearly) one shape, or an object whose values are such objects. Nested objects of one
shape become dotted columns. `None` is never used for a missing cell: JSON's own null is a value like any other.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from compressor.native import load_kernel


class _Absent:
    """The cell of a record that lacks the column's key; distinct from null, "" and every other value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
MAX_FLATTEN = 3  # levels of nested objects turned into dotted columns
MIN_FILL = 0.6  # fraction of cells that must exist for ragged records to count as one table
MAX_OPTIONAL = 0.3  # fraction of the cells that may be in optional columns
MAX_SHAPES = 200  # records with more different lists of keys are no table
ABSENT_CHARS = 11  # what an absent cell costs in a row
OPTIONAL_CHARS = 6  # what a cell of an optional column costs beside its name and value


@dataclass(slots=True)
class RecordTable:
    """A list of records, column by column.

    Attributes:
        names: The dotted key path of each column.
        columns: The cells of each column, ABSENT where a record lacks the key.
        keys: The member names if the table was an object of objects, else None.
        optional: The names of the columns that so few records have that they are better written with their name.
    """

    names: list[str]
    columns: list[list[Any]]
    keys: list[str] | None = None
    optional: frozenset[str] = frozenset()

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.columns[0]) if self.columns else 0


def detect_table(value: Any, any_order: bool = False) -> RecordTable | None:
    """Returns the table of a list or object of records, or None if it has no common shape or saves nothing.

    Args:
        value: The list or object.
        any_order: Whether the order of the keys in a record does not matter. Otherwise the columns have an order that
            all records share.
    """
    if type(value) is dict:
        if len(value) < 2 or not all(type(v) is dict for v in value.values()):
            return None
        table = _of_records(list(value.values()), any_order)
        if table is not None:
            table.keys = list(value)
        return table
    if type(value) is list and len(value) >= 2 and all(type(v) is dict for v in value):
        return _of_records(value, any_order)
    return None


def _of_records(records: Sequence[dict[str, Any]], any_order: bool) -> RecordTable | None:
    optional: frozenset[str] = frozenset()
    split = _split_columns(records)
    if split is None:
        ragged = _ragged_columns(records, any_order)
        if ragged is None:
            return None
        names, columns, optional = ragged
    else:
        names, columns = split
    # A header costs about its own length and ~25 characters of frame; each further row saves the keys once.
    keys = sum(len(n) + 4 for n in names)
    if keys * (len(records) - 1) <= 25:
        return None
    for _ in range(MAX_FLATTEN):
        flat_names: list[str] = []
        flat_columns: list[list[Any]] = []
        changed = False
        for name, cells in zip(names, columns, strict=True):
            inner = (
                _split_columns(cells) if type(cells[0]) is dict and "." not in name and name not in optional else None
            )
            if inner is None or not all(inner[0]) or any("." in n for n in inner[0]):
                flat_names.append(name)
                flat_columns.append(cells)
            else:
                changed = True
                flat_names += [f"{name}.{n}" for n in inner[0]]
                flat_columns += inner[1]
        names, columns = flat_names, flat_columns
        if not changed:
            break
    if len(set(names)) != len(names):
        return None
    return RecordTable(names, columns, None, optional)


def _columns(records: Sequence[Any]) -> tuple[list[str], list[list[Any]]] | None:
    """Splits records with the same keys in the same order into columns; None for others."""
    first = records[0]
    if type(first) is not dict or not first:
        return None
    names = list(first)
    if all(type(r) is dict and list(r) == names for r in records):
        return names, [[r[n] for r in records] for n in names]
    return None


_kernel = load_kernel("json_values")
_split_columns: Callable[[Any], tuple[list[str], list[list[Any]]] | None] = (
    _columns if _kernel is None else _kernel.split_columns
)


def _ragged_columns(
    records: Sequence[dict[str, Any]], any_order: bool
) -> tuple[list[str], list[list[Any]], frozenset[str]] | None:
    """Splits records that have most keys in common into columns, and names the columns that few records have."""
    counts = Counter(k for r in records for k in r)
    shapes = dict.fromkeys(tuple(r) for r in records)
    if len(shapes) > MAX_SHAPES or not counts:
        return None
    height, cells = len(records), sum(counts.values())
    optional = frozenset(k for k, n in counts.items() if n * (len(k) + OPTIONAL_CHARS) < (height - n) * ABSENT_CHARS)
    filled = sum(n for k, n in counts.items() if k not in optional)
    if filled < MIN_FILL * (len(counts) - len(optional)) * height or filled < (1 - MAX_OPTIONAL) * cells:
        return None
    order = _merge_orders(shapes)
    if order is None:
        if not any_order:
            return None
        order = list(counts)
    return order, [[r.get(n, ABSENT) for r in records] for n in order], optional


def _merge_orders(shapes: Iterable[tuple[str, ...]]) -> list[str] | None:
    """Returns an order of all keys that keeps the order of each shape, or None if they contradict each other.

    Where the shapes leave a choice, the key that was seen first comes first.
    """
    rank: dict[str, int] = {}
    later: dict[str, set[str]] = {}
    for shape in shapes:
        for key in shape:
            rank.setdefault(key, len(rank))
            later.setdefault(key, set())
        for key, following in itertools.pairwise(shape):
            later[key].add(following)
    waiting = Counter(following for keys in later.values() for following in keys)
    names = list(rank)
    ready = [r for k, r in rank.items() if not waiting[k]]
    out: list[str] = []
    while ready:
        out.append(names[heapq.heappop(ready)])
        for following in later[out[-1]]:
            waiting[following] -= 1
            if not waiting[following]:
                heapq.heappush(ready, rank[following])
    return out if len(out) == len(names) else None

"""Finds the table in a list of JSON records.

A table is a list of objects of (nearly) one shape, or an object whose values are such objects. Nested objects of one
shape become dotted columns. `None` is never used for a missing cell: JSON's own null is a value like any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


class _Absent:
    """The cell of a record that lacks the column's key; distinct from null, "" and every other value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
MAX_FLATTEN = 3  # levels of nested objects turned into dotted columns
MIN_FILL = 0.6  # fraction of cells that must exist for ragged records to count as one table


@dataclass(slots=True)
class RecordTable:
    """A list of records, column by column.

    Attributes:
        names: The dotted key path of each column.
        columns: The cells of each column, ABSENT where a record lacks the key.
        keys: The member names if the table was an object of objects, else None.
    """

    names: list[str]
    columns: list[list[Any]]
    keys: list[str] | None = None

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.columns[0]) if self.columns else 0


def detect_table(value: Any) -> RecordTable | None:
    """Returns the table of a list or object of records, or None if it has no common shape or saves nothing."""
    if type(value) is dict:
        if len(value) < 2 or not all(type(v) is dict for v in value.values()):
            return None
        table = _of_records(list(value.values()))
        if table is not None:
            table.keys = list(value)
        return table
    if type(value) is list and len(value) >= 2 and all(type(v) is dict for v in value):
        return _of_records(value)
    return None


def _of_records(records: Sequence[dict[str, Any]]) -> RecordTable | None:
    split = _columns(records)
    if split is None:
        return None
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
            inner = _columns(cells, ragged=False) if type(cells[0]) is dict and "." not in name else None
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
    return RecordTable(names, columns)


def _columns(records: Sequence[Any], ragged: bool = True) -> tuple[list[str], list[list[Any]]] | None:
    """Splits records into columns; None if they have no common shape."""
    first = records[0]
    if type(first) is not dict or not first:
        return None
    names = list(first)
    if all(type(r) is dict and list(r) == names for r in records):
        return names, [[r[n] for r in records] for n in names]
    if not ragged or not all(type(r) is dict for r in records):
        return None
    order = dict.fromkeys(k for r in records for k in r)
    if sum(map(len, records)) < MIN_FILL * len(order) * len(records):
        return None
    rank = {k: i for i, k in enumerate(order)}
    for r in records:  # the union must keep every record's own key order, or the record could not be rebuilt
        ranks = [rank[k] for k in r]
        if any(a > b for a, b in itertools.pairwise(ranks)):
            return None
    return list(order), [[r.get(n, ABSENT) for r in records] for n in order]

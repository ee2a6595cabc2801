"""The parts of a JSON text that is divided into units, and how they are written from the units that are kept.

What is written always parses. `"…12 more"` stands for items or rows that were left out, `"…"` for a single one or for a
cell, and `"…":3` for members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from compressor.context.refs import ELLIPSIS
from compressor.native import load_kernel
from compressor.text.lossless.json_tables import ABSENT_CELL, write_row
from compressor.text.segmenters.base import SegmentedText
from compressor.text.segmenters.json_spans import Step

FEW_ROWS = 3  # kept rows up to which objects may be shorter than a table
GAP_ITEM = f'"{ELLIPSIS}"'
_KEY_COLUMN = '"(key)'  # how the name of a column of keys begins
_KEPT = 1  # the byte of a unit that is kept


@dataclass(slots=True)
class Leaf:
    """A plain value, a short list of `size` plain values, or an object of two whose keys are `ends`.

    `label` is `"key":` inside an object, "" inside a list.
    """

    label: str
    step: Step
    unit: int
    text: str
    size: int = 0
    ends: tuple[str, ...] = ()


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


@dataclass
class Grid:
    """A table. `tiers[t]` are the column indices of a tier: the first is identity, every further one a single column.

    `units[t][r]`, which is `header_unit + 1 + r * len(tiers) + t`, is the unit of row r in it, `cells[t][r]` its text;
    `columns[c][r]` are the cells one by one. `rows` holds the rows' steps (index or key), `bounds` the group sizes of a
    list of lists of records. `optional[c]` is the name of a column that few records have, else "".
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
    optional: list[str]

    @cached_property
    def is_regular(self) -> bool:
        """Whether every record has every column."""
        return not any(ABSENT_CELL in column for column in self.columns)

    def count_kept(self, tier: int, keep: bytes) -> int:
        """The number of rows of which a tier is kept and says something."""
        mask = self.mask(tier, keep)
        if self.is_regular or not tier:
            return mask.count(_KEPT)
        return sum(is_kept and c != ABSENT_CELL for is_kept, c in zip(mask, self.cells[tier], strict=True))

    def mask(self, tier: int, keep: bytes) -> bytes:
        """Which rows a tier is kept of: a byte for each, 0 or 1."""
        units = self.units[tier]
        return keep[units[0] : units[-1] + 1 : len(self.tiers)]

    def row_cells(self, tier: int, row: int) -> list[str]:
        """The cells of a row in a tier, one by one."""
        return [self.columns[c][row] for c in self.tiers[tier]]


Node = Leaf | Text | Group | Grid


def gap_item(count: int) -> str:
    """Returns the item that stands for items or rows that were left out."""
    return GAP_ITEM if count == 1 else f'"{ELLIPSIS}{count} more"'


def write_node(node: Node, keep: bytes, quote: Callable[[str], str], is_signed: bool = True) -> str | None:
    """Returns a node's JSON text, or None if nothing of it is kept.

    Args:
        node: The node.
        keep: n bytes, 1 for a unit that is kept and 0 for any other.
        quote: Writes a string.
        is_signed: Whether an object says how many of its members were left out. Of the objects inside it those do that
            lost a member which one beside them shows: it would read as if they had none.
    """
    if _writer is not None:
        text: str | None = _writer.write(node, keep, quote, is_signed)
        return text
    return write_node_slowly(node, keep, quote, is_signed)


def write_node_slowly(node: Node, keep: bytes, quote: Callable[[str], str], is_signed: bool = True) -> str | None:
    """The same as `write_node` in Python."""
    if isinstance(node, Leaf):
        return node.label + node.text if keep[node.unit] else None
    if isinstance(node, Text):
        return _write_text(node, keep, quote) if _is_kept(node, keep) else None
    if isinstance(node, Grid):
        return _write_grid(node, keep)
    objects = [child for child in node.children if isinstance(child, Group) and child.is_object]
    shown: set[str] = set()
    if len(objects) > 1:
        shown = {m.label for child in objects for m in child.children if _is_kept(m, keep)}
    children = [
        write_node_slowly(child, keep, quote, _lacks(child, shown, keep) if shown else False) for child in node.children
    ]
    kept = [c for c in children if c is not None]
    if not kept:
        return None
    if not node.is_object:
        return f"{node.label}[{','.join(_with_gaps(children))}]"
    if is_signed and len(kept) < len(children):
        kept.append(f"{GAP_ITEM}:{len(children) - len(kept)}")
    return f"{node.label}{{{','.join(kept)}}}"


def _write_text(node: Text, keep: bytes, quote: Callable[[str], str]) -> str:
    part = keep[node.first : node.first + len(node.layout.spans)]
    return node.label + quote(node.layout.render(np.frombuffer(part, np.bool_)))


def _is_kept(node: Node, keep: bytes) -> bool:
    """Whether anything of a node is kept."""
    if isinstance(node, Leaf):
        return bool(keep[node.unit])
    if isinstance(node, Text):
        return _KEPT in keep[node.first : node.first + len(node.layout.spans)]
    if isinstance(node, Grid):
        return _KEPT in keep[node.header_unit : node.units[-1][-1] + 1]
    return any(_is_kept(child, keep) for child in node.children)


def _lacks(node: Node, shown: set[str], keep: bytes) -> bool:
    """Whether an object has lost a member that one beside it shows."""
    return isinstance(node, Group) and any(m.label in shown and not _is_kept(m, keep) for m in node.children)


def write_nothing(node: Node, is_signed: bool) -> str:
    """Returns what is written for the outermost value if nothing of it is kept."""
    if isinstance(node, Grid):
        return f"[{gap_item(len(node.rows))}]"
    if not isinstance(node, Group):
        return "[]"
    if node.is_object:
        return f"{{{GAP_ITEM}:{len(node.children)}}}" if is_signed else "{}"
    return f"[{gap_item(len(node.children))}]"


def _with_gaps(items: Iterable[str | None]) -> list[str]:
    """Items, with one sign for each run of missing ones."""
    out: list[str] = []
    missing = 0
    for item in items:
        if item is None:
            missing += 1
            continue
        if missing:
            out.append(gap_item(missing))
            missing = 0
        out.append(item)
    if missing:
        out.append(gap_item(missing))
    return out


def _write_grid(grid: Grid, keep: bytes) -> str | None:
    used = {t: count for t in range(len(grid.tiers)) if (count := grid.count_kept(t, keep))}
    if not used:
        if not keep[grid.header_unit]:
            return None
        return (
            f'{grid.label}{{"columns":[{",".join(grid.names + grid.constants)}],"rows":[{gap_item(len(grid.rows))}]}}'
        )
    table = _as_table(grid, keep, used)
    kept = grid.mask(0, keep).count(_KEPT)
    if kept > FEW_ROWS or grid.bounds is not None or grid.names[grid.tiers[0][0]].startswith(_KEY_COLUMN):
        return table
    records = _as_records(grid, keep)
    return records if len(records) < len(table) else table


def _as_table(grid: Grid, keep: bytes, kept: dict[int, int]) -> str:
    """Header and rows. What most rows have comes first, so that gaps are at the end.

    Args:
        grid: The table.
        keep: As in `write_node`.
        kept: The number of rows that have each tier, without those that no row has.
    """
    used = sorted(kept, key=lambda t: (t > 0, -kept[t], t))
    masks = [(grid.cells[t], grid.mask(t, keep)) for t in used]
    names = [grid.optional[c] for t in used for c in grid.tiers[t]]
    rows: list[str | None] = []
    for r, is_kept in enumerate(grid.mask(0, keep)):
        if not is_kept:
            rows.append(None)
        elif grid.is_regular:
            parts = [cells[r] if mask[r] else GAP_ITEM for cells, mask in masks]
            while len(parts) > 1 and parts[-1] is GAP_ITEM:  # a row shorter than the header shows that it is cut
                parts.pop()
            rows.append("[" + ",".join(parts) + "]")
        else:
            rows.append(_ragged_row(grid, keep, used, names, r))
    header = [grid.names[c] for t in used for c in grid.tiers[t]] + grid.constants
    if len(used) < len(grid.tiers):
        header.append(GAP_ITEM)
    head = f'{grid.label}{{"columns":[{",".join(header)}],'
    if grid.bounds is None:
        return head + f'"rows":[{",".join(_with_gaps(rows))}]}}'
    groups, at = [], 0
    for size in grid.bounds:
        groups.append("[" + ",".join(_with_gaps(rows[at : at + size])) + "]")
        at += size
    return head + f'"groups":[{",".join(groups)}]}}'


def _ragged_row(grid: Grid, keep: bytes, used: list[int], names: Sequence[str], row: int) -> str:
    """A row of a table in which some records lack keys."""
    cells: list[str] = []
    cut = 0
    for t in used:
        texts = grid.row_cells(t, row)
        if keep[grid.units[t][row]] or texts == [ABSENT_CELL]:
            cells += texts
        elif grid.optional[grid.tiers[t][0]]:
            cells.append(ABSENT_CELL)
            cut += 1
        else:
            cells += [GAP_ITEM] * len(texts)
    for place in reversed([i for i, name in enumerate(names) if not name][1:]):
        if cells[place] not in (GAP_ITEM, ABSENT_CELL):
            break
        cells[place] = ""
    shown = [i for i, cell in enumerate(cells) if cell]
    return write_row([names[i] for i in shown], [cells[i] for i in shown], cut, ELLIPSIS)


def _as_records(grid: Grid, keep: bytes) -> str:
    """The kept rows as objects: shorter than header and rows when there are only a few."""
    constants = [c[1:-1] for c in grid.constants]
    records: list[str | None] = []
    for r, is_row_kept in enumerate(grid.mask(0, keep)):
        if not is_row_kept:
            records.append(None)
            continue
        members: list[str] = []
        cut = 0
        for t, tier in enumerate(grid.tiers):
            is_kept = keep[grid.units[t][r]]
            for c, cell in zip(tier, grid.row_cells(t, r), strict=True):
                if cell == ABSENT_CELL:
                    continue
                if is_kept:
                    members.append(f"{grid.optional[c] or grid.names[c]}:{cell}")
                else:
                    cut += 1
        members += constants
        if cut:
            members.append(f"{GAP_ITEM}:{cut}")
        records.append("{" + ",".join(members) + "}")
    return f"{grid.label}[{','.join(_with_gaps(records))}]"


_kernel = load_kernel("json_nodes")
_writer = _kernel and _kernel.NodeWriter(
    (Leaf, Text, Group, Grid), GAP_ITEM, gap_item, ABSENT_CELL, _KEY_COLUMN, FEW_ROWS, _write_text, _ragged_row
)

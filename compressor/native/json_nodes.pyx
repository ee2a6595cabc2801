# cython: auto_pickle=False
"""Kernel of `compressor.text.segmenters.json_nodes`: writes JSON from the units that are kept.

Twins: `write_node` there, and the functions that it calls.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


cdef extern from "Python.h":
    bint Py_EnterRecursiveCall(const char* where) except 1
    void Py_LeaveRecursiveCall()


cdef inline bint _at(bytes keep, Py_ssize_t unit) except -1:
    """Whether a unit is kept."""
    if not 0 <= unit < PyBytes_GET_SIZE(keep):
        raise IndexError("a node has a unit that is not there")
    return PyBytes_AS_STRING(keep)[unit] != 0


cdef class NodeWriter:
    """Writes nodes; made once, from the types and constants of the twin.

    Args:
        types: Leaf, Text, Group and Grid.
        gap_item: The sign for one item that was left out.
        gap_items: Returns the sign for several.
        absent_cell: The cell of a record that lacks a column.
        key_column: How the name of a column of keys begins.
        few_rows: The number of kept rows up to which objects may be shorter than a table.
        write_text: Writes a `Text` of which something is kept.
        ragged_row: Writes a row of a table in which some records lack keys.
    """

    cdef object leaf, text, group, grid, gap_items, write_text, ragged_row
    cdef str gap_item, absent_cell, key_column
    cdef Py_ssize_t few_rows

    def __init__(
        self,
        tuple types not None,
        str gap_item not None,
        gap_items,
        str absent_cell not None,
        str key_column not None,
        Py_ssize_t few_rows,
        write_text,
        ragged_row,
    ):
        self.leaf, self.text, self.group, self.grid = types
        self.gap_item, self.gap_items, self.absent_cell = gap_item, gap_items, absent_cell
        self.key_column, self.few_rows = key_column, few_rows
        self.write_text, self.ragged_row = write_text, ragged_row

    def write(self, node, bytes keep not None, quote, bint is_signed=True):
        """Twin: `write_node`."""
        return self._write(node, keep, quote, is_signed)

    cdef _write(self, node, bytes keep, quote, bint is_signed):
        cdef list children, written
        cdef Py_ssize_t missing = 0
        cdef set shown = None
        kind = type(node)
        if kind is self.leaf:
            return node.label + node.text if _at(keep, node.unit) else None
        if kind is self.text:
            return self.write_text(node, keep, quote) if self._is_text_kept(node, keep) else None
        if kind is self.grid:
            return self._write_grid(node, keep)
        Py_EnterRecursiveCall(" while JSON is written")
        try:
            children = node.children
            shown = self._shown(children, keep)
            written = []
            for child in children:
                part = self._write(child, keep, quote, shown is not None and self._lacks(child, shown, keep))
                missing += part is None
                written.append(part)
        finally:
            Py_LeaveRecursiveCall()
        if missing == len(written):
            return None
        if not node.is_object:
            return f"{node.label}[{','.join(self._with_gaps(written) if missing else written)}]"
        if missing:
            written = [part for part in written if part is not None]
            if is_signed:
                written.append(f"{self.gap_item}:{missing}")
        return f"{node.label}{{{','.join(written)}}}"

    cdef set _shown(self, list children, bytes keep):
        """The labels of members that are kept in some object, or None if there are not several objects."""
        cdef Py_ssize_t count = 0
        cdef set shown = set()
        for child in children:
            count += type(child) is self.group and <bint> child.is_object
        if count < 2:
            return None
        for child in children:
            if type(child) is self.group and child.is_object:
                for member in child.children:
                    if self._is_kept(member, keep):
                        shown.add(member.label)
        return shown if shown else None

    @cython.boundscheck(True)
    @cython.wraparound(True)
    cdef bint _is_kept(self, node, bytes keep) except -1:
        """Twin: `_is_kept`."""
        kind = type(node)
        if kind is self.leaf:
            return _at(keep, node.unit)
        if kind is self.text:
            return self._is_text_kept(node, keep)
        if kind is self.grid:
            return b"\x01" in keep[node.header_unit : node.units[-1][-1] + 1]
        Py_EnterRecursiveCall(" while JSON is written")
        try:
            for child in node.children:
                if self._is_kept(child, keep):
                    return True
        finally:
            Py_LeaveRecursiveCall()
        return False

    cdef bint _is_text_kept(self, node, bytes keep) except -1:
        cdef Py_ssize_t first = node.first
        return b"\x01" in keep[first : first + len(node.layout.spans)]

    cdef bint _lacks(self, node, set shown, bytes keep) except -1:
        """Twin: `_lacks`."""
        if type(node) is not self.group:
            return False
        for member in node.children:
            if member.label in shown and not self._is_kept(member, keep):
                return True
        return False

    cdef list _with_gaps(self, list items):
        """Twin: `_with_gaps`."""
        cdef list out = []
        cdef Py_ssize_t missing = 0
        for item in items:
            if item is None:
                missing += 1
                continue
            if missing:
                out.append(self.gap_item if missing == 1 else self.gap_items(missing))
                missing = 0
            out.append(item)
        if missing:
            out.append(self.gap_item if missing == 1 else self.gap_items(missing))
        return out

    @cython.boundscheck(True)
    @cython.wraparound(True)
    cdef bytes _mask(self, grid, Py_ssize_t tier, bytes keep):
        """Twin: `Grid.mask`."""
        units = grid.units[tier]
        return keep[units[0] : units[-1] + 1 : len(grid.tiers)]

    @cython.boundscheck(True)
    @cython.wraparound(True)
    cdef Py_ssize_t _count_kept(self, grid, Py_ssize_t tier, bytes keep) except -1:
        """Twin: `Grid.count_kept`."""
        cdef bytes mask = self._mask(grid, tier, keep)
        cdef Py_ssize_t count = 0, r
        cdef list cells
        if tier == 0 or grid.is_regular:
            return mask.count(b"\x01")
        cells = grid.cells[tier]
        if len(cells) != len(mask):
            raise ValueError("a tier has not as many cells as rows")
        for r in range(len(cells)):
            count += _at(mask, r) and cells[r] != self.absent_cell
        return count

    @cython.boundscheck(True)
    @cython.wraparound(True)
    cdef _write_grid(self, grid, bytes keep):
        """Twin: `_write_grid`."""
        cdef list used = []
        cdef Py_ssize_t t, count, kept
        for t in range(len(grid.tiers)):
            count = self._count_kept(grid, t, keep)
            if count:
                used.append((t > 0, -count, t))
        if not used:
            if not _at(keep, grid.header_unit):
                return None
            rows = len(grid.rows)
            sign = self.gap_item if rows == 1 else self.gap_items(rows)
            return f'{grid.label}{{"columns":[{",".join(grid.names + grid.constants)}],"rows":[{sign}]}}'
        used.sort()
        table = self._as_table(grid, keep, [entry[2] for entry in used])
        kept = self._mask(grid, 0, keep).count(b"\x01")
        if kept > self.few_rows or grid.bounds is not None:
            return table
        if grid.names[grid.tiers[0][0]].startswith(self.key_column):
            return table
        records = self._as_records(grid, keep)
        return records if len(records) < len(table) else table

    @cython.boundscheck(True)
    @cython.wraparound(True)
    cdef str _as_table(self, grid, bytes keep, list used):
        """Twin: `_as_table`, which gets the tiers before they are sorted."""
        cdef bytes first = self._mask(grid, 0, keep), mask
        cdef list names = grid.names, tiers = grid.tiers, cells = grid.cells, optional
        cdef list masks = [self._mask(grid, t, keep) for t in used], columns = [cells[t] for t in used]
        cdef list rows = [], parts, header, groups, column
        cdef Py_ssize_t r, i, width = len(used), last, at, size
        cdef bint is_regular = grid.is_regular
        for r in range(len(first)):
            if not _at(first, r):
                rows.append(None)
            elif is_regular:
                parts = []
                last = 0
                for i in range(width):
                    mask, column = masks[i], columns[i]
                    if _at(mask, r):
                        parts.append(column[r])
                        last = i
                    else:
                        parts.append(self.gap_item)
                rows.append("[" + ",".join(parts[: last + 1]) + "]")
            else:
                optional = grid.optional
                rows.append(self.ragged_row(grid, keep, used, [optional[c] for t in used for c in tiers[t]], r))
        header = [names[c] for t in used for c in tiers[t]] + grid.constants
        if width < len(tiers):
            header.append(self.gap_item)
        head = f'{grid.label}{{"columns":[{",".join(header)}],'
        bounds = grid.bounds
        if bounds is None:
            return head + f'"rows":[{",".join(self._with_gaps(rows))}]}}'
        groups = []
        at = 0
        for size in bounds:
            groups.append("[" + ",".join(self._with_gaps(rows[at : at + size])) + "]")
            at += size
        return head + f'"groups":[{",".join(groups)}]}}'

    @cython.boundscheck(True)
    @cython.wraparound(True)
    cdef str _as_records(self, grid, bytes keep):
        """Twin: `_as_records`."""
        cdef bytes first = self._mask(grid, 0, keep)
        cdef list tiers = grid.tiers, units = grid.units, columns = grid.columns
        cdef list names = grid.names, optional = grid.optional
        cdef list constants = [constant[1:-1] for constant in grid.constants], records = [], members
        cdef Py_ssize_t r, t, cut
        cdef bint is_kept
        for r in range(len(first)):
            if not _at(first, r):
                records.append(None)
                continue
            members = []
            cut = 0
            for t in range(len(tiers)):
                is_kept = _at(keep, units[t][r])
                for c in tiers[t]:
                    cell = columns[c][r]
                    if cell == self.absent_cell:
                        continue
                    if is_kept:
                        members.append(f"{optional[c] or names[c]}:{cell}")
                    else:
                        cut += 1
            members += constants
            if cut:
                members.append(f"{self.gap_item}:{cut}")
            records.append("{" + ",".join(members) + "}")
        return f"{grid.label}[{','.join(self._with_gaps(records))}]"

# cython: auto_pickle=False
"""Kernel of `compressor.text.segmenters.json`: the units of a JSON value.

Twins: `_Builder` there, and the functions that it calls. The values are those that Python's reader made.
"""

from cpython.unicode cimport (
    Py_UNICODE_ISDECIMAL,
    Py_UNICODE_ISSPACE,
    PyUnicode_DATA,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
)

from compressor.native.json_values cimport ValueWriter, all_dicts


cdef extern from "Python.h":
    bint Py_EnterRecursiveCall(const char* where) except 1
    void Py_LeaveRecursiveCall()


cdef bint _is_identity(str cell):
    """Whether a cell is one word with a digit in it, such as an id. Twin: `_IDENTITY.match`."""
    cdef int kind = PyUnicode_KIND(cell)
    cdef const void* data = PyUnicode_DATA(cell)
    cdef Py_ssize_t a = 0, b = PyUnicode_GET_LENGTH(cell)
    cdef Py_UCS4 c
    cdef bint has_digit = False
    if b and PyUnicode_READ(kind, data, b - 1) == u"\n":
        b -= 1
    if b and PyUnicode_READ(kind, data, 0) == u'"':
        a = 1
    if b > a and PyUnicode_READ(kind, data, b - 1) == u'"':
        b -= 1
    while a < b:
        c = PyUnicode_READ(kind, data, a)
        if c == u'"' or Py_UNICODE_ISSPACE(c):
            return False
        has_digit |= Py_UNICODE_ISDECIMAL(c)
        a += 1
    return has_digit


cdef class UnitSettings:
    """What is the same for all texts; made once, from the constants and types of the twin.

    Args:
        value_writer: Writes plain values.
        types: Leaf, Text, Group and Grid.
        is_summary_key: Matches the keys of members that sum up.
        is_name: The twin's function.
        is_pair: The twin's function.
        first_name: The twin's function.
        sizes: LONG_TEXT, SHORT_LIST, SHORT_ROW, LONG_LIST, SHORT_VALUE, MAX_SUMMARY_MEMBERS, MAX_SUMMARY_DEPTH,
            MANY_MEMBERS, SEVERAL_EMPTY, BULKY_CELL, SAMPLED_CELLS, MAX_IDENTITY_CHARS.
        shares: MIN_IDENTITY, MIN_NAMES.
        flags: NOISE, SUMMARY, HEADER.
        empty_texts: How empty values are written.
        key_column: How the entry of a column of keys begins.
        no_place: How header entries begin that have no place in the rows.
    """

    cdef ValueWriter value_writer
    cdef object leaf, text, group, grid, is_summary_key, is_name, is_pair, first_name
    cdef Py_ssize_t long_text, short_list, short_row, long_list, short_value, max_summary_members, max_summary_depth
    cdef Py_ssize_t many_members, several_empty, bulky_cell, sampled_cells, max_identity_chars
    cdef double min_identity, min_names
    cdef int noise, summary, header
    cdef tuple empty_texts, no_place
    cdef str key_column

    def __init__(
        self,
        ValueWriter value_writer not None,
        tuple types not None,
        is_summary_key,
        is_name,
        is_pair,
        first_name,
        tuple sizes not None,
        tuple shares not None,
        tuple flags not None,
        tuple empty_texts not None,
        str key_column not None,
        tuple no_place not None,
    ):
        self.value_writer = value_writer
        self.leaf, self.text, self.group, self.grid = types
        self.is_summary_key, self.is_name = is_summary_key, is_name
        self.is_pair, self.first_name = is_pair, first_name
        (
            self.long_text,
            self.short_list,
            self.short_row,
            self.long_list,
            self.short_value,
            self.max_summary_members,
            self.max_summary_depth,
            self.many_members,
            self.several_empty,
            self.bulky_cell,
            self.sampled_cells,
            self.max_identity_chars,
        ) = sizes
        self.min_identity, self.min_names = shares
        self.noise, self.summary, self.header = flags
        self.empty_texts, self.key_column, self.no_place = empty_texts, key_column, no_place

    cdef bint is_long(self, value):
        """Twin: `_is_long`."""
        if type(value) is list:
            return len(<list>value) >= self.long_list
        return type(value) is dict and len(<dict>value) >= self.long_list and all_dicts((<dict>value).values())

    cdef bint holds_long(self, value):
        """Twin: `_holds_long`."""
        if type(value) is dict:
            for inner in (<dict>value).values():
                if self.is_long(inner):
                    return True
        return False

    cpdef list tiers(self, list names, list columns, list sizes):
        """The columns that identify a record together, then each other column alone. Twin: `_tiers`."""
        cdef list identity = [], rest = [], cells
        cdef Py_ssize_t c, i, sampled, exact
        cdef str name
        cdef bint identifies, may_name, names_rows, is_named = False, is_exact
        if len(names) == 2 and self.is_pair(names[0], names[1]):
            return [[0, 1]]
        for c in range(len(columns)):
            cells, name = columns[c], names[c]
            sampled = min(self.sampled_cells, len(cells))
            exact = 0
            for i in range(sampled):
                exact += _is_identity(cells[i])
            is_exact = exact >= self.min_identity * sampled
            may_name = c == 0 or (not is_named and self.is_name(name))
            names_rows = may_name and len(set(cells[:sampled])) >= self.min_names * sampled
            is_named = is_named or (names_rows and not is_exact)
            identifies = (
                (is_exact or names_rows) and sizes[c] <= self.max_identity_chars and not name.startswith("[")
            )
            if identifies or name.startswith(self.key_column):
                identity.append(c)
            else:
                rest.append(c)
        if not identity:
            identity.append(rest.pop(0))
        return [identity, *[[c] for c in rest]]


cdef class UnitBuilder:
    """Makes the units of a JSON value. Twin: `_Builder`.

    Args:
        settings: The constants.
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

    cdef UnitSettings settings
    cdef object quote, emitter, segment
    cdef readonly list fragments, parents, flags, columns, column_names, named_items

    def __init__(self, UnitSettings settings not None, emitter, segment):
        self.settings, self.emitter, self.segment = settings, emitter, segment
        self.quote = emitter.quote
        self.fragments, self.parents, self.flags, self.columns, self.column_names = [], [], [], [], []
        self.named_items = []

    def node(self, value, str label not None, step, Py_ssize_t depth):
        """Makes the units of a value. Twin: `_Builder.node`.

        Args:
            value: The value.
            label: What stands before it.
            step: Its key or index.
            depth: The number of objects around it; more than MAX_SUMMARY_DEPTH if there is a list among them.
        """
        return self._node(value, label, step, depth)

    cdef Py_ssize_t unit(self, str fragment, object parent, object flag, object column) except -1:
        self.fragments.append(fragment + ",")
        self.parents.append(parent)
        self.flags.append(flag)
        self.columns.append(column)
        return len(self.parents) - 1

    cdef object _leaf(self, str label, step, str text):
        return self.settings.leaf(label, step, self.unit(label + text, -1, 0, -1), text)

    cdef object _node(self, value, str label, step, Py_ssize_t depth):
        cdef UnitSettings s = self.settings
        cdef str text
        cdef list children, starts = []
        cdef Py_ssize_t i
        kind = type(value)
        if kind is str and len(<str>value) > s.long_text:
            return self._long_string(value, label, step)
        if not value or (kind is not dict and kind is not list and kind is not s.value_writer.repeated_keys):
            return self._leaf(label, step, s.value_writer.write(value, self.emitter, self.quote))
        grid = self._grid(value, label, step)
        if grid is not None:
            return grid
        if kind is dict and len(<dict>value) == 2 and (text := self._short_pair(value)):
            return s.leaf(label, step, self.unit(label + text, -1, 0, -1), text, 0, tuple(value))
        children = []
        if kind is list:
            if step != () and (text := self._short_list(value, s.short_row if type(step) is int else s.short_list)):
                return s.leaf(label, step, self.unit(label + text, -1, 0, -1), text, len(<list>value))
            Py_EnterRecursiveCall(" in the units of a JSON value")
            try:
                for i in range(len(<list>value)):
                    starts.append(len(self.parents))
                    children.append(self._node((<list>value)[i], "", i, s.max_summary_depth + 1))
            finally:
                Py_LeaveRecursiveCall()
            starts.append(len(self.parents))
            self._put_below_names(children, starts)
            return s.group(label, step, False, children)
        Py_EnterRecursiveCall(" in the units of a JSON value")
        try:
            for key, inner in value.items():
                children.append(self._node(inner, self.quote(key) + ":", key, depth + 1))
        finally:
            Py_LeaveRecursiveCall()
        self._flag_members(value, children, depth)
        return s.group(label, step, True, children)

    cdef str _short_list(self, list value, Py_ssize_t max_chars):
        """Twin: `_Builder._short_list`."""
        cdef Py_ssize_t size = 0
        cdef str text
        cdef list texts
        if len(value) * 2 > max_chars:
            return None
        for inner in value:
            kind = type(inner)
            if kind is dict or kind is list or kind is self.settings.value_writer.repeated_keys:
                return None
            if kind is str:
                size += len(<str>inner)
        if size > max_chars:
            return None
        texts = []
        for inner in value:
            texts.append(self.settings.value_writer.write(inner, self.emitter, self.quote))
        text = "[" + ",".join(texts) + "]"
        return text if len(text) <= max_chars else None

    cdef object _put_below_names(self, list items, list starts):
        """Twin: `_Builder._put_below_names`."""
        cdef list names = [], parents = self.parents
        cdef set different = set()
        cdef Py_ssize_t i, unit, first
        if len(items) < 2:
            return None
        for item in items:
            name = self.settings.first_name(item)
            names.append(name)
            if name is not None:
                different.add(name.text)
        if len(different) < self.settings.min_names * len(items):
            return None
        for i in range(len(names)):
            if names[i] is None:
                continue
            first = names[i].unit
            self.named_items.append((first, starts[i + 1]))
            for unit in range(first + 1, <Py_ssize_t>starts[i + 1]):
                if <Py_ssize_t>parents[unit] < 0:
                    parents[unit] = first
        return None

    cdef str _short_pair(self, dict value):
        """Twin: `_Builder._short_pair`."""
        cdef str text
        if not self.settings.is_pair(*value):
            return None
        for inner in value.values():
            kind = type(inner)
            if kind is dict or kind is list or kind is self.settings.value_writer.repeated_keys:
                return None
        text = self.emitter.emit(value)
        return text if len(text) <= self.settings.short_row else None

    cdef object _flag_members(self, value, list children, Py_ssize_t depth):
        """Twin: `_Builder._flag_members`."""
        cdef UnitSettings s = self.settings
        cdef list members = list(value.items()), empty = [], beside
        cdef Py_ssize_t n = len(members), i
        cdef tuple member
        cdef bint is_beside_long = False
        for i in range(n):
            inner = (<tuple>members[i])[1]
            if not inner and type(children[i]) is s.leaf and not (inner is False or inner == 0):
                empty.append(children[i])
        if n >= s.many_members and s.several_empty <= len(empty) < n:
            for leaf in empty:
                self.flags[leaf.unit] |= s.noise
        if depth > s.max_summary_depth:
            return None
        for member in members:
            if s.is_long(member[1]) or s.holds_long(member[1]):
                is_beside_long = True
                break
        if not is_beside_long:
            return None
        beside = []
        for i in range(n):
            member, child = members[i], children[i]
            if type(child) is s.leaf:
                beside.append((member[0], child))
            elif type(child) is s.group and child.is_object and not s.holds_long(member[1]):
                for inner in child.children:
                    if type(inner) is s.leaf:
                        beside.append((str(inner.step), inner))
        for key, leaf in beside:
            text = leaf.text
            if len(text) <= s.short_value and text not in s.empty_texts:
                if len(beside) <= s.max_summary_members or s.is_summary_key(key):
                    self.flags[leaf.unit] |= s.summary
        return None

    cdef object _long_string(self, value, str label, step):
        """Twin: `_Builder._text`."""
        cdef Py_ssize_t first = len(self.parents), i
        layout = self.segment(value)
        cdef list spans = layout.spans.tolist(), parents, span
        if not spans:
            return self._leaf(label, step, self.quote(value))
        cdef str text = layout.text
        for span in spans:
            self.fragments.append(text[span[0] : span[1]])
            self.columns.append(-1)
        parents = layout.parents.tolist()
        for parent in parents:
            self.parents.append(parent + first if parent >= 0 else -1)
        self.flags += layout.flags.tolist()
        return self.settings.text(label, step, first, layout)

    cdef object _grid(self, value, str label, step):
        """Twin: `_Builder._grid`."""
        cdef UnitSettings s = self.settings
        cdef list bounds = None, rows, flat, tiers, names, constants, paths, optional, sizes, units, cells, columns, tier
        cdef Py_ssize_t g, i, r, t, c, height, first, header, parent, width
        cdef str text, name
        kind = type(value)
        if kind is dict:
            if len(<dict>value) < 2 or not all_dicts((<dict>value).values()):
                return None
            table = s.value_writer.detect_table(value, True)
            rows = [(key,) for key in <dict>value] if table is not None else []
        elif kind is list and type((<list>value)[0]) is list:
            flat, bounds = [], []
            for group in <list>value:
                if type(group) is not list or not group or not all_dicts(group):
                    return None
                flat += <list>group
                bounds.append(len(<list>group))
            table = s.value_writer.detect_table(flat, True)
            rows = []
            for g in range(len(bounds)):
                for i in range(<Py_ssize_t>bounds[g]):
                    rows.append((g, i))
        elif kind is list:
            if len(<list>value) < 2 or not all_dicts(<list>value):
                return None
            table = s.value_writer.detect_table(value, True)
            rows = [(i,) for i in range(len(<list>value))] if table is not None else []
        else:
            return None
        if table is None:
            return None
        entries, columns = self.emitter.header(table)
        names, constants, paths = self._split_header(entries, table.names)
        optional = []
        for name in names:
            optional.append(name[1 : len(name) - 1] if name.startswith("[") else "")
        height = table.height
        if not columns:
            return None
        sizes = []
        for column in columns:
            i = 0
            for text in <list>column:
                i += len(text)
            if i > s.bulky_cell * height:
                return None
            sizes.append(i / <double>height)
        if height < s.long_list and len(names) == 2 and s.is_pair(names[0], names[1]):
            return None
        tiers = s.tiers(names, columns, sizes)
        header = self.unit('"columns":[' + ",".join(names + constants) + "]", -1, s.header, -1)
        units, cells = [], []
        width = len(tiers)
        first = len(self.column_names)
        for tier in tiers:
            units.append([])
            if len(tier) == 1:
                cells.append(list(columns[<Py_ssize_t>tier[0]]))
            else:
                cells.append([",".join(row) for row in zip(*[columns[<Py_ssize_t>c] for c in tier])])
            self.column_names.append(" ".join([optional[<Py_ssize_t>c] or names[<Py_ssize_t>c] for c in tier]))
        cdef str absent = s.value_writer.absent_cell
        for r in range(height):
            parent = header
            for t in range(width):
                text = (<list>cells[t])[r]
                if t and text == absent:
                    text = ""
                else:
                    name = optional[<Py_ssize_t>(<list>tiers[t])[0]]
                    if name:
                        text = name + ":" + text
                i = self.unit(text, parent, 0, first + t)
                (<list>units[t]).append(i)
                if t == 0:
                    parent = i
        return s.grid(label, step, header, names, constants, tiers, units, cells, columns, paths, rows, bounds, optional)

    cdef tuple _split_header(self, list entries, list names):
        """Twin: `_split_header`."""
        cdef list varying = [], fixed = [], paths = []
        cdef Py_ssize_t i, offset = len(entries) - len(names)
        cdef str entry
        for i in range(len(entries)):
            entry = entries[i]
            if entry.startswith(self.settings.no_place):
                if entry.startswith("{"):
                    fixed.append(entry)
            else:
                varying.append(entry)
                paths.append(tuple((<str>names[i - offset]).split(".")) if i >= offset else ())
        return varying, fixed, paths

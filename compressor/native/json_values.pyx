# cython: auto_pickle=False
"""Kernel of the values of JSON: what the reader calls for each number and object, the columns of records, the writer.

Twins: `read_int` and `read_object` of `json_values`, `_columns` of `table_detection`, `_is_nested` and `TableWriter` of
`json_tables`.
"""

from cpython.dict cimport PyDict_Next
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.math cimport isfinite


cdef extern from "Python.h":
    bint Py_EnterRecursiveCall(const char* where) except 1
    void Py_LeaveRecursiveCall()


cdef bint all_dicts(values):
    """Whether all values are objects."""
    for value in values:
        if type(value) is not dict:
            return False
    return True


def is_nested(str body not None, Py_ssize_t max_depth):
    """Returns whether brackets nest deeper than `max_depth`. Twin: `_is_nested`."""
    cdef int kind = PyUnicode_KIND(body)
    cdef const void* data = PyUnicode_DATA(body)
    cdef Py_ssize_t i, depth = 0
    cdef Py_UCS4 c
    for i in range(PyUnicode_GET_LENGTH(body)):
        c = PyUnicode_READ(kind, data, i)
        if c == u"{" or c == u"[":
            depth += 1
            if depth > max_depth:
                return True
        elif c == u"}" or c == u"]":
            depth -= 1
    return False


def split_columns(list records not None):
    """Splits records with the same keys in the same order into columns; None for others. Twin: `_columns`."""
    cdef list names, columns
    cdef Py_ssize_t place, i, n
    cdef PyObject *key
    cdef PyObject *value
    if not records or type(records[0]) is not dict or not records[0]:
        return None
    names = list(<dict>records[0])
    n = len(names)
    for record in records:
        if type(record) is not dict or len(<dict>record) != n:
            return None
        place = i = 0
        while PyDict_Next(<dict>record, &place, &key, &value):
            name = names[i]
            if <PyObject*>name is not key and not PyObject_RichCompareBool(<object>key, name, Py_EQ):
                return None
            i += 1
    columns = [[] for _ in range(n)]
    for record in records:
        place = i = 0
        while PyDict_Next(<dict>record, &place, &key, &value):
            (<list>columns[i]).append(<object>value)
            i += 1
    return names, columns


cdef class ValueReader:
    """What the reader of JSON calls for integers and objects.

    Args:
        number_type: The type of numbers that are kept as text.
        repeated_keys: The type of objects with repeated keys.
        max_digits: Longer integers are kept as text.
    """

    cdef object number_type, repeated_keys
    cdef Py_ssize_t max_digits

    def __init__(self, number_type, repeated_keys, Py_ssize_t max_digits):
        self.number_type, self.repeated_keys, self.max_digits = number_type, repeated_keys, max_digits

    def read_int(self, str text not None):
        """Returns the number, or its text. Twin: `read_int`."""
        if len(text) > self.max_digits or text == "-0":
            return self.number_type(text)
        return int(text)

    def read_object(self, list pairs not None):
        """Returns the object with these members. Twin: `read_object`."""
        cdef dict members = {}
        cdef tuple pair
        for pair in pairs:
            members[pair[0]] = pair[1]
        return members if len(members) == len(pairs) else self.repeated_keys(pairs)


cdef class ValueWriter:
    """Writes values as JSON, with tables where they fit. Twin: `TableWriter`, whose tables it leaves to that.

    Args:
        number_type: The type of numbers that are kept as text.
        repeated_keys: The type of objects with repeated keys.
        detect_table: Finds the table in a list of records.
        write_other: Writes numbers that are not finite.
        absent: The value of an absent cell.
        absent_cell: How it is written.
    """

    def __init__(self, number_type, repeated_keys, detect_table, write_other, absent, str absent_cell not None):
        self.number_type, self.repeated_keys, self.detect_table = number_type, repeated_keys, detect_table
        self.write_other, self.absent, self.absent_cell = write_other, absent, absent_cell

    def emit(self, value, writer):
        """Returns the JSON text of a value. Twin: `TableWriter.emit`.

        Args:
            value: The value.
            writer: The twin.
        """
        return self.write(value, writer, writer.quote)

    def cells(self, list column not None, writer):
        """Returns the cells of a column as JSON texts. Twin: `TableWriter.cells`."""
        quote = writer.quote
        return [self.absent_cell if value is self.absent else self.write(value, writer, quote) for value in column]

    cdef str write(self, value, writer, quote):
        """The JSON text of a value."""
        cdef list texts
        kind = type(value)
        if kind is str:
            return quote(value)
        if value is None:
            return "null"
        if value is True:
            return "true"
        if value is False:
            return "false"
        if kind is int or kind is float and isfinite(<double>value):
            return repr(value)
        if kind is self.number_type:
            return str(value)
        if kind is not dict and kind is not list and kind is not self.repeated_keys:
            return self.write_other(value)
        if kind is dict and len(<dict>value) > 1 and all_dicts((<dict>value).values()):
            table = self.detect_table(value, writer.any_order)
            if table is not None:
                return writer._table(table)
        elif kind is list and len(<list>value) > 1:
            first = type((<list>value)[0])
            if first is dict and all_dicts(value):
                table = self.detect_table(value, writer.any_order)
                if table is not None:
                    return writer._table(table)
            elif first is list:
                groups = writer._groups(value)
                if groups:
                    return groups
        texts = []
        Py_EnterRecursiveCall(" in writing a JSON value")
        try:
            if kind is list:
                for inner in <list>value:
                    texts.append(self.write(inner, writer, quote))
                return "[" + ",".join(texts) + "]"
            for key, inner in value.items():
                texts.append(f"{quote(key)}:{self.write(inner, writer, quote)}")
            return "{" + ",".join(texts) + "}"
        finally:
            Py_LeaveRecursiveCall()

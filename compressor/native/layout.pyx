# cython: auto_pickle=False
"""Kernel of `compressor.text.segmenters.span_layout`: the arrays of a text tiled by units.

Twins: `build_layout` without long units, the scans for long lines and encoded data of `long_lines`, and `_lay_fragments`
of `json`.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FindChar, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.stdint cimport int32_t, uint8_t, uint16_t
from libcpp.vector cimport vector

import numpy

cdef object _empty = numpy.empty
cdef object _int32 = numpy.dtype(numpy.int32)
cdef object _uint16 = numpy.dtype(numpy.uint16)


cdef class RunFinder:
    """Finds whether a text has a run of at least `size` characters of a set of ASCII characters.

    Args:
        characters: The set.
        size: The length of the run.
    """

    cdef uint8_t inside[128]
    cdef Py_ssize_t size

    def __init__(self, str characters not None, Py_ssize_t size):
        cdef Py_UCS4 c
        if size < 1:
            raise ValueError("size must be positive")
        for i in range(128):
            self.inside[i] = 0
        for c in characters:
            if c < 128:
                self.inside[c] = 1
        self.size = size

    cdef bint holds(self, int kind, const void* data, Py_ssize_t a, Py_ssize_t b) noexcept:
        """Whether text[a:b] has a run. Every run covers one of the places that are looked at first."""
        cdef Py_ssize_t p = a + self.size - 1, left, right
        cdef Py_UCS4 c
        while p < b:
            c = PyUnicode_READ(kind, data, p)
            if c < 128 and self.inside[c]:
                left = p
                while left > a and p - left < self.size:
                    c = PyUnicode_READ(kind, data, left - 1)
                    if c >= 128 or not self.inside[c]:
                        break
                    left -= 1
                right = p + 1
                while right < b and right - left < self.size:
                    c = PyUnicode_READ(kind, data, right)
                    if c >= 128 or not self.inside[c]:
                        break
                    right += 1
                if right - left >= self.size:
                    return True
            p += self.size
        return False

    def search(self, str text not None):
        """Returns whether a text has such a run."""
        return self.holds(PyUnicode_KIND(text), PyUnicode_DATA(text), 0, PyUnicode_GET_LENGTH(text))


cdef bint _has_long_line(str text, Py_ssize_t a, Py_ssize_t b, Py_ssize_t longest):
    """Whether a line of text[a:b] has more than `longest` characters, its line feed included."""
    cdef Py_ssize_t end
    while b - a > longest:
        end = PyUnicode_FindChar(text, 10, a, b, 1)
        if end < 0 or end + 1 - a > longest:
            return True
        a = end + 1
    return False


cdef bint _read_ints(object source, Py_ssize_t size, vector[int32_t]& out) except False:
    """Copies `size` integers from a list, a tuple or an array of int32 or uint16; raises ValueError for others."""
    cdef Py_ssize_t i
    cdef Py_buffer view
    out.resize(size)
    if isinstance(source, list):
        if len(<list>source) != size:
            raise ValueError("lengths differ")
        for i in range(size):
            out[i] = (<list>source)[i]
        return True
    if isinstance(source, tuple):
        if len(<tuple>source) != size:
            raise ValueError("lengths differ")
        for i in range(size):
            out[i] = (<tuple>source)[i]
        return True
    PyObject_GetBuffer(source, &view, PyBUF_FORMAT | PyBUF_ND)
    try:
        if view.ndim != 1 or view.shape[0] != size:
            raise ValueError("lengths differ")
        if view.itemsize == 4 and view.format[0] in (b"i", b"l"):
            for i in range(size):
                out[i] = (<int32_t*>view.buf)[i]
        elif view.itemsize == 2 and view.format[0] == b"H":
            for i in range(size):
                out[i] = (<uint16_t*>view.buf)[i]
        else:
            raise ValueError("not an array of int32 or uint16")
    finally:
        PyBuffer_Release(&view)
    return True


cdef object _int_array(const vector[int32_t]& values):
    """An array of int32 with these values."""
    cdef Py_buffer view
    cdef Py_ssize_t i, size = values.size()
    made = _empty(size, _int32)
    PyObject_GetBuffer(made, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
    for i in range(size):
        (<int32_t*>view.buf)[i] = values[i]
    PyBuffer_Release(&view)
    return made


cdef object _flag_array(const vector[int32_t]& values):
    """An array of uint16 with these values."""
    cdef Py_buffer view
    cdef Py_ssize_t i, size = values.size()
    made = _empty(size, _uint16)
    PyObject_GetBuffer(made, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
    for i in range(size):
        (<uint16_t*>view.buf)[i] = <uint16_t>values[i]
    PyBuffer_Release(&view)
    return made


cdef object _span_array(const vector[int32_t]& starts, int32_t size):
    """An array [n, 2] of int32: every unit ends where the next one begins, the last at `size`."""
    cdef Py_buffer view
    cdef Py_ssize_t i, n = starts.size()
    made = _empty((n, 2), _int32)
    PyObject_GetBuffer(made, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
    for i in range(n):
        (<int32_t*>view.buf)[2 * i] = starts[i]
        (<int32_t*>view.buf)[2 * i + 1] = starts[i + 1] if i + 1 < n else size
    PyBuffer_Release(&view)
    return made


def tile(
    str text not None,
    starts,
    parents,
    flags,
    closes,
    Py_ssize_t max_chars,
    Py_ssize_t long_line,
    RunFinder payload not None,
):
    """Returns the spans, parents, flags and closers of a layout, or None if a unit may have to be split.

    Twin: `build_layout`, up to the lines of base64.

    Args:
        text: The text.
        starts: [n] ascending offsets.
        parents: [n] or None.
        flags: [n] or None.
        closes: [n] or None.
        max_chars: Longer units have to be split; 0 if there is no limit.
        long_line: Units with a longer line have to be split.
        payload: Finds encoded data, at which units have to be split.
    """
    cdef vector[int32_t] first, up, marks, mates
    cdef Py_ssize_t n = len(starts), size = PyUnicode_GET_LENGTH(text), i, a, b
    cdef int kind = PyUnicode_KIND(text)
    cdef const void* data = PyUnicode_DATA(text)
    cdef bint has_mates = False
    if n == 0 or size > 0x7FFFFFFF:
        return None
    try:
        _read_ints(starts, n, first)
        first[0] = 0
        for i in range(n):
            a = first[i]
            b = first[i + 1] if i + 1 < n else size
            if b < a or b > size:
                return None
            if 0 < max_chars < b - a:
                return None
            if b - a >= payload.size and (_has_long_line(text, a, b, long_line) or payload.holds(kind, data, a, b)):
                return None
        if parents is None:
            up.assign(n, -1)
        else:
            _read_ints(parents, n, up)
        if flags is None:
            marks.assign(n, 0)
        else:
            _read_ints(flags, n, marks)
            for i in range(n):
                if not 0 <= marks[i] <= 0xFFFF:
                    return None
        if closes is not None:
            _read_ints(closes, n, mates)
            for i in range(n):
                has_mates |= mates[i] >= 0
    except (BufferError, OverflowError, TypeError, ValueError):
        return None
    return (
        _span_array(first, <int32_t>size),
        _int_array(up),
        _flag_array(marks),
        _int_array(mates) if has_mates else None,
    )


def lay_fragments(list fragments not None, list parents not None, list flags not None, list columns not None):
    """Returns the spans, parents, flags and columns of units that stand end to end, from the text of each unit.

    Twin: `json._lay_fragments`.
    """
    cdef vector[int32_t] first, up, marks, cells
    cdef Py_ssize_t n = len(fragments), i, at = 0
    first.resize(n)
    for i in range(n):
        first[i] = <int32_t>at
        at += len(<str?>fragments[i])
    if at > 0x7FFFFFFF:
        raise OverflowError("the text is too long")
    _read_ints(parents, n, up)
    _read_ints(flags, n, marks)
    _read_ints(columns, n, cells)
    return _span_array(first, <int32_t>at), _int_array(up), _flag_array(marks), _int_array(cells)


def line_starts(str text not None):
    """Returns the offsets at which lines begin. Twin: `lines.line_starts`."""
    cdef vector[int32_t] starts
    cdef Py_ssize_t at = 0, size = PyUnicode_GET_LENGTH(text)
    if size > 0x7FFFFFFF:
        raise OverflowError("the text is too long")
    while at < size:
        starts.push_back(<int32_t>at)
        at = PyUnicode_FindChar(text, 10, at, size, 1) + 1
        if at <= 0:
            break
    return _int_array(starts)

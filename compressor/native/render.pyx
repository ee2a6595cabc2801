"""Writes an excerpt from the units that are kept, and checks where it is cut."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_KIND, PyUnicode_READ, PyUnicode_Substring
from libcpp.vector cimport vector

cdef extern from "Python.h":
    bint Py_UNICODE_ISSPACE(Py_UCS4 ch) noexcept
    bint Py_UNICODE_ISALNUM(Py_UCS4 ch) noexcept

cdef Py_UCS4 FIRST_SCRIPT_WITHOUT_SPACES = 0x0E00


cdef class _Ints:
    """The numbers of a C-contiguous int32 array."""

    cdef Py_buffer view
    cdef const int* data
    cdef Py_ssize_t size
    cdef bint is_open

    def __cinit__(self, array):
        self.is_open = False
        PyObject_GetBuffer(array, &self.view, PyBUF_ND | PyBUF_FORMAT)
        self.is_open = True
        if self.view.itemsize != sizeof(int) or self.view.format[0] not in (b"i", b"l"):
            raise ValueError("an int32 array is needed")
        self.data = <const int*> self.view.buf
        self.size = self.view.len // <Py_ssize_t> sizeof(int)

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)


cdef class _Text:
    """The characters of a text."""

    cdef str text
    cdef int kind
    cdef const void* data
    cdef Py_ssize_t size

    def __cinit__(self, str text not None):
        self.text = text
        self.kind = PyUnicode_KIND(text)
        self.data = PyUnicode_DATA(text)
        self.size = len(text)

    cdef inline Py_UCS4 at(self, Py_ssize_t place) noexcept:
        return PyUnicode_READ(self.kind, <void*> self.data, place)

    cdef inline str cut(self, Py_ssize_t start, Py_ssize_t end):
        """Returns text[start:end] of offsets that are not negative."""
        return PyUnicode_Substring(self.text, start, end) if start < end else ""


cdef int _close(vector[unsigned char]& kept, const int* parents, const int* closes) except -1:
    """Keeps the ancestors and closers of what is kept, too; see `SpanLayout.closure`."""
    cdef Py_ssize_t n = <Py_ssize_t> kept.size(), i
    cdef vector[Py_ssize_t] fresh
    cdef int up
    for i in range(n):
        if kept[i]:
            fresh.push_back(i)
    while not fresh.empty():
        while not fresh.empty():
            up = parents[fresh.back()]
            fresh.pop_back()
            if up >= n:
                raise IndexError("a parent is no unit")
            if up >= 0 and not kept[up]:
                kept[up] = 1
                fresh.push_back(up)
        if closes != NULL:
            for i in range(n):
                if closes[i] >= n:
                    raise IndexError("what a unit closes is no unit")
                if closes[i] >= 0 and not kept[i] and kept[closes[i]]:
                    fresh.push_back(i)
            for i in range(<Py_ssize_t> fresh.size()):
                kept[fresh[i]] = 1
    return 0


cdef str _gap_sign(_Text text, Py_ssize_t a, Py_ssize_t b, str sign):
    cdef Py_ssize_t body = b, i, lines = 0
    cdef bint has_return = False, has_pair = False
    cdef bint fresh_line = a == 0 or text.at(a - 1) == u"\n"
    cdef str end, lead
    while body > a and Py_UNICODE_ISSPACE(text.at(body - 1)):
        body -= 1
    for i in range(body, b):
        if text.at(i) == u"\n":
            lines += 1
            has_pair = has_pair or (i > body and text.at(i - 1) == u"\r")
        elif text.at(i) == u"\r":
            has_return = True
    end = ("\r\n" if has_pair else "\n") * min(lines, 2)
    if body == a:
        if fresh_line:
            return ""
        if lines and has_return:
            return end[-2:]
        return end[:1] or ("" if Py_UNICODE_ISSPACE(text.at(a - 1)) else " ")
    if fresh_line:
        i = a
        while i < b and (text.at(i) == u" " or text.at(i) == u"\t"):
            i += 1
        lead = text.cut(a, i)
    else:
        lead = "" if Py_UNICODE_ISSPACE(text.at(a - 1)) else " "
    return lead + sign + (end or (" " if b < text.size else ""))


def gap_sign(str text not None, Py_ssize_t a, Py_ssize_t b, str sign not None):
    """Twin of `span_layout.gap_sign`."""
    if not 0 <= a <= b <= len(text):
        raise ValueError("the offsets are not in the text")
    return _gap_sign(_Text(text), a, b, sign)


def render_spans(str text not None, spans, parents, closes, bytes keep not None, removed, str sign not None):
    """Twin of `SpanLayout.render_in_python`.

    Args:
        text: The text.
        spans: [n, 2] int32, C-contiguous like the other arrays.
        parents: [n] int32.
        closes: [n] int32 or None.
        keep: n bytes of 0 or 1.
        removed: [k, 2] int32 or None.
        sign: The sign of a gap.
    """
    cdef _Text source = _Text(text)
    cdef _Ints places = _Ints(spans), above = _Ints(parents)
    cdef _Ints closed = None if closes is None else _Ints(closes)
    cdef _Ints holes = None if removed is None else _Ints(removed)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(keep), i, first, a, b, hole = 0
    cdef Py_ssize_t hole_count = 0 if holes is None else holes.size // 2
    cdef const unsigned char* mask = <const unsigned char*> PyBytes_AS_STRING(keep)
    cdef vector[unsigned char] kept
    if places.size != 2 * n or above.size != n or (closed is not None and closed.size != n):
        raise ValueError("the arrays do not have the length of the mask")
    for i in range(hole_count * 2):
        if not 0 <= holes.data[i] <= source.size:
            raise ValueError("what is removed is not in the text")
    kept.assign(mask, mask + n)
    if closed is not None:
        _close(kept, above.data, closed.data)
    else:
        _close(kept, above.data, NULL)
    if not hole_count:
        i = 0
        while i < n and kept[i]:
            i += 1
        if i == n:
            return text
    if not n:
        raise IndexError("there are no units")
    cdef list out = []
    first = 0
    while first < n:
        i = first + 1
        while i < n and kept[i] == kept[first]:
            i += 1
        a = places.data[2 * first]
        b = places.data[2 * i] if i < n else source.size
        if not 0 <= a <= b <= source.size:
            raise ValueError("the units do not tile the text")
        if kept[first]:
            while hole < hole_count and holes.data[2 * hole] < b:
                out.append(source.cut(a, holes.data[2 * hole]))
                a = holes.data[2 * hole + 1]
                hole += 1
            out.append(source.cut(a, b))
        else:
            out.append(_gap_sign(source, a, b, sign))
        first = i
    return "".join(out)


cdef inline bint _is_part_of_word(Py_UCS4 char) noexcept:
    return char < FIRST_SCRIPT_WITHOUT_SPACES and (char == u"_" or Py_UNICODE_ISALNUM(char))


def word_splits(str text not None, spans, bytes keep not None):
    """Twin of `output_validation.word_splits`.

    Args:
        text: The text.
        spans: [n, 2] int32, C-contiguous.
        keep: n bytes of 0 or 1.
    """
    cdef _Text source = _Text(text)
    cdef _Ints places = _Ints(spans)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(keep), i, border
    cdef const unsigned char* mask = <const unsigned char*> PyBytes_AS_STRING(keep)
    cdef list out = []
    if places.size != 2 * n:
        raise ValueError("the spans do not have the length of the mask")
    for i in range(n - 1):
        border = places.data[2 * i + 1]
        if mask[i] != mask[i + 1] and border == places.data[2 * i + 2] and 0 < border < source.size:
            if _is_part_of_word(source.at(border - 1)) and _is_part_of_word(source.at(border)):
                out.append(i)
    return out

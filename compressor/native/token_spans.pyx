# cython: auto_pickle=False
"""Kernel of `compressor.tokens`: the bytes of each token, and how many tokens start in each span of a text.

Twins: `QuicktokEncoder.byte_lengths`, which asks for each token, and `openai_bpe.count_spans_of_ids`.
"""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libcpp.algorithm cimport lower_bound
from libcpp.vector cimport vector

import numpy

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object)

cdef object _empty = numpy.empty
cdef object _float32 = numpy.dtype(numpy.float32)


cdef class _View:
    """The numbers of a C-contiguous array of four-byte or one-byte numbers."""

    cdef Py_buffer view
    cdef Py_ssize_t size
    cdef bint is_open

    def __cinit__(self, array, Py_ssize_t itemsize, bytes kinds not None):
        self.is_open = False
        PyObject_GetBuffer(array, &self.view, PyBUF_ND | PyBUF_FORMAT)
        self.is_open = True
        if self.view.itemsize != itemsize or self.view.format[0] not in kinds:
            raise ValueError("the array has another type of numbers")
        self.size = self.view.len // itemsize

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)


def read_lengths(const uint8_t[::1] data not None, Py_ssize_t size):
    """Returns the bytes of each token of a vocabulary file of quicktok, [size] uint8; 0 for tokens that are not in it.

    The file is the number of its tokens, and for each the number of its bytes, these bytes, and its id: little endian,
    of four, two and four bytes.

    Args:
        data: The file.
        size: The number of tokens in the vocabulary.
    """
    cdef Py_ssize_t at = 4, end = data.shape[0], length, token
    lengths = numpy.zeros(max(size, 0), numpy.uint8)
    cdef uint8_t[::1] out = lengths
    while at + 6 <= end:
        length = data[at] | data[at + 1] << 8
        at += 2 + length
        if at + 4 > end or length > 255:
            break
        token = data[at] | data[at + 1] << 8 | data[at + 2] << 16 | <Py_ssize_t> data[at + 3] << 24
        if token < size:
            out[token] = <uint8_t> length
        at += 4
    return lengths


cdef int _utf8_places(str text, vector[int32_t]& places) except -1:
    """Appends where each character starts in the UTF-8 of a text, then the length of that."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text), i
    cdef int32_t at = 0
    cdef Py_UCS4 c
    places.reserve(n + 1)
    for i in range(n):
        places.push_back(at)
        c = PyUnicode_READ(kind, data, i)
        at += 1 if c < 0x80 else 2 if c < 0x800 else 3 if c < 0x10000 else 4
    places.push_back(at)
    return 0


def count_spans(list texts not None, list spans not None, list ids not None, lengths):
    """Returns how many tokens start in each span, for many texts, or None if some token's length is not known.

    Twin: `openai_bpe.count_spans_of_ids`.

    Args:
        texts: The texts, without surrogates.
        spans: For each text [n, 2] int32, C-contiguous: the first character of each span and the one after its last.
        ids: For each text its tokens, uint32.
        lengths: The bytes of each token of the vocabulary, uint8; 0 if they are not known.

    Returns:
        [n] float32 for each text.
    """
    cdef _View sizes = _View(lengths, 1, b"B"), bounds, tokens
    cdef const uint8_t* size_of = <const uint8_t*> sizes.view.buf
    cdef const uint32_t* token
    cdef const int32_t* bound
    cdef vector[int32_t] starts, places
    cdef Py_ssize_t t, i, n, length
    cdef int32_t at, first, last
    cdef bint is_ascii
    cdef str text
    cdef float* counts
    cdef Py_buffer written
    cdef list out = []
    if not len(texts) == len(spans) == len(ids):
        raise ValueError("each text needs spans and tokens")
    for t in range(len(texts)):
        text = texts[t]
        if text is None:
            raise TypeError("a text is needed")
        bounds = _View(spans[t], 4, b"il")
        tokens = _View(ids[t], 4, b"IL")
        token = <const uint32_t*> tokens.view.buf
        starts.clear()
        starts.reserve(tokens.size + 1)
        at = 0
        for i in range(tokens.size):
            if token[i] >= sizes.size or not size_of[token[i]]:
                return None
            starts.push_back(at)
            at += size_of[token[i]]
        starts.push_back(at)
        length = PyUnicode_GET_LENGTH(text)
        is_ascii = PyUnicode_IS_ASCII(text)
        if not is_ascii:
            places.clear()
            _utf8_places(text, places)
        bound = <const int32_t*> bounds.view.buf
        n = bounds.size // 2
        array = _empty(n, _float32)
        PyObject_GetBuffer(array, &written, PyBUF_ND)
        try:
            counts = <float*> written.buf
            for i in range(n):
                first, last = bound[2 * i], bound[2 * i + 1]
                if not (0 <= first <= length and 0 <= last <= length):
                    raise IndexError("a span is not in its text")
                if not is_ascii:
                    first, last = places[first], places[last]
                counts[i] = <float> (
                    (lower_bound(starts.begin(), starts.end(), last) - starts.begin())
                    - (lower_bound(starts.begin(), starts.end(), first) - starts.begin())
                )
        finally:
            PyBuffer_Release(&written)
        out.append(array)
    return out


def estimate_spans(str text not None, spans, densities, float factor):
    """Returns the estimated tokens of each span, [n] float32. Twin: `unit_costs.estimate_spans`.

    Args:
        text: The text.
        spans: [n, 2] int32, C-contiguous.
        densities: [256] float32: the weight of each character of Latin-1. Any other weighs as much as "?".
        factor: The tokens of a weight of 1.
    """
    cdef _View bounds = _View(spans, 4, b"il"), weights = _View(densities, 4, b"f")
    cdef const int32_t* bound = <const int32_t*> bounds.view.buf
    cdef const float* weight = <const float*> weights.view.buf
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text), n = bounds.size // 2, i
    cdef int kind = PyUnicode_KIND(text)
    cdef const void* data = PyUnicode_DATA(text)
    cdef vector[double] sums
    cdef Py_UCS4 c
    cdef double total = 0
    cdef float* counts
    cdef Py_buffer written
    if weights.size != 256:
        raise ValueError("256 densities are needed")
    sums.reserve(length + 1)
    sums.push_back(0)
    for i in range(length):
        c = PyUnicode_READ(kind, data, i)
        total += weight[c if c < 256 else 63]
        sums.push_back(total)
    for i in range(2 * n):
        if not 0 <= bound[i] <= length:
            raise IndexError("a span is not in the text")
    array = _empty(n, _float32)
    PyObject_GetBuffer(array, &written, PyBUF_ND)
    try:
        counts = <float*> written.buf
        for i in range(n):
            counts[i] = <float> (sums[bound[2 * i + 1]] - sums[bound[2 * i]])
            counts[i] = counts[i] * factor
    finally:
        PyBuffer_Release(&written)
    return array

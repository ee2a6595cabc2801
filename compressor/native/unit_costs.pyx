"""Estimates the tokens of units."""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_KIND, PyUnicode_READ


def estimate_tokens(str text not None, const int[:, ::1] spans, const float[::1] density, float rate, float[::1] out):
    """Twin of `unit_costs.estimate_tokens`; writes to `out`, shape [units].

    Args:
        text: The text.
        spans: [units, 2], in order.
        density: [256] tokens per character, unscaled.
        rate: Tokens per unit of density.
        out: [units]
    """
    cdef Py_ssize_t i, n = spans.shape[0], place = 0, size = len(text)
    cdef int kind = PyUnicode_KIND(text)
    cdef void* data = PyUnicode_DATA(text)
    cdef double total = 0.0, before
    cdef Py_UCS4 char
    if out.shape[0] != n or (n and spans.shape[1] != 2) or density.shape[0] != 256:
        raise ValueError("the arrays have the wrong length")
    for i in range(n):
        if not place <= spans[i, 0] <= spans[i, 1] <= size:
            raise ValueError("the spans are not in order")
        while place < spans[i, 0]:
            char = PyUnicode_READ(kind, data, place)
            total += density[char if char < 256 else 63]  # "?" stands for what is not in Latin-1
            place += 1
        before = total
        while place < spans[i, 1]:
            char = PyUnicode_READ(kind, data, place)
            total += density[char if char < 256 else 63]
            place += 1
        out[i] = <float> (total - before) * rate

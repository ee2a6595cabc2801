"""Reads the line numbers that file viewers print; the twin is `compressor.text.segmenters.numbered_lines`."""

from cpython.unicode cimport Py_UNICODE_TODECIMAL

from compressor.native.characters cimport Place, Text, char_at, is_blank, is_digit, line_end, text_of

cdef enum:
    MAX_INDENT = 8
    MAX_DIGITS = 7


def number_lines(str string):
    """Returns where each line begins, and the number that it begins with or -1."""
    cdef Text text = text_of(string)
    cdef list starts = [], numbers = []
    cdef Place i = 0
    cdef long number
    while i < text.size:
        past_number(text, i, &number)
        starts.append(i)
        numbers.append(number)
        i = line_end(text, i) + 1
    return starts, numbers


def leading_numbers(list lines):
    """Returns the number that each line begins with, or -1."""
    cdef list numbers = []
    cdef Text text
    cdef long number
    for line in lines:
        text = text_of(line)
        past_number(text, 0, &number)
        numbers.append(number)
    return numbers


def without_numbers(str string, Place start, Place stop):
    """Returns the lines between two offsets without their numbers."""
    cdef Text text = text_of(string)
    cdef list lines = []
    cdef Place i = start, end, a, b
    cdef long number
    while i < stop:
        end = line_end(text, i)
        a, b = past_number(text, i, &number), end
        while b > a and char_at(text, b - 1) == u'\r':
            b -= 1
        lines.append(string[a:b])
        i = end + 1
    return "\n".join(lines)


cdef Place past_number(const Text& text, Place start, long* number) except -1:
    """The offset after the number at an offset; the number is -1 if there is none."""
    cdef Place i = start, first, k
    cdef Py_UCS4 c
    cdef long value = 0
    number[0] = -1
    while i - start < MAX_INDENT and is_blank(char_at(text, i)):
        i += 1
    first = i
    while i - first < MAX_DIGITS and is_digit(char_at(text, i)):
        value = value * 10 + Py_UNICODE_TODECIMAL(char_at(text, i))
        i += 1
    if i == first:
        return start
    c = char_at(text, i)
    if c == u':':
        if is_digit(char_at(text, i + 1)):
            return start
        k = i + 1
    elif c == u'\t' or c == 0x2192:
        k = i + 1
    else:
        k = i + (c == u' ')
        c = char_at(text, k)
        if c != u'|' and c != 0x2502:
            return start
        k += 1
        k += char_at(text, k) == u' '
    number[0] = value
    return k

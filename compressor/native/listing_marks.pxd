"""The marks of listings; the patterns are those of `compressor.text.segmenters.search_results`."""

from compressor.native.characters cimport (
    Place, Text, begins_with, char_at, is_ascii_letter, is_blank, is_digit, is_word, past_blanks,
)


cdef inline bint is_numbered(const Text& text, Place i) noexcept:
    """Whether `NUMBERED` matches at i: a match below the name of its file."""
    cdef Place k
    i = past_blanks(text, i)
    if begins_with(text, i, "Line"):
        k = past_blanks(text, i + 4)
        if k > i + 4:
            i = k
    k = i
    while is_digit(char_at(text, i)):
        i += 1
    return i > k and (char_at(text, i) == u':' or char_at(text, i) == u'-')


cdef inline bint may_be_path(const Text& text, Place start) noexcept:
    """Whether `PATH` may match: a folder's name or a slash stands there, perhaps after a number."""
    cdef Place i = start, k
    cdef Py_UCS4 c
    while is_digit(char_at(text, i)):
        i += 1
    if i > start:
        k = past_blanks(text, i)
        i = k if k > i else start
    c = char_at(text, i)
    if is_ascii_letter(c) and char_at(text, i + 1) == u':':
        return char_at(text, i + 2) == u'\\'
    while is_word(c) or c == u'@' or c == u'.' or c == u'+' or c == u'-':
        i += 1
        c = char_at(text, i)
    return c == u'/'


cdef inline bint may_be_branch(const Text& text, Place start) noexcept:
    """Whether `TREE` may match: the first sign that is no line down begins a branch."""
    cdef Place i = start
    cdef Py_UCS4 c = char_at(text, i)
    while is_blank(c) or c == 0xA0 or c == u'|' or c == 0x2502:
        i += 1
        c = char_at(text, i)
    return c == 0x251C or c == 0x2514 or c == u'`' or c == u'+' or (c == u'-' and i > start)

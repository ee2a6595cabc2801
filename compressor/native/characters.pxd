"""Reads the characters of a str and tells their classes, as `re` and the methods of str do."""

from cpython.unicode cimport (
    PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ, Py_UNICODE_ISALNUM, Py_UNICODE_ISDECIMAL,
    Py_UNICODE_ISSPACE,
)

from libc.string cimport memchr

ctypedef Py_ssize_t Place


cdef struct Text:
    int kind
    void* data
    Place size


cdef inline Text text_of(str string) noexcept:
    """The characters of a string, which must outlive what is returned."""
    cdef Text text
    text.kind = PyUnicode_KIND(string)
    text.data = PyUnicode_DATA(string)
    text.size = PyUnicode_GET_LENGTH(string)
    return text


cdef inline Py_UCS4 char_at(const Text& text, Place i) noexcept:
    """The character at an offset, or U+0000 outside of the text."""
    if i < 0 or i >= text.size:
        return 0
    return PyUnicode_READ(text.kind, text.data, i)


cdef inline bint is_blank(Py_UCS4 c) noexcept:
    """Whether a pattern's `[ \\t]` matches."""
    return c == u' ' or c == u'\t'


cdef inline bint is_space(Py_UCS4 c) noexcept:
    """Whether a pattern's `\\s` matches, and `strip` takes it away."""
    if c < 128:
        return c == 32 or 9 <= c <= 13 or 28 <= c <= 31
    return Py_UNICODE_ISSPACE(c)


cdef inline bint is_digit(Py_UCS4 c) noexcept:
    """Whether a pattern's `\\d` matches."""
    if c < 128:
        return u'0' <= c <= u'9'
    return Py_UNICODE_ISDECIMAL(c)


cdef inline bint is_ascii_letter(Py_UCS4 c) noexcept:
    """Whether `[A-Za-z]` matches."""
    return u'a' <= c <= u'z' or u'A' <= c <= u'Z'


cdef inline Py_UCS4 ascii_lower(Py_UCS4 c) noexcept:
    """The lower-case letter of an ASCII capital, any other character itself."""
    return <Py_UCS4>(<unsigned int>c + 32) if u'A' <= c <= u'Z' else c


cdef inline bint is_word(Py_UCS4 c) noexcept:
    """Whether a pattern's `\\w` matches."""
    if c < 128:
        return is_ascii_letter(c) or u'0' <= c <= u'9' or c == u'_'
    return Py_UNICODE_ISALNUM(c)


cdef inline bint is_letter(Py_UCS4 c) noexcept:
    """Whether `[^\\W\\d_]` matches."""
    if c < 128:
        return is_ascii_letter(c)
    return Py_UNICODE_ISALNUM(c) and not Py_UNICODE_ISDECIMAL(c)


cdef inline Place line_end(const Text& text, Place i) noexcept:
    """The offset of the line feed at or after i, or the end of the text."""
    cdef const char* found
    if text.kind == 1 and i < text.size:
        found = <const char*>memchr(<const char*>text.data + i, 10, text.size - i)
        return text.size if found == NULL else found - <const char*>text.data
    while i < text.size and PyUnicode_READ(text.kind, text.data, i) != u'\n':
        i += 1
    return i


cdef inline Place past_blanks(const Text& text, Place i) noexcept:
    """The offset of the first character from i on that is no blank."""
    while is_blank(char_at(text, i)):
        i += 1
    return i


cdef inline Place past_word(const Text& text, Place i) noexcept:
    """The end of the word that begins at i, or i."""
    while is_word(char_at(text, i)):
        i += 1
    return i


cdef inline bint begins_with(const Text& text, Place i, str word) noexcept:
    """Whether a word stands at i."""
    cdef Place k
    cdef Text wanted = text_of(word)
    if i + wanted.size > text.size:
        return False
    for k in range(wanted.size):
        if char_at(text, i + k) != char_at(wanted, k):
            return False
    return True

"""Counts the lines of a sample that look like those of a log, a listing, markdown or a program.

The twin is `compressor.text.segmenters.content_lines`. Its patterns are tried only on lines that may match.
"""

from compressor.native.characters cimport (
    Place, Text, begins_with, char_at, is_ascii_letter, is_blank, is_digit, is_space, is_word, line_end, past_blanks,
    past_word, text_of,
)
from compressor.native.listing_marks cimport is_numbered, may_be_branch, may_be_path

cdef enum:
    SHORT_WORD = 16  # no keyword is longer
    MAX_AFTER_END = 20  # characters after a word that closes


def count_log_heads(list lines, object match):
    """Returns how many lines begin as the records of a log do."""
    cdef Place count = 0
    for line in lines:
        if may_be_log_head(text_of(line)) and match(line) is not None:
            count += 1
    return count


def count_tested(list lines, object match):
    """Returns how many lines are the outcome of a test."""
    cdef Place count = 0
    for line in lines:
        if may_be_tested(text_of(line)) and match(line) is not None:
            count += 1
    return count


def count_listed(list lines, object grep, object path, object ls, object tree):
    """Returns how many lines are those of a listing: a match, a path, or an entry of a folder."""
    cdef Place count = 0
    cdef Text text
    for line in lines:
        text = text_of(line)
        if (
            (may_be_match(text) and grep(line) is not None)
            or (may_be_path(text, 0) and path(line) is not None)
            or (may_be_entry(text) and ls(line) is not None)
            or (may_be_branch(text, 0) and tree(line) is not None)
        ):
            count += 1
    return count


def count_numbered(list lines):
    """Returns how many lines are matches below the name of their file."""
    cdef Place count = 0
    for line in lines:
        count += is_numbered(text_of(line), 0)
    return count


def count_header_fields(list lines, object match):
    """Returns how many lines are header fields of a mail."""
    cdef Place count = 0
    cdef Text text
    for line in lines:
        text = text_of(line)
        if u'A' <= char_at(text, 0) <= u'Z' and (has_pair(text, u':', u' ') or begins_with(text, 0, "From ")):
            count += match(line) is not None
    return count


def marks(list lines, object match):
    """Returns the kind of mark of each line that has one of markdown's."""
    cdef list found = []
    for line in lines:
        if may_be_marked(text_of(line)):
            m = match(line)
            if m is not None:
                found.append(m.lastgroup)
    return found


def count_statements(list lines, frozenset words, frozenset closing):
    """Returns how many lines are statements of a program.

    Args:
        lines: The lines.
        words: Keywords that begin a statement.
        closing: Keywords that close one.
    """
    cdef Place count = 0
    for line in lines:
        count += is_statement(line, words, closing)
    return count


def count_code_marks(str string, frozenset words, frozenset line_words):
    """Returns how many signs of code a text has.

    Args:
        string: The text.
        words: Keywords that begin a line of code.
        line_words: Words that are a line of their own.
    """
    cdef Text text = text_of(string)
    cdef Place start = 0, stop, end, head, count = 0
    while start < text.size:
        stop = line_end(text, start)
        end = stop - (stop > start and char_at(text, stop - 1) == u'\r')
        head = past_head(string, text, start, end, words, line_words)
        count += head > start
        count += has_tail(text, head, end)
        start = stop + 1
    return count


cdef Place past_head(
    str string, const Text& text, Place start, Place end, frozenset words, frozenset line_words
) except -1:
    """The end of the keyword that begins a line, or the line's start."""
    cdef Place i = past_blanks(text, start), k
    k = past_word(text, i)
    if k == end and is_one_of(string, i, k, line_words):
        return end
    if is_digit(char_at(text, i)):
        while is_digit(char_at(text, i)):
            i += 1
        i += char_at(text, i) == u':' or char_at(text, i) == u'|'
        i = past_blanks(text, i)
        k = past_word(text, i)
    if begins_with(text, i, "self.") and is_word(char_at(text, i + 5)):
        return i + 5
    if begins_with(text, i, "#include") and not is_word(char_at(text, i + 8)):
        return i + 8
    return k if is_one_of(string, i, k, words) else start


cdef bint has_tail(const Text& text, Place start, Place end) noexcept:
    """Whether what follows `start` ends as a line of code does."""
    cdef Py_UCS4 last, before
    cdef Place i
    if end <= start:
        return False
    last = char_at(text, end - 1)
    if last == u';' or last == u'{' or last == u'}':
        return True
    if last == u':':
        before = char_at(text, end - 2)
        return end - 2 >= start and (before == u')' or before == u']' or is_word(before))
    if last == u'o' or last == u'n':
        i = end
        while i > 0 and is_word(char_at(text, i - 1)):
            i -= 1
        return i >= start and (
            (end - i == 2 and begins_with(text, i, "do")) or (end - i == 4 and begins_with(text, i, "then"))
        )
    return False


cdef bint has_pair(const Text& text, Py_UCS4 a, Py_UCS4 b) noexcept:
    """Whether two characters follow each other."""
    cdef Place i
    for i in range(text.size - 1):
        if char_at(text, i) == a and char_at(text, i + 1) == b:
            return True
    return False


cdef bint may_be_log_head(const Text& text) noexcept:
    """Whether `LOG_HEAD` may match: by the first character, or by what may stand before a time stamp."""
    cdef Py_UCS4 c = char_at(text, 0)
    cdef Place i = 0, k
    if (
        is_digit(c) or u'A' <= c <= u'Z' or c == u'-' or c == u'[' or c == u'(' or c == u'<' or c == u'"' or c == u't'
        or c == u'l'
    ):
        return True
    while i < text.size and not is_space(char_at(text, i)):
        if char_at(text, i) == u'.' and begins_with(text, i, ".log"):
            return True
        i += 1
    if i == 0:
        return False
    k = past_blanks(text, i)
    return k > i and char_at(text, k) == u'|' and is_blank(char_at(text, k + 1))


cdef bint may_be_tested(const Text& text) noexcept:
    """Whether the twin's pattern for the outcome of a test may match."""
    cdef Py_UCS4 c = char_at(text, 0)
    cdef Place i
    if c == u'P' or c == u'F' or c == u'E' or c == u'S' or c == u'o' or c == u'n' or begins_with(text, 0, "[INFO] "):
        return True
    if is_space(c):
        i = 1
        while is_space(char_at(text, i)):
            i += 1
        if char_at(text, i) >= 128 or begins_with(text, i, "at "):
            return True
    for i in range(1, text.size):
        c = char_at(text, i)
        if c == u':':
            if char_at(text, i + 1) == u':':
                return True
        elif c == u'.' and (begins_with(text, i, "... ") or begins_with(text, i, ".py ")):
            return True
    return False


cdef bint may_be_match(const Text& text) noexcept:
    """Whether `GREP` may match: a line number between colons or hyphens comes early in the line."""
    cdef Place i
    cdef Py_UCS4 c = char_at(text, 0)
    if is_blank(c):
        return False
    for i in range(1, text.size - 1):
        c = char_at(text, i)
        if (c == u':' or c == u'-') and is_digit(char_at(text, i + 1)):
            return True
    return False


cdef bint may_be_entry(const Text& text) noexcept:
    """Whether `LS` may match."""
    cdef Py_UCS4 c = char_at(text, 0), second = char_at(text, 1)
    return (
        (c == u'-' or c == u'd' or c == u'l' or c == u'b' or c == u'c' or c == u'p' or c == u's')
        and (
            second == u'-' or second == u'r' or second == u'w' or second == u'x' or second == u's' or second == u'S'
            or second == u't' or second == u'T'
        )
    )


cdef bint may_be_marked(const Text& text) noexcept:
    """Whether the twin's pattern for the marks of markdown may match."""
    cdef Py_UCS4 c = char_at(text, 0)
    cdef Place i = 0
    if c == u'#' or c == u'`' or c == u'~' or c == u'>':
        return True
    while i < 3 and is_space(char_at(text, i)):
        i += 1
    c = char_at(text, i)
    if c == u'-' or c == u'*' or c == u'+' or is_digit(c):
        return True
    return has_pair(text, u']', u'(') or has_pair(text, u'*', u'*')


cdef bint is_one_of(str string, Place a, Place b, frozenset words) except -1:
    return 0 < b - a <= SHORT_WORD and string[a:b] in words


cdef bint is_statement(str line, frozenset words, frozenset closing) except -1:
    """The twin's `_STATEMENT`."""
    cdef Text text = text_of(line)
    cdef Place start = past_blanks(text, 0), end = text.size, i
    if start == end:
        return False
    if char_at(text, end - 1) == u'\r':
        end -= 1
    if (start > 0 or not is_marked_comment(text, 0)) and ends_statement(text, end):
        return True
    i = start
    while is_closing_bracket(char_at(text, i)):
        i += 1
    if i > start:
        if char_at(text, i) == u';' or char_at(text, i) == u',':
            i += 1
        if i == end or i == text.size:
            return True
    if not is_ascii_letter(char_at(text, start)):
        return False
    i = start
    while is_word(char_at(text, i)):
        i += 1
    if is_one_of(line, start, i, closing) and text.size - i <= MAX_AFTER_END:
        return True
    return is_one_of(line, start, i, words) and text.size > i and ends_keyword_line(text)


cdef inline bint is_closing_bracket(Py_UCS4 c) noexcept:
    return c == u']' or c == u')' or c == u'}'


cdef bint is_marked_comment(const Text& text, Place i) noexcept:
    """Whether what stands at i is a comment, a string or a lone sign rather than a statement."""
    cdef Py_UCS4 c = char_at(text, i), second = char_at(text, i + 1)
    if c == u'#' or c == u'*' or c == u'%' or c == u'"' or c == u';':
        return True
    return (c == u'/' and (second == u'/' or second == u'*')) or (c == u'-' and second == u'-')


cdef bint ends_statement(const Text& text, Place end) noexcept:
    """Whether what comes before `end` ends a line of code in almost any language."""
    cdef Py_UCS4 last = char_at(text, end - 1), before = char_at(text, end - 2)
    cdef Place i
    if last == u';' or last == u'{' or last == u'(' or last == u'[' or last == u'\\':
        return True
    if last == u':':
        return before == u')' or (before == u' ' and char_at(text, end - 3) == u')')
    if last == u',':
        return is_closing_bracket(before)
    if last == u'>':
        return before == u'='
    if last == u'&' or last == u'|':
        return before == last
    if last == u'o' or last == u'n':
        i = end
        while i > 0 and is_word(char_at(text, i - 1)):
            i -= 1
        return (end - i == 2 and begins_with(text, i, "do")) or (end - i == 4 and begins_with(text, i, "then"))
    return False


cdef bint ends_keyword_line(const Text& text) noexcept:
    """Whether a line that begins with a keyword ends as code does, not with a word of three letters after another."""
    cdef Place n = text.size
    cdef Py_UCS4 c = char_at(text, n - 1)
    if not (
        is_word(c) or is_closing_bracket(c) or c == u'"' or c == u"'" or c == u'$' or c == u'&' or c == u'@' or c == u'%'
        or c == u'!' or c == u'(' or c == u'[' or c == u'{' or c == u';' or c == u':'
    ):
        return False
    return not (
        n >= 5 and is_low(char_at(text, n - 1)) and is_low(char_at(text, n - 2)) and is_low(char_at(text, n - 3))
        and char_at(text, n - 4) == u' ' and is_low(char_at(text, n - 5))
    )


cdef inline bint is_low(Py_UCS4 c) noexcept:
    return u'a' <= c <= u'z'

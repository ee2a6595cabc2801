"""Reads the lines of records; the twin is `compressor.text.segmenters.record_lines`, which tells what the kinds are.

Lines of rare forms are left to the twin's patterns.
"""

from compressor.native.characters cimport (
    Place, Text, ascii_lower, char_at, is_ascii_letter, is_blank, is_digit, is_letter, is_space, is_word, line_end, text_of,
)

cdef enum Kind:
    RARE, FIELD, ITEM, SECTION, ROW, OPEN, BRACKET, CLOSE, RULE, COMMENT, TEXT

cdef tuple NAMES = (
    "", "field", "item", "section", "row", "open", "bracket", "close", "rule", "comment", "text",
)

cdef struct Range:
    Place a
    Place b

cdef struct Line:
    Kind kind
    Place level
    Range key
    Range value


def record_kinds(str string, bint headings, Place most, object read, object is_rule):
    """Returns the kind of each of the first lines that are not blank; None for a text that has blocks from BEGIN to END.

    Args:
        string: The text.
        headings: Whether lines such as `## title` are headings.
        most: How many lines are read at most.
        read: The twin's `_read`.
        is_rule: The twin's `is_rule`.
    """
    cdef Text text = text_of(string)
    if has_end(text):
        return None
    cdef list out = []
    cdef Place start = 0, stop, a, b, depth = 0
    cdef Line line
    while start < text.size and len(out) < most:
        stop = line_end(text, start)
        a, b = start, stop
        if body_of(text, &a, &b):
            read_line(string, text, a, b, indent_of(text, start, a), depth > 0, headings, &line, is_rule)
            if line.kind == RARE:
                kind = read(string[a:b], indent_of(text, start, a), depth > 0, headings).kind
            else:
                kind = NAMES[line.kind]
            depth = max(0, depth + depth_change(kind))
            out.append(kind)
        start = stop + 1
    return out


def read_record_lines(
    str string, bint headings, Place most, object read, object is_rule, object make
):
    """Returns the first lines that are not blank; None for a text that has blocks from BEGIN to END.

    Args:
        string: The text.
        headings: Whether lines such as `## title` are headings.
        most: How many lines are read at most.
        read: The twin's `_read`.
        is_rule: The twin's `is_rule`.
        make: Makes a line from its start, level, kind, key, value, and whether a blank line stands before it.
    """
    cdef Text text = text_of(string)
    if has_end(text):
        return None
    cdef list out = []
    cdef Place start = 0, stop, a, b, depth = 0, indent
    cdef Line line
    cdef bint blank = False
    while start < text.size and len(out) < most:
        stop = line_end(text, start)
        a, b = start, stop
        if body_of(text, &a, &b):
            indent = indent_of(text, start, a)
            read_line(string, text, a, b, indent, depth > 0, headings, &line, is_rule)
            if line.kind == RARE:
                found = read(string[a:b], indent, depth > 0, headings)
                found.start, found.after_blank = start, blank
            else:
                found = make(
                    start, line.level, NAMES[line.kind], string[line.key.a : line.key.b],
                    string[line.value.a : line.value.b], blank,
                )
            depth = max(0, depth + depth_change(found.kind))
            out.append(found)
            blank = False
        else:
            blank = True
        start = stop + 1
    return out


def looks_like_code(str string, bint headings, Place most, object read, object is_rule, frozenset words):
    """Returns whether many of the first lines are statements; None for a text that has blocks from BEGIN to END.

    Args:
        string: The text.
        headings: Whether lines such as `## title` are headings.
        most: How many lines are read at most.
        read: The twin's `_read`.
        is_rule: The twin's `is_rule`.
        words: The words that a statement begins with.
    """
    cdef Text text = text_of(string)
    if has_end(text):
        return None
    cdef Place start = 0, stop, a, b, first, last, count = 0, statements = 0
    cdef Line line
    cdef bint begins, data, is_list
    while start < text.size and count < most:
        stop = line_end(text, start)
        a, b = start, stop
        if body_of(text, &a, &b):
            count += 1
            first, last = start, stop
            strip(text, &first, &last)
            begins = begins_statement(string, text, first, last, words)
            if begins or is_not_data(text, first, last):
                is_list = char_at(text, first) == u'(' and char_at(text, last - 1) == u')'
                if not (is_list or (last - first == 1 and char_at(text, first) == u')')):
                    read_line(string, text, a, b, indent_of(text, start, a), False, headings, &line, is_rule)
                    if line.kind == RARE:
                        kind = read(string[a:b], indent_of(text, start, a), False, headings).kind
                    else:
                        kind = NAMES[line.kind]
                    if kind != "comment" and kind != "rule":
                        data = has_char(text, first, last, u'(')
                        if begins:
                            statements += 1
                        elif not (kind == "open" and not data):
                            statements += not (char_at(text, last - 1) == u';' and not data)
        start = stop + 1
    return statements * 5 > count


cdef int depth_change(object kind) except -2:
    """How many more braces are open after a line of a kind."""
    return 1 if kind == "open" or kind == "bracket" else -1 if kind == "close" else 0


cdef bint has_end(const Text& text) noexcept:
    """Whether a line begins with `END:`, in any case."""
    cdef Place i = 0
    while i < text.size:
        while is_blank(char_at(text, i)):
            i += 1
        if (
            ascii_lower(char_at(text, i)) == u'e' and ascii_lower(char_at(text, i + 1)) == u'n'
            and ascii_lower(char_at(text, i + 2)) == u'd' and char_at(text, i + 3) == u':'
        ):
            return True
        i = line_end(text, i) + 1
    return False


cdef bint body_of(const Text& text, Place* a, Place* b) noexcept:
    """Takes away the blanks before a line and the carriage returns after it. Returns whether anything else is there."""
    cdef Place i
    while b[0] > a[0] and char_at(text, b[0] - 1) == u'\r':
        b[0] -= 1
    while a[0] < b[0] and (is_blank(char_at(text, a[0])) or char_at(text, a[0]) == 0xFEFF):
        a[0] += 1
    i = a[0]
    while i < b[0]:
        if not is_space(char_at(text, i)):
            return True
        i += 1
    return False


cdef Place indent_of(const Text& text, Place a, Place b) noexcept:
    """The width of the blanks between a and b."""
    cdef Place i, width = 0, marks = 0
    cdef bint tabs = False
    for i in range(a, b):
        if char_at(text, i) == u'\t':
            tabs = True
            width += 8 - width % 8
        else:
            marks += char_at(text, i) == 0xFEFF
            width += 1
    return width if tabs else width - marks


cdef void strip(const Text& text, Place* a, Place* b) noexcept:
    """As str.strip does."""
    while b[0] > a[0] and is_space(char_at(text, b[0] - 1)):
        b[0] -= 1
    while a[0] < b[0] and is_space(char_at(text, a[0])):
        a[0] += 1


cdef inline Range stripped(const Text& text, Place a, Place b) noexcept:
    """The range without white space around it."""
    cdef Range found
    strip(text, &a, &b)
    found.a, found.b = a, b
    return found


cdef bint has_char(const Text& text, Place a, Place b, Py_UCS4 c) noexcept:
    cdef Place i
    for i in range(a, b):
        if char_at(text, i) == c:
            return True
    return False


cdef inline Place past_blanks(const Text& text, Place i, Place b) noexcept:
    while i < b and is_blank(char_at(text, i)):
        i += 1
    return i


cdef inline Py_UCS4 within(const Text& text, Place i, Place b) noexcept:
    """The character at i, or U+0000 from b on."""
    return char_at(text, i) if i < b else 0


cdef bint says(const Text& text, Place i, Place b, str word) noexcept:
    """Whether the word stands at i."""
    cdef Place k, n = len(word)
    cdef Text wanted = text_of(word)
    if i + n > b:
        return False
    for k in range(n):
        if char_at(text, i + k) != char_at(wanted, k):
            return False
    return True


cdef int read_line(
    str string, const Text& text, Place a, Place b, Place indent, bint inside, bint headings, Line* line, object is_rule
) except -1:
    """The twin's `_read` for the line from a to b; the kind is RARE if the twin must read it."""
    cdef Place level = 2 * indent + 2, i, k
    cdef Py_UCS4 first = char_at(text, a), second = within(text, a + 1, b)
    line.level = level
    line.key.a = line.key.b = line.value.a = a
    line.value.b = b
    if may_be_rule(text, a, b) and is_rule(string[a:b]):
        line.kind, line.level, line.value.b = RULE, -20, a
        return 0
    if first == u'#' and headings:
        k = 1
        while k < 6 and within(text, a + k, b) == u'#':
            k += 1
        i = past_blanks(text, a + k, b)
        if i > a + k and i < b and not is_space(char_at(text, i)):
            line.kind, line.level = SECTION, -10 + k
            strip_heading(text, a, b, line)
            return 0
    if first == u'{' or first == u'(' or first == u'[':
        if past_blanks(text, a + 1, b) == b:
            line.kind = BRACKET
        elif first == u'[':
            line.kind = RARE
        elif is_row(text, a, b):
            line.kind = ROW
        else:
            read_key(text, a, b, inside, line)
        return 0
    if closes(text, a, b):
        line.kind = CLOSE
        return 0
    i = past_item(text, a, b)
    if i >= 0:
        line.level = level + 1
        line.value.a = i
        if i < b and not read_key(text, i, b, inside, line):
            line.kind = RARE
            return 0
        if line.key.a == line.key.b:
            line.value.a, line.value.b = i, b
        line.kind = ITEM
        return 0
    if first == u'.' and second == u'.':
        line.kind = RARE
        return 0
    if (first == u'"' or first == u"'") and is_element(text, a, b):
        line.kind = ROW
        return 0
    if is_comment(text, a, b):
        line.kind = COMMENT
        return 0
    if not read_key(text, a, b, inside, line):
        line.kind = RARE
    return 0


cdef bint is_rule_sign(Py_UCS4 c) noexcept:
    if c < 128:
        return c == u'-' or c == u'=' or c == u'_' or c == u'*' or c == u'~' or c == u'#' or c == u'+'
    return c == 0x2500 or c == 0x2501 or c == 0x2014 or c == 0x2550


cdef bint may_be_rule(const Text& text, Place a, Place b) noexcept:
    """Whether a line begins as the rules do that `_RULE` knows."""
    cdef Py_UCS4 first = char_at(text, a), second = within(text, a + 1, b)
    cdef Place i = a
    cdef int signs = 0
    if first == u'%' or first == u'.':
        return second == first
    if (first == u'[' or first == u'#') and is_digit(second):
        return True
    if first == u'-' and second == u'[':
        return True
    while signs < 3 and i < b and is_rule_sign(char_at(text, i)):
        signs += 1
        i += 1
        if i < b and is_blank(char_at(text, i)):
            i += 1
    return signs == 3


cdef void strip_heading(const Text& text, Place a, Place b, Line* line) noexcept:
    """The value of a heading: without the signs and blanks around it."""
    while a < b and is_heading_edge(char_at(text, a)):
        a += 1
    while b > a and is_heading_edge(char_at(text, b - 1)):
        b -= 1
    line.value.a, line.value.b = a, b


cdef inline bint is_heading_edge(Py_UCS4 c) noexcept:
    return c == u'#' or is_blank(c) or c == u'\r'


cdef bint closes(const Text& text, Place a, Place b) noexcept:
    """The twin's `_CLOSE`."""
    cdef Place i = a
    cdef Py_UCS4 c
    while i < b and (char_at(text, i) == u'}' or char_at(text, i) == u']' or char_at(text, i) == u')'):
        i += 1
    if i > a:
        c = within(text, i, b)
        if c == u';' or c == u',':
            i += 1
        return ends(text, i, b)
    if says(text, a, b, "end"):
        i = a + 3
    elif says(text, a, b, "fi"):
        i = a + 2
    elif says(text, a, b, "done"):
        i = a + 4
    elif says(text, a, b, ":END:"):
        i = a + 5
    else:
        return False
    return ends(text, i, b)


cdef inline bint ends(const Text& text, Place i, Place b) noexcept:
    """Whether only blanks, and perhaps a carriage return after them, come between i and b."""
    i = past_blanks(text, i, b)
    return i == b or (i + 1 == b and char_at(text, i) == u'\r')


cdef Place past_item(const Text& text, Place a, Place b) noexcept:
    """Where the text of a list item begins, by the twin's `_ITEM`; -1 if the line is no item."""
    cdef Py_UCS4 c = char_at(text, a)
    cdef Place i = a, rest
    if c == u'-' or c == u'*' or c == u'+' or c == 0x2022 or c == 0x2023:
        i += 1
    else:
        while i < b and i - a < 4 and is_digit(char_at(text, i)):
            i += 1
        if i == a or (within(text, i, b) != u'.' and within(text, i, b) != u')'):
            return -1
        i += 1
    rest = past_blanks(text, i, b)
    return rest if rest > i or rest == b else -1


cdef bint is_element(const Text& text, Place a, Place b) noexcept:
    """The twin's `_ELEMENT`: a string that is an element of a list."""
    cdef Py_UCS4 quote = char_at(text, a), c
    cdef Place i = a + 1
    while i < b and char_at(text, i) != quote:
        i += 1
    if i == b:
        return False
    i += 1
    c = within(text, i, b)
    if c == u';':
        return True
    if c == u',':
        i += 1
    i = past_blanks(text, i, b)
    c = within(text, i, b)
    return i == b or c == u'#' or c == u';' or c == u'/'


cdef bint is_row(const Text& text, Place a, Place b) noexcept:
    """The twin's `_ROW`, for a line that begins with a bracket."""
    cdef Place e = b
    cdef Py_UCS4 c
    while e > a and is_blank(char_at(text, e - 1)):
        e -= 1
    c = char_at(text, e - 1)
    if c == u',' or c == u';':
        e -= 1
        c = char_at(text, e - 1)
    if e - a < 2 or (c != u'}' and c != u')' and c != u']'):
        return False
    return has_char(text, a, b, u':') or has_char(text, a, b, u'=') or has_char(text, a, b, u',')


cdef bint is_comment(const Text& text, Place a, Place b) noexcept:
    """The twin's `_COMMENT`."""
    cdef Py_UCS4 first = char_at(text, a), second = within(text, a + 1, b)
    if first == u'#' or first == u';':
        return True
    if first == u'/':
        return second == u'/' or second == u'*'
    if first == u'*':
        return second == u'/' or is_blank(second)
    if first == u'!':
        return a + 1 == b or is_blank(second) or second == u'\r'
    if first == u'<':
        return says(text, a, b, "<!--")
    if first == u'-':
        return second == u'-' and is_blank(within(text, a + 2, b))
    if first == u'\\':
        return second == u'"'
    return (
        (first == u'r' or first == u'R') and (second == u'e' or second == u'E')
        and (within(text, a + 2, b) == u'm' or within(text, a + 2, b) == u'M') and is_blank(within(text, a + 3, b))
    )


cdef bint read_key(const Text& text, Place a, Place b, bint inside, Line* line) noexcept:
    """The twin's `_key` for the text from a to b, put into the line. Returns False if the twin must read it."""
    cdef Py_UCS4 first = char_at(text, a)
    cdef Place i, rest
    if first == u'@' or first == u'[':
        return False
    if read_field(text, a, b, line):
        return True
    if is_ascii_letter(first) or first == u'_':
        i = a + 1
        while i < b and (is_word(char_at(text, i)) or is_name_sign(char_at(text, i))):
            i += 1
        rest = past_blanks(text, i, b)
        if rest > i and within(text, rest, b) == u'"':
            return False  # perhaps `_QUOTED`
    if opens(text, a, b):
        read_opening(text, a, b, line)
        return True
    if inside and (is_ascii_letter(first) or first == u'_'):
        i = a + 1
        while i < b and (is_word(char_at(text, i)) or char_at(text, i) == u'.' or char_at(text, i) == u'-'):
            i += 1
        rest = past_blanks(text, i, b)
        if rest > i:
            if rest == b or (rest + 1 == b and char_at(text, rest) == u';'):
                return False
            if is_directive_value(text, rest, b):
                line.kind = FIELD
                line.key.a, line.key.b = a, i
                line.value = stripped(text, rest, b - (char_at(text, b - 1) == u';'))
                return True
    line.kind = TEXT
    line.key.a = line.key.b = a
    line.value.a, line.value.b = a, b
    return True


cdef inline bint is_name_sign(Py_UCS4 c) noexcept:
    return c == u'[' or c == u']' or c == u'.' or c == u'-'


cdef bint is_directive_value(const Text& text, Place a, Place b) noexcept:
    """Whether `_DIRECTIVE_LINE` takes the text from a to b for a value."""
    cdef Place i
    cdef Py_UCS4 c
    if char_at(text, b - 1) == u';':
        b -= 1
    if b - a > 200:
        return False
    for i in range(a, b):
        c = char_at(text, i)
        if c == u'{' or c == u'}' or c == u';':
            return False
    return True


cdef bint opens(const Text& text, Place a, Place b) noexcept:
    """Whether the twin's `_OPENS` is found: a bracket with nothing or a comment after it."""
    cdef Place i, k
    cdef Py_UCS4 c
    for i in range(a, b):
        c = char_at(text, i)
        if c == u'{' or c == u'(' or c == u'[':
            k = past_blanks(text, i + 1, b)
            c = within(text, k, b)
            if k == b or c == u'#' or c == u';' or c == u'/' or (c == u'\r' and k + 1 == b):
                return True
    return False


cdef void read_opening(const Text& text, Place a, Place b, Line* line) noexcept:
    """A line that opens something: its key is its first word, without quotes."""
    cdef Place e = b, i
    cdef Py_UCS4 c
    line.kind = OPEN
    line.value.a, line.value.b = a, b
    while e > a:
        c = char_at(text, e - 1)
        if not (c == u'{' or c == u'(' or c == u'[' or is_blank(c) or c == u'\r'):
            break
        e -= 1
    while a < e and is_space(char_at(text, a)):
        a += 1
    i = a
    while i < e and not is_space(char_at(text, i)):
        i += 1
    while a < i and (char_at(text, a) == u'"' or char_at(text, a) == u"'"):
        a += 1
    while i > a and (char_at(text, i - 1) == u'"' or char_at(text, i - 1) == u"'"):
        i -= 1
    line.key.a, line.key.b = a, i


cdef inline bint is_first_key_char(Py_UCS4 c) noexcept:
    """`[\\w./@$\\[\\]#+-]`"""
    return is_word(c) or (
        c < 128
        and (c == u'.' or c == u'/' or c == u'@' or c == u'$' or c == u'[' or c == u']' or c == u'#' or c == u'+' or c == u'-')
    )


cdef inline bint is_later_key_char(Py_UCS4 c) noexcept:
    """`[\\w./@$#+&()-]`"""
    return is_word(c) or (
        c < 128
        and (
            c == u'.' or c == u'/' or c == u'@' or c == u'$' or c == u'#' or c == u'+' or c == u'&' or c == u'(' or c == u')'
            or c == u'-'
        )
    )


cdef inline bint is_mark(Py_UCS4 c) noexcept:
    """What may stand around a key."""
    return c == u'"' or c == u"'" or c == u'`' or c == u'*' or c == u'_'


cdef bint read_field(const Text& text, Place a, Place b, Line* line) noexcept:
    """A line with a key and a value, by the twin's `_FIELD` and what `_key` asks of its match."""
    cdef Place start = a, e, i, words, separator = 0, after = 0
    cdef Py_UCS4 c
    cdef Range key, value
    cdef bint tight
    while start < b and start - a < 3:
        c = char_at(text, start)
        if not (is_mark(c) or c == u':' or c == u'@' or c == u'$' or c == u'%' or c == u'.' or c == u'!'):
            break
        start += 1
    if start == b or not is_letter(char_at(text, start)):
        return False
    e = start + 1
    while e < b and is_first_key_char(char_at(text, e)):
        e += 1
    for i in range(4):
        if within(text, e, b) != u' ' or e + 1 >= b or not is_later_key_char(char_at(text, e + 1)):
            break
        e += 2
        while e < b and is_later_key_char(char_at(text, e)):
            e += 1
    while e > start:  # the longest key after which a separator comes
        if char_at(text, e - 1) != u' ' and find_separator(text, e, b, &separator, &after):
            break
        e -= 1
    if e == start:
        return False
    key.a, key.b = start, e
    value = stripped(text, past_blanks(text, after, b), b)
    words = 1
    for i in range(key.a, key.b):
        words += char_at(text, i) == u' '
    if words > 5:
        return False
    c = char_at(text, separator)
    if c == u':' or c == 0xFF1A:
        tight = c == u':' and value.b > value.a and after < b and not is_space(char_at(text, after))
        if tight and (words > 1 or is_scheme(text, key)):
            return False
    elif is_blank(c) and words > 2:
        return False
    line.kind = OPEN if opens(text, value.a, value.b) else FIELD
    line.key, line.value = key, value
    return True


cdef bint is_scheme(const Text& text, Range key) noexcept:
    """Whether a key is rather the scheme of an address, by the twin's `_SCHEMES`."""
    cdef Py_UCS4 c
    cdef Place i
    cdef char[6] low
    cdef Place n = key.b - key.a
    if n < 3 or n > 5:
        return False
    for i in range(n):
        c = char_at(text, key.a + i)
        if not is_ascii_letter(c):
            return False
        low[i] = <char>ascii_lower(c)
    name = low[:n]
    return name in (b"http", b"https", b"file", b"ftp", b"ssh", b"git")


cdef bint find_separator(const Text& text, Place e, Place b, Place* separator, Place* after) noexcept:
    """Whether a separator comes after a key that ends at e: first marks, a blank, something in brackets, and blanks."""
    cdef Place marks = 0, taken, blank, bracket, i
    while marks < 3 and is_mark(within(text, e + marks, b)):
        marks += 1
    for taken in range(marks, -1, -1):
        for blank in range(1, -1, -1):
            i = e + taken
            if blank:
                if not is_blank(within(text, i, b)):
                    continue
                i += 1
            bracket = past_bracket(text, i, b)
            if bracket > i and separates(text, bracket, b, separator, after):
                return True
            if separates(text, i, b, separator, after):
                return True
    return False


cdef Place past_bracket(const Text& text, Place i, Place b) noexcept:
    """The end of `\\([^()\\n]{0,30}\\)` at i, or i."""
    cdef Place k = i + 1
    if within(text, i, b) != u'(':
        return i
    while k < b and k - i <= 31:
        if char_at(text, k) == u')':
            return k + 1
        if char_at(text, k) == u'(':
            return i
        k += 1
    return i


cdef bint separates(const Text& text, Place a, Place b, Place* separator, Place* after) noexcept:
    """Whether blanks and a separator stand at a; as many of the blanks as possible belong to the first."""
    cdef Place end = past_blanks(text, a, b), i
    after[0] = past_separator(text, end, b)
    if after[0] > end:
        separator[0] = end
        return True
    if end - 2 >= a and char_at(text, end - 1) == u' ' and char_at(text, end - 2) == u' ':
        if end < b and not is_space(char_at(text, end)):
            separator[0], after[0] = end - 2, end
            return True
    for i in range(end - 1, a - 1, -1):
        if char_at(text, i) == u'\t':
            separator[0], after[0] = i, i + 1
            return True
    return False


cdef Place past_separator(const Text& text, Place i, Place b) noexcept:
    """The end of the separator at i, or i, where no blank stands."""
    cdef Py_UCS4 c = within(text, i, b), second = within(text, i + 1, b)
    if c == u':':
        if i + 1 == b or is_space(second):
            return i + 1
        if second == u':' and is_tight(text, i + 2, b):
            return i + 2
        if is_tight(text, i + 1, b):
            return i + 1
        return i + 2 if second == u'=' else i
    if c == 0xFF1A:
        return i + 1
    if c == u'=':
        if second == u'>':
            return i + 2
        if second == u'=':
            return i + 2 if within(text, i + 2, b) != u'=' else i
        return i + 1
    return i


cdef inline bint is_tight(const Text& text, Place i, Place b) noexcept:
    """Whether a value follows a colon without a space."""
    cdef Py_UCS4 c = within(text, i, b)
    return i < b and not is_space(c) and c != u':' and c != u'/' and c != u'\\'


cdef bint begins_statement(str string, const Text& text, Place a, Place b, frozenset words) except -1:
    """The twin's `_STATEMENT`: a keyword that is no key."""
    cdef Place i = a
    cdef Py_UCS4 c
    while i < b and is_ascii_letter(char_at(text, i)):
        i += 1
    if i - a < 2 or i - a > 9 or is_word(within(text, i, b)) or string[a:i] not in words:
        return False
    c = within(text, past_blanks(text, i, b), b)
    return c != u':' and c != u'='


cdef bint is_not_data(const Text& text, Place a, Place b) noexcept:
    """The twin's `_NOT_DATA`, for a line without white space around it."""
    cdef Place i
    cdef Py_UCS4 c = char_at(text, b - 1) if b > a else 0, second
    if c == u';' or c == u'{' or c == u')':
        return True
    if c == u':':
        i = b - 1
        while i > a and is_space(char_at(text, i - 1)):
            i -= 1
        if i > a and char_at(text, i - 1) == u')':
            return True
    for i in range(a, b):
        c = char_at(text, i)
        if c < 128:
            second = within(text, i + 1, b)
            if c == u'=' or c == u'!':
                if second == u'=':
                    return True
            elif c == u'&' or c == u'|':
                if second == c:
                    return True
            elif c == u'-':
                if second == u'>':
                    return True
            elif c == u'r' or c == u'd' or c == u'f':
                if i > a and is_word(char_at(text, i - 1)):
                    continue
                if c == u'd' and says(text, i, b, "def "):
                    if i + 4 < b and is_word(char_at(text, i + 4)):
                        return True
                elif c == u'r' and says(text, i, b, "return") and not is_word(within(text, i + 6, b)):
                    return True
                elif c == u'f' and says(text, i, b, "function") and not is_word(within(text, i + 8, b)):
                    return True
    return False

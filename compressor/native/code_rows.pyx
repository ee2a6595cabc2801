"""Units of source code by lines and indentation; the twin is `compressor.text.segmenters.code_lines`."""

from libcpp.vector cimport vector

from compressor.native.characters cimport (
    Place, Text, char_at, is_ascii_letter, is_blank, is_space, is_word, line_end, past_word, text_of,
)

cdef enum:
    SHORT_WORD = 16  # no keyword is longer

cdef struct Row:
    Place start
    Place body  # where it begins, blanks aside; the end of a blank line
    Place end
    int state

cdef struct Span:
    Place a
    Place b


def rows_by_indentation(
    str string, Place start, object python, bint hash_comments, bint braces, object twin
):
    """Returns the rows, parents, flags and closes of the units, as the twin of that name.

    Args:
        string: The code.
        start: Where the string ends in which the code begins, or 0.
        python: Whether the code is Python; None for a language of which no brackets and strings are followed.
        hash_comments: Whether `#` begins a comment.
        braces: Whether the language has braces.
        twin: The words, flags and patterns of the twin: a `CodeLinePatterns`.
    """
    cdef Rows units = Rows(string, twin)
    cut_rows(units.text, units.lines)
    if python is not None:
        find_states(string, units.text, units.lines, start, python, twin.python_words if python else twin.brace_words)
    units.read(hash_comments, braces)
    return units.rows, units.parents, units.flags, units.closes


cdef void cut_rows(const Text& text, vector[Row]& rows) except *:
    """The lines of a text, the last of which may be empty."""
    cdef Row row
    cdef Place i = 0
    row.state = 0
    while True:
        row.start = i
        row.end = line_end(text, i)
        while i < row.end and is_space(char_at(text, i)):
            i += 1
        row.body = i
        rows.push_back(row)
        if row.end >= text.size:
            break
        i = row.end + 1


cdef bint is_one_of(str string, Place a, Place b, frozenset words) except -1:
    return 0 < b - a <= SHORT_WORD and string[a:b] in words


cdef Place past_string(const Text& text, Place i) noexcept:
    """The end of a string on one line that begins at i."""
    cdef Py_UCS4 quote = char_at(text, i), c
    i += 1
    while i < text.size:
        c = char_at(text, i)
        if c == quote:
            return i + 1
        if c == u'\n':
            return i
        if c == u'\\':
            if i + 1 >= text.size or char_at(text, i + 1) == u'\n':
                return i
            i += 1
        i += 1
    return i


cdef Place past_triple(const Text& text, Place i, Py_UCS4 quote) noexcept:
    """The offset after the next three quotes, or the end of the text."""
    while i < text.size:
        if char_at(text, i) == quote and char_at(text, i + 1) == quote and char_at(text, i + 2) == quote:
            return i + 3
        i += 1
    return text.size


cdef Place past_character(const Text& text, Place i) noexcept:
    """The end of what a single quote at i begins in a language with braces; i if it begins nothing."""
    cdef Py_UCS4 c = char_at(text, i + 1)
    cdef Place k
    if c == u'\\':
        if i + 2 < text.size and char_at(text, i + 2) != u'\n':
            k = i + 3
            while k < text.size and k - i - 3 < 8 and char_at(text, k) != u"'" and char_at(text, k) != u'\n':
                k += 1
            if char_at(text, k) == u"'":
                return k + 1
        return i
    if i + 1 < text.size and c != u"'" and c != u'\n' and char_at(text, i + 2) == u"'":
        return i + 3
    k = i + 1
    while k < text.size:
        c = char_at(text, k)
        if c == u"'":
            return k + 1
        if c == u'\\' or c == u'\n' or bracket(c):
            return i
        k += 1
    return i


cdef Place past_template(const Text& text, Place i) noexcept:
    """The end of a string between backticks that begins at i; i if the text ends in a lone backslash before it does."""
    cdef Place k = i + 1
    cdef Py_UCS4 c
    while k < text.size:
        c = char_at(text, k)
        if c == u'`':
            return k + 1
        if c == u'\\':
            if k + 1 >= text.size:
                return i
            k += 1
        k += 1
    return k


cdef Place past_comment(const Text& text, Place i) noexcept:
    """The end of a comment or a slash at i; i if it is a slash."""
    cdef Py_UCS4 c = char_at(text, i + 1)
    if c == u'/':
        return line_end(text, i)
    if c != u'*':
        return i
    i += 2
    while i < text.size:
        if char_at(text, i) == u'*' and char_at(text, i + 1) == u'/':
            return i + 2
        i += 1
    return text.size


cdef inline int bracket(Py_UCS4 c) noexcept:
    """1 for a bracket that opens, -1 for one that closes, else 0."""
    if c == u'(' or c == u'[' or c == u'{':
        return 1
    if c == u')' or c == u']' or c == u'}':
        return -1
    return 0


cdef inline Py_UCS4 mate(Py_UCS4 c) noexcept:
    return u'(' if c == u')' else u'[' if c == u']' else u'{'


cdef void find_states(
    str string, const Text& text, vector[Row]& rows, Place start, bint python, frozenset words
) except *:
    """Puts the state in which each row begins into the rows; see the twin's `_inside`."""
    cdef vector[Place] where
    cdef vector[int] states
    cdef vector[Span] spans
    cdef vector[Py_UCS4] opened
    cdef Span span
    cdef Place i = start, end, k
    cdef size_t n
    cdef Py_UCS4 c
    cdef int turn, state
    cdef bint has_break, is_cut = False
    where.push_back(-1)
    states.push_back(0)
    if start:
        span.a, span.b = 0, start
        spans.push_back(span)
    while i < text.size:
        c = char_at(text, i)
        if c > 125 or is_ascii_letter(c) or c == u' ':
            i += 1
            continue
        turn = bracket(c)
        end = i
        has_break = False
        if turn:
            end = i + 1
            if turn > 0:
                opened.push_back(c)
            elif python or (opened.size() and opened.back() == mate(c)):
                if opened.size():
                    opened.pop_back()
            elif c == u'}' and holds_brace(opened):
                while opened.back() != u'{':
                    opened.pop_back()
                opened.pop_back()
        elif c == u'\n':
            k = i + 1
            while is_blank(char_at(text, k)):
                k += 1
            if is_ascii_letter(char_at(text, k)) and is_one_of(string, k, past_word(text, k), words):
                end = k
                while opened.size() and (python or opened.back() != u'{'):
                    opened.pop_back()
                turn = 1
        elif c == u'"' or (python and c == u"'"):
            if python and char_at(text, i + 1) == c and char_at(text, i + 2) == c:
                end = past_triple(text, i + 3, c)
                has_break = True
            else:
                end = past_string(text, i)
        elif python:
            if c == u'#':
                end = line_end(text, i)
            elif c == u'\\':
                k = i + 1 + (char_at(text, i + 1) == u'\r')
                if char_at(text, k) == u'\n':
                    end = k + 1
                    has_break = True
        elif c == u'/':
            end = past_comment(text, i)
            has_break = True
        elif c == u"'":
            end = past_character(text, i)
            has_break = True
        elif c == u'`' and not is_cut:
            end = past_template(text, i)
            has_break = True
            is_cut = end == i  # then no later one ends
        if end == i:
            i += 1
            continue
        if turn:
            state = 1 if opened.size() and (python or opened.back() != u'{') else 0
            if state != states.back():
                where.push_back(i)
                states.push_back(state)
        elif has_break and line_end(text, i) < end:
            span.a, span.b = i, end
            spans.push_back(span)
        i = end
    k = 0
    for n in range(rows.size()):
        while <size_t>k + 1 < where.size() and where[k + 1] < rows[n].start:
            k += 1
        rows[n].state = states[k]
    n = 0
    for span in spans:
        while n < rows.size() and rows[n].start <= span.a:
            n += 1
        if n and rows[n - 1].state == 0 and char_at(text, span.a) != u'\\':
            rows[n - 1].state = 3
        while n < rows.size() and rows[n].start <= span.b - 1:
            rows[n].state = 2
            n += 1


cdef bint holds_brace(const vector[Py_UCS4]& opened) noexcept:
    cdef size_t i
    for i in range(opened.size()):
        if opened[i] == u'{':
            return True
    return False


cdef class Rows:
    """The units as they grow."""

    cdef str string
    cdef Text text
    cdef vector[Row] lines
    cdef object twin
    cdef list split
    cdef frozenset closers, imports, definers, heads, controls
    cdef int comment_flag, import_flag, signature_flag, header_flag, max_opener, short_docstring, long_statement
    cdef vector[Place] rows, parents, indents, closes
    cdef vector[int] flags

    def __cinit__(self, str string, object twin):
        self.string, self.text, self.twin = string, text_of(string), twin
        self.split = None
        self.closers, self.imports, self.definers = twin.closers, twin.imports, twin.definers
        self.heads, self.controls = twin.heads, twin.controls
        self.comment_flag, self.import_flag = twin.comment_flag, twin.import_flag
        self.signature_flag, self.header_flag = twin.signature_flag, twin.header_flag
        self.max_opener, self.short_docstring = twin.max_opener, twin.short_docstring
        self.long_statement = twin.long_statement

    cdef Place add(self, Place row, Place parent, int flag, Place closes) except -1:
        """The twin's `CodeRows.add`."""
        if self.rows.size() and row <= self.rows.back():
            return <Place>self.rows.size() - 1
        self.rows.push_back(row)
        self.parents.push_back(parent)
        self.flags.push_back(flag)
        self.closes.push_back(closes)
        return <Place>self.rows.size() - 1

    cdef int read(self, bint hash_comments, bint braces) except -1:
        """The units of all rows."""
        cdef Place row, indent, decorated = -1, parent, unit, end
        cdef Py_UCS4 first, second, last
        cdef int flag, state
        cdef bint opened = False
        cdef Row line
        cdef vector[Span] stack  # indentation and unit of the definitions that are open
        cdef Span top
        cdef size_t n
        for row in range(<Place>self.lines.size()):
            line = self.lines[row]
            if line.body == line.end:
                continue
            indent = line.body - line.start
            first, second = char_at(self.text, line.body), char_at(self.text, line.body + 1)
            end = line.end
            while is_space(char_at(self.text, end - 1)):
                end -= 1
            state = line.state
            if self.rows.size():
                if state == 2 or (state == 1 and (indent > self.indents.back() or bracket(first) < 0)):
                    continue
                if self.is_closer(line.body, end) or (first == u'{' and end - line.body == 1):
                    continue
                if decorated == indent and first != u'@':
                    decorated = -1
                    continue
            flag = self.head(line.body, line.end)
            last = char_at(self.text, end - 1)
            if first == u'#' and (
                hash_comments or line.body + 1 == line.end or second == u' ' or second == u'#' or second == u'!'
            ):
                flag = self.comment_flag
            elif braces and not flag and (last == u'{' or last == u')') and self.is_c_function(line.body, line.end):
                flag = self.signature_flag if last == u'{' or self.opens_below(row, indent) else 0
            decorated = indent if first == u'@' and flag else -1
            while stack.size() and stack.back().a >= indent:
                stack.pop_back()
            if opened and not flag:
                opened = False
                continue
            opened = (
                line.end - line.body < self.max_opener and not flag
                and self.twin.is_opener(self.string[line.body : line.end])
            )
            parent = stack.back().b if stack.size() else -1
            unit = self.add(row, parent, flag, -1)
            self.indents.push_back(indent)
            if flag & self.signature_flag or (
                not braces and bracket(last) > 0 and self.twin.opens_table(self.string[line.body : line.end])
            ):
                top.a, top.b = indent, unit
                stack.push_back(top)
            self.inner(row, unit)
        for n in range(self.parents.size()):
            if self.parents[n] >= 0:
                self.flags[self.parents[n]] |= self.header_flag
        if self.rows.size():
            self.rows[0] = 0
        else:
            self.add(0, -1, 0, -1)
        return 0

    cdef int head(self, Place a, Place b) except -1:
        """The flag of a line, by the twin's `_HEAD`."""
        cdef Py_UCS4 first = char_at(self.text, a), second = char_at(self.text, a + 1), third
        cdef Place i
        if is_ascii_letter(first):
            i = past_word(self.text, a)
            if i - a > SHORT_WORD:
                return 0
            word = self.string[a:i]
            if word in self.imports:
                return self.import_flag
            if word in self.definers:
                return self.signature_flag
            if word in self.heads or (i - a == 1 and second == u'"') or word.lower() in self.heads:
                return self.twin.head_flag(self.string[a:b])
            return 0
        third = char_at(self.text, a + 2)
        if first == u'@' or (first == u'#' and (is_space(second) or second == u'i')):
            return self.twin.head_flag(self.string[a:b])
        if (
            (first == u'/' and (second == u'/' or second == u'*'))
            or ((first == u'"' or first == u"'") and second == first and third == first)
            or (first == u'-' and second == u'-' and (is_blank(third) or third == u'-'))
        ):
            return self.comment_flag
        if first == u'*':
            if second == u' ' or second == u'/':
                return self.comment_flag
            a += 1
            while a < b and is_space(char_at(self.text, a)):
                a += 1
            return self.comment_flag if a == b else 0
        return 0

    cdef bint is_closer(self, Place a, Place b) except -1:
        """The twin's `_CLOSER`, for a line that ends at b without white space."""
        cdef Py_UCS4 c = char_at(self.text, a)
        cdef Place i = a
        if c == u'e' or c == u'f' or c == u'd':
            while b > a:
                c = char_at(self.text, b - 1)
                if not (c == u';' or c == u',' or c == u')'):
                    break
                b -= 1
            return is_one_of(self.string, a, b, self.closers)
        while i < b:
            c = char_at(self.text, i)
            if not (bracket(c) < 0 or c == u'(' or c == u'>' or c == u';' or c == u',' or c == u':'):
                return False
            i += 1
        return True

    cdef bint is_c_function(self, Place a, Place b) except -1:
        """The twin's `_C_FUNCTION`."""
        cdef Place i = a
        cdef Py_UCS4 c
        while i < b:
            c = char_at(self.text, i)
            if not (
                is_word(c) or is_space(c) or c == u'*' or c == u'&' or c == u':' or c == u'<' or c == u'>' or c == u','
                or c == u'~' or c == u'[' or c == u']' or c == u'.'
            ):
                break
            i += 1
        if i == b or char_at(self.text, i) != u'(' or not 2 <= i - a <= 160:
            return False
        while i < b:
            if char_at(self.text, i) == u';':
                return False
            i += 1
        return not is_one_of(self.string, a, past_word(self.text, a), self.controls)

    cdef bint opens_below(self, Place row, Place indent) noexcept:
        """Whether the next line is a brace, with the same blanks before it."""
        cdef Place a, b, i
        if row + 1 >= <Place>self.lines.size():
            return False
        a, b = self.lines[row].start, self.lines[row + 1].start
        if self.lines[row + 1].end - b != indent + 1 or char_at(self.text, b + indent) != u'{':
            return False
        for i in range(indent):
            if char_at(self.text, a + i) != char_at(self.text, b + i):
                return False
        return True

    cdef bint is_empty(self, Place row) noexcept:
        return self.lines[row].body == self.lines[row].end

    cdef int inner(self, Place row, Place unit) except -1:
        """The twin's `_inner`: cuts what begins at a row and goes on for rows."""
        cdef Place end = row + 1, size = <Place>self.lines.size(), found
        cdef int state = 2 if self.lines[row].state == 3 else 1, flag = 0
        cdef bint is_comment = (self.flags[unit] & self.comment_flag) != 0
        cdef bint cuts = True
        while end < size and (self.lines[end].state == state or self.is_empty(end)):
            end += 1
        while end > row + 1 and self.is_empty(end - 1):
            end -= 1
        if state == 1 and end < size and bracket(char_at(self.text, self.lines[end].body)) < 0:
            if not self.is_empty(end):
                end += 1
        if is_comment:
            if state != 2 or end - row <= self.short_docstring:
                return 0
            flag = self.comment_flag
        elif end - row <= self.long_statement:
            return 0
        if self.split is None:
            self.split = self.string.split("\n")
        if is_comment or state == 2:
            starts = self.twin.docstring_rows(self.split, row, end - 1)
        else:
            starts = self.twin.literal_rows(self.split, row, end - 1)
        if not is_comment and len(starts) <= 1:
            return 0
        for found in starts:
            self.add(found, unit, flag, -1)
        self.add(end - 1, unit, flag, unit)
        while self.indents.size() < self.rows.size():
            self.indents.push_back(self.indents[unit])
        return 0

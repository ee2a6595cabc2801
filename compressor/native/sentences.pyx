# cython: auto_pickle=False
"""Kernel of `compressor.text.segmenters.sentences`: where sentences begin, and which are headers of others.

Twins: `sentence_starts` and `_heads` with the functions that they call. Rare questions (numbers, initials, headers) are
answered by the twins themselves, which are handed in.
"""

from cpython.unicode cimport (
    Py_UNICODE_ISALNUM,
    Py_UNICODE_ISALPHA,
    Py_UNICODE_ISDECIMAL,
    Py_UNICODE_ISDIGIT,
    Py_UNICODE_ISLOWER,
    Py_UNICODE_ISSPACE,
    PyUnicode_DATA,
    PyUnicode_FindChar,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    PyUnicode_READ,
    PyUnicode_Substring,
)
from libc.stdint cimport uint64_t
from libcpp.vector cimport vector

ctypedef Py_ssize_t Size


cdef struct Text:
    int kind
    const void* data
    Size size


cdef inline Text _read(str text):
    cdef Text out
    out.kind, out.data, out.size = PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)
    return out


cdef inline Py_UCS4 _at(Text& t, Size i) noexcept:
    return PyUnicode_READ(t.kind, t.data, i)


cdef inline bint _is_word(Py_UCS4 c) noexcept:
    """`\\w` of a pattern."""
    return c == u"_" or Py_UNICODE_ISALNUM(c)


cdef inline Size _skip_blanks(Text& t, Size i, Size limit) noexcept:
    """Where the spaces and tabs at i end."""
    cdef Py_UCS4 c
    while i < limit:
        c = _at(t, i)
        if c != u" " and c != u"\t":
            break
        i += 1
    return i


cdef class CharSet:
    """A set of characters: a table for ASCII, a short list for the rest, and which last six bits are in that."""

    cdef bint low[128]
    cdef uint64_t bits
    cdef vector[Py_UCS4] high

    def __init__(self, str characters not None):
        cdef Py_UCS4 c
        for i in range(128):
            self.low[i] = False
        self.bits = 0
        for c in characters:
            if c < 128:
                self.low[c] = True
            else:
                self.high.push_back(c)
                self.bits |= <uint64_t>1 << (<uint64_t>c & 63)

    cdef inline bint has(self, Py_UCS4 c) noexcept:
        cdef size_t i
        if c < 128:
            return self.low[c]
        if not self.bits >> (<uint64_t>c & 63) & 1:
            return False
        for i in range(self.high.size()):
            if self.high[i] == c:
                return True
        return False


cdef class WordSet:
    """A few words that are looked for at one place of a text."""

    cdef bint first[128]
    cdef tuple words

    def __init__(self, tuple words not None):
        for i in range(128):
            self.first[i] = False
        for word in words:
            if not word or ord(word[0]) >= 128:
                raise ValueError("words begin with an ASCII letter")
            self.first[ord(word[0])] = True
        self.words = words

    cdef bint match(self, Text& t, Size at, bint whole) noexcept:
        """Whether one of the words stands at `at`; if `whole`, only with no other letter behind it."""
        cdef Text w
        cdef Size i
        cdef Py_UCS4 c
        if at >= t.size:
            return False
        c = _at(t, at)
        if c >= 128 or not self.first[c]:
            return False
        for word in self.words:
            w = _read(word)
            if at + w.size > t.size:
                continue
            i = 0
            while i < w.size and _at(t, at + i) == _at(w, i):
                i += 1
            if i == w.size and not (whole and at + i < t.size and _is_word(_at(t, at + i))):
                return True
        return False


cdef class WordFinder:
    """Finds up to 64 words anywhere in a text. Twin: `lines.word_offsets`.

    Two tables by the first letter, of the second letters' last six bits and of the words, reject most places at once.
    """

    cdef uint64_t second[128]
    cdef vector[int] numbers[128]
    cdef vector[const char*] starts
    cdef vector[Size] sizes
    cdef list words

    def __init__(self, tuple words not None):
        cdef const char* start
        cdef unsigned char letter
        if len(words) > 64:
            raise ValueError("at most 64 words")
        for i in range(128):
            self.second[i] = 0
        self.words = [word.encode("ascii") for word in words]
        for word in self.words:
            if len(word) < 2 or b"\n" in word:
                raise ValueError("words have at least two characters and no line feed")
            start = <const char*>(<bytes>word)
            letter = <unsigned char>start[0]
            self.second[letter] |= <uint64_t>1 << (<unsigned char>start[1] & 63)
            self.numbers[letter].push_back(<int>self.starts.size())
            self.starts.push_back(start)
            self.sizes.push_back(len(<bytes>word))

    def offsets(self, str low not None, bint every=False):
        """Returns where the words stand in a text in lower case: each word's first place on every line, or `every`."""
        cdef vector[Size] found = self.find(low, every)
        return found

    cdef vector[Size] find(self, str low, bint every):
        """The same, in ascending order."""
        cdef Text t = _read(low)
        cdef Size i, k, size
        cdef int number
        cdef Py_UCS4 c
        cdef const char* word
        cdef uint64_t found = 0
        cdef vector[Size] out
        for i in range(t.size - 1):
            c = _at(t, i)
            if c == u"\n":
                found = 0
                continue
            if c >= 128 or not self.second[c] >> (<uint64_t>_at(t, i + 1) & 63) & 1:
                continue
            for number in self.numbers[c]:
                word, size = self.starts[number], self.sizes[number]
                if found >> number & 1 or i + size > t.size:
                    continue
                k = 1
                while k < size and _at(t, i + k) == <Py_UCS4>word[k]:
                    k += 1
                if k == size:
                    found |= <uint64_t>(not every) << number
                    out.push_back(i)
        return out


cdef class SentenceReader:
    """Splits texts into sentences; made once, from the constants of the twins.

    Args:
        stops: The characters that end a sentence if white space follows.
        run_stops: Those of them that may stand in a row.
        marks: The characters that end a sentence in any case.
        mark_runs: Those of them that may stand in a row.
        closers: The quotes and brackets that may follow a stop.
        mark_closers: The same for `marks`.
        bullets: The characters of a list item.
        line_ends: The characters after which a line feed is intended.
        openers: What is stripped from the left of a word.
        abbreviations: Words that a full stop does not end a sentence after.
        numbers: (max_item_chars, min_wrapped_chars, narrowest, widest) of the twins' module.
        wide: From this character on, a line counts twice its length.
        ends_sentence: The twin of that name.
        begin_alike: The twin of that name.
        refers: The words that refer to a sentence before.
        openings: The words that open a document.
        head_match: `match` of the pattern of headers.
        head_letters: The letters that headers begin with.
        trouble_match: `match` of the pattern of errors and warnings.
        fractions: (least number, least fraction) of sentences that refer.
        header: The flag of a header.
        error: The flag of an error.
        warning: The flag of a warning.
        trouble_words: Finds the words of errors and warnings.
        rare_scripts: The first and last characters of scripts without stops, one pair after the other.
    """

    cdef CharSet stops, run_stops, marks, mark_runs, closers, mark_closers, bullets, line_ends, openers, head_letters
    cdef frozenset abbreviations
    cdef Size max_item, min_wrapped, narrowest, widest, longest_abbreviation
    cdef Py_UCS4 wide
    cdef object ends_sentence, begin_alike, head_match, trouble_match
    cdef WordSet refers, openings
    cdef int min_referring, header, error, warning
    cdef double min_referring_share
    cdef WordFinder trouble_words
    cdef vector[Py_UCS4] rare_scripts

    def __init__(
        self,
        str stops,
        str run_stops,
        str marks,
        str mark_runs,
        str closers,
        str mark_closers,
        str bullets,
        str line_ends,
        str openers,
        frozenset abbreviations not None,
        tuple numbers not None,
        str wide not None,
        ends_sentence,
        begin_alike,
        tuple refers,
        tuple openings,
        head_match,
        str head_letters,
        trouble_match,
        tuple fractions not None,
        int header,
        int error,
        int warning,
        WordFinder trouble_words not None,
        str rare_scripts not None,
    ):
        self.stops, self.run_stops, self.marks = CharSet(stops), CharSet(run_stops), CharSet(marks)
        self.mark_runs, self.closers, self.mark_closers = CharSet(mark_runs), CharSet(closers), CharSet(mark_closers)
        self.bullets, self.line_ends, self.openers = CharSet(bullets), CharSet(line_ends), CharSet(openers)
        self.abbreviations = abbreviations
        self.longest_abbreviation = max(map(len, abbreviations), default=0)
        self.max_item, self.min_wrapped, self.narrowest, self.widest = numbers
        self.wide = ord(wide)
        self.ends_sentence, self.begin_alike = ends_sentence, begin_alike
        self.refers, self.openings = WordSet(refers), WordSet(openings)
        self.head_match, self.head_letters, self.trouble_match = head_match, CharSet(head_letters), trouble_match
        self.min_referring, self.min_referring_share = fractions
        self.header, self.error, self.warning = header, error, warning
        self.trouble_words = trouble_words
        for letter in rare_scripts:
            self.rare_scripts.push_back(letter)

    cdef Size _number_item(self, Text& t, Size i, Size limit) noexcept:
        """Where `(1) ` or `a. ` ends that begins at i, white space included; -1 if none does."""
        cdef Size start
        cdef Py_UCS4 c
        if i < limit and _at(t, i) == u"(":
            i += 1
        start = i
        while i < limit and i - start < 3 and Py_UNICODE_ISDECIMAL(_at(t, i)):
            i += 1
        if i == start:
            if i >= limit:
                return -1
            c = _at(t, i)
            if not (u"a" <= c <= u"z" or u"A" <= c <= u"Z"):
                return -1
            i += 1
        if i + 1 >= limit:
            return -1
        c = _at(t, i)
        if (c == u"." or c == u")") and Py_UNICODE_ISSPACE(_at(t, i + 1)):
            return i + 2
        return -1

    cdef Size _reference(self, Text& t, Size i, Size limit) noexcept:
        """Where `[12]` ends that begins at i; -1 if none does."""
        cdef Size start = i + 1
        if i >= limit or _at(t, i) != u"[":
            return -1
        i = start
        while i < limit and Py_UNICODE_ISDECIMAL(_at(t, i)):
            i += 1
        return i + 1 if i > start and i < limit and _at(t, i) == u"]" else -1

    cdef bint _is_list_item(self, Text& t, Size at) noexcept:
        """Twin: `_LIST_ITEM.match`."""
        cdef Size i = _skip_blanks(t, at, t.size), end
        cdef Py_UCS4 c
        if i >= t.size:
            return False
        if self.bullets.has(_at(t, i)):
            return i + 1 < t.size and Py_UNICODE_ISSPACE(_at(t, i + 1))
        if self._number_item(t, i, t.size) >= 0:
            return True
        end = self._reference(t, i, t.size)
        if end < 0 or end >= t.size:
            return False
        c = _at(t, end)
        return c == u" " or c == u"\t"

    cdef bint _is_item(self, Text& t, Size at, Size limit) noexcept:
        """Twin: `_ITEM.match(text, at, limit)`."""
        cdef Size i = _skip_blanks(t, at, limit), start
        cdef Py_UCS4 c
        if i >= limit:
            return False
        c = _at(t, i)
        if c == u">" or c == u"|":
            return True
        if self.bullets.has(c):
            return i + 1 < limit and Py_UNICODE_ISSPACE(_at(t, i + 1))
        if self._number_item(t, i, limit) >= 0 or self._reference(t, i, limit) >= 0:
            return True
        if c == u"#":
            start = i
            while i < limit and i - start < 6 and _at(t, i) == u"#":
                i += 1
            return i < limit and Py_UNICODE_ISSPACE(_at(t, i))
        if u"A" <= c <= u"Z":
            i += 1
            start = i
            while i < limit and i - start < 30:
                c = _at(t, i)
                if not (_is_word(c) or c == u" " or c == u"." or c == u"'" or c == u"-"):
                    break
                i += 1
            return i < limit and _at(t, i) == u":" and (i + 1 == limit or Py_UNICODE_ISSPACE(_at(t, i + 1)))
        return False

    cdef Size _item_end(self, str text, Text& t, Size at) noexcept:
        """Twin: `_item_end`."""
        cdef Size end, limit
        if not self._is_list_item(t, at):
            return 0
        limit = min(t.size, at + self.max_item + 1)
        end = PyUnicode_FindChar(text, 10, at, limit, 1)
        if end >= 0:
            return end
        return t.size if t.size - at <= self.max_item else 0

    cdef int _line_breaks(self, str text, Text& t, Size line, Size at, Size end) except -1:
        """Twin: `_breaks_line`."""
        cdef Py_UCS4 before = _at(t, at - 1) if at else u"\n"
        cdef Size i = _skip_blanks(t, end, min(t.size, end + 80)), width
        cdef bint is_lower = i < min(t.size, end + 80) and Py_UNICODE_ISLOWER(_at(t, i))
        if end == at + 1 and is_lower and at > 1 and Py_UNICODE_ISALPHA(_at(t, at - 2)):
            if before == u"-" or before == u"\u2010" or before == u"\xad":
                return False
            if at - line >= self.min_wrapped and not self.line_ends.has(before):
                return self._is_item(t, end, t.size) or self.begin_alike(text, line, end)
        width = (at - line) * (2 if before >= self.wide else 1)
        if not self.narrowest <= width <= self.widest or self.line_ends.has(before):
            return True
        if (before == u")" or before == u"]" or before == u"}") and not is_lower:
            return True
        return self._is_item(t, end, t.size) or self.begin_alike(text, line, end)

    cdef int _ends(self, str text, Text& t, Size last, Size at, Size end) except -1:
        """Twin: `_ends_sentence`."""
        cdef Py_UCS4 following = _at(t, end)
        cdef Size word, left
        cdef bint is_number = True
        if Py_UNICODE_ISLOWER(following):
            return False
        if _at(t, at) != u"." or _at(t, at + 1) == u".":
            return True
        left = max(last, at - 14)
        word = at
        if word > left and Py_UNICODE_ISSPACE(_at(t, word - 1)):
            return self.ends_sentence(text, last, at, end)
        while word > left and not Py_UNICODE_ISSPACE(_at(t, word - 1)):
            word -= 1
        while word < at and self.openers.has(_at(t, word)):
            word += 1
        if word == at:
            return False
        for i in range(word, at):
            if not Py_UNICODE_ISDIGIT(_at(t, i)):
                is_number = False
                break
        if is_number or at - word == 1 or Py_UNICODE_ISDIGIT(following):
            return self.ends_sentence(text, last, at, end)
        if _at(t, at - 2) == u"." and Py_UNICODE_ISALPHA(_at(t, at - 1)):
            return False
        # a few capitals have a longer lower case, and none has a shorter one
        return at - word > self.longest_abbreviation or PyUnicode_Substring(text, word, at).lower() not in self.abbreviations

    cdef Size _break_end(self, Text& t, Size at, int* kind) noexcept:
        """Where the break ends that begins at `at`; -1 if none does. Twin: `_BREAK`.

        `kind` becomes 0 for a line, 1 for a stop, 2 for a mark of other scripts.
        """
        cdef Py_UCS4 c = _at(t, at)
        cdef Size i = at + 1, end
        if c == u"\n":
            kind[0] = 0
            end = i
            while i < t.size:
                c = _at(t, i)
                if c == u"\n":
                    end = i + 1
                elif not Py_UNICODE_ISSPACE(c):
                    break
                i += 1
            return end
        if self.stops.has(c):
            if at and self.run_stops.has(c) and self.run_stops.has(_at(t, at - 1)):
                return -1
            kind[0] = 1
            while i < t.size and self.run_stops.has(_at(t, i)):
                i += 1
            while i < t.size and self.closers.has(_at(t, i)):
                i += 1
            end = i
            while i < t.size and _at(t, i) != u"\n" and Py_UNICODE_ISSPACE(_at(t, i)):
                i += 1
            return i if end < i < t.size and _at(t, i) != u"\n" else -1
        if self.marks.has(c):
            kind[0] = 2
            while i < t.size and self.mark_runs.has(_at(t, i)):
                i += 1
            while i < t.size and self.mark_closers.has(_at(t, i)):
                i += 1
            while i < t.size and _at(t, i) != u"\n" and Py_UNICODE_ISSPACE(_at(t, i)):
                i += 1
            return i
        return -1

    def divide(self, str text not None):
        """Returns the starts, parents and flags of sentences, or None for a text that needs more than that.

        Twin: `segment_prose`, for texts without openings of documents and without scripts that have no stops.
        """
        cdef Text t = _read(text)
        cdef list starts, troubled = []
        cdef vector[Size] words
        cdef Size i = 0, n
        cdef size_t k
        cdef str low = text.lower()
        if not t.size or self._has_opening(text, t) or self._has_rare_script(t):
            return None
        starts = self._starts(text)
        n = len(starts)
        words = self.trouble_words.find(low if len(low) == t.size else text, False)
        for k in range(words.size()):
            while i + 1 < n and <Size>starts[i + 1] <= words[k]:
                i += 1
            troubled.append(i)
        parents, flags = self.heads(text, starts, set(), troubled)
        return starts, parents, flags

    cdef bint _has_rare_script(self, Text& t) noexcept:
        """Whether a text has characters of scripts without stops. Twin: `_SCRIPTS_WITHOUT_STOPS.search`."""
        cdef Size i
        cdef size_t k
        cdef Py_UCS4 c
        if t.kind == 1:
            return False
        for i in range(t.size):
            c = _at(t, i)
            if c < self.rare_scripts[0]:
                continue
            for k in range(0, self.rare_scripts.size() - 1, 2):
                if self.rare_scripts[k] <= c <= self.rare_scripts[k + 1]:
                    return True
        return False

    def starts(self, str text not None):
        """Returns the offsets at which sentences begin. Twin: `sentence_starts`."""
        return self._starts(text)

    cdef list _starts(self, str text):
        cdef Text t = _read(text)
        cdef Size line = 0, last = 0, whole, at = 0, end
        cdef Py_UCS4 c
        cdef int kind = 0
        cdef bint breaks
        cdef list out = [0]
        if not t.size:
            return []
        whole = self._item_end(text, t, 0)
        while at < t.size:
            c = _at(t, at)
            if c < 128 and c != u"\n" and not self.stops.low[c]:
                at += 1
                continue
            end = self._break_end(t, at, &kind)
            if end < 0:
                at += 1
                continue
            if end >= t.size:
                break
            if kind == 0:
                breaks = end > at + 1 or self._line_breaks(text, t, line, at, end)
                line = end
                if breaks:
                    whole = self._item_end(text, t, end)
            elif kind == 1:
                breaks = at >= whole and self._ends(text, t, last, at, end)
            else:
                breaks = at >= whole and _at(t, end) != u"\n"
            if breaks:
                out.append(end)
                last = end
            at = end
        return out

    def has_opening(self, str text not None):
        """Returns whether a line begins with a word that opens a document."""
        cdef Text t = _read(text)
        return self._has_opening(text, t)

    cdef bint _has_opening(self, str text, Text& t):
        cdef Size at = 0
        while True:
            if self.openings.match(t, _skip_blanks(t, at, t.size), False):
                return True
            at = PyUnicode_FindChar(text, 10, at, t.size, 1) + 1
            if at <= 0:
                return False

    def heads(self, str text not None, list starts not None, set documents not None, list troubled not None):
        """Returns the parents and flags of sentences. Twin: `_heads`, but for the line that sums up.

        Args:
            text: The text.
            starts: [n] where they begin.
            documents: Those at which a document begins.
            troubled: The numbers of the sentences that may be errors or warnings, in order.
        """
        cdef Text t = _read(text)
        cdef Size n = len(starts), i, a, b, j, least, scope = -1, lead = -1, named = -1, next_trouble = 0, parent
        cdef Size references = 0
        cdef bint was_head = False, refer
        cdef int flag
        cdef vector[Size] at
        cdef vector[bint] refers
        cdef list parents = [], flags = []
        at.resize(n + 1)
        refers.assign(n, False)
        for i in range(n):
            a = starts[i]
            if not (0 <= a < t.size) or (i and a <= at[i - 1]):
                raise ValueError("starts must ascend within the text")
            at[i] = a
            if self.refers.match(t, a, True):
                refers[i] = True
                references += 1
        at[n] = t.size
        refer = references >= self.min_referring and references >= self.min_referring_share * n
        for i in range(n):
            a, b = at[i], at[i + 1]
            if documents and starts[i] in documents:
                scope, lead, was_head = i, -1, True
                parents.append(-1)
                flags.append(self.header)
                continue
            found = self.head_match(text, a, b) if self.head_letters.has(_at(t, a)) else None
            if found is not None and found.lastgroup == "head":
                parents.append(scope if was_head else -1)
                flags.append(self.header)
                if not was_head:
                    scope = i
                lead, was_head = -1, True
                continue
            if found is not None:
                scope = -1
            was_head = False
            parent, flag = scope, 0
            if refer and refers[i] and i and not (a > 1 and _at(t, a - 1) == u"\n" and _at(t, a - 2) == u"\n"):
                parent = named if named >= 0 else scope
            else:
                named = i
            if lead >= 0 and self._is_item(t, a, b):
                parent = lead
            else:
                lead = -1
                if i + 1 < n:
                    j, least = b, max(a, b - 8)
                    while j > least and Py_UNICODE_ISSPACE(_at(t, j - 1)):
                        j -= 1
                    if j > least and _at(t, j - 1) == u":" and self._is_item(t, b, t.size):
                        lead, flag = i, self.header
            while next_trouble < len(troubled) and troubled[next_trouble] < i:
                next_trouble += 1
            if next_trouble < len(troubled) and troubled[next_trouble] == i:
                found = self.trouble_match(text, a, b)
                if found is not None:
                    flag |= self.error if found.lastgroup == "error" else self.warning
            parents.append(parent)
            flags.append(flag)
        return parents, flags

"""Finds where four lines of a text stand in the texts before it. Twin: `compressor.text.lossless.line_index`.

Lines are compared by their hashes of 64 bits, which start from a random number. The codec that uses this decodes what
it wrote, so two lines of one hash could cost it a saving, never a character.
"""

import os

from cpython.unicode cimport Py_UNICODE_TODECIMAL
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.algorithm cimport upper_bound
from libcpp.vector cimport vector

from compressor.native.byte_hash cimport factor, hash_bytes
from compressor.native.characters cimport Place, Text, char_at, is_digit, line_end, text_of

cdef enum:
    GRAM = 4  # lines
    MAX_INDENT = 12
    MAX_DIGITS = 7
    PAIRS_TRIED = 64
    ARROW = 0x2192
    FIRST_SLOTS = 256
    LINE_BYTES = 64  # of one line's hash, the place before it, and two slots


cdef struct Style:
    Place width  # to which numbers are right-justified, or 0
    Py_UCS4 mark  # the sign after the number, 0 for none
    bint is_spaced  # whether a space stands before the mark


cdef struct Number:
    Place indent
    Place digits
    Place end  # the offset after the digits
    long long value
    Py_UCS4 first  # the first digit


cdef struct Slot:
    uint64_t gram  # 0 if free
    Place newest  # -1 if it was forgotten


cdef class NativeLineIndex:
    """The lines of several texts, in order."""

    cdef vector[uint64_t] lines  # hashes, of all texts
    cdef vector[Place] starts  # the place at which each text begins
    cdef vector[Place] before  # for each place, the last one before it with the same four lines, or -1
    cdef vector[Slot] slots
    cdef size_t used  # slots that are not free
    cdef uint64_t seed
    cdef str string  # the text that was read
    cdef vector[uint64_t] looked_for  # the hashes of its lines
    cdef vector[Place] offsets  # where its lines begin; one more behind the last
    cdef vector[uint8_t] bytes
    cdef vector[uint32_t] wide

    def __cinit__(self):
        self.slots.resize(FIRST_SLOTS)
        self.seed = int.from_bytes(os.urandom(8), "little")  # so that no text can be made to collide

    @property
    def size(self):
        return LINE_BYTES * self.lines.size()

    def read(self, text):
        """Makes this the text that `find` and `common` look at."""
        cdef str string = text.text
        if string is self.string:
            return
        self.string = None
        self.hash_lines(string)
        self.string = string

    def add(self, text):
        """Adds a text behind the others."""
        cdef Place base = self.lines.size(), i, grams
        cdef Slot* slot
        self.read(text)
        grams = <Place>self.looked_for.size() - GRAM + 1
        while 2 * (self.used + max(grams, 0)) >= self.slots.size():
            self.grow(max(grams, 0))
        self.starts.push_back(base)
        self.lines.insert(self.lines.end(), self.looked_for.begin(), self.looked_for.end())
        self.before.resize(self.lines.size(), -1)
        for i in range(grams):
            slot = self.slot_of(gram_at(&self.lines[base + i]))
            if slot.gram == 0:
                slot.gram, slot.newest = gram_at(&self.lines[base + i]), -1
                self.used += 1
            self.before[base + i] = slot.newest
            slot.newest = base + i

    def truncate(self, Place count):
        """Forgets all texts but the first `count`, and the text that was read last."""
        cdef Place base, place
        while <Place>self.starts.size() > max(count, 0):
            base = self.starts.back()
            self.starts.pop_back()
            for place in range(<Place>self.lines.size() - GRAM, base - 1, -1):
                self.slot_of(gram_at(&self.lines[place])).newest = self.before[place]
            self.lines.resize(base)
            self.before.resize(base)
        self.string = None
        self.looked_for.clear()

    def find(self, Place line):
        """Returns the first line from `line` on that begins four known ones, and their newest place."""
        cdef Slot* slot
        cdef Place i
        for i in range(max(line, 0), <Place>self.looked_for.size() - GRAM + 1):
            slot = self.slot_of(gram_at(&self.looked_for[i]))
            if slot.gram != 0 and slot.newest >= 0:
                return i, slot.newest
        return -1, -1

    def older(self, Place place):
        """Returns the last place before this one with the same four lines, or -1."""
        if not 0 <= place < <Place>self.before.size():
            raise IndexError(place)
        return self.before[place]

    def locate(self, Place place):
        """Returns which text a place is in, from 0, and which line of it."""
        if not 0 <= place < <Place>self.lines.size():
            raise IndexError(place)
        cdef Place k = upper_bound(self.starts.begin(), self.starts.end(), place) - self.starts.begin() - 1
        return k, place - self.starts[k]

    def common(self, Place line, Place place, Place limit):
        """Returns how many lines from `line` on equal those from `place` on, at most `limit`."""
        cdef Place size = 0
        if line < 0 or place < 0:
            raise IndexError(min(line, place))
        limit = min(limit, <Place>self.looked_for.size() - line, <Place>self.lines.size() - place)
        while size < limit and self.looked_for[line + size] == self.lines[place + size]:
            size += 1
        return size

    cdef Slot* slot_of(self, uint64_t gram) noexcept:
        """The slot of four lines, or the free one where they would be put."""
        cdef size_t mask = self.slots.size() - 1, at = (gram >> 20) & mask
        while self.slots[at].gram != 0 and self.slots[at].gram != gram:
            at = (at + 1) & mask
        return &self.slots[at]

    cdef int grow(self, size_t more) except -1:
        """Makes room for that many more, and frees the slots of what was forgotten."""
        cdef vector[Slot] old
        cdef size_t live = 0, size = FIRST_SLOTS, i
        old.swap(self.slots)
        for i in range(old.size()):
            live += old[i].gram != 0 and old[i].newest >= 0
        while size <= 4 * (live + more):
            size *= 2
        self.slots.resize(size)
        for i in range(old.size()):
            if old[i].gram != 0 and old[i].newest >= 0:
                self.slot_of(old[i].gram)[0] = old[i]
        self.used = live
        return 0

    cdef int hash_lines(self, str string) except -1:
        """Hashes each line of a text; of a numbered line its content, with the style of the number."""
        cdef Text text = text_of(string)
        cdef Place i = 0, stop, n, first
        cdef Style style
        cdef Number number
        cdef bint is_numbered
        self.looked_for.clear()
        self.offsets.clear()
        while i <= text.size:
            self.offsets.push_back(i)
            i = line_end(text, i) + 1
        self.offsets.push_back(text.size + 1)
        n = self.offsets.size() - 1
        is_numbered = self.find_style(text, &style)
        self.looked_for.reserve(n)
        i = 0
        while i < n:
            if not is_numbered or not begins_window(text, self.offsets[i], style, &number):
                self.looked_for.push_back(self.hash_of(text, self.offsets[i], self.offsets[i + 1] - 1, self.seed))
                i += 1
                continue
            first, stop = i, i + 1
            while stop < n and has_number(text, self.offsets[stop], style, number.value + stop - first):
                stop += 1
            if stop == first + 1:
                self.looked_for.push_back(self.hash_of(text, self.offsets[i], self.offsets[i + 1] - 1, self.seed))
            else:
                while i < stop:
                    self.looked_for.push_back(
                        self.hash_of(
                            text,
                            self.offsets[i] + head_size(style, number.value + i - first),
                            self.offsets[i + 1] - 1,
                            self.seed + code_of(style) * factor(),
                        )
                    )
                    i += 1
            i = stop
        return 0

    cdef bint find_style(self, const Text& text, Style* style) noexcept:
        """Finds the style of the first two lines with consecutive numbers, as `line_numbers.find_style` does."""
        cdef Place j = 1, n = self.offsets.size() - 1, tried = 0
        cdef Number one, two
        while j + 1 < n:
            if not (
                reads_number(text, self.offsets[j], &one)
                and (one.digits == 1 or one.first != u'0')
                and has_pair(text, one, self.offsets[j + 1], &two, style)
            ):
                j += 1
                continue
            if two.value == one.value + 1:
                style.width = one.indent + one.digits if one.indent else 0
                return True
            if tried == PAIRS_TRIED:
                return False
            tried += 1
            j += 2  # the second line of a pair is the first of no other
        return False

    cdef uint64_t hash_of(self, const Text& text, Place start, Place end, uint64_t seed) except? 0:
        """Hashes characters; the same ones alike, whatever the text around them makes Python store them as."""
        cdef Place i, size = end - start
        cdef bint is_narrow = True
        if text.kind == 1:
            return mixed_hash(<const uint8_t*>text.data + start, size, seed)
        for i in range(start, end):
            is_narrow &= char_at(text, i) < 256
        if is_narrow:
            self.bytes.resize(size + 1)
            for i in range(size):
                self.bytes[i] = <uint8_t>char_at(text, start + i)
            return mixed_hash(self.bytes.data(), size, seed)
        self.wide.resize(size + 1)
        for i in range(size):
            self.wide[i] = char_at(text, start + i)
        return mixed_hash(<const uint8_t*>self.wide.data(), 4 * size, ~seed)


cdef inline uint64_t mixed_hash(const uint8_t* bytes, size_t size, uint64_t seed) noexcept:
    """A hash of which all bits are good."""
    cdef uint64_t out = hash_bytes(bytes, size, seed)
    return out ^ out >> 32


cdef inline uint64_t gram_at(const uint64_t* lines) noexcept:
    """One number for four lines, never 0."""
    cdef uint64_t out = lines[0]
    cdef int i
    for i in range(1, GRAM):
        out = (out ^ out >> 31) * factor() + lines[i]
    out = (out ^ out >> 31) * factor()
    return out | 1


cdef bint reads_number(const Text& text, Place start, Number* number) noexcept:
    """Whether a line begins with spaces and a whole number of at most seven digits, the first one ASCII."""
    cdef Place i = start
    while i - start <= MAX_INDENT and char_at(text, i) == u' ':
        i += 1
    number.indent = i - start
    number.first = char_at(text, i)
    if number.indent > MAX_INDENT or not u'0' <= number.first <= u'9':
        return False
    return reads_digits(text, i, number)


cdef bint reads_digits(const Text& text, Place i, Number* number) noexcept:
    """Whether one to seven digits begin at an offset, and no more."""
    cdef Place first = i
    number.value = 0
    while i - first <= MAX_DIGITS and is_digit(char_at(text, i)):
        number.value = number.value * 10 + Py_UNICODE_TODECIMAL(char_at(text, i))
        i += 1
    number.digits, number.end = i - first, i
    return 1 <= number.digits <= MAX_DIGITS


cdef bint has_pair(const Text& text, const Number& one, Place following, Number* two, Style* style) noexcept:
    """Whether a separator follows a number, and the next line begins with a number above 0 and the same one."""
    cdef Py_UCS4 c = char_at(text, one.end)
    if not reads_number(text, following, two) or two.first == u'0':
        return False
    if c == u' ' and char_at(text, one.end + 1) == u'|':
        style.is_spaced, style.mark = True, u'|'
        if has_separator(text, two.end, style[0]):
            return True
    if c == u' ':
        style.is_spaced, style.mark = True, 0
    elif c == u':' or c == u'\t' or c == u'|' or c == ARROW:
        style.is_spaced, style.mark = False, c
    else:
        return False
    return has_separator(text, two.end, style[0])


cdef inline bint has_separator(const Text& text, Place i, const Style& style) noexcept:
    """Whether the separator of a style stands at an offset."""
    if style.is_spaced and char_at(text, i) != u' ':
        return False
    return style.mark == 0 or char_at(text, i + style.is_spaced) == style.mark


cdef inline uint64_t code_of(const Style& style) noexcept:
    """A number above 0 for each style."""
    return (<uint64_t>style.mark * 2 + style.is_spaced + 1) * 64 + style.width


cdef inline Place digits_of(long long number) noexcept:
    cdef Place digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


cdef inline Place head_size(const Style& style, long long number) noexcept:
    """The characters of a number and its separator."""
    return max(style.width, digits_of(number)) + style.is_spaced + (style.mark != 0)


cdef bint begins_window(const Text& text, Place start, const Style& style, Number* number) noexcept:
    """Whether a line begins with any number exactly as the style writes it."""
    cdef Place i = start
    while char_at(text, i) == u' ' and i - start <= style.width:
        i += 1
    number.indent = i - start
    number.first = char_at(text, i)
    if not reads_digits(text, i, number) or number.indent != max(<Place>0, style.width - number.digits):
        return False
    if number.digits > 1 and not u'1' <= number.first <= u'9':
        return False
    return has_separator(text, number.end, style)


cdef bint has_number(const Text& text, Place start, const Style& style, long long number) noexcept:
    """Whether a line begins with this number as the style writes it."""
    cdef Place digits = digits_of(number), i = start + max(style.width, digits), k
    if not has_separator(text, i, style):
        return False
    for k in range(digits):
        i -= 1
        if char_at(text, i) != <Py_UCS4>(48 + number % 10):
            return False
        number //= 10
    while i > start:
        i -= 1
        if char_at(text, i) != u' ':
            return False
    return True

"""Class, shape, parts and stem of words of ASCII letters, digits, `_` and the joiners `./@#-`.

Twins: `_classify`, `token_shape`, `_kind_by_form` and `stem` of `compressor.scoring.token_forms`.
"""

from libc.stdint cimport uint8_t, uint16_t
from libcpp.vector cimport vector

# In the order of the twin's WORD, NAME, ...
cdef enum:
    WORD
    NAME
    NUMBER
    IDENTIFIER
    CODE
    PATH


cdef inline bint is_upper(uint8_t c) noexcept:
    return 65 <= c <= 90


cdef inline bint is_lower(uint8_t c) noexcept:
    return 97 <= c <= 122


cdef inline bint is_letter(uint8_t c) noexcept:
    return is_lower(c | 32)


cdef inline bint is_digit(uint8_t c) noexcept:
    return 48 <= c <= 57


cdef inline bint is_ascii_word(uint8_t c) noexcept:
    return is_letter(c) or is_digit(c) or c == 95


cdef inline uint8_t lowered(uint8_t c) noexcept:
    return c | 32 if is_upper(c) else c


cdef inline uint16_t word_shape(const uint8_t* word, size_t size) noexcept:
    """Twin: `token_shape`."""
    cdef bint slash = False, underscore = False, point = False, at = False, hyphen = False
    cdef bint upper = False, lower = False, digit = False, only_digits = True
    cdef size_t i
    cdef uint8_t c
    for i in range(size):
        c = word[i]
        slash |= c == 47
        underscore |= c == 95
        point |= c == 46
        at |= c == 64
        hyphen |= c == 45
        upper |= is_upper(c)
        lower |= is_lower(c)
        digit |= is_digit(c)
        only_digits &= is_digit(c)
    return (
        slash
        | underscore << 1
        | point << 2
        | at << 3
        | hyphen << 4
        | is_upper(word[0]) << 5
        | (upper and not lower) << 6
        | digit << 7
        | (digit and only_digits) << 8
        | <uint16_t>(size // 4 if size < 28 else 7) << 9
    )


cdef inline bint has_path_form(const uint8_t* word, size_t size) noexcept:
    """Whether it is a file name: no joiner but hyphens, a point, and an ending of a letter and up to four more."""
    cdef size_t i = 0, point
    while i < size and (is_ascii_word(word[i]) or word[i] == 45):
        i += 1
    if i == 0 or i == size or word[i] != 46:
        return False
    point = i
    if not 2 <= size - point <= 6 or not is_letter(word[point + 1]):
        return False
    for i in range(point + 2, size):
        if not is_ascii_word(word[i]):
            return False
    return True


cdef inline bint are_joined_digits(const uint8_t* word, size_t size) noexcept:
    """Whether it is digits with single hyphens between them, at least one."""
    cdef size_t i
    cdef bint hyphen = False
    if not is_digit(word[0]) or not is_digit(word[size - 1]):
        return False
    for i in range(size):
        if word[i] == 45:
            if word[i - 1] == 45:
                return False
            hyphen = True
        elif not is_digit(word[i]):
            return False
    return hyphen


cdef inline bint has_code_form(const uint8_t* word, size_t size) noexcept:
    cdef bint digit = False, letter = False, only_digits = True, only_alnum = True
    cdef size_t i
    cdef uint8_t c
    for i in range(size):
        c = word[i]
        digit |= is_digit(c)
        letter |= is_letter(c) or c == 95
        only_digits &= is_digit(c)
        only_alnum &= is_digit(c) or is_letter(c)
    if not digit:
        return False
    if size == 3 and only_alnum:
        return True
    return (size >= 4 and letter) or (size >= 5 and only_digits) or are_joined_digits(word, size)


cdef inline bint are_word_characters(const uint8_t* word, size_t start, size_t size) noexcept:
    cdef size_t i
    for i in range(start, size):
        if not is_ascii_word(word[i]):
            return False
    return True


cdef inline bint has_identifier_form(const uint8_t* word, size_t size) noexcept:
    cdef size_t i
    for i in range(2, size):
        if is_letter(word[i]) and word[i - 1] in (95, 46, 45) and (is_letter(word[i - 2]) or is_digit(word[i - 2])):
            return True
    if word[0] == 95:
        return size > 1 and are_word_characters(word, 1, size)
    i = 1 if is_upper(word[0]) else 0
    if i == size or not is_lower(word[i]):
        return False
    while i < size and is_lower(word[i]):
        i += 1
    return i < size and is_upper(word[i]) and are_word_characters(word, i, size)


cdef inline bint has_number_form(const uint8_t* word, size_t size) noexcept:
    cdef size_t i
    if not is_digit(word[0]):
        return False
    for i in range(1, size):
        if not is_digit(word[i]) and word[i] != 46 and word[i] != 45:
            return False
    return True


cdef inline uint8_t kind_by_form(const uint8_t* word, size_t size) noexcept:
    """Twin: `_kind_by_form`."""
    cdef size_t i
    for i in range(size):
        if word[i] == 47 or word[i] == 64:
            return PATH
    if has_path_form(word, size):
        return PATH
    if has_code_form(word, size):
        return CODE
    if has_identifier_form(word, size):
        return IDENTIFIER
    if has_number_form(word, size):
        return NUMBER
    return NAME if is_upper(word[0]) else WORD


cdef inline bint are_initials(const uint8_t* word, size_t size) noexcept:
    """Whether it is letters with a point between each two, like U.S"""
    cdef size_t i
    if size < 3 or size % 2 == 0:
        return False
    for i in range(size):
        if not (word[i] == 46 if i % 2 else is_letter(word[i])):
            return False
    return True


cdef inline bint ends_with(const uint8_t* word, size_t size, const char* ending, size_t length) noexcept:
    cdef size_t i
    if size < length:
        return False
    for i in range(length):
        if word[size - length + i] != <uint8_t>ending[i]:
            return False
    return True


cdef inline size_t stem(uint8_t* word, size_t size) noexcept:
    """Stems a word of lower-case letters and digits in place and returns its new size. Twin: `stem`."""
    cdef size_t cut
    if size < 4 or word[size - 1] not in (103, 100, 115, 101, 121):  # gdsey
        return size
    if size > 4 and ends_with(word, size, "ies", 3):
        word[size - 3] = 121  # y
        return size - 2
    if ends_with(word, size, "sses", 4):
        return size - 2
    if ends_with(word, size, "ss", 2):
        return size
    if size >= 6 and ends_with(word, size, "ing", 3):
        cut = 3
    elif size >= 5 and (ends_with(word, size, "ed", 2) or ends_with(word, size, "es", 2)):
        cut = 2
    elif word[size - 1] == 115 or word[size - 1] == 101:  # s, e
        cut = 1
    elif size >= 5 and ends_with(word, size, "ly", 2):
        cut = 2
    else:
        return size
    size -= cut
    if size > 3 and word[size - 1] == word[size - 2] and word[size - 1] not in (97, 101, 105, 111, 117, 108, 115):
        return size - 1  # a doubled letter, if none of aeiouls
    return size


cdef inline size_t next_part(const uint8_t* word, size_t size, size_t* start) noexcept:
    """Moves `start` to the next part, as `_PART` of the twin finds it, and returns the part's end; `size` if none."""
    cdef size_t i = start[0], end
    while i < size and not (is_letter(word[i]) or is_digit(word[i])):
        i += 1
    start[0] = end = i
    if i == size:
        return size
    if is_digit(word[i]):
        while end < size and is_digit(word[end]):
            end += 1
        return end
    while end < size and is_upper(word[end]):
        end += 1
    if end > i + 1:
        return end - 1 if end < size and is_lower(word[end]) else end
    while end < size and is_lower(word[end]):
        end += 1
    return end


cdef inline uint8_t classify_ascii(const uint8_t* word, size_t size, vector[uint8_t]& terms, vector[size_t]& ends) noexcept:
    """Returns the class, and the terms end to end with the end of each, with repetitions. Twin: `_classify`."""
    cdef size_t i, start = 0, end, lower = 0, upper = 0, digits = 0
    cdef uint8_t kind
    terms.clear()
    ends.clear()
    for i in range(size):
        lower += is_lower(word[i])
        upper += is_upper(word[i])
        digits += is_digit(word[i])
    if lower == size or (size > 1 and lower == size - 1 and is_upper(word[0])):
        kind = WORD if lower == size else NAME
    elif digits == size:
        terms.insert(terms.end(), word, word + size)
        ends.push_back(size)
        return CODE if size > 4 else NUMBER
    else:
        kind = kind_by_form(word, size)
    if kind == WORD or kind == NAME or are_initials(word, size):
        for i in range(size):
            if word[i] != 46 or kind == WORD or kind == NAME:
                terms.push_back(lowered(word[i]))
        terms.resize(stem(terms.data(), terms.size()))
        ends.push_back(terms.size())
        return kind
    while True:
        end = next_part(word, size, &start)
        if start == size:
            return kind
        i = terms.size()
        while start < end:
            terms.push_back(lowered(word[start]))
            start += 1
        terms.resize(i + stem(terms.data() + i, terms.size() - i))
        ends.push_back(terms.size())

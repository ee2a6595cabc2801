"""Twin: `Vocabulary` of `compressor.scoring.vocabulary`, with the same methods."""

import numpy as np

from cpython.dict cimport PyDict_Next
from cpython.float cimport PyFloat_AsDouble
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ_CHAR, PyUnicode_Substring
from cython cimport final
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy
from libcpp.algorithm cimport sort
from libcpp.utility cimport pair
from libcpp.vector cimport vector

from compressor.native.string_table cimport StringTable
from compressor.native.word_shapes cimport classify_ascii, is_ascii_word, word_shape

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object)
    bint Py_UNICODE_ISALNUM(uint32_t)

ctypedef fused Character:
    uint8_t
    uint16_t
    uint32_t

cdef struct Numbers:
    const int32_t* data
    Py_ssize_t size

cdef size_t MAX_CLASSIFIED = 200  # characters of a word that its class and terms depend on
cdef size_t ENTRY_BYTES = 180  # of a word or term, besides its characters: numbers, hash slots, a Python string


@final
cdef class Vocabulary:
    """Words and terms, numbered in order of first use in a process. Every array that it returns is the caller's own.

    No method may hold a pointer into its vectors while Python code runs, because another thread may then add words.

    Args:
        classify: Returns class, terms and form of a word that is not of ASCII letters, digits and joiners.
        split: Returns the words of a text with special characters.
        special: The ranges of these characters, ascending.
        joiners: The characters that join parts of a word.
    """

    cdef StringTable names
    cdef StringTable terms_
    cdef vector[uint8_t] kind
    cdef vector[uint16_t] shape
    cdef vector[int32_t] lower  # the number of the word in lower case; -1 until asked for
    cdef vector[uint32_t] term_ends  # of each word in `term_numbers`
    cdef vector[int32_t] term_numbers
    cdef list term_tuples
    cdef vector[int32_t] scratch  # one for each word, -1 between calls
    cdef vector[int32_t] term_scratch
    cdef vector[uint8_t] parts  # of the newest word, end to end
    cdef vector[size_t] part_ends
    cdef vector[pair[uint32_t, uint32_t]] special
    cdef uint8_t[128] ascii  # 1: a character of words, 2: a joiner
    cdef object classify
    cdef object split

    def __init__(self, classify, split, special, str joiners):
        cdef int c
        self.classify, self.split = classify, split
        self.names, self.terms_, self.term_tuples = StringTable(), StringTable(), []
        for low, high in special:
            self.special.push_back(pair[uint32_t, uint32_t](low, high))
        for c in range(128):
            self.ascii[c] = 1 if is_ascii_word(c) else 2 if chr(c) in joiners else 0

    def __len__(self):
        return len(self.names)

    @property
    def size_bytes(self):
        """About how many bytes of memory it holds."""
        cdef size_t entries = self.kind.size() + self.terms_.ends.size()
        return entries * ENTRY_BYTES + 2 * (self.names.held.size() + self.terms_.held.size())

    # ---- words of texts

    def scan(self, str text, spans=None):
        """Returns the words of ranges of a text in order, and the number of words of each range."""
        cdef vector[int32_t] found
        cdef const int32_t[:, ::1] ranges
        cdef int32_t[::1] sizes
        cdef Py_ssize_t i, length = PyUnicode_GET_LENGTH(text), start, end
        cdef size_t before
        if spans is None:
            lengths = np.empty(1, np.int32)
            self.scan_range(text, 0, length, found)
            lengths[0] = found.size()
            return from_vector(found), lengths
        ranges = np.ascontiguousarray(spans, np.int32)
        lengths = np.empty(len(ranges), np.int32)
        sizes = lengths
        for i in range(ranges.shape[0]):
            start, end = max(ranges[i, 0], 0), min(<Py_ssize_t>ranges[i, 1], length)
            before = found.size()
            self.scan_range(text, start, end, found)
            sizes[i] = <int32_t>(found.size() - before)
        return from_vector(found), lengths

    def scan_all(self, parts):
        """Returns for each text and its ranges what `scan` returns."""
        return [self.scan(text, spans) for text, spans in parts]

    def scan_texts(self, texts):
        """Returns the words of several texts in order, and the number of words of each."""
        cdef vector[int32_t] found
        cdef Py_ssize_t i, before
        cdef str text
        lengths = np.empty(len(texts), np.int32)
        cdef int32_t[::1] sizes = lengths
        for i in range(sizes.shape[0]):
            text = texts[i]
            before = found.size()
            self.scan_range(text, 0, PyUnicode_GET_LENGTH(text), found)
            sizes[i] = <int32_t>(found.size() - before)
        return from_vector(found), lengths

    def text_terms(self, str text):
        """Returns the terms of a text as strings, in order, with repetitions."""
        cdef vector[int32_t] found
        cdef size_t i, k
        cdef list out = []
        self.scan_range(text, 0, PyUnicode_GET_LENGTH(text), found)
        for i in range(found.size()):
            for k in range(self.first_term(found[i]), self.term_ends[found[i]]):
                out.append(self.terms_.text(self.term_numbers[k]))
        return out

    def text_words(self, str text):
        """Returns the words of a text as strings, in order, with repetitions."""
        cdef vector[int32_t] found
        cdef size_t i
        self.scan_range(text, 0, PyUnicode_GET_LENGTH(text), found)
        return [self.names.text(found[i]) for i in range(found.size())]

    def distinct_words(self, str text):
        """Returns the distinct words of a text as strings, in order of first use, and the number of all its words."""
        cdef vector[int32_t] found
        cdef vector[int32_t] distinct
        cdef size_t i
        self.scan_range(text, 0, PyUnicode_GET_LENGTH(text), found)
        for i in range(found.size()):
            if self.scratch[found[i]] < 0:
                self.scratch[found[i]] = 0
                distinct.push_back(found[i])
        for i in range(distinct.size()):
            self.scratch[distinct[i]] = -1
        return [self.names.text(distinct[i]) for i in range(distinct.size())], <Py_ssize_t>found.size()

    cdef int scan_range(self, str text, Py_ssize_t start, Py_ssize_t end, vector[int32_t]& found) except -1:
        if start >= end:
            return 0
        cdef void* data = PyUnicode_DATA(text)
        if PyUnicode_KIND(text) == 1:
            self.scan_characters(<const uint8_t*>data, start, end, PyUnicode_IS_ASCII(text), found)
        elif self.has_special(text, start, end):
            for word in self.split(PyUnicode_Substring(text, start, end)):
                found.push_back(self.number(word))
        elif PyUnicode_KIND(text) == 2:
            self.scan_characters(<const uint16_t*>data, start, end, False, found)
        else:
            self.scan_characters(<const uint32_t*>data, start, end, False, found)
        return 0

    cdef bint has_special(self, str text, Py_ssize_t start, Py_ssize_t end) noexcept:
        cdef Py_ssize_t i
        cdef size_t low, high, middle
        cdef uint32_t c
        if self.special.empty():
            return False
        for i in range(start, end):
            c = PyUnicode_READ_CHAR(text, i)
            if c < self.special[0].first:
                continue
            low, high = 0, self.special.size()
            while high - low > 1:
                middle = (low + high) // 2
                if self.special[middle].first <= c:
                    low = middle
                else:
                    high = middle
            if c <= self.special[low].second:
                return True
        return False

    cdef bint is_word(self, uint32_t c) noexcept:
        return self.ascii[c] == 1 if c < 128 else Py_UNICODE_ISALNUM(c)

    cdef int scan_characters(
        self, const Character* text, Py_ssize_t start, Py_ssize_t end, bint ascii, vector[int32_t]& found
    ) except -1:
        """Twin: `_ROUGH_TOKEN_OR_BORDER` of `compressor.scoring.token_splitting`."""
        cdef Py_ssize_t i = start, first
        cdef vector[uint8_t] key
        while True:
            while i < end and not self.is_word(text[i]):
                i += 1
            if i == end:
                return 0
            first = i
            while True:
                i += 1
                while i < end and self.is_word(text[i]):
                    i += 1
                if not (i + 1 < end and text[i] < 128 and self.ascii[text[i]] == 2 and self.is_word(text[i + 1])):
                    break
            if Character is uint8_t:
                if ascii:
                    found.push_back(self.number_ascii(text + first, i - first))
                    continue
            key.clear()
            if encode(text + first, i - first, key):
                found.push_back(self.number_ascii(key.data(), key.size()))
            else:
                found.push_back(self.number_foreign(key.data(), key.size()))

    # ---- numbers of words

    cdef int32_t number_ascii(self, const uint8_t* word, size_t size) except -1:
        """The number of a word of ASCII letters, digits, `_` and joiners; runs no Python code."""
        cdef uint32_t hashed = self.names.hash_of(word, size)
        cdef int32_t found = self.names.find(word, size, hashed)
        cdef size_t i, start = 0
        if found >= 0:
            return found
        self.kind.push_back(classify_ascii(word, min(size, MAX_CLASSIFIED), self.parts, self.part_ends))
        self.shape.push_back(word_shape(word, size))
        for i in range(self.part_ends.size()):
            self.add_term(self.number_term(self.parts.data() + start, self.part_ends[i] - start))
            start = self.part_ends[i]
        return self.finish(word, size, hashed)

    cdef int32_t number_foreign(self, const uint8_t* word, size_t size) except -1:
        cdef uint32_t hashed = self.names.hash_of(word, size)
        cdef int32_t found = self.names.find(word, size, hashed)
        if found >= 0:
            return found
        kind, terms, shape = self.classify((<const char*>word)[:size].decode("utf-8", "surrogatepass"))
        keys = [(<str>term).encode("utf-8", "surrogatepass") for term in terms]
        found = self.names.find(word, size, hashed)  # again, as another thread may have added it meanwhile
        if found >= 0:
            return found
        self.kind.push_back(kind)
        self.shape.push_back(shape)
        for key in keys:
            self.add_term(self.number_term(<const uint8_t*><const char*><bytes>key, len(<bytes>key)))
        return self.finish(word, size, hashed)

    cdef int32_t finish(self, const uint8_t* word, size_t size, uint32_t hashed) except -1:
        self.term_ends.push_back(<uint32_t>self.term_numbers.size())
        self.lower.push_back(-1)
        self.scratch.push_back(-1)
        self.term_tuples.append(None)
        return self.names.add(word, size, hashed)

    cdef int32_t number_term(self, const uint8_t* term, size_t size) except -1:
        cdef uint32_t hashed = self.terms_.hash_of(term, size)
        cdef int32_t found = self.terms_.find(term, size, hashed)
        if found < 0:
            self.term_scratch.push_back(-1)
            found = self.terms_.add(term, size, hashed)
        return found

    cdef int add_term(self, int32_t term) except -1:
        """Adds a term of the newest word, unless it has it."""
        cdef size_t i
        for i in range(self.first_term(<int32_t>self.term_ends.size()), self.term_numbers.size()):
            if self.term_numbers[i] == term:
                return 0
        self.term_numbers.push_back(term)
        return 0

    cdef int32_t number(self, str word) except -1:
        cdef bytes key
        cdef const uint8_t* data
        cdef Py_ssize_t i, size = PyUnicode_GET_LENGTH(word)
        if PyUnicode_IS_ASCII(word) and size:
            data = <const uint8_t*>PyUnicode_DATA(word)
            for i in range(size):
                if self.ascii[data[i]] == 0:
                    return self.number_foreign(data, size)
            return self.number_ascii(data, size)
        key = word.encode("utf-8", "surrogatepass")
        return self.number_foreign(<const uint8_t*><const char*>key, len(key))

    cdef uint32_t first_term(self, int32_t word) noexcept:
        if word == 0:
            return 0
        return self.term_ends[word - 1]

    def add(self, words):
        """Returns the numbers of words, which become part of the vocabulary."""
        cdef vector[int32_t] found
        for word in words:
            found.push_back(self.number(word))
        return from_vector(found)

    def find(self, words):
        """Returns the numbers of words; -1 for those that no text had."""
        return find_all(self.names, words)

    def find_terms(self, terms):
        """Returns the numbers of terms; -1 for those that no word has."""
        return find_all(self.terms_, terms)

    # ---- what is known about words

    def word_kind(self, str word):
        """Returns the class of a word and its terms."""
        cdef int32_t number = self.number(word)
        return self.kind[number], self.tuple_of(number)

    def kinds(self, const int32_t[::1] words):
        """[words] uint8 their classes."""
        check(words, 0, self.kind.size())
        cdef uint8_t[::1] to
        cdef Py_ssize_t i
        out = np.empty(len(words), np.uint8)
        to = out
        for i in range(words.shape[0]):
            to[i] = self.kind[words[i]]
        return out

    def shapes(self, const int32_t[::1] words):
        """[words] uint16 their forms, see `token_shape`."""
        check(words, 0, self.kind.size())
        cdef uint16_t[::1] to
        cdef Py_ssize_t i
        out = np.empty(len(words), np.uint16)
        to = out
        for i in range(words.shape[0]):
            to[i] = self.shape[words[i]]
        return out

    def words(self, const int32_t[::1] words):
        """Returns the words as strings."""
        check(words, 0, self.kind.size())
        cdef Py_ssize_t i
        return [self.names.text(words[i]) for i in range(words.shape[0])]

    def terms(self, const int32_t[::1] words):
        """Returns the terms of each word as strings."""
        check(words, 0, self.kind.size())
        cdef Py_ssize_t i
        return [self.tuple_of(words[i]) for i in range(words.shape[0])]

    cdef tuple tuple_of(self, int32_t word):
        cdef size_t k
        found = self.term_tuples[word]
        if found is None:
            found = tuple([self.terms_.text(self.term_numbers[k]) for k in range(self.first_term(word), self.term_ends[word])])
            self.term_tuples[word] = found
        return <tuple>found

    def term_texts(self, const int32_t[::1] terms):
        """Returns terms as strings."""
        check(terms, 0, self.terms_.ends.size())
        cdef Py_ssize_t i
        return [self.terms_.text(terms[i]) for i in range(terms.shape[0])]

    def term_rows(self, const int32_t[::1] words):
        """Returns the number of terms of each word, int32, and all these terms, int32."""
        check(words, 0, self.kind.size())
        cdef vector[int32_t] found
        cdef int32_t[::1] sizes
        cdef Py_ssize_t i
        cdef size_t k
        counts = np.empty(len(words), np.int32)
        sizes = counts
        for i in range(words.shape[0]):
            sizes[i] = <int32_t>(self.term_ends[words[i]] - self.first_term(words[i]))
            for k in range(self.first_term(words[i]), self.term_ends[words[i]]):
                found.push_back(self.term_numbers[k])
        return counts, from_vector(found)

    def term_sizes(self, const int32_t[::1] words):
        """Returns the number of characters of each term, int32, in the order of `term_rows`."""
        check(words, 0, self.kind.size())
        cdef vector[int32_t] found
        cdef const uint8_t* term
        cdef Py_ssize_t i
        cdef size_t k, at
        cdef int32_t size
        for i in range(words.shape[0]):
            for k in range(self.first_term(words[i]), self.term_ends[words[i]]):
                term = self.terms_.start_of(self.term_numbers[k])
                size = 0
                for at in range(self.terms_.size_of(self.term_numbers[k])):
                    size += (term[at] & 0xC0) != 0x80  # a character's later bytes in UTF-8 do not count
                found.push_back(size)
        return from_vector(found)

    def lower_ids(self, const int32_t[::1] words):
        """[words] int32 the number of each word in lower case."""
        check(words, 0, self.kind.size())
        cdef int32_t[::1] to
        cdef Py_ssize_t i
        cdef int32_t found
        out = np.empty(len(words), np.int32)
        to = out
        for i in range(words.shape[0]):
            found = self.lower[words[i]]
            if found < 0:
                if self.is_lower_ascii(words[i]):
                    found = words[i]
                else:
                    found = self.number(self.names.text(words[i]).lower())
                self.lower[words[i]] = found
            to[i] = found
        return out

    cdef bint is_lower_ascii(self, int32_t word):
        cdef const uint8_t* start = self.names.start_of(word)
        cdef size_t at
        for at in range(self.names.size_of(word)):
            if start[at] >= 128 or 65 <= start[at] <= 90:  # A to Z
                return False
        return True

    # ---- indexes

    def join(self, parts):
        """Renumbers the words of several texts in order of first use.

        Args:
            parts: For each text its words, and the number of words of each of its units.

        Returns:
            The words in order of first use; the number of words of each unit; the new number of each word; its unit;
            the units and the words of the distinct pairs, sorted.
        """
        cdef vector[int32_t] lengths, tokens, units, order, pair_units, pair_tokens, last
        cdef vector[Numbers] words, sizes
        cdef int32_t i, k, end, unit = 0, word, token
        cdef size_t part, first, total = 0
        for one, other in parts:
            check(one, 0, self.kind.size())
            check(other, 0, len(one) + 1)
            words.push_back(numbers_of(one))
            sizes.push_back(numbers_of(other))
            total += words.back().size
        tokens.reserve(total)
        units.reserve(total)
        pair_units.reserve(total)
        pair_tokens.reserve(total)
        for part in range(words.size()):
            k = 0
            for i in range(sizes[part].size):
                first = pair_tokens.size()
                end = min(k + sizes[part].data[i], <int32_t>words[part].size)
                while k < end:
                    word = words[part].data[k]
                    k += 1
                    token = self.scratch[word]
                    if token < 0:
                        token = self.scratch[word] = <int32_t>order.size()
                        order.push_back(word)
                        last.push_back(-1)
                    tokens.push_back(token)
                    units.push_back(unit)
                    if last[token] != unit:
                        last[token] = unit
                        pair_tokens.push_back(token)
                        pair_units.push_back(unit)
                sort(pair_tokens.begin() + first, pair_tokens.end())
                lengths.push_back(sizes[part].data[i])
                unit += 1
        for first in range(order.size()):
            self.scratch[order[first]] = -1
        return (
            from_vector(order), from_vector(lengths), from_vector(tokens), from_vector(units),
            from_vector(pair_units), from_vector(pair_tokens),
        )

    def positions(self, const int32_t[::1] words, const int32_t[::1] wanted):
        """[wanted] int32 where each wanted word stands in `words`, which are distinct; -1 if it does not."""
        cdef vector[int32_t] out
        cdef Py_ssize_t i
        cdef int32_t place
        check(words, 0, self.kind.size())
        check(wanted, -1, self.kind.size())
        for i in range(words.shape[0]):
            self.scratch[words[i]] = <int32_t>i
        for i in range(wanted.shape[0]):
            place = -1
            if wanted[i] >= 0:
                place = self.scratch[wanted[i]]
            out.push_back(place)
        for i in range(words.shape[0]):
            self.scratch[words[i]] = -1
        return from_vector(out)

    def mask(self, const int32_t[::1] words, lists):
        """[words] bool which of some distinct words are in one of the lists."""
        cdef uint8_t[::1] to
        cdef vector[Numbers] views
        cdef Py_ssize_t i
        cdef size_t k
        cdef int32_t at
        out = np.zeros(len(words), np.bool_)
        to = out.view(np.uint8)
        check(words, 0, self.kind.size())
        for one in lists:
            check(one, 0, self.kind.size())
            views.push_back(numbers_of(one))
        for i in range(words.shape[0]):
            self.scratch[words[i]] = <int32_t>i
        for k in range(views.size()):
            for i in range(views[k].size):
                at = self.scratch[views[k].data[i]]
                if at >= 0:
                    to[at] = 1
        for i in range(words.shape[0]):
            self.scratch[words[i]] = -1
        return out

    def hits(self, const int32_t[::1] words, const int32_t[::1] terms):
        """Finds the words that have some distinct terms, -1 for none.

        Returns:
            The places of words and of terms, sorted by word, then term.
        """
        cdef vector[int32_t] places, found, own
        cdef Py_ssize_t i
        cdef size_t k
        cdef int32_t term
        check(words, 0, self.kind.size())
        check(terms, -1, self.terms_.ends.size())
        for i in range(terms.shape[0]):
            if terms[i] >= 0:
                self.term_scratch[terms[i]] = <int32_t>i
        for i in range(words.shape[0]):
            own.clear()
            for k in range(self.first_term(words[i]), self.term_ends[words[i]]):
                term = self.term_scratch[self.term_numbers[k]]
                if term >= 0:
                    own.push_back(term)
            if own.size() > 1:
                sort(own.begin(), own.end())
            for k in range(own.size()):
                places.push_back(<int32_t>i)
                found.push_back(own[k])
        for i in range(terms.shape[0]):
            if terms[i] >= 0:
                self.term_scratch[terms[i]] = -1
        return from_vector(places), from_vector(found)

    def query_hits(self, const int32_t[::1] words, terms, dict forms):
        """Finds the words that have terms of a query, or other forms of them.

        Args:
            words: The words.
            terms: The terms, with any values.
            forms: Other forms, with the term that each of them stands for.

        Returns:
            The places of words and of terms, sorted by word, then term.
        """
        cdef vector[int32_t] numbers, form_numbers, form_places, places, found, own
        cdef Py_ssize_t i
        cdef size_t k
        cdef int32_t number
        cdef dict place_of = None
        check(words, 0, self.kind.size())
        self.find_keys(terms, numbers, NULL)
        for form, term in forms.items():
            number = find_one(self.terms_, form)
            if number < 0 or form in terms:
                continue
            if place_of is None:
                place_of = {each: place for place, each in enumerate(terms)}
            form_numbers.push_back(number)
            form_places.push_back(place_of[term])
        # From here on no Python code runs until the scratch is clean again.
        for k in range(numbers.size()):
            if numbers[k] >= 0:
                self.term_scratch[numbers[k]] = <int32_t>k
        for k in range(form_numbers.size()):
            self.term_scratch[form_numbers[k]] = form_places[k]
        for i in range(words.shape[0]):
            own.clear()
            for k in range(self.first_term(words[i]), self.term_ends[words[i]]):
                number = self.term_scratch[self.term_numbers[k]]
                if number >= 0:
                    own.push_back(number)
            if own.size() > 1:
                sort(own.begin(), own.end())
            for k in range(own.size()):
                places.push_back(<int32_t>i)
                found.push_back(own[k])
        for k in range(numbers.size()):
            if numbers[k] >= 0:
                self.term_scratch[numbers[k]] = -1
        for k in range(form_numbers.size()):
            self.term_scratch[form_numbers[k]] = -1
        return from_vector(places), from_vector(found)

    cdef int find_keys(self, terms, vector[int32_t]& numbers, vector[float]* weights) except -1:
        """Adds the numbers of terms that are the keys of a dict, and their values."""
        cdef Py_ssize_t at = 0
        cdef PyObject* term
        cdef PyObject* weight
        if not isinstance(terms, dict):
            raise TypeError("terms must be a dict")
        numbers.reserve(len(terms))
        while PyDict_Next(terms, &at, &term, &weight):
            numbers.push_back(find_one(self.terms_, <object>term))
            if weights != NULL:
                weights.push_back(<float>PyFloat_AsDouble(<object>weight))
        return 0

    def term_weights(self, const int32_t[::1] words, terms):
        """Returns [words] float32 the mean and the largest of the weights that a query gives to a word's terms."""
        cdef vector[int32_t] numbers, own
        cdef vector[float] weights
        cdef Py_ssize_t i
        cdef size_t k, start, end
        cdef int32_t number
        check(words, 0, self.kind.size())
        mean, best = np.zeros((2, len(words)), np.float32)
        cdef float[::1] means = mean, bests = best
        self.find_keys(terms, numbers, &weights)
        for k in range(numbers.size()):
            if numbers[k] >= 0:
                self.term_scratch[numbers[k]] = <int32_t>k
        for i in range(words.shape[0]):
            own.clear()
            start, end = self.first_term(words[i]), self.term_ends[words[i]]
            for k in range(start, end):
                number = self.term_scratch[self.term_numbers[k]]
                if number >= 0:
                    own.push_back(number)
            if own.size() > 1:
                sort(own.begin(), own.end())  # sums depend on the order
            for k in range(own.size()):
                means[i] += weights[own[k]]
                bests[i] = max(bests[i], weights[own[k]])
            if end > start:
                means[i] /= <float>(end - start)
        for k in range(numbers.size()):
            if numbers[k] >= 0:
                self.term_scratch[numbers[k]] = -1
        return mean, best


def expand_hits(const int32_t[::1] hit_tokens, const int32_t[::1] hit_terms, const int32_t[::1] token, const int32_t[::1] unit, Py_ssize_t size):
    """Twin: `python_expand_hits` of `compressor.scoring.vocabulary`."""
    cdef vector[int32_t] starts, terms
    cdef vector[int64_t] units
    cdef Py_ssize_t i
    cdef int32_t k
    check(hit_tokens, 0, size)
    check(token, 0, size)
    if hit_terms.shape[0] < hit_tokens.shape[0] or unit.shape[0] < token.shape[0]:
        raise IndexError("arrays of different lengths")
    starts.resize(size + 1)
    for i in range(hit_tokens.shape[0]):
        starts[hit_tokens[i] + 1] += 1
    for i in range(size):
        starts[i + 1] += starts[i]
    for i in range(token.shape[0]):
        for k in range(starts[token[i]], starts[token[i] + 1]):
            units.push_back(unit[i])
            terms.push_back(hit_terms[k])
    out = np.empty(units.size(), np.int64)
    cdef int64_t[::1] to = out
    if units.size():
        memcpy(&to[0], units.data(), units.size() * sizeof(int64_t))
    return out, from_vector(terms)


cdef int check(const int32_t[::1] numbers, int32_t low, size_t end) except -1:
    """Raises an error for numbers of another vocabulary that lead to no place here."""
    cdef Py_ssize_t i
    for i in range(numbers.shape[0]):
        if numbers[i] < low or numbers[i] >= <int64_t>end:
            raise IndexError("no such word or term")
    return 0


cdef Numbers numbers_of(const int32_t[::1] array) except *:
    """The place of an array's numbers, for as long as the caller keeps the array."""
    cdef Numbers out
    out.size = array.shape[0]
    out.data = &array[0] if out.size else NULL
    return out


cdef object from_vector(vector[int32_t]& values):
    """A new array of the values."""
    cdef int32_t[::1] to
    out = np.empty(values.size(), np.int32)
    if values.size():
        to = out
        memcpy(&to[0], values.data(), values.size() * sizeof(int32_t))
    return out


cdef object find_all(StringTable table, words):
    cdef vector[int32_t] found
    found.reserve(len(words))
    for word in words:
        found.push_back(find_one(table, word))
    return from_vector(found)


cdef int32_t find_one(StringTable table, word) except -2:
    """The number of a word or term; -1 if the table has it not."""
    cdef const uint8_t* data
    cdef bytes key
    cdef Py_ssize_t size
    if PyUnicode_IS_ASCII(<str?>word):
        data, size = <const uint8_t*>PyUnicode_DATA(word), PyUnicode_GET_LENGTH(word)
        return table.find(data, size, table.hash_of(data, size))
    key = (<str>word).encode("utf-8", "surrogatepass")
    data, size = <const uint8_t*><const char*>key, len(key)
    return table.find(data, size, table.hash_of(data, size))


cdef bint encode(const Character* text, Py_ssize_t size, vector[uint8_t]& out) noexcept:
    """Writes characters as UTF-8, surrogates too, and returns whether they are all ASCII."""
    cdef Py_ssize_t i
    cdef uint32_t c
    cdef bint ascii = True
    for i in range(size):
        c = text[i]
        if c < 0x80:
            out.push_back(<uint8_t>c)
            continue
        ascii = False
        if c < 0x800:
            out.push_back(<uint8_t>(0xC0 | c >> 6))
        else:
            if c < 0x10000:
                out.push_back(<uint8_t>(0xE0 | c >> 12))
            else:
                out.push_back(<uint8_t>(0xF0 | c >> 18))
                out.push_back(<uint8_t>(0x80 | (c >> 12 & 0x3F)))
            out.push_back(<uint8_t>(0x80 | (c >> 6 & 0x3F)))
        out.push_back(<uint8_t>(0x80 | (c & 0x3F)))
    return ascii

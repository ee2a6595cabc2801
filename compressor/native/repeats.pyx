"""Finds sentences that newer ones repeat; the twin of `compare_pairs` of `compressor.pipeline.repeated_sentences`."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libcpp.algorithm cimport sort
from libcpp.vector cimport vector

cdef enum:
    CANDIDATES = 3  # as many as the twin looks at


cdef struct Sentence:
    Py_ssize_t begin  # its entries
    Py_ssize_t end
    Py_ssize_t first_pair
    Py_ssize_t last_pair
    double need  # pairs that another must have for this one to repeat it
    bint can  # repeat another


cdef class _Numbers:
    """Numbers 64-bit keys in order of first use."""

    cdef vector[int64_t] keys
    cdef vector[int32_t] values
    cdef size_t mask
    cdef int32_t count

    def __cinit__(self, Py_ssize_t most):
        cdef size_t size = 16
        while size < <size_t> (2 * most):
            size *= 2
        self.keys.assign(size, -1)
        self.values.assign(size, 0)
        self.mask = size - 1
        self.count = 0

    cdef int32_t number(self, int64_t key):
        cdef size_t at = (<uint64_t> key * <uint64_t> 0x9E3779B97F4A7C15) >> 20 & self.mask
        while self.keys[at] != -1:
            if self.keys[at] == key:
                return self.values[at]
            at = (at + 1) & self.mask
        self.keys[at] = key
        self.values[at] = self.count
        self.count += 1
        return self.count - 1


def compare_pairs(
    const int32_t[::1] tokens,
    const int64_t[::1] ends,
    const int64_t[::1] which,
    const double[::1] overlaps,
    const int32_t[::1] labels,
    const uint8_t[::1] exactness,
    int max_postings,
):
    """Returns the units that a newer one repeats, newest first. The arguments are those of the twin."""
    cdef Py_ssize_t size = which.shape[0], i, k, entries = 0
    cdef vector[Sentence] sentences
    cdef vector[int32_t] pairs, times, usable, same
    sentences.resize(size)
    for i in range(size):
        sentences[i].end = ends[which[i]]
        sentences[i].begin = ends[which[i] - 1] if which[i] else 0
        entries += sentences[i].end - sentences[i].begin
    _name_words(tokens, labels, sentences, same)
    cdef _Numbers numbers = _Numbers(entries)
    for i in range(size):
        _add_pairs(tokens, same, sentences[i], numbers, pairs)
    times.assign(numbers.count, 0)
    for k in range(<Py_ssize_t> pairs.size()):
        times[pairs[k]] += 1
    usable.assign(numbers.count, 0)  # pairs that may show that a unit repeats another
    for i in range(size):
        _judge(sentences[i], overlaps[which[i]], pairs, times)
        if sentences[i].can:
            for k in range(sentences[i].first_pair, sentences[i].last_pair):
                usable[pairs[k]] = times[pairs[k]] > 1
    return _newest_first(tokens, which, same, exactness, sentences, pairs, usable, max_postings)


cdef void _name_words(
    const int32_t[::1] tokens, const int32_t[::1] labels, vector[Sentence]& sentences, vector[int32_t]& same
):
    """Sets `same` to the first of the tokens in the sentences that has the same label, for each of them."""
    cdef Py_ssize_t size = labels.shape[0], i, at, token, count = 0
    same.assign(size, -1)
    for i in range(<Py_ssize_t> sentences.size()):
        for at in range(sentences[i].begin, sentences[i].end):
            count += same[tokens[at]] < 0
            same[tokens[at]] = 0
    cdef _Numbers numbers = _Numbers(count)
    cdef vector[int32_t] first
    cdef int32_t number
    for token in range(size):
        if same[token] == 0:
            number = numbers.number(labels[token])
            if number == <int32_t> first.size():
                first.push_back(<int32_t> token)
            same[token] = first[number]


cdef void _add_pairs(
    const int32_t[::1] tokens,
    vector[int32_t]& same,
    Sentence& sentence,
    _Numbers numbers,
    vector[int32_t]& pairs,
):
    """Appends the numbers of the distinct pairs of words of a sentence, in the order of their words."""
    cdef vector[int64_t] keys
    cdef Py_ssize_t at, i
    cdef int64_t width = <Py_ssize_t> same.size() + 1, before = 0, word
    for at in range(sentence.begin, sentence.end):
        word = same[tokens[at]]
        if at > sentence.begin or sentence.end - sentence.begin <= 2:
            keys.push_back(before * width + word)
        before = word + 1
    sort(keys.begin(), keys.end())
    sentence.first_pair = <Py_ssize_t> pairs.size()
    for i in range(<Py_ssize_t> keys.size()):
        if i == 0 or keys[i] != keys[i - 1]:
            pairs.push_back(numbers.number(keys[i]))
    sentence.last_pair = <Py_ssize_t> pairs.size()


cdef void _judge(Sentence& sentence, double overlap, vector[int32_t]& pairs, vector[int32_t]& times):
    """Finds out whether enough pairs of a sentence are in others too."""
    cdef Py_ssize_t k, shared = 0, total = sentence.last_pair - sentence.first_pair
    for k in range(sentence.first_pair, sentence.last_pair):
        shared += times[pairs[k]] > 1
    sentence.need = overlap * total
    sentence.can = total > 0 and shared >= sentence.need


cdef list _newest_first(
    const int32_t[::1] tokens,
    const int64_t[::1] which,
    vector[int32_t]& same,
    const uint8_t[::1] exactness,
    vector[Sentence]& sentences,
    vector[int32_t]& pairs,
    vector[int32_t]& usable,
    int max_postings,
):
    """Compares each sentence with the newer ones that have the same pairs. Only those that repeat none are compared."""
    cdef vector[vector[int32_t]] postings
    cdef vector[int32_t] counts, found
    cdef vector[int32_t] marks
    cdef Py_ssize_t i = <Py_ssize_t> sentences.size(), k
    cdef list out = []
    postings.resize(usable.size())
    counts.assign(i, 0)
    marks.assign(<Py_ssize_t> same.size(), -1)
    while i > 0:
        i -= 1
        if sentences[i].can:
            found.clear()
            for k in range(sentences[i].first_pair, sentences[i].last_pair):
                if usable[pairs[k]]:
                    for other in postings[pairs[k]]:
                        if counts[other] == 0:
                            found.push_back(other)
                        counts[other] += 1
            if _repeats_one(tokens, same, exactness, sentences, i, found, counts, marks):
                out.append(which[i])
                for other in found:
                    counts[other] = 0
                continue
            for other in found:
                counts[other] = 0
        for k in range(sentences[i].first_pair, sentences[i].last_pair):
            if usable[pairs[k]] and <int> postings[pairs[k]].size() < max_postings:
                postings[pairs[k]].push_back(<int32_t> i)
    return out


cdef bint _repeats_one(
    const int32_t[::1] tokens,
    vector[int32_t]& same,
    const uint8_t[::1] exactness,
    vector[Sentence]& sentences,
    Py_ssize_t this,
    vector[int32_t]& found,
    vector[int32_t]& counts,
    vector[int32_t]& marks,
):
    """Returns whether a sentence repeats one of the few found that share most pairs with it."""
    cdef int round, best
    cdef Py_ssize_t k, at
    for round in range(CANDIDATES):
        best = -1
        for k in range(<Py_ssize_t> found.size()):  # of equals, the first that was found
            if best < 0 or counts[found[k]] > counts[best]:
                best = found[k]
        if best < 0 or counts[best] < sentences[this].need or counts[best] == 0:
            return False
        counts[best] = 0
        if _has_exact_words(tokens, same, exactness, sentences[this], sentences[best], best, marks):
            return True
    return False


cdef bint _has_exact_words(
    const int32_t[::1] tokens,
    vector[int32_t]& same,
    const uint8_t[::1] exactness,
    Sentence& one,
    Sentence& other,
    int mark,
    vector[int32_t]& marks,
):
    """Returns whether the numbers, names and identifiers of a sentence are all words of another."""
    cdef Py_ssize_t at
    for at in range(other.begin, other.end):
        marks[same[tokens[at]]] = mark
    for at in range(one.begin, one.end):
        if exactness[tokens[at]] > (at == one.begin) and marks[same[tokens[at]]] != mark:
            return False
    return True

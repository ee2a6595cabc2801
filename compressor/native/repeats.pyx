"""Finds sentences that are said elsewhere too; the twins are in `compressor.pipeline.repeated_sentences`."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libcpp.algorithm cimport sort
from libcpp.utility cimport pair
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


cdef int _check(
    const int32_t[::1] tokens, const int64_t[::1] ends, const int64_t[::1] which, Py_ssize_t vocabulary
) except -1:
    """Raises ValueError if a unit is not there, or one of its tokens is not in the vocabulary."""
    cdef Py_ssize_t i, at, begin
    for i in range(which.shape[0]):
        if not 0 <= which[i] < ends.shape[0]:
            raise ValueError("no such unit")
        begin = ends[which[i] - 1] if which[i] else 0
        if not 0 <= begin <= ends[which[i]] <= tokens.shape[0]:
            raise ValueError("a unit ends outside the tokens")
        for at in range(begin, ends[which[i]]):
            if not 0 <= tokens[at] < vocabulary:
                raise ValueError("a token is not in the vocabulary")
    return 0


cdef class _Numbers:
    """Numbers 64-bit keys in order of first use."""

    cdef vector[int64_t] keys
    cdef vector[int32_t] values
    cdef vector[int64_t] numbered  # the key of each number
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
        self.numbered.push_back(key)
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
    cdef vector[int32_t] pairs, times, last, usable, same
    _check(tokens, ends, which, min(labels.shape[0], exactness.shape[0]))
    if overlaps.shape[0] < ends.shape[0]:
        raise ValueError("a unit has no overlap")
    sentences.resize(size)
    for i in range(size):
        sentences[i].end = ends[which[i]]
        sentences[i].begin = ends[which[i] - 1] if which[i] else 0
        entries += sentences[i].end - sentences[i].begin
    _name_words(tokens, labels, sentences, same)
    cdef _Numbers numbers = _Numbers(entries)
    for i in range(size):
        _add_pairs(tokens, same, sentences[i], <int32_t> i, numbers, pairs, times, last)
    usable.assign(numbers.count, 0)  # pairs that may show that a unit repeats another
    for i in range(size):
        _judge(sentences[i], overlaps[which[i]], pairs, times)
        if sentences[i].can:
            for k in range(sentences[i].first_pair, sentences[i].last_pair):
                usable[pairs[k]] = times[pairs[k]] > 1
    return _newest_first(tokens, which, same, exactness, sentences, pairs, usable, numbers, max_postings)


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
    int32_t place,
    _Numbers numbers,
    vector[int32_t]& pairs,
    vector[int32_t]& times,
    vector[int32_t]& last,
):
    """Appends the numbers of the distinct pairs of words of a sentence, and counts the sentences that have each."""
    cdef Py_ssize_t at
    cdef int64_t width = <Py_ssize_t> same.size() + 1, before = 0, word
    cdef int32_t number
    sentence.first_pair = <Py_ssize_t> pairs.size()
    for at in range(sentence.begin, sentence.end):
        word = same[tokens[at]]
        if at > sentence.begin or sentence.end - sentence.begin <= 2:
            number = numbers.number(before * width + word)
            if number == <int32_t> times.size():
                times.push_back(0)
                last.push_back(-1)
            if last[number] != place:
                last[number] = place
                times[number] += 1
                pairs.push_back(number)
        before = word + 1
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
    _Numbers numbers,
    int max_postings,
):
    """Compares each sentence with the newer ones that have the same pairs. Only those that repeat none are compared."""
    cdef vector[vector[int32_t]] postings
    cdef vector[int32_t] counts, found
    cdef vector[int32_t] marks
    cdef vector[pair[int64_t, int32_t]] ordered  # the usable pairs of a sentence, in the order of their words
    cdef Py_ssize_t i = <Py_ssize_t> sentences.size(), k
    cdef int32_t other
    cdef list out = []
    postings.resize(usable.size())
    counts.assign(i, 0)
    marks.assign(<Py_ssize_t> same.size(), -1)
    while i > 0:
        i -= 1
        if sentences[i].can:
            found.clear()
            ordered.clear()
            for k in range(sentences[i].first_pair, sentences[i].last_pair):
                if usable[pairs[k]] and postings[pairs[k]].size():
                    ordered.push_back(pair[int64_t, int32_t](numbers.numbered[pairs[k]], pairs[k]))
            sort(ordered.begin(), ordered.end())
            for k in range(<Py_ssize_t> ordered.size()):
                for other in postings[ordered[k].second]:
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


def compare_terms(
    const int32_t[::1] tokens,
    const int64_t[::1] ends,
    const int64_t[::1] which,
    const int32_t[::1] counts,
    const int32_t[::1] rows,
    const int32_t[::1] sizes,
    list retained,
    double overlap,
    int min_terms,
    int min_chars,
):
    """Returns the units that say what one of some texts says. The arguments are those of the twin."""
    cdef vector[int32_t] row_starts, codes, seen, shared
    cdef vector[vector[int32_t]] texts_of  # the texts that have each term
    cdef Py_ssize_t i, k, at, begin, total = 0
    cdef int32_t text, code, own, n_texts = <int32_t> len(retained)
    cdef const int32_t[::1] ids
    cdef list out = []
    _check(tokens, ends, which, counts.shape[0])
    for one in retained:
        total += len(one)
    cdef _Numbers numbers = _Numbers(total + rows.shape[0])
    for text in range(n_texts):
        ids = retained[text]
        for k in range(ids.shape[0]):
            code = numbers.number(ids[k])
            if code >= <int32_t> texts_of.size():
                texts_of.resize(code + 1)
            if texts_of[code].empty() or texts_of[code].back() != text:
                texts_of[code].push_back(text)
    row_starts.push_back(0)
    for i in range(counts.shape[0]):
        row_starts.push_back(row_starts.back() + max(0, counts[i]))
    if row_starts.back() > rows.shape[0] or rows.shape[0] != sizes.shape[0]:
        raise ValueError("a token has terms that are not there")
    codes.assign(rows.shape[0], -1)
    seen.assign(total + rows.shape[0], -1)
    for i in range(which.shape[0]):
        shared.assign(n_texts, 0)
        own = 0
        begin = ends[which[i] - 1] if which[i] else 0
        for at in range(begin, ends[which[i]]):
            for k in range(row_starts[tokens[at]], row_starts[tokens[at] + 1]):
                if sizes[k] < min_chars:
                    continue
                if codes[k] < 0:
                    codes[k] = numbers.number(rows[k])
                code = codes[k]
                if seen[code] == i:
                    continue
                seen[code] = <int32_t> i
                own += 1
                if code < <int32_t> texts_of.size():
                    for text in texts_of[code]:
                        shared[text] += 1
        if own >= min_terms:
            for text in range(n_texts):
                if shared[text] >= overlap * own:
                    out.append(which[i])
                    break
    return out


def find_exact(
    const int32_t[::1] tokens, const int64_t[::1] ends, const int64_t[::1] which, const uint8_t[::1] exactness
):
    """Returns which of some units have a number, an identifier, or a name that is not their first word."""
    out = np.zeros(which.shape[0], np.bool_)
    cdef uint8_t[::1] to = out.view(np.uint8)
    cdef Py_ssize_t i, at, begin
    _check(tokens, ends, which, exactness.shape[0])
    for i in range(which.shape[0]):
        begin = ends[which[i] - 1] if which[i] else 0
        for at in range(begin, ends[which[i]]):
            if exactness[tokens[at]] > (at == begin):
                to[i] = True
                break
    return out

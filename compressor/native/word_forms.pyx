"""Lists the forms that a word of a query may have in a text.

Twin: `exchange_endings` of `compressor.scoring.word_forms`.
"""

from cpython.unicode cimport PyUnicode_DecodeUTF8
from cython cimport final
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

from compressor.native.word_shapes cimport stem


cdef bint _ends_with(const string& word, const string& ending) noexcept:
    return word.size() >= ending.size() and word.compare(word.size() - ending.size(), ending.size(), ending) == 0


cdef string _cut(const string& word, size_t letters) noexcept:
    """The word without its last letters."""
    return word.substr(0, word.size() - letters)


cdef void _add(vector[string]& words, const string& word) noexcept:
    cdef size_t i
    for i in range(words.size()):
        if words[i] == word:
            return
    words.push_back(word)


cdef uint64_t _hash(const string& word) noexcept:
    cdef uint64_t out = 0
    cdef size_t i
    for i in range(word.size()):
        out = (out ^ <uint8_t>word[i]) * <uint64_t>0x9E3779B97F4A7C15
    return out >> 32


cdef bint _is_ascii(const string& word) noexcept:
    cdef size_t i
    for i in range(word.size()):
        if <uint8_t>word[i] >= 128:
            return False
    return True


cdef struct Endings:
    size_t least  # letters that stay before an ending
    vector[string] fronts
    vector[string] endings


@final
cdef class WordForms:
    """Lists the forms of words of lower-case ASCII letters.

    Args:
        english: English endings, how many letters must stand before one, and what may have stood in its place.
        vowels: The vowels.
        doubled: The letters that are doubled before an ending.
        others: For each other language how many letters must stay, what may stand before a word, and its endings.
    """

    cdef vector[string] endings
    cdef vector[size_t] least
    cdef vector[vector[string]] instead
    cdef string vowels
    cdef string doubled
    cdef unordered_map[string, Endings] others

    def __init__(self, english, str vowels, str doubled, others):
        cdef vector[string] instead
        cdef Endings other
        for ending, least, replacements in english:
            self.endings.push_back((<str>ending).encode())
            self.least.push_back(least)
            instead.clear()
            for replacement in replacements:
                instead.push_back((<str>replacement).encode())
            self.instead.push_back(instead)
        self.vowels = vowels.encode()
        self.doubled = doubled.encode()
        for language, (least, fronts, endings) in others.items():
            other.least = least
            other.fronts = [(<str>front).encode() for front in fronts]
            other.endings = [(<str>ending).encode() for ending in endings]
            self.others[(<str>language).encode()] = other

    cdef bint is_vowel(self, char letter) noexcept:
        return self.vowels.find(letter) < self.vowels.size()

    cdef void find_bases(self, const string& form, vector[string]& out) noexcept:
        """Adds what the form may be a form of."""
        cdef size_t i, k, last
        cdef string root
        for i in range(self.endings.size()):
            if not _ends_with(form, self.endings[i]) or form.size() < self.endings[i].size() + self.least[i]:
                continue
            root = _cut(form, self.endings[i].size())
            for k in range(self.instead[i].size()):
                _add(out, root + self.instead[i][k])
            last = root.size() - 1
            if root.size() > 3 and root[last] == root[last - 1] and not self.is_vowel(root[last]):
                _add(out, _cut(root, 1))

    cdef void inflect(self, const string& base, vector[string]& out) noexcept:
        """Adds the regular inflections of a word of three letters or more, and its nouns."""
        cdef size_t size = base.size()
        cdef char last = base[size - 1]
        cdef string body = _cut(base, 1) if last == b"e" else base
        out.push_back(base)
        if last == b"y" and not self.is_vowel(base[size - 2]):
            out.push_back(_cut(base, 1) + b"ies")
            out.push_back(_cut(base, 1) + b"ied")
            out.push_back(base + b"ing")
        elif last == b"e":
            out.push_back(base + b"s")
            out.push_back(base + b"d")
            out.push_back(_cut(base, 2) + b"ying" if base[size - 2] == b"i" else body + b"ing")
        else:
            out.push_back(base + b"s")
            out.push_back(base + b"es")
            out.push_back(base + b"ed")
            out.push_back(base + b"ing")
        if self.doubled.find(last) < self.doubled.size() and self.is_vowel(base[size - 2]):
            out.push_back(base + string(1, last) + b"ed")
            out.push_back(base + string(1, last) + b"ing")
        if size >= 4:
            out.push_back(base + b"ment")
            out.push_back(body + b"ation")
        if body.size() >= 5:
            out.push_back(body + b"ion")

    cdef void add_english(self, const string& word, vector[string]& out) noexcept:
        """Adds the inflections of what an English word may be a form of. Twin: `_english`."""
        cdef vector[string] bases
        cdef size_t i
        if word.size() < 3:
            return
        bases.push_back(word)
        self.find_bases(word, bases)
        if _ends_with(word, b"ions") or _ends_with(word, b"ments"):
            self.find_bases(_cut(word, 1), bases)
        for i in range(bases.size()):
            if bases[i].size() >= 3:
                self.inflect(bases[i], out)

    cdef void add_exchanged(self, const string& word, const Endings& of, vector[string]& out) noexcept:
        """Adds the word with each ending and beginning of a language in place of its own. Twin: `_exchanged`."""
        cdef vector[string] bodies
        cdef vector[string] roots
        cdef size_t i, k, found, root
        bodies.push_back(word)
        for i in range(of.fronts.size()):
            if word.size() > of.fronts[i].size() + of.least and word.compare(0, of.fronts[i].size(), of.fronts[i]) == 0:
                bodies.push_back(word.substr(of.fronts[i].size(), word.size()))
        for i in range(bodies.size()):
            _add(roots, bodies[i])
            found = 0
            for k in range(of.endings.size()):
                root = bodies[i].size() - of.endings[k].size() if bodies[i].size() > of.endings[k].size() else 0
                if found < 2 and root >= max(of.least, 2 * bodies[i].size() // 5) and _ends_with(bodies[i], of.endings[k]):
                    _add(roots, _cut(bodies[i], of.endings[k].size()))
                    found += 1
        for root in range(roots.size()):
            for i in range(of.fronts.size() + 1):
                for k in range(of.endings.size() + 1):
                    out.push_back(
                        (of.fronts[i - 1] if i else string()) + roots[root] + (of.endings[k - 1] if k else string())
                    )

    def list_forms(self, str word, languages):
        """Returns the terms of the word's other forms in some languages, in order."""
        cdef string plain = word.encode("ascii")
        cdef string own = plain
        cdef string language
        cdef vector[string] forms
        cdef vector[int32_t] slots
        cdef size_t i, at, size = 16
        cdef list out = []
        for code in languages:
            language = (<str>code).encode()
            if language == b"en":
                self.add_english(plain, forms)
            elif self.others.count(language):
                self.add_exchanged(plain, self.others[language], forms)
        own.resize(stem(<uint8_t*>own.data(), own.size()))
        forms.insert(forms.begin(), own)
        while size < 2 * forms.size():
            size *= 2
        slots.assign(size, -1)
        for i in range(forms.size()):
            if i and _is_ascii(forms[i]):
                forms[i].resize(stem(<uint8_t*>forms[i].data(), forms[i].size()))
            at = _hash(forms[i]) & (size - 1)
            while slots[at] >= 0 and forms[slots[at]] != forms[i]:
                at = (at + 1) & (size - 1)
            if slots[at] < 0:
                slots[at] = <int32_t>i
                if i:
                    out.append(PyUnicode_DecodeUTF8(forms[i].data(), forms[i].size(), NULL))
        return tuple(out)

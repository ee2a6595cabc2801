"""Lists the forms that an English word of a query may have in a text.

Twin: `english_forms` of `compressor.scoring.word_forms`.
"""

from libc.stdint cimport uint8_t
from libcpp.string cimport string
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


cdef class EnglishForms:
    """Lists the forms of words.

    Args:
        endings: Endings, how many letters must stand before one, and what may have stood in its place.
        vowels: The vowels.
        doubled: The letters that are doubled before an ending.
    """

    cdef vector[string] endings
    cdef vector[size_t] least
    cdef vector[vector[string]] instead
    cdef string vowels
    cdef string doubled

    def __init__(self, endings, str vowels, str doubled):
        cdef vector[string] instead
        for ending, least, others in endings:
            self.endings.push_back((<str>ending).encode())
            self.least.push_back(least)
            instead.clear()
            for other in others:
                instead.push_back((<str>other).encode())
            self.instead.push_back(instead)
        self.vowels = vowels.encode()
        self.doubled = doubled.encode()

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
        _add(out, base)
        if last == b"y" and not self.is_vowel(base[size - 2]):
            _add(out, _cut(base, 1) + b"ies")
            _add(out, _cut(base, 1) + b"ied")
            _add(out, base + b"ing")
        elif last == b"e":
            _add(out, base + b"s")
            _add(out, base + b"d")
            _add(out, _cut(base, 2) + b"ying" if base[size - 2] == b"i" else body + b"ing")
        else:
            _add(out, base + b"s")
            _add(out, base + b"es")
            _add(out, base + b"ed")
            _add(out, base + b"ing")
        if self.doubled.find(last) < self.doubled.size() and self.is_vowel(base[size - 2]):
            _add(out, base + string(1, last) + b"ed")
            _add(out, base + string(1, last) + b"ing")
        if size >= 4:
            _add(out, base + b"ment")
            _add(out, body + b"ation")
        if body.size() >= 5:
            _add(out, body + b"ion")

    def list_forms(self, str word):
        """Returns the terms of the word's other forms, in order; the word is of lower-case ASCII letters."""
        cdef string plain = word.encode("ascii")
        cdef vector[string] bases
        cdef vector[string] forms
        cdef vector[string] shown
        cdef string own
        cdef size_t i
        if plain.size() < 3:
            return ()
        bases.push_back(plain)
        self.find_bases(plain, bases)
        if _ends_with(plain, b"ions") or _ends_with(plain, b"ments"):
            self.find_bases(_cut(plain, 1), bases)
        for i in range(bases.size()):
            if bases[i].size() >= 3:
                self.inflect(bases[i], forms)
        own = plain
        own.resize(stem(<uint8_t*>own.data(), own.size()))
        for i in range(forms.size()):
            forms[i].resize(stem(<uint8_t*>forms[i].data(), forms[i].size()))
            if forms[i] != own:
                _add(shown, forms[i])
        return tuple([form.decode("ascii") for form in shown])

"""Reads what the words of a query ask for, and the languages that they show.

Twins: `read_tokens` of `compressor.scoring.bm25` and `count_shown` of `compressor.scoring.stop_words`.
"""

from cpython.dict cimport PyDict_SetDefault, PyDict_SetItem
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_DecodeASCII, PyUnicode_GET_LENGTH
from cython cimport final
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from compressor.native.string_table cimport StringTable
from compressor.native.word_shapes cimport NAME, WORD, classify_ascii, is_digit, is_letter, is_lower, is_upper, lowered

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object)

cdef size_t MAX_CLASSIFIED = 200  # characters of a word that its class and terms depend on

cdef object ONE = 1.0


cdef struct Signs:
    uint32_t languages  # that have the word, as bits
    bint is_sign  # of a language if only one has it
    bint is_english


cdef struct Form:
    bint letters  # nothing but letters
    bint digits
    bint alphanumeric
    bint capitals  # an upper-case letter and no lower-case one


@final
cdef class LanguageSigns:
    """Knows the words that show a language.

    Args:
        shown_by: The languages that each word shows.
        no_sign: Words that show no language alone.
        english: The words that show English.
    """

    cdef list languages
    cdef StringTable words
    cdef vector[Signs] signs  # of each word
    cdef size_t longest

    def __init__(self, shown_by, no_sign, english):
        cdef Signs signs
        self.words, self.longest = StringTable(), 0
        self.languages = sorted({language for languages in shown_by.values() for language in languages})
        if len(self.languages) > 32:
            raise ValueError("more languages than bits")
        for word in {*shown_by, *english}:
            signs.languages = 0
            for language in shown_by.get(word, ()):
                signs.languages |= <uint32_t>(1 << self.languages.index(language))
            signs.is_sign = word not in no_sign
            signs.is_english = word in english
            _number(self.words, word)
            self.signs.push_back(signs)
            self.longest = max(self.longest, <size_t>len(word.encode()))

    def count_shown(self, list tokens):
        """Returns how many words each language has, how many only it has, and how many show English."""
        cdef int[32] shown
        cdef int[32] only
        cdef int32_t number
        cdef int i, english = 0
        cdef vector[uint8_t] seen
        cdef string key
        cdef Signs signs
        seen.assign(self.signs.size(), 0)
        for i in range(32):
            shown[i] = only[i] = 0
        for token in tokens:
            if <size_t>PyUnicode_GET_LENGTH(<str?>token) > self.longest:
                continue
            if PyUnicode_IS_ASCII(token):
                _lower(<const uint8_t*>PyUnicode_DATA(token), PyUnicode_GET_LENGTH(token), key)
            else:
                key = (<str>token).lower().encode("utf-8", "surrogatepass")
            number = _find(self.words, key)
            if number < 0 or seen[number]:
                continue
            seen[number] = 1
            signs = self.signs[number]
            english += signs.is_english
            for i in range(32):
                if signs.languages >> i & 1:
                    shown[i] += 1
                    if signs.is_sign and signs.languages == (<uint32_t>1) << i:
                        only[i] += 1
        names = self.languages
        return (
            {names[i]: shown[i] for i in range(len(names)) if shown[i]},
            {names[i]: only[i] for i in range(len(names)) if only[i]},
            english,
        )


cdef struct Parts:
    vector[uint8_t] text  # of the terms of a word, end to end
    vector[size_t] ends
    vector[string] distinct


@final
cdef class TermReader:
    """Reads the tokens of a query.

    Args:
        stop_words: The words without content of each language but English.
        english: The same of English, as terms.
        list_forms: Returns the other forms of a word of lower-case ASCII letters, or of digits, in some languages.
        read_token: Returns the terms with their shares, the forms and the compounds of a token that is not of ASCII.
    """

    cdef dict bits  # of each language
    cdef StringTable stop_words
    cdef vector[uint32_t] stop_languages  # of each of them
    cdef StringTable english
    cdef object list_forms
    cdef object read_token

    def __init__(self, stop_words, english, list_forms, read_token):
        cdef int32_t number
        if len(stop_words) > 32:
            raise ValueError("more languages than bits")
        self.stop_words, self.english = StringTable(), StringTable()
        self.bits = {language: 1 << i for i, language in enumerate(stop_words)}
        self.list_forms, self.read_token = list_forms, read_token
        for language, words in stop_words.items():
            for word in words:
                number = _number(self.stop_words, word)
                self.stop_languages.resize(len(self.stop_words), 0)
                self.stop_languages[number] |= <uint32_t>self.bits[language]
        for word in english:
            _number(self.english, word)

    def read_tokens(self, list tokens, tuple languages, tuple forms):
        """Returns the terms of tokens with their shares, their forms and the compounds among them."""
        cdef dict shares = {}, all_forms = {}, compounds = {}
        cdef Parts parts
        cdef uint32_t stop = 0
        cdef bint english = "en" in languages
        for language in languages:
            stop |= <uint32_t>self.bits.get(language, 0)
        for token in tokens:
            if PyUnicode_IS_ASCII(<str?>token):
                self.read_ascii(token, stop, english, forms, parts, shares, all_forms, compounds)
                continue
            others, token_forms, token_compounds = self.read_token(token, languages, forms)
            for term, share in others.items():
                if share > shares.get(term, 0.0):
                    shares[term] = share
                elif term not in shares:
                    shares[term] = 0.0
            for form, term in token_forms.items():
                all_forms.setdefault(form, term)
            for compound in token_compounds:
                compounds[compound] = None
        return shares, all_forms, tuple(compounds)

    cdef int read_ascii(
        self,
        str token,
        uint32_t stop,
        bint english,
        tuple forms,
        Parts& parts,
        dict shares,
        dict all_forms,
        dict compounds,
    ) except -1:
        """Twin: `_token_terms`."""
        cdef const uint8_t* text = <const uint8_t*>PyUnicode_DATA(token)
        cdef size_t size = PyUnicode_GET_LENGTH(token), i, start = 0, count = 1
        cdef string key
        cdef list words
        if stop:
            _lower(text, size, key)
            if self.is_stop_word(key, stop):
                return 0
            words = []
            for i in range(size + 1):
                if i < size and text[i] != 45:
                    continue
                count += i < size
                _lower(text + start, i - start, key)
                if i > start and not self.is_stop_word(key, stop):
                    words.append(token[start:i])
                start = i + 1
            if <size_t>len(words) < count:
                for word in words:
                    self.read_word(word, english, forms, parts, shares, all_forms, compounds)
                return 0
        return self.read_word(token, english, forms, parts, shares, all_forms, compounds)

    cdef bint is_stop_word(self, const string& word, uint32_t languages) noexcept:
        cdef int32_t number = _find(self.stop_words, word)
        return number >= 0 and (self.stop_languages[number] & languages) != 0

    cdef int read_word(
        self,
        str word,
        bint english,
        tuple forms,
        Parts& parts,
        dict shares,
        dict all_forms,
        dict compounds,
    ) except -1:
        cdef const uint8_t* text = <const uint8_t*>PyUnicode_DATA(word)
        cdef size_t size = PyUnicode_GET_LENGTH(word), i, start = 0, count
        cdef string part
        cdef Form form = _form_of(text, size), of_term
        cdef uint8_t kind
        cdef str term, whole
        if not size:
            return 0
        kind = classify_ascii(text, min(size, MAX_CLASSIFIED), parts.text, parts.ends)
        parts.distinct.clear()
        for i in range(parts.ends.size()):
            part.assign(<const char*>parts.text.data() + start, parts.ends[i] - start)
            start = parts.ends[i]
            _add(parts.distinct, part)
        count = parts.distinct.size()
        for i in range(count):
            part = parts.distinct[i]
            if english and _find(self.english, part) >= 0:
                continue
            of_term = _form_of(<const uint8_t*>part.data(), part.size())
            if not (part.size() > 1 or of_term.digits or form.capitals):
                continue
            term = PyUnicode_DecodeASCII(part.data(), part.size(), NULL)
            PyDict_SetItem(shares, term, ONE)
            if not forms:
                continue
            if count == 1 and not form.digits:
                if form.letters:
                    self.add_forms(word.lower(), term, forms, all_forms)
            elif of_term.letters or of_term.digits:
                self.add_forms(term, term, forms, all_forms)
        if (count > 1 or not form.alphanumeric) and kind != WORD and kind != NAME:
            compounds[word] = None
        return 0

    cdef int add_forms(self, str whole, str term, tuple languages, dict all_forms) except -1:
        for form in <tuple?>self.list_forms(whole, languages):
            PyDict_SetDefault(all_forms, form, term)
        return 0


cdef int32_t _find(StringTable table, const string& word) noexcept:
    cdef const uint8_t* text = <const uint8_t*>word.data()
    return table.find(text, word.size(), table.hash_of(text, word.size()))


cdef int32_t _number(StringTable table, str word) except -1:
    """The number of a word, which becomes part of the table."""
    cdef string key = word.encode("utf-8", "surrogatepass")
    cdef const uint8_t* text = <const uint8_t*>key.data()
    cdef int32_t found = _find(table, key)
    return found if found >= 0 else table.add(text, key.size(), table.hash_of(text, key.size()))


cdef void _lower(const uint8_t* text, size_t size, string& out) noexcept:
    cdef size_t i
    out.resize(size)
    for i in range(size):
        out[i] = lowered(text[i])


cdef void _add(vector[string]& words, const string& word) noexcept:
    cdef size_t i
    for i in range(words.size()):
        if words[i] == word:
            return
    words.push_back(word)


cdef Form _form_of(const uint8_t* text, size_t size) noexcept:
    cdef Form out
    cdef size_t i
    cdef bint upper = False, lower = False
    out.letters = out.digits = out.alphanumeric = size > 0
    for i in range(size):
        upper |= is_upper(text[i])
        lower |= is_lower(text[i])
        out.letters &= is_letter(text[i])
        out.digits &= is_digit(text[i])
        out.alphanumeric &= is_letter(text[i]) or is_digit(text[i])
    out.capitals = upper and not lower
    return out

"""Indexes the tokens of many units as flat arrays, for lexical scoring and for redundancy.

Tokens here are words and compound identifiers (`fields/__init__.py`, `HAT136`, `2024-05-20`), not model tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.scoring.character_ngrams import CLUSTERED, UNSEGMENTED, has_unsegmented, run_terms, spread_runs

#: Accents and vowel signs, which belong to the word before them, and the joiners of Persian and Indic words.
_MARKS = "".join(c for c in map(chr, range(0x300, 0xE00)) if unicodedata.category(c)[0] == "M") + "\u200c\u200d"
_LETTER = rf"[^\W{UNSEGMENTED}]"
_JOINED = rf"[./@#\-]{_LETTER}+"
#: A word with the characters that join identifiers, paths, dates, e-mail addresses and numbers; or a run of characters
#: of a script without spaces, which `split_tokens` cuts further.
TOKEN = re.compile(rf"{_LETTER}+(?:{_JOINED}|[{_MARKS}]+{_LETTER}*)*|[{UNSEGMENTED}]+")
_BORDER = "\x1e"  # ASCII's record separator
_TOKEN_OR_BORDER = re.compile(f"{TOKEN.pattern}|{_BORDER}")
_MARK = re.compile(f"[{_MARKS}{CLUSTERED}]")
#: The blocks that have marks or scripts without spaces. Most texts have nothing of them.
_SPECIAL = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0590-\u11ff\u1780-\u17ff\u200c\u200d\u3005-\ud7ff\uf900-\uffff\U00020000-\U0003ffff]"
)
#: The same for texts without marks, whose runs stand apart. It is faster.
_ROUGH_TOKEN_OR_BORDER = re.compile(rf"\w+(?:[./@#\-]\w+)*|{_BORDER}")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_FOREIGN_PART = re.compile(r"\d+|[^\d\s./@#_\-]+")
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])+")
_MEMO_LIMIT = 200_000

#: Classes of tokens by their form, which suggests how likely it is that an agent must repeat one exactly.
WORD, NAME, NUMBER, IDENTIFIER, CODE, PATH = range(6)
#: The classes of tokens without / and @; tokens with them are paths.
_CLASSES = re.compile(
    r"""(?P<path>[\w-]+\.[A-Za-z]\w{0,4})$
      | (?P<code>(?=.*\d)(?=.*[A-Za-z_]).{4,}|\d{5,}|\d+(?:-\d+)+|(?=.*\d)[A-Za-z0-9]{3})$
      | (?P<identifier>.*[A-Za-z0-9][_.\-][A-Za-z].*|_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*)$
      | (?P<number>\d[\d.\-]*)$
      | (?P<name>[A-Z].*)$""",
    re.X | re.S,
)
_BY_NAME = {"path": PATH, "code": CODE, "identifier": IDENTIFIER, "number": NUMBER, "name": NAME}

_tokens: TwoGenerationCache[frozenset[str]] = TwoGenerationCache()
_memo: dict[str, tuple[int, tuple[str, ...], int]] = {}


def classify_token(token: str) -> tuple[int, tuple[str, ...]]:
    """Returns a token's class and its terms: lower-case, stemmed parts without accents, by which a query can match it.

    `U.S.` is one term.
    """
    return _classified(token)[:2]


def _classified(token: str) -> tuple[int, tuple[str, ...], int]:
    found = _memo.get(token)
    if found is None:
        if len(_memo) > _MEMO_LIMIT:
            _memo.clear()
        found = _memo[token] = (*_classify(token[:200]), token_shape(token))
    return found


def token_shape(token: str) -> int:
    """Returns the form of a token as bits.

    The bits are: 0 a slash, 1 an underscore, 2 a point, 3 an @, 4 a hyphen, 5 starts with a capital, 6 no lower-case
    letter, 7 a digit, 8 digits only; 9 to 11 are its length in steps of 4, up to 7.
    """
    digit = any(map(str.isdigit, token))
    bits = ("/" in token, "_" in token, "." in token, "@" in token, "-" in token, token[0].isupper(), token.isupper())
    out = sum(bit << i for i, bit in enumerate((*bits, digit, digit and token.isdigit())))
    return out | min(len(token) // 4, 7) << 9


def _classify(token: str) -> tuple[int, tuple[str, ...]]:
    if not token.isascii():
        return _classify_foreign(token)
    if token.isalpha() and (token.islower() or token[1:].islower()):
        return (WORD if token.islower() else NAME), (stem(token.lower()),)
    if token.isdecimal():
        return (CODE if len(token) > 4 else NUMBER), (token,)
    kind = _kind_by_form(token)
    if kind in (WORD, NAME):
        parts = [token]
    else:
        parts = [token.replace(".", "")] if _INITIALS.fullmatch(token) else _PART.findall(token)
    return kind, tuple(dict.fromkeys([stem(p.lower()) for p in parts]))


def _classify_foreign(token: str) -> tuple[int, tuple[str, ...]]:
    """Returns class and terms of a token that is not all ASCII. Digits of all scripts become ASCII."""
    if has_unsegmented(token[0]):
        return WORD, run_terms(token)
    plain = plain_word(token)
    if plain.isdecimal():
        return (CODE if len(plain) > 4 else NUMBER), (plain,)
    if not any(c.isdigit() or c in "./@#-_" for c in plain):
        return (WORD if token.islower() else NAME), (stem(plain.lower()),)
    parts = _PART.findall(plain) if plain.isascii() else _FOREIGN_PART.findall(plain)
    return _kind_by_form(plain), tuple(dict.fromkeys([stem(p.lower()) for p in parts])) or (plain.lower(),)


def _kind_by_form(token: str) -> int:
    if "/" in token or "@" in token:
        return PATH
    match = _CLASSES.match(token)
    return _BY_NAME[match.lastgroup or ""] if match else WORD


#: Letters that Unicode does not decompose into a letter and an accent.
_LETTERS = str.maketrans(
    {"ß": "ss", "ı": "i", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae"}
    | {"œ": "oe", "Œ": "Oe", "ð": "d", "þ": "th", "\u0640": "", "\u200c": "", "\u200d": ""}
)


def plain_word(word: str) -> str:
    """Returns a word without accents, and with the digits of any script as ASCII."""
    if word.isascii():
        return word
    kept = "".join(c for c in unicodedata.normalize("NFKD", word).translate(_LETTERS) if not unicodedata.combining(c))
    if any(c.isdecimal() and not c.isascii() for c in kept):
        kept = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in kept)
    return kept or word


def stem(word: str) -> str:
    """Returns a light English stem, without plural and verb endings. Short words and other scripts are not changed."""
    n = len(word)
    if n < 4 or word[-1] not in "gdsey" or not word.isascii():
        return word
    if word.endswith("'s"):
        word = word[:-2]
    if word.endswith("ies") and n > 4:
        return word[:-3] + "y"
    if word.endswith("sses"):
        return word[:-2]
    for ending in ("ing", "ed", "es", "s", "e", "ly"):
        if word.endswith(ending) and n - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls" else word
    return word


def split_tokens(text: str) -> list[str]:
    """Returns the tokens of a text in order, with runs of scripts without spaces cut into overlapping pieces."""
    return TOKEN.findall(spread_runs(text))


def distinct_tokens(text: str) -> frozenset[str]:
    """Returns the distinct tokens of a text. They are cached, as a context's fixed texts return with every call."""
    found = _tokens.get(text)
    if found is None:
        found = frozenset(split_tokens(text))
        _tokens.put(text, found, 100 * len(found))
    return found


def terms(text: str) -> list[str]:
    """Returns all terms of a text, in order, with repetitions."""
    return [t for token in split_tokens(text) for t in classify_token(token)[1]]


class TokenIndex:
    """The tokens of units.

    Args:
        texts: The texts of the units.

    Attributes:
        vocabulary: The distinct tokens, numbered in order of first use.
        token: [entries] int32 the tokens of all units, in order, with repetitions.
        unit: [entries] int32 the unit of each entry.
        lengths: [units] int32 the number of tokens of each unit.
        kinds: [vocabulary] the class of each token.
        terms: The terms of each token of the vocabulary.
        shapes: [vocabulary] the form of each token in bits, see `token_shape`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        # One pass over all texts, with borders as tokens of their own, is faster than one pass for each short text.
        joined = _BORDER.join(texts)
        if joined.count(_BORDER) != len(texts) - 1:
            joined = _BORDER.join([t.replace(_BORDER, " ") for t in texts])
        numbers: dict[str, int] = {_BORDER: 0}
        pattern = _ROUGH_TOKEN_OR_BORDER
        if not joined.isascii() and _SPECIAL.search(joined):
            joined = spread_runs(joined)
            pattern = _TOKEN_OR_BORDER if _MARK.search(joined) else pattern
        found = np.array([numbers.setdefault(t, len(numbers)) for t in pattern.findall(joined)], np.int32)
        del numbers[_BORDER]
        border = found == 0
        unit = np.cumsum(border, dtype=np.int32)[~border]
        self.token: npt.NDArray[np.int32] = found[~border] - 1
        self.unit: npt.NDArray[np.int32] = unit
        self.lengths: npt.NDArray[np.int32] = np.bincount(unit, minlength=len(texts)).astype(np.int32)
        self.vocabulary = {t: n - 1 for t, n in numbers.items()}
        info = [_classified(t) for t in numbers]
        self.kinds: npt.NDArray[np.uint8] = np.array([k for k, _, _ in info], np.uint8)
        self.terms = [t for _, t, _ in info]
        self.shapes: npt.NDArray[np.uint16] = np.array([s for _, _, s in info], np.uint16)

    @cached_property
    def tokens_by_term(self) -> dict[str, list[int]]:
        """The tokens that have each term."""
        out: dict[str, list[int]] = {}
        for number, token_terms in enumerate(self.terms):
            for term in token_terms:
                if (found := out.get(term)) is None:
                    out[term] = [number]
                else:
                    found.append(number)
        return out

    @cached_property
    def pairs(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The distinct (unit, token) pairs, sorted by unit, then token."""
        keys = np.unique(self.unit.astype(np.int64) * max(1, len(self.vocabulary)) + self.token)
        size = max(1, len(self.vocabulary))
        return (keys // size).astype(np.int32), (keys % size).astype(np.int32)

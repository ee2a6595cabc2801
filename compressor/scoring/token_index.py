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

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
#: A CJK character, or a word with the characters that join identifiers, paths, dates, e-mail addresses and numbers.
TOKEN = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:[./@#\-][^\W{_CJK}]+)*")
_BORDER = "\x1e"  # ASCII's record separator
_TOKEN_OR_BORDER = re.compile(f"{_BORDER}|{TOKEN.pattern}")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
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
    if token.isalpha() and (token.islower() or token[1:].islower() or not token.isascii()):
        return (WORD if token.islower() else NAME), (stem(_plain(token.lower())),)
    if token.isdecimal():
        return (CODE if len(token) > 4 else NUMBER), (token,)
    if "/" in token or "@" in token:
        kind = PATH
    else:
        match = _CLASSES.match(token)
        kind = _BY_NAME[match.lastgroup or ""] if match else WORD
    if kind in (WORD, NAME):
        parts = [token]
    else:
        parts = [token.replace(".", "")] if _INITIALS.fullmatch(token) else _PART.findall(token)
    return kind, tuple(dict.fromkeys([stem(_plain(p.lower())) for p in parts]))


def _plain(word: str) -> str:
    """The word without accents."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)) or word


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


def distinct_tokens(text: str) -> frozenset[str]:
    """Returns the distinct tokens of a text. They are cached, as a context's fixed texts return with every call."""
    found = _tokens.get(text)
    if found is None:
        found = frozenset(TOKEN.findall(text))
        _tokens.put(text, found, 100 * len(found))
    return found


def terms(text: str) -> list[str]:
    """Returns all terms of a text, in order, with repetitions."""
    return [t for token in TOKEN.findall(text) for t in classify_token(token)[1]]


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
        found = np.array([numbers.setdefault(t, len(numbers)) for t in _TOKEN_OR_BORDER.findall(joined)], np.int32)
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
    def pairs(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The distinct (unit, token) pairs, sorted by unit, then token."""
        keys = np.unique(self.unit.astype(np.int64) * max(1, len(self.vocabulary)) + self.token)
        size = max(1, len(self.vocabulary))
        return (keys // size).astype(np.int32), (keys % size).astype(np.int32)

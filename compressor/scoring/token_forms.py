"""Tells the class and the form of a token, and the terms by which a query can match it."""

from __future__ import annotations

import re
import unicodedata

from compressor.scoring.character_ngrams import has_unsegmented, run_terms

#: Class and terms of a token depend on so many of its characters.
MAX_CLASSIFIED = 200
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_FOREIGN_PART = re.compile(r"\d+|[^\d\s./@#_\-]+")
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])+")

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


def describe_token(token: str) -> tuple[int, tuple[str, ...], int]:
    """Returns a token's class, its terms and its form, see `token_shape`."""
    return (*_classify(token[:MAX_CLASSIFIED]), token_shape(token))


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

"""Reads the names of columns and of members of JSON objects once: their words, their terms, and if they name an id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from compressor.scoring.token_index import terms

MAX_KNOWN_NAMES, MAX_KNOWN_CHARS = 8_192, 64
_WORD = re.compile(r"\w+")
_IDENTITY = re.compile(
    r"(?:^|_|(?<=[a-z]))(?:[Ii]d|ID|[Kk]ey|[Nn]umber|[Cc]ode|[Nn]ame|[Pp]ath|[Uu]rl|[Uu]uid|[Ss]ku)s?$"
)


@dataclass(frozen=True, slots=True)
class NameFeatures:
    """What a name says. It is shared between calls and never changed.

    Attributes:
        words: Its words.
        terms: The terms of its words.
        whole_terms: Its terms, with ids and dates as they are.
        is_identity: Whether one of its words names an identity, such as `order_id`.
    """

    words: frozenset[str]
    terms: frozenset[str]
    whole_terms: frozenset[str]
    is_identity: bool


def name_features(name: str) -> NameFeatures:
    """Returns what the name of a column says, a JSON string."""
    return (_known if len(name) <= MAX_KNOWN_CHARS else _read)(name)


def token_name_features(token: str) -> NameFeatures:
    """Returns what a token says as the name of a member of a JSON object."""
    return (_known_token if len(token) <= MAX_KNOWN_CHARS else _read_token)(token)


def _read(name: str, words: list[str] | None = None) -> NameFeatures:
    words = _WORD.findall(name) if words is None else words
    of_words = frozenset(t for word in words for t in terms(word))
    return NameFeatures(frozenset(words), of_words, frozenset(terms(name)), any(map(_IDENTITY.search, words)))


def _read_token(token: str) -> NameFeatures:
    return _read(token, [token])


_known = lru_cache(maxsize=MAX_KNOWN_NAMES)(_read)
_known_token = lru_cache(maxsize=MAX_KNOWN_NAMES)(_read_token)

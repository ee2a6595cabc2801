"""Splits texts into tokens: words and compound identifiers (`fields/__init__.py`, `HAT136`, `2024-05-20`).

They are not model tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from compressor.scoring.character_ngrams import CLUSTERED, UNSEGMENTED, spread_runs

#: The characters that join identifiers, paths, dates, e-mail addresses and numbers.
JOINERS = "./@#-"
_MARK_CHARACTERS = [c for c in map(chr, range(0x300, 0xE00)) if unicodedata.category(c)[0] == "M"]
#: Accents and vowel signs, which belong to the word before them, and the joiners of Persian and Indic words.
_MARKS = "".join(_MARK_CHARACTERS) + "\u200c\u200d"
_LETTER = rf"[^\W{UNSEGMENTED}]"
_JOINED = rf"[{re.escape(JOINERS)}]{_LETTER}+"
#: A word with the characters that join its parts; or a run of characters of a script without spaces, which
#: `split_tokens` cuts further.
TOKEN = re.compile(rf"{_LETTER}+(?:{_JOINED}|[{_MARKS}]+{_LETTER}*)*|[{UNSEGMENTED}]+")
_BORDER = "\x1e"  # ASCII's record separator
_TOKEN_OR_BORDER = re.compile(f"{TOKEN.pattern}|{_BORDER}")
#: The same for texts without special characters. It is faster.
_ROUGH_TOKEN_OR_BORDER = re.compile(rf"\w+(?:[{re.escape(JOINERS)}]\w+)*|{_BORDER}")
_ROUGH_TOKEN = re.compile(rf"\w+(?:[{re.escape(JOINERS)}]\w+)*")
#: What the faster pattern gets wrong where all runs stand apart: marks, and characters of runs that are no letters.
_MARK = re.compile(rf"[{_MARKS}{CLUSTERED}]|\W(?<=[{UNSEGMENTED}])")


def _ranges(characters: str) -> list[tuple[int, int]]:
    """The ranges of the inside of a character class, ascending."""
    found = re.findall(r"(.)(?:-(.))?", characters, re.S)
    return sorted((ord(low), ord(high or low)) for low, high in found)


#: The characters that `TOKEN` treats other than letters or separators: marks and scripts without spaces.
SPECIAL_RANGES = _ranges(_MARKS + UNSEGMENTED)
_SPECIAL = re.compile(f"[{_MARKS}{UNSEGMENTED}]")


def has_special(text: str) -> bool:
    """Returns whether a text has marks or characters of scripts without spaces. Most texts have nothing of them."""
    return not text.isascii() and _SPECIAL.search(text) is not None


def split_tokens(text: str) -> list[str]:
    """Returns the tokens of a text in order, with runs of scripts without spaces cut into overlapping pieces."""
    if not has_special(text):
        return _ROUGH_TOKEN.findall(text)
    return TOKEN.findall(spread_runs(text))


def split_all(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Returns the tokens of all texts in order, and the number of tokens of each text.

    One pass over all texts, with borders as tokens of their own, is faster than one pass for each short text.
    """
    if not texts:
        return [], []
    joined = _BORDER.join(texts)
    if joined.count(_BORDER) != len(texts) - 1:
        joined = _BORDER.join([t.replace(_BORDER, " ") for t in texts])
    pattern = _ROUGH_TOKEN_OR_BORDER
    if has_special(joined):
        joined = spread_runs(joined)
        pattern = _TOKEN_OR_BORDER if _MARK.search(joined) else pattern
    found = pattern.findall(joined)
    found.append(_BORDER)
    lengths: list[int] = []
    start = 0
    for _ in texts:
        end = found.index(_BORDER, start)
        lengths.append(end - start)
        start = end + 1
    return [token for token in found if token != _BORDER], lengths

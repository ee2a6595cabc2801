"""Finds the strings of a sentence that can be checked against its source.

These are numbers, quotations, and what must be exact: ids, paths, URLs, e-mails, versions, flags, identifiers of code.
`verification.py` checks them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: Typographic characters that models write for plain ones. Offsets do not change.
PLAIN_CHARACTERS = str.maketrans(
    dict.fromkeys("‐‑‒–−﹣－", "-")
    | dict.fromkeys("“”„‟«»″", '"')
    | dict.fromkeys("‘’‚‛′", "'")
    | dict.fromkeys("\u00a0\u2007\u2009\u200a\u202f\u2002\u2003\u3000—", " ")
)
#: Units that mean the same.
_SAME = (
    "% percent pct",
    "ms millisecond milliseconds msec",
    "s sec secs second seconds",
    "min mins minute minutes",
    "h hr hrs hour hours",
    "d day days",
    "w week weeks",
    "month months",
    "year years yr yrs",
    "us µs microsecond microseconds",
    "ns nanosecond nanoseconds",
    "b byte bytes",
    "kb kib kilobyte kilobytes",
    "mb mib megabyte megabytes",
    "gb gib gigabyte gigabytes",
    "tb tib terabyte terabytes",
    "x × times",
    "px pixel pixels",
    "k thousand",
    "m million mn",
    "bn billion",
    "$ usd dollar dollars",
    "€ eur euro euros",
    "£ gbp pound pounds",
    "¥ jpy yen",
    "cm",
    "mm",
    "km",
    "kg",
    "mg",
    "°c",
    "°f",
    "mhz",
    "ghz",
    "hz",
)
UNITS = {form: forms.split()[0] for forms in _SAME for form in forms.split()}
#: Units that change the number itself, so they must follow it in the source, too.
MAGNITUDE_UNITS = frozenset("% k m bn x".split())
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
NUMBER_WORDS = {word: str(i) for i, word in enumerate(f"{_SMALL} seventeen eighteen nineteen twenty".split())} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
    "hundred": "100",
    "dozen": "12",
    "twice": "2",
}
_UNCOUNTED = frozenset(("zero", "one"))  # `no one`, `this one`, `zero in`
_CAPS = frozenset(
    "AND NOT BUT ALL ANY THE FOR NOW NEW OLD YES ONE API APIS HTTP HTTPS JSON YAML XML HTML CSV SQL URL URI CPU GPU "
    "RAM CLI SDK LLM FAQ PDF UTC TODO FIXME NOTE ASAP USER AGENT TOOL GOAL OPEN FAILED FACTS NONE MUST NEVER ONLY "
    "TRUE FALSE NULL BUG FIX ERROR WARNING DONE README".split()
)
_SLASHED = frozenset("and/or either/or i/o n/a w/o yes/no he/she s/he true/false input/output on/off pass/fail".split())

NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<money>[$€£¥]?)(?P<value>\d{1,3}(?:[,_']\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?)"
    r"(?:(?P<unit>%|°?[A-Za-zµ×]{1,3})|-(?P<word>[A-Za-z]+))?"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s<>\"'`]+")
_QUOTE = re.compile(r"\"([^\"\n]{1,600})\"|`+([^`\n]{1,600})`+|(?<!\w)'(?=\S)((?:[^'\n]|'(?=\w)){1,600})'(?!\w)")
_CALL = re.compile(r"([A-Za-z_][\w.:]*)\((?!e?s\))")
_PIECE = re.compile(r"[^\s()\[\]{}<>\"`;|*]+")
_COMMA = re.compile(r",(?!\d{3}(?!\d))|(?<!\d),")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]?")
_CODE = re.compile(
    r"_|::|[a-z][A-Z]|[A-Z]{2,}[a-z]{2,}|^--?[A-Za-z]|^[$@][A-Za-z]|[A-Za-z]\.[A-Za-z]|^\.{0,2}/|[/\\=@]"
)
_ORDINALS = frozenset(("st", "nd", "rd", "th"))

Kind = Literal["number", "quote", "url", "exact", "pair", "capitals"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A string that the source must have.

    Attributes:
        kind: How it is checked, see `verification.py`.
        text: The string.
        unit: The unit of a number, as the first of its forms in `UNITS`. The value of a pair (`key=value`).
    """

    kind: Kind
    text: str
    unit: str = ""


def find_claims(sentence: str) -> list[Claim]:
    """Returns everything in a sentence that its source must have, ordered by kind, each once."""
    text = sentence.translate(PLAIN_CHARACTERS)
    out: dict[Claim, None] = {}
    for m in _QUOTE.finditer(text):
        content = (m[1] or m[2] or m[3]).strip(" .,;:!?")
        if content:
            out[Claim("quote", content)] = None
    for m in _URL.finditer(text):
        out[Claim("url", m[0].rstrip(".,;:!?)]}"))] = None
    text = _URL.sub(" ", text)
    for m in _CALL.finditer(text):
        out[Claim("exact", m[1].rstrip(".:"))] = None
    pieces = [p for whole in _PIECE.findall(text) for p in _COMMA.split(whole)]
    words = [(w, p) for p in pieces if (w := _trimmed(p))]
    for (word, piece), (after, _) in zip(words, [*words[1:], ("", "")], strict=False):
        claim = _claim(word, "" if piece[-1] in ":;?!=" else after)  # `31: m = x` does not mean 31 m
        if claim is not None:
            out[claim] = None
    return list(out)


def _trimmed(piece: str) -> str:
    piece = piece.lstrip("':!?…,~≈±").rstrip("':!?…,.-+=~")
    if piece.endswith("'s"):
        piece = piece[:-2]
    return piece.lstrip("=") if piece.strip("%") else piece


def _claim(word: str, after: str) -> Claim | None:
    number = NUMBER.fullmatch(word[1:] if word[0] == "#" else word)
    if number:
        found = parse_number(number, after)
        if found is not None:
            return Claim("number", *found)
    if any(c.isdigit() for c in word):
        key, equals, value = word.partition("=")
        return Claim("pair", key, value) if equals and key and value else Claim("exact", word)
    low = word.lower()
    if low in NUMBER_WORDS:
        return None if low in _UNCOUNTED else Claim("number", NUMBER_WORDS[low], parse_unit(after))
    if low in _SLASHED or _INITIALS.fullmatch(word):
        return None
    key, equals, value = word.partition("=")
    if equals and key and value:
        return Claim("pair", key, value)
    if _CODE.search(word) and any(c.isalpha() for c in word):
        return Claim("exact", word)
    if len(word) > 2 and word.isalpha() and word.isupper() and word.isascii() and word not in _CAPS:
        return Claim("capitals", low)
    return None


def parse_number(m: re.Match[str], after: str) -> tuple[str, str] | None:
    """Returns value and unit of a match of `NUMBER`, or None if it is an id (`20GX`). `after`: the word after it."""
    value = re.sub(r"[,_']", "", m["value"])
    if m["sign"] == "-":
        value = "-" + value
    own = m["unit"]
    if own and own.lower() not in UNITS and own not in _ORDINALS:
        return None
    if own:
        return value, UNITS.get(own.lower(), "")
    if m["money"]:
        return value, UNITS[m["money"]]
    return value, parse_unit(m["word"] or after)


def parse_unit(word: str) -> str:
    """Returns the unit that a word names, in its first form, or ""."""
    return UNITS.get(word.lower(), "")

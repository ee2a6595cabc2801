"""Checks that the sources have what a sentence states exactly, so that sentences with invented strings are dropped.

Exact strings are numbers, quotations, paths, ids, URLs, e-mails, versions and identifiers of code. The check does not
see a negation that was turned round, a person's or place's name made of plain words, a number that is in the sources
but belongs to something else, or an invented cause. It proves that no exact string was invented or changed, not that
the sentence is true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property

from compressor.sessions.summaries.claims import (
    MAGNITUDE_UNITS,
    NUMBER,
    NUMBER_WORDS,
    PLAIN_CHARACTERS,
    Claim,
    find_claims,
    parse_number,
    parse_unit,
)

_ESCAPES = re.compile(r"\\[nrtbf]|\\(?=[\"'/`])")
_SPACED = re.compile(r"(?<![\w.,\-])\d{1,3}(?: \d{3})+(?![\w]|[.,]\d)")
_NEXT = re.compile(r"\s?([%$€£¥×]|[A-Za-zµ°]+)")
_WORD = re.compile(r"[^\W_]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_VERSION = re.compile(r"v?\d+(?:\.\d+)+[\w.\-]*")
_PARTED = re.compile(r"[A-Za-z_$@][\w$]*(?:(?:\.|::)[A-Za-z_]\w*)*")
_GAPS = re.compile(r"\s*(?:…|\.\.\.)\s*")


#: Returns whether text[a:b] is a whole string, not a part of a longer one.
_Whole = Callable[[str, int, int], bool]


class SourceIndex:
    """The texts that sentences are checked against."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Indexes the texts."""
        plain = [t.translate(PLAIN_CHARACTERS) for t in texts]
        # Text inside JSON strings is searched as it is and without its escapes.
        plain += [_ESCAPES.sub(" ", t) for t in plain if "\\" in t]
        self.text = " \x1e ".join(" ".join(t.split()) for t in plain)

    def missing(self, sentence: str) -> list[Claim]:
        """Returns the claims of a sentence that none of the sources has."""
        return [c for c in find_claims(sentence) if not self.holds(c)]

    def holds(self, claim: Claim) -> bool:
        """Returns whether the sources have a claim.

        A number must have its unit; thousands separators do not matter, nor does a unit that no source names. White
        space in a quotation does not matter. Everything else must be found exactly and as a whole.
        """
        if claim.kind == "number":
            return self._number(claim.text, claim.unit)
        if claim.kind == "quote":
            return all(self._quote(part) for part in _GAPS.split(claim.text) if part)
        if claim.kind == "pair":
            near = rf"(?<![\w\-]){re.escape(claim.text)}[\s\"':=]{{1,6}}{re.escape(claim.unit)}(?![\w\-]|\.\w)"
            return re.search(near, self.text) is not None
        if claim.kind == "capitals":
            return claim.text in self._words
        if claim.kind == "url":
            return self._url(claim.text.rstrip("/"))
        return self._exact(claim.text)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self.text.lower()))

    @cached_property
    def _numbers(self) -> dict[str, set[str]]:
        """Returns the units that follow each number of the sources, "" for none."""
        out: dict[str, set[str]] = {}
        text = self.text
        for m in NUMBER.finditer(text):
            start, end = m.span()
            if m["unit"] and end < len(text) and text[end].isalpha():  # the pattern reads only three letters of a unit
                continue
            sign = m["sign"]
            if sign and start and (text[start - 1].isalnum() or text[start - 1] in "_-)]"):
                if not _is_range(text, m):
                    continue
                sign = ""
            if not _stands_alone(text, start + len(m["sign"]), end, bool(m["sign"])):
                continue
            after = _NEXT.match(text, end)
            found = parse_number(m, after[1] if after else "")
            if found is not None:
                value, unit = found
                out.setdefault(value if sign == m["sign"] else value.lstrip("-"), set()).add(unit)
                if "," in m["value"] and "[" in text[max(0, start - 40) : start]:  # [1,234] may be a list
                    for part in m["value"].split(","):
                        out.setdefault(part, set()).add("")
        for m in _SPACED.finditer(text):
            out.setdefault(m[0].replace(" ", ""), set()).add("")
        for m in _WORD.finditer(text):
            value = "2" if m[0] == "both" else NUMBER_WORDS.get(m[0].lower(), "")
            if value:
                after = _NEXT.match(text, m.end())
                out.setdefault(value, set()).add(parse_unit(after[1]) if after else "")
        return out

    def _number(self, value: str, unit: str) -> bool:
        units = self._numbers.get(value)
        if units is None:
            return False
        return not unit or unit in units or (units == {""} and unit not in MAGNITUDE_UNITS)

    def _quote(self, content: str) -> bool:
        content = " ".join(content.split())
        forms = {content, content[:1].swapcase() + content[1:]}
        return any(self._found(form, lambda text, a, b: not _in_word(text, a, b)) for form in forms)

    def _url(self, url: str) -> bool:
        def whole(text: str, a: int, b: int) -> bool:
            rest = re.match(r"/?[.,;:!?)\]}\\]*(?=[\s<>\"'`()\[\]{}\\,;]|$)", text[b : b + 8])
            return rest is not None and not (a and (text[a - 1].isalnum() or text[a - 1] in "+-."))

        return self._found(url, whole)

    def _exact(self, word: str) -> bool:
        if _VERSION.fullmatch(word):
            bare = word.lstrip("v")
            return any(self._found(form, _whole_id) for form in (bare, f"v{bare}"))
        if "/" in word or "\\" in word:
            stem = word.rstrip("/\\")
            return self._found(stem or word, _whole_path)
        if _PARTED.fullmatch(word):
            return self._found(word, _whole_part)
        if _DATE.fullmatch(word):
            return self._found(word, _whole_date)
        return self._found(word, _whole_id)

    def _found(self, needle: str, whole: _Whole) -> bool:
        at = self.text.find(needle)
        while at >= 0:
            if whole(self.text, at, at + len(needle)):
                return True
            at = self.text.find(needle, at + 1)
        return False


def _beyond(text: str, a: int, b: int) -> tuple[str, str]:
    """Returns the two characters before and the two after, nearest first; fewer at the ends of the text."""
    return text[max(0, a - 2) : a][::-1], text[b : b + 2]


def _joined(side: str, joints: str) -> bool:
    """Returns whether a string continues on this side, with a letter, or with a joint and a letter after it."""
    if not side:
        return False
    return side[0].isalnum() or side[0] == "_" or (side[0] in joints and side[1:2].isalnum())


def _in_word(text: str, a: int, b: int) -> bool:
    left = a > 0 and text[a].isalnum() and (text[a - 1].isalnum() or text[a - 1] == "_")
    return left or (b < len(text) and text[b - 1].isalnum() and (text[b].isalnum() or text[b] == "_"))


def _whole_id(text: str, a: int, b: int) -> bool:
    before, after = _beyond(text, a, b)
    return not _joined(before, "-.@+:" if text[a].isdigit() else "-.@+") and not _joined(after, "-.@+:")


def _whole_date(text: str, a: int, b: int) -> bool:
    before, after = _beyond(text, a, b)
    return not _joined(before, "-.@+") and (after[:1] == "T" or not _joined(after, "-."))


def _whole_path(text: str, a: int, b: int) -> bool:
    """Accepts whole components of a path: `auth/login.py` in `/srv/auth/login.py`, but not a part of a component."""
    before, after = _beyond(text, a, b)
    return not _joined(before, "-.@+") and not _joined(after, "-.@+")


def _whole_part(text: str, a: int, b: int) -> bool:
    """Accepts whole parts of a dotted name or path: `get_user` in `client.get_user(...)`."""
    before, after = _beyond(text, a, b)
    return not _joined(before, "-@+") and not _joined(after, "-@+")


def _is_range(text: str, m: re.Match[str]) -> bool:
    """Returns whether the match is the second half of `10-20`, not of a date or an id."""
    before = re.search(r"(?<![\w.\-/])\d+(?:\.\d+)?$", text[max(0, m.start() - 24) : m.start()])
    return before is not None and not _joined(text[m.end() : m.end() + 2], "-/")


def _stands_alone(text: str, a: int, b: int, signed: bool) -> bool:
    before, after = _beyond(text, a, b)
    if before and not signed:
        if before[0].isalnum() or before[0] == "_":
            return False
        if before[0] in "-./:,'" and before[1:2].isdigit() and not (before[0] == "," or _fraction(text, a, b)):
            return False
        if before[0] in "-.@+" and before[1:2].isalpha():
            return False
    if _joined(after, "@") or (after[:1] == "." and after[1:].isalnum()):
        return False
    if after[:1] in ("-", "/", ":") and after[1:].isdigit():
        return re.match(r"[-/]\d+(?:\.\d+)?(?![\w/:\-])", text[b : b + 24]) is not None
    return True


def _fraction(text: str, a: int, b: int) -> bool:
    """Returns whether text[a:b] is the second half of `3/5`, not of a date or a path."""
    return re.search(r"(?<![\w.\-/:])\d+[/]$", text[max(0, a - 24) : a]) is not None and not _joined(
        text[b : b + 2], "/-"
    )

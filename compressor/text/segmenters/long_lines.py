"""Splits long lines at their own separators: minified code, lists of records, pairs, markup and queries on one line.

Long payloads without meaning for a reader (base64, hexadecimal digits) become pieces of their own, which are noise.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from compressor.native import load_kernel

LONG_LINE = 600  # characters; shorter lines stay whole
MAX_PIECE = 200  # characters; longer pieces are split at the next finer separator
MIN_PIECE = 48  # characters; shorter pairs and clauses are put together
PAYLOAD_CHARS = 200  # a run of letters and digits at least this long may be a payload

#: From coarse to fine: between records, between tags, between statements, between pairs, between words.
_SEPARATORS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<=[}\])]),[ \t]*(?=[\[({]|[A-Za-z_][\w.]*\()|(?<=\})[ \t]*(?=\{)",
        r"(?<=>)[ \t]*(?=<[A-Za-z?!])",
        r"(?<=>)[ \t]*(?=<)",
        r"(?<=\})(?=[^;})\],\s])",
        r"(?<=;)(?=[^;})\],.\s])|;[ \t]+",
        r"(?<=&)(?!amp;)|(?<=\|)[ \t]*",
        r"(?<=,)[ \t]+(?=[\"'\w])|[ \t]{2,}",
        r"(?<=,)(?=\S)",
        r"[ \t]+",
    )
)
_MARKUP = _SEPARATORS[1:3]
_BRACES = _SEPARATORS[3]
_OPEN_TAG = re.compile(r"<([A-Za-z][\w:.-]*)")
MIN_REPEATS = 3  # a tag that is opened this often holds records
_RECORDS = 4  # the separators in front of this one divide records, which are not put together however short
_BASE64 = string.ascii_letters + string.digits + "+/"
#: The characters of a payload.
PAYLOAD_ALPHABET = _BASE64 + "_=-"
_PAYLOAD = re.compile(rf"[{PAYLOAD_ALPHABET}]{{{PAYLOAD_CHARS},}}")
_HEX = re.compile(r"[0-9a-fA-F]+\Z")
_MIN_SHARE = 0.05  # of capitals, small letters and digits in a payload


_MIN_ENCODED_LINE = 60
_ENCODED_LINES = re.compile(
    rf"(?:^[{_BASE64}]{{{_MIN_ENCODED_LINE},80}}\r?\n){{3,}}(?:[{_BASE64}]{{1,80}}={{0,2}}(?:\r?\n|\Z))?", re.M
)
_kernel = load_kernel("layout")
#: Tells cheaply that a text has no line of base64.
_may_have_encoded_line = _kernel.RunFinder(_BASE64, _MIN_ENCODED_LINE).search if _kernel else None


class Piece(NamedTuple):
    """A piece of a unit: where it begins, the piece that it belongs to (-1: none), and whether it is a payload."""

    start: int
    parent: int
    is_payload: bool


def split_unit(text: str, a: int, b: int, markup_only: bool = False) -> list[Piece]:
    """Returns the pieces of text[a:b], the first of which begins at a; only that one if nothing is long.

    Args:
        text: The whole text.
        a: Where the unit begins.
        b: Where it ends.
        markup_only: Whether to split between tags only, so that no tag is cut.
    """
    out: list[Piece] = []
    at = a
    for m in _PAYLOAD.finditer(text, a, b):
        if is_payload(m.group()):
            if m.start() > at:
                _split_lines(text, at, m.start(), out, markup_only)
            out.append(Piece(m.start(), len(out) - 1, True))
            at = m.end()
    if at < b:
        _split_lines(text, at, b, out, markup_only)
    return out


def encoded_lines(text: str) -> list[tuple[int, int]]:
    """Returns the ranges of a text that are lines of base64, as in certificates, keys and mails."""
    if len(text) < 3 * _MIN_ENCODED_LINE or (_may_have_encoded_line is not None and not _may_have_encoded_line(text)):
        return []
    return [
        m.span() for m in _ENCODED_LINES.finditer(text) if is_payload(m.group().replace("\n", "").replace("\r", ""))
    ]


def is_payload(run: str) -> bool:
    """Returns whether a long run of letters and digits is encoded data rather than a name or a path."""
    if _HEX.match(run):
        digits = sum(map(str.isdigit, run))
        return 0.1 * len(run) < digits < len(run)
    least = _MIN_SHARE * len(run)
    return all(sum(map(kind, run)) > least for kind in (str.isdigit, str.isupper, str.islower))


def _split_lines(text: str, a: int, b: int, out: list[Piece], markup_only: bool) -> None:
    """Adds the pieces of text[a:b]: the long lines in it are split, all before and after them stays together."""
    out.append(Piece(a, -1, False))
    at = a
    while at < b:
        end = text.find("\n", at, b)
        end = b if end < 0 else end + 1
        if end - at > LONG_LINE:
            if at > out[-1].start:  # after another long line, its piece is there already
                out.append(Piece(at, -1, False))
            _split(text, at, end, 0, len(out) - 1, out, _MARKUP if markup_only else _SEPARATORS)
            if end < b:
                out.append(Piece(end, -1, False))
        at = end


def _split(
    text: str, a: int, b: int, first_level: int, owner: int, out: list[Piece], separators: tuple[re.Pattern[str], ...]
) -> None:
    """Adds the pieces of the line text[a:b], whose first piece is in `out` already and is number `owner`."""
    for level in range(first_level, len(separators)):
        cuts = [m.end() for m in separators[level].finditer(text, a, b) if a < m.end() < b]
        if cuts and separators[level] is _MARKUP[0]:
            cuts = _outermost_repeated_tag(text, a, b) or cuts
        elif cuts and separators[level] is _BRACES:
            cuts = _outermost_braces(text, a, b, cuts)
        if cuts:
            break
    else:
        return
    joined = 0 if level < _RECORDS else MIN_PIECE
    start, number = a, owner
    for cut, end in zip(cuts, [*cuts[1:], b], strict=True):
        if cut - start < joined and end - start <= MAX_PIECE:
            continue
        if cut - start > MAX_PIECE:
            _split(text, start, cut, level + 1, number, out, separators)
        # what follows the first piece of a record belongs to it; records and statements themselves stand alone
        belongs = out[owner].parent >= 0 or (level >= _RECORDS and _is_record(text, a))
        number = len(out)
        out.append(Piece(cut, owner if belongs else -1, False))
        start = cut
    if b - start > MAX_PIECE:
        _split(text, start, b, level + 1, number, out, separators)


def _outermost_repeated_tag(text: str, a: int, b: int) -> list[int]:
    """Where the element opens that repeats and is not inside another one that does; [] if none repeats."""
    names: dict[str, list[int]] = {}
    for m in _OPEN_TAG.finditer(text, a, b):
        names.setdefault(m.group(1), []).append(m.start())
    found = next((starts for starts in names.values() if len(starts) >= MIN_REPEATS), [])
    return [start for start in found if start > a]


def _outermost_braces(text: str, a: int, b: int, cuts: list[int]) -> list[int]:
    """Those of the cuts that are least deep in braces, as far as they leave pieces of a sensible size."""
    depths: list[int] = []
    depth, at = 0, a
    for cut in cuts:
        depth += text.count("{", at, cut) - text.count("}", at, cut)
        depths.append(depth)
        at = cut
    for level in sorted(set(depths)):
        chosen = [cut for cut, d in zip(cuts, depths, strict=True) if d <= level]
        if len(chosen) >= MIN_REPEATS or (b - a) <= MAX_PIECE * (len(chosen) + 1):
            return chosen
    return cuts


def _is_record(text: str, at: int) -> bool:
    """Whether a piece opens a record, whose name or id stands at its beginning."""
    return text[at] in "{([<" or re.match(r"[A-Za-z_]\w*\(", text[at : at + 40]) is not None

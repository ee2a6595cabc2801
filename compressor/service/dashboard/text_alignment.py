"""Where what is left of a text stands in its original: found again by looking, for a session keeps no plan of it.

Every span that is given as kept is a stretch of the original that stands in what was sent, too, letter for letter.
What is cut is found exactly where units were left out of a text; where a text was written anew from its values (an
excerpt of JSON, a table's columns), values are looked for one by one. Knows no messages.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from difflib import SequenceMatcher

from compressor.context.refs import ELLIPSIS, find_refs

Span = tuple[int, int]  # characters
LONGEST = 400_000  # characters of an original beyond which no spans are looked for
_SHORTEST = 3  # characters of a piece that is looked for in the whole text
_MARK = r'\[…(?:words )?cut ref \d{12}\]|,?(?:"…":)?"cut ref \d{12}"|cut ref \d{12}'
_CUT = re.compile(rf"{_MARK}|,?\"{ELLIPSIS}\"|{ELLIPSIS}")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\w.+-]+|[^\w\s]')
_SAYS = re.compile(r"\w")
_GLUE = re.compile(r"[\s\[\]{}(),:;|\"]*")


def is_cut(original: str, left: str) -> bool:
    """Whether what is left has a mark that the original has not: something is missing."""
    return bool(set(find_refs(left)) - set(find_refs(original)))


def is_fully_dropped(left: str) -> bool:
    """Whether nothing but marks is left."""
    return not _SAYS.search(_CUT.sub("", left))


def align_kept_spans(original: str, left: str) -> list[Span]:
    """The stretches of the original that stand in what is left of it: in order, not overlapping."""
    if original == left:
        return [(0, len(original))] if original else []
    if len(original) > LONGEST or is_fully_dropped(left):
        return []
    found = _looked_for(original, left)
    spans = _apart(found)
    if is_json(original):
        spans = _apart(spans + _values(original, left, spans))
    return _joined(original, left, spans)


def _looked_for(original: str, left: str) -> list[Span]:
    """Piece by piece: whole where it stands as a whole, else token by token between the pieces before and after it."""
    if is_json(original):
        return _aligned(original, left, 0, len(original))
    pieces = _pieces(left)
    places: list[Span | None] = []
    at = 0
    for piece in pieces:
        place = _find(original, piece, at) if len(piece) >= _SHORTEST else -1
        places.append((place, at := place + len(piece)) if place >= 0 else None)
    out: list[Span] = []
    at = 0
    for i, (piece, span) in enumerate(zip(pieces, places, strict=True)):
        if span is None:
            end = next((later[0] for later in places[i + 1 :] if later is not None), len(original))
            place = _find(original[:end], piece, at)
            span = (place, place + len(piece)) if place >= 0 else None
            out += [span] if span is not None else _aligned(original, piece, at, end)
        else:
            out.append(span)
        at = out[-1][1] if out else 0
    return out


def _pieces(left: str) -> list[str]:
    """What stands between marks and gaps, without the white space around it."""
    return [piece for part in _CUT.split(left) if (piece := part.strip())]


def _find(text: str, piece: str, at: int) -> int:
    """Where a piece stands from `at` on: rather at the start of a word than inside one."""
    first = place = text.find(piece, at)
    while place > 0 and text[place - 1].isalnum() and piece[0].isalnum():
        place = text.find(piece, place + 1)
    return place if place >= 0 else first


def _aligned(text: str, piece: str, start: int, end: int) -> list[Span]:
    """The tokens of a piece that stand in text[start:end] in its order."""
    ours = list(_TOKEN.finditer(text, start, end))
    theirs = [m.group() for m in _TOKEN.finditer(piece)]
    matcher = SequenceMatcher(None, [m.group() for m in ours], theirs)
    out = []
    for block in matcher.get_matching_blocks():
        run = ours[block.a : block.a + block.size]
        if any(_SAYS.search(m.group()) for m in run):
            out += [m.span() for m in run]
    return out


def _values(original: str, left: str, spans: list[Span]) -> list[Span]:
    """The values of a JSON text that are left, wherever they stand there, and have no span yet; no more often than
    they are left."""
    there = Counter(m.group() for m in _TOKEN.finditer(left) if _SAYS.search(m.group()))
    for start, end in spans:
        there.subtract(m.group() for m in _TOKEN.finditer(original, start, end))
    out, done = [], iter(spans)
    current = next(done, None)
    for m in _TOKEN.finditer(original):
        while current is not None and current[1] <= m.start():
            current = next(done, None)
        if (current is None or m.end() <= current[0]) and there[m.group()] > 0:
            there[m.group()] -= 1
            out.append(m.span())
    return out


def _apart(spans: list[Span]) -> list[Span]:
    """In order, without overlaps."""
    out: list[Span] = []
    for start, end in sorted(spans):
        start = max(start, out[-1][1]) if out else start
        if start < end:
            out.append((start, end))
    return out


def _joined(original: str, left: str, spans: list[Span]) -> list[Span]:
    """Neighbours with only white space, brackets or a gap of the original's own between them become one, where that is
    letter for letter in what is left."""
    out: list[Span] = []
    for start, end in spans:
        between = original[out[-1][1] : start] if out else ""
        near = out and (between.strip() == ELLIPSIS or _GLUE.fullmatch(between))
        if near and original[out[-1][0] : end] in left:
            out[-1] = out[-1][0], end
        else:
            out.append((start, end))
    return out


def is_repeated(text: str, left: str) -> bool:
    """Whether what was cut is said in what is left, too."""
    text = " ".join(text.split())
    return len(text) >= 20 and text in " ".join(left.split())


def is_blank(text: str) -> bool:
    """Whether a stretch says nothing."""
    return not _SAYS.search(text)


def is_json(text: str) -> bool:
    """Whether a text is an object or a list."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True

"""Finds the parts of a text that were kept, by comparison, because a session does not store them.

Every span that is reported as kept is a part of the original that occurs in the sent text letter for letter. The result
is exact where units were sent out of a text. Where a text was rebuilt from its values (an excerpt of JSON, columns of a
table), the values are matched one by one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from difflib import SequenceMatcher

from compressor.context.refs import ELLIPSIS, find_refs

Span = tuple[int, int]  # characters
MAX_ORIGINAL_CHARS = 400_000  # longer texts are not aligned
_MIN_PIECE_CHARS = 3  # shorter pieces are not searched in the whole text
_PLACEHOLDER = (
    r'\[…(?:words |only spacing |\d+ messages )?cut ref \d{12}\]|,?(?:"…":)?"(?:only spacing )?cut ref \d{12}"'
    r"|cut ref \d{12}"
)
_CUT = re.compile(rf"{_PLACEHOLDER}|,?\"{ELLIPSIS}(?:\d+ more)?\"(?::\d+)?|{ELLIPSIS}(?: \d+ more)?")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\w.+-]+|[^\w\s]')
_WORD = re.compile(r"\w")
_SEPARATORS = re.compile(r"[\s\[\]{}(),:;|\"]*")


def is_cut(original: str, sent: str) -> bool:
    """Returns True if the sent text has a placeholder that the original does not have, so something was removed."""
    return bool(set(find_refs(sent)) - set(find_refs(original)))


def is_fully_dropped(sent: str) -> bool:
    """Returns True if the sent text has only placeholders."""
    return not _WORD.search(_CUT.sub("", sent))


def align_kept_spans(original: str, sent: str) -> list[Span]:
    """Returns the spans of the original that occur in the sent text: in order, not overlapping."""
    if original == sent:
        return [(0, len(original))] if original else []
    if len(original) > MAX_ORIGINAL_CHARS or is_fully_dropped(sent):
        return []
    found = _search(original, sent)
    spans = _without_overlaps(found)
    if is_json(original):
        spans = _without_overlaps(spans + _match_values(original, sent, spans))
    return _merge_neighbours(original, sent, spans)


def _search(original: str, sent: str) -> list[Span]:
    """Searches piece by piece: whole if possible, else token by token between the pieces before and after it."""
    if is_json(original):
        return _aligned(original, sent, 0, len(original))
    pieces = _pieces(sent)
    places: list[Span | None] = []
    at = 0
    for piece in pieces:
        place = _find(original, piece, at) if len(piece) >= _MIN_PIECE_CHARS else -1
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


def _pieces(sent: str) -> list[str]:
    """Returns the text between placeholders and gaps, without surrounding white space."""
    return [piece for part in _CUT.split(sent) if (piece := part.strip())]


def _find(text: str, piece: str, at: int) -> int:
    """Returns where a piece occurs from `at` on; prefers the start of a word."""
    first = place = text.find(piece, at)
    while place > 0 and text[place - 1].isalnum() and piece[0].isalnum():
        place = text.find(piece, place + 1)
    return place if place >= 0 else first


def _aligned(text: str, piece: str, start: int, end: int) -> list[Span]:
    """Returns the tokens of a piece that occur in text[start:end] in the same order."""
    ours = list(_TOKEN.finditer(text, start, end))
    theirs = [m.group() for m in _TOKEN.finditer(piece)]
    matcher = SequenceMatcher(None, [m.group() for m in ours], theirs)
    out = []
    for block in matcher.get_matching_blocks():
        run = ours[block.a : block.a + block.size]
        if any(_WORD.search(m.group()) for m in run):
            out += [m.span() for m in run]
    return out


def _match_values(original: str, sent: str, spans: list[Span]) -> list[Span]:
    """Returns the values of a JSON text that were sent and have no span yet, each at most as often as it was sent."""
    there = Counter(m.group() for m in _TOKEN.finditer(sent) if _WORD.search(m.group()))
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


def _without_overlaps(spans: list[Span]) -> list[Span]:
    """Sorts spans and removes overlaps."""
    out: list[Span] = []
    for start, end in sorted(spans):
        start = max(start, out[-1][1]) if out else start
        if start < end:
            out.append((start, end))
    return out


def _merge_neighbours(original: str, sent: str, spans: list[Span]) -> list[Span]:
    """Merges spans with only white space or brackets between them, if the merged text occurs in the sent text."""
    out: list[Span] = []
    for start, end in spans:
        between = original[out[-1][1] : start] if out else ""
        near = out and (between.strip() == ELLIPSIS or _SEPARATORS.fullmatch(between))
        if near and original[out[-1][0] : end] in sent:
            out[-1] = out[-1][0], end
        else:
            out.append((start, end))
    return out


def is_repeated(text: str, sent: str) -> bool:
    """Returns True if a removed text also occurs in the sent text."""
    text = " ".join(text.split())
    return len(text) >= 20 and text in " ".join(sent.split())


def is_json(text: str) -> bool:
    """Returns True if a text is a JSON object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True

"""Finds the parts of a text that were kept, by comparison, because a session does not store them.

Every span that is reported as kept is a part of the original that occurs in the sent text letter for letter. A span
that is reported as folded was sent as well, but written shorter: keys that stand once in the header of a table, the
words of a log template, repeated lines. Where units were sent out of a text the result is exact.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from compressor.context.refs import ELLIPSIS, find_refs
from compressor.service.dashboard.token_alignment import Token, TokenizedText, align_sequences, align_values
from compressor.text.lossless import LOSSLESS_CODECS

MAX_ORIGINAL_CHARS = 20_000_000  # longer texts are not aligned
MAX_WINDOW_CHARS = 200_000  # in which a piece that was not found is aligned word by word
MAX_MISSING = 100  # pieces that are searched in the whole text in vain
_MIN_PIECE_CHARS = 3  # shorter pieces are not searched in the whole text
_PLACEHOLDER = (
    r'\[…(?:words |only spacing |\d+ messages )?cut ref \d{12}\]|,?(?:"…":)?"(?:only spacing )?cut ref \d{12}"'
    r"|cut ref \d{12}"
)
_CUT = re.compile(rf"{_PLACEHOLDER}|,?\"{ELLIPSIS}(?:\d+ more)?\"(?::\d+)?|{ELLIPSIS}(?: \d+ more)?")
_WORDS = re.compile(r"[\w.+-]+|[^\w\s]")
_WORD = re.compile(r"\w")
_TEXT = re.compile(r"\w+")
_DELIMITERS = "\t,;|"
_TABLE = '"columns":['


class Span(NamedTuple):
    """A part of the original that was sent.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        kind: "kept" if it was sent letter for letter, "folded" if it was sent in a shorter form.
    """

    start: int
    end: int
    kind: Literal["kept", "folded"] = "kept"


def is_cut(original: str, sent: str) -> bool:
    """Returns True if the sent text has a placeholder that the original does not have, so something was removed."""
    return bool(set(find_refs(sent)) - set(find_refs(original)))


def is_fully_dropped(sent: str) -> bool:
    """Returns True if the sent text has only placeholders."""
    return not _WORD.search(_CUT.sub("", sent))


def is_too_long(original: str) -> bool:
    """Returns True if a text is too long to be aligned."""
    return len(original) > MAX_ORIGINAL_CHARS


def align_spans(original: str, sent: str) -> list[Span]:
    """Returns the spans of the original that were sent: in order, not overlapping."""
    if original == sent:
        return [Span(0, len(original))] if original else []
    if is_too_long(original) or is_fully_dropped(sent):
        return []
    if is_json(original) or is_json_lines(original) or (_TABLE in sent and _TABLE not in original):
        return _align_values(original, sent, TokenizedText.read(original), TokenizedText.read(sent))
    if delimiter := _moved_columns(original, sent):
        cells = TokenizedText.read_cells(original, delimiter), TokenizedText.read_cells(sent, delimiter)
        return _align_values(original, sent, *cells)
    decoded = _decode(sent)
    spans = _without_overlaps(_search(original, decoded))
    if decoded is not sent:
        lines = set(sent.split("\n"))
        spans = [part for span in spans for part in _split_by_lines(original, span, lines, sent)]
    return _merge_lines(original, sent, spans)


def _moved_columns(original: str, sent: str) -> str:
    """Returns the delimiter of a table in lines, if the sent table has its columns in another order; else ""."""
    ours, theirs = (text.lstrip("\n").split("\n", 1)[0] for text in (original, sent))
    for delimiter in _DELIMITERS if ours != theirs else ():
        our_cells, their_cells = ([cell.strip() for cell in line.split(delimiter)] for line in (ours, theirs))
        if len(our_cells) > 1 and sorted(our_cells) == sorted(their_cells):
            return delimiter
    return ""


def _align_values(original: str, sent: str, ours: TokenizedText, theirs: TokenizedText) -> list[Span]:
    """Aligns the values; keys and punctuation around values that were sent are folded."""
    kept = align_values(ours, theirs, original, sent)
    words, constants = set(_TEXT.findall(sent)), _constant_columns(sent)
    tokens = iter(ours.tokens)
    token = next(tokens, None)
    spans: list[Span] = []
    at = 0
    for start, end in [*kept, (len(original), len(original))]:
        gap: list[Token] = []
        while token is not None and token.start < start:
            if token.start >= at:
                gap.append(token)
            token = next(tokens, None)
        spans += _fold_gap(original, at, start, gap, words, constants)
        if start < end:
            spans.append(Span(start, end, "kept" if _is_literal(original[start:end], sent) else "folded"))
        at = end
    return _merge_folded(original, spans)


def _is_literal(value: str, sent: str) -> bool:
    """Returns whether a value that was sent was sent letter for letter, and not with other escapes."""
    return value in sent if "\\" in value or not value.isascii() else True


def _fold_gap(
    original: str, start: int, end: int, gap: list[Token], words: set[str], constants: set[tuple[str, str]]
) -> Iterator[Span]:
    """Yields the parts between two values that were sent in another form: punctuation, keys, constant columns."""
    dropped: list[Token] = []
    key: Token | None = None
    for token in gap:
        if token.is_key:
            if not words.issuperset(_TEXT.findall(token.text)):
                dropped.append(token)
            key = token
        else:
            if key is None or (key.text, token.text) not in constants:
                dropped += [key, token] if key is not None else [token]
            key = None
    if not dropped:
        if original[start:end].strip():
            yield Span(start, end, "folded")
        return
    first, last = min(token.start for token in dropped), max(token.end for token in dropped)
    if start and original[start:first].strip():
        yield Span(start, first, "folded")
    if end < len(original) and original[last:end].strip():
        yield Span(last, end, "folded")


def _constant_columns(sent: str) -> set[tuple[str, str]]:
    """Returns the keys and values that the headers of tables say once for all rows, as tokens."""
    out: set[tuple[str, str]] = set()
    if _TABLE not in sent:
        return out
    for match in re.finditer(re.escape(_TABLE), sent):
        with suppress(ValueError, RecursionError):
            columns, _ = json.JSONDecoder().raw_decode(sent, match.end() - 1)
            for column in columns:
                if isinstance(column, dict):
                    for path, value in column.items():
                        keys = {path, *path.split(".")}
                        out |= {(f'"{key}"', token) for key in keys for token in _value_tokens(value)}
    return out


def _value_tokens(value: object) -> Iterator[str]:
    for token in TokenizedText.read(json.dumps(value, ensure_ascii=False)).tokens:
        yield token.text


def _decode(sent: str) -> str:
    """Returns the sent text with the notations of the lossless codecs undone; the same object if there are none."""
    for codec in reversed(LOSSLESS_CODECS):
        with suppress(Exception):  # what is left of a text need not be decodable
            decoded = codec.decode(sent)
            sent = sent if decoded == sent else decoded
    return sent


def _search(original: str, sent: str) -> list[Span]:
    """Searches piece by piece: whole if possible, else line by line between the pieces before and after it."""
    pieces = _pieces(sent)
    places: list[Span | None] = []
    at = missing = 0
    for piece in pieces:
        end = len(original) if missing < MAX_MISSING else min(len(original), at + MAX_WINDOW_CHARS)
        place = _find(original, piece, at, end) if len(piece) >= _MIN_PIECE_CHARS else -1
        missing += place < 0
        places.append(Span(place, at := place + len(piece)) if place >= 0 else None)
    ends = [len(original)] * (len(pieces) + 1)  # where the next piece that was found begins
    for i in range(len(pieces) - 1, -1, -1):
        span = places[i]
        ends[i] = ends[i + 1] if span is None else span.start
    out: list[Span] = []
    at = 0
    for i, (piece, span) in enumerate(zip(pieces, places, strict=True)):
        out += [span] if span is not None else _search_lines(original, piece, at, ends[i + 1])
        at = out[-1].end if out else 0
    return out


def _search_lines(original: str, piece: str, start: int, end: int) -> list[Span]:
    """Returns the lines of a piece that occur in original[start:end] in the same order, or else their words."""
    if (place := original.find(piece, start, end)) >= 0:
        return [Span(place, place + len(piece))]
    if "\n" not in piece:
        return _align_words(original, piece, start, end)
    places = defaultdict(list)
    at = start
    for line in original[start:end].split("\n"):
        if text := line.strip():
            places[text].append(at + line.find(text))
        at += len(line) + 1
    out: list[Span] = []
    at, unknown = start, [""][:0]
    for line in piece.split("\n"):
        text = line.strip()
        found = places.get(text, [])
        k = bisect_left(found, at)
        if not text or k == len(found):
            unknown += [text] if text else []
            continue
        if unknown:
            out += _align_words(original, "\n".join(unknown), at, found[k])
        out.append(Span(found[k], at := found[k] + len(text)))
        unknown = []
    return out + (_align_words(original, "\n".join(unknown), at, end) if unknown else [])


def _align_words(original: str, piece: str, start: int, end: int) -> list[Span]:
    """Returns the words of a piece that occur in original[start:end] in the same order."""
    ours = list(_WORDS.finditer(original, start, min(end, start + MAX_WINDOW_CHARS)))
    theirs = list(_WORDS.finditer(piece))
    pairs = align_sequences([m.group() for m in ours], [m.group() for m in theirs])
    out: list[Span] = []
    last = -1
    for i, j in pairs:
        span = Span(*ours[i].span())
        joined = original[out[-1].start : span.end] if out else ""
        if out and j == last + 1 and joined == piece[theirs[j].end() - len(joined) : theirs[j].end()]:
            out[-1] = Span(out[-1].start, span.end)
        else:
            out.append(span)
        last = j
    return [span for span in out if _WORD.search(original, span.start, span.end)]


def _pieces(sent: str) -> list[str]:
    """Returns the text between placeholders and gaps, without surrounding white space."""
    return [piece for part in _CUT.split(sent) if (piece := part.strip())]


def _find(text: str, piece: str, at: int, end: int) -> int:
    """Returns where a piece occurs in text[at:end]; prefers the start of a word."""
    first = place = text.find(piece, at, end)
    for _ in range(100):
        if not (place > 0 and text[place - 1].isalnum() and piece[0].isalnum()):
            break
        place = text.find(piece, place + 1, end)
    return place if place >= 0 else first


def _split_by_lines(original: str, span: Span, sent_lines: set[str], sent: str) -> Iterator[Span]:
    """Yields a span line by line: kept if the line was sent as it is, else folded."""
    at = span.start
    for line in original[span.start : span.end].splitlines(keepends=True):
        text = line.strip("\r\n")
        is_end = at == span.start or at + len(line) == span.end  # it may be a part of a line
        is_kept = text in sent_lines or (is_end and text in sent)
        yield Span(at, at + len(text), "kept" if is_kept else "folded")
        at += len(line)


def _without_overlaps(spans: list[Span]) -> list[Span]:
    """Sorts spans and removes overlaps."""
    out: list[Span] = []
    for start, end, kind in sorted(spans):
        start = max(start, out[-1].end) if out else start
        if start < end:
            out.append(Span(start, end, kind))
    return out


def _merge_folded(original: str, spans: Iterable[Span]) -> list[Span]:
    """Merges neighbours to one folded span, unless it is a single value; white space between them goes along."""
    out: list[Span] = []
    for span in spans:
        if out and (out[-1].end == span.start or not original[out[-1].end : span.start].strip()):
            out[-1] = Span(out[-1].start, span.end, "folded")
        else:
            out.append(span)
    return out


def _merge_lines(original: str, sent: str, spans: Iterable[Span]) -> list[Span]:
    """Merges neighbours of one kind; kept ones only if the whole occurs in the sent text."""
    out: list[Span] = []
    for span in spans:
        near = out and out[-1].kind == span.kind and not original[out[-1].end : span.start].strip()
        if near and (span.kind == "folded" or original[out[-1].start : span.end] in sent):
            out[-1] = Span(out[-1].start, span.end, span.kind)
        else:
            out.append(span)
    return out


def is_repeated(text: str, sent: str) -> bool:
    """Returns True if a removed text also occurs in the sent text, of which `one_spaced` has been taken."""
    text = one_spaced(text)
    return len(text) >= 20 and text in sent


def one_spaced(text: str) -> str:
    """Returns a text with single spaces for all white space."""
    return " ".join(text.split())


def is_json(text: str) -> bool:
    """Returns True if a text is a JSON object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def is_json_lines(text: str) -> bool:
    """Returns True if the first lines of a text are JSON objects or arrays."""
    lines = [line for line in text[:20_000].split("\n") if line.strip()][:4]
    return len(lines) > 2 and all(map(is_json, lines[:2]))

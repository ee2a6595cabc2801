"""Splits what has left a session's view into paragraphs, which a search can give back word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Characters of a paragraph: shorter ones are joined to the next, longer ones are split.
MIN_CHARS, MAX_CHARS = 120, 800
#: Characters up to which the lines or sentences of a long paragraph are put together again.
PACK_CHARS = 300
#: A paragraph of more lines than this is rather a log, a table or a list, whose lines speak for themselves.
MAX_LINES = 4
_PART = re.compile(r"(?:\A|\n\n)\[(user|assistant|thinking|call|result|reasoning|provider)( [^\]\n]{1,200})?\]\n")
_BLANK_LINE = re.compile(r"(?:[ \t\r]*\n){2,}")
_LINE_END = re.compile(r"(?<=\n)")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；।؟])\s*|(?<=[}\]],)\s*")


@dataclass(frozen=True, slots=True)
class StoredText:
    """A text that a search looks through.

    Attributes:
        ref: The ref of the text.
        text: The text.
        label: What the text is, if it does not say so itself.
        message: The number of its first message in the whole history.
        messages: How many messages it is made of.
    """

    ref: str
    text: str
    label: str
    message: int
    messages: int = 1


@dataclass(frozen=True, slots=True)
class RecallParagraph:
    """A paragraph of a stored text.

    Attributes:
        stored: The number of the stored text.
        part: The number of the part, such as a message or a call, among all parts.
        speaker: Who says it: "user", "assistant", "call look", "result look"; or the label of the text.
        start: Where it begins in the stored text.
        end: Where it ends.
    """

    stored: int
    part: int
    speaker: str
    start: int
    end: int


def split_paragraphs(texts: Sequence[StoredText]) -> list[RecallParagraph]:
    """Returns the paragraphs of all texts, in order.

    A paragraph ends at a blank line. A long one, or one of many lines, is split at its lines, a long line at its
    sentences. White space between paragraphs belongs to none of them.
    """
    out: list[RecallParagraph] = []
    part = -1
    for number, stored in enumerate(texts):
        for speaker, start, end in _parts(stored):
            part += 1
            out += [RecallParagraph(number, part, speaker, a, b) for a, b in _paragraphs(stored.text, start, end)]
    return out


def _parts(stored: StoredText) -> Iterator[tuple[str, int, int]]:
    """Speaker, start and end of each message, call and result of a text."""
    heads = list(_PART.finditer(stored.text)) if stored.text.startswith("[") else []
    if not heads:
        yield stored.label, 0, len(stored.text)
    for i, head in enumerate(heads):
        end = heads[i + 1].start() if i + 1 < len(heads) else len(stored.text)
        yield head[1] + (head[2] or ""), head.end(), end


def _paragraphs(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The spans of the paragraphs of text[start:end], without the white space around them."""
    out: list[tuple[int, int]] = []
    for a, b in _cut(_BLANK_LINE, text, start, end):
        if b - a > MAX_CHARS or (b - a > PACK_CHARS and text.count("\n", a, b) >= MAX_LINES):
            out += _packed(_short_pieces(text, a, b), PACK_CHARS)
        else:
            out.append((a, b))
    joined: list[tuple[int, int]] = []
    for a, b in out:
        if joined and joined[-1][1] - joined[-1][0] < MIN_CHARS and b - joined[-1][0] <= MAX_CHARS:
            a = joined.pop()[0]
        joined.append((a, b))
    return joined


def _short_pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for a, b in _cut(_LINE_END, text, start, end):
        if b - a <= MAX_CHARS:
            yield a, b
            continue
        for c, d in _cut(_SENTENCE_END, text, a, b):
            while d - c > MAX_CHARS:
                space = text.rfind(" ", c + PACK_CHARS, c + MAX_CHARS)
                at = space if space > 0 else c + MAX_CHARS
                yield c, at
                c = at
            yield c, d


def _packed(pieces: Iterator[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for a, b in pieces:
        if out and b - out[-1][0] <= limit:
            out[-1] = (out[-1][0], b)
        else:
            out.append((a, b))
    return out


def _cut(border: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans between borders, without white space around them and without empty ones."""
    at = start
    for found in border.finditer(text, start, end):
        yield from _stripped(text, at, found.start())
        at = found.end()
    yield from _stripped(text, at, end)


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    if kept := piece.strip():
        start += piece.index(kept[0])
        yield start, start + len(kept)

"""Finds where lines begin and which lines hold certain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel

Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint16]


_kernel, _layout = load_kernel("sentences"), load_kernel("layout")
MAX_TOTAL_CHARS = 200  # a longer line is no total
MIN_LINES_ABOVE = 3  # a line with fewer above it is no total
#: A line that sums up a listing or says that there is more: `41 files changed`, `(showing 60 of 412)`.
_TOTAL = re.compile(
    r"(?=[^\n]*\d)[^\n]*?\b(?:totals?|sum|altogether|overall|summary|found|show(?:ing|n)|truncated|omitted|remaining|more"
    r"|(?:files?|lines?|rows?|records?|items?|entries|results?|matches|hits|packages?|objects?|vulnerabilit(?:y|ies)|tests?|targets?)"
    r"[ \t](?:were[ \t])?(?:changed|found|listed|shown|returned|affected|matched|selected|scanned|audited"
    r"|checked|updated|deleted|copied"
    r"|transferred|in[ \t]set|passed|failed|installed|omitted|left)|insertions?|deletions?|elapsed|finished"
    r"|completed|done in)\b",
    re.I,
)


def total_line(text: str, starts: Ints | Sequence[int]) -> int:
    """Returns the number of the last line or unit with words if it sums up what stands above it, else -1."""
    if len(starts) <= MIN_LINES_ABOVE:
        return -1
    for i in range(len(starts) - 1, max(-1, len(starts) - 5), -1):
        a, b = int(starts[i]), int(starts[i + 1]) if i + 1 < len(starts) else len(text)
        line = text[a:b].strip(" \t\r\n-=*_")
        if line:
            return i if i >= MIN_LINES_ABOVE and len(line) <= MAX_TOTAL_CHARS and _TOTAL.match(line) else -1
    return -1


def codepoints(text: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint32]:
    """Returns the code points of a text, one element a character; lone surrogates are allowed."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


def line_starts(text: str) -> Ints:
    """Returns [lines] the offset of each line's first character. Only a line feed ends a line."""
    starts: Ints = _find_lines(text) if _layout is None else _layout.line_starts(text)
    return starts


def _find_lines(text: str) -> Ints:
    """Returns what `line_starts` does, without the kernel."""
    if not text:
        return np.zeros(0, np.int32)
    ends = np.flatnonzero(codepoints(text) == 10).astype(np.int32) + 1
    if len(ends) and ends[-1] == len(text):
        ends = ends[:-1]
    return np.concatenate((np.zeros(1, np.int32), ends))


def flag_words(text: str, starts: Ints, words: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Returns [units] whether a unit holds one of the lower-case words, in any case; one hit a line counts."""
    found = np.zeros(len(starts), np.bool_)
    if hits := word_offsets(text, words):
        found[np.searchsorted(starts, np.array(hits, np.int32), "right") - 1] = True
    return found


def word_offsets(text: str, words: tuple[str, ...]) -> list[int]:
    """Returns where the lower-case words stand in a text, in any case: for each word its first place on every line.

    They come in any order. Several fast scans are quicker than one slow pattern.
    """
    low = text.lower()
    if len(low) != len(text):  # some capitals have a longer lower case, which would shift the offsets
        low = text
    if (finder := _word_finder(words)) is not None:
        places: list[int] = finder.offsets(low)
        return places
    return _find_words(low, words)


@lru_cache(maxsize=64)
def _word_finder(words: tuple[str, ...]) -> Any:
    """Returns the kernel that finds these words, or None."""
    return _kernel and _kernel.WordFinder(words)


def _find_words(low: str, words: tuple[str, ...]) -> list[int]:
    """Returns what `word_offsets` does, without the kernel."""
    hits: list[int] = []
    for word in words:
        at = low.find(word)
        while at >= 0:
            hits.append(at)
            at = low.find("\n", at)
            at = low.find(word, at) if at >= 0 else -1
    return hits

"""Finds long material pasted into a user's message: what is data there, not instruction. Cuts nothing up.

Conservative: an instruction taken for material could be cut, material taken for an instruction only costs tokens.
Running prose that is neither fenced, tagged nor a numbered document is never material.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

from compressor.caches import TwoGenerationCache
from compressor.text.segmenters.content_type import detect_content_type
from compressor.text.segmenters.log import LOG_HEAD

MIN_CHARS = 800
MAX_JSON_TRIES = 8  # places at which a JSON value is tried; each broken one costs a scan

MAX_CACHE_BYTES = 4 << 20  # of texts whose pasted material is remembered
MAX_LOG_CHARS = 8000  # characters that are looked at to tell a log

Span = tuple[int, int]
#: What was found in the texts that were looked at last; the same messages come with every call.
_found: TwoGenerationCache[tuple[Span, ...]] = TwoGenerationCache(MAX_CACHE_BYTES)

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)([^\n`]*)$\n?", re.M)
_TAGS = (
    "document|documents|context|file|files|log|logs|data|source|sources|page|webpage|article|articles|transcript|output|stdout|stderr"
    "|content|contents|file_content|file_contents|attachment|attachments|passage|passages|search_results|results|email|diff|patch|code|table"
)
_TAG = re.compile(rf"<({_TAGS})\b[^<>\n]{{0,200}}>", re.I)
_DOCUMENT_WORDS = ("Document", "Passage", "Source", "Doc")
_DOCUMENT = re.compile(rf"^[ \t]*(?:{'|'.join(_DOCUMENT_WORDS)})[ \t]*(?:\[\d+\]|\(\d+\)|#?\d+[ \t]*[:(])", re.M)
_BLANK = re.compile(r"\n[ \t]*\n\s*")
_JSON_LINE = re.compile(r"^[ \t]*(?=\{\s*[\"}]|\[\s*[\[{\"\d-])", re.M)
_CERTAIN = frozenset(("json", "log", "diff", "table", "html"))  # no instruction is ever written like this
_LIKELY = _CERTAIN | {"trace", "code", "search"}
_OPENS_DATA = frozenset("{[<\ufeff")  # with which JSON, a byte order mark and markup begin
_SENTENCE = re.compile(
    r"^(?:[A-Z][\w'’,-]*(?: [\w'’\"`(),/.:-]+){4}|(?!from |import |return |raise |package )[a-z]+(?: [a-z']+){4,}$)",
    re.M,
)


def find_pasted_content(text: str) -> list[Span]:
    """Spans of pasted material of at least `MIN_CHARS` characters, in order, not overlapping.

    What stands in fences or in tags such as `<document>` (without those), numbered document lists, JSON values, and
    runs of paragraphs that are plainly logs, diffs, tables, code, tracebacks or pages. Linear in the text.
    """
    if len(text) < MIN_CHARS:
        return []
    known = _found.get(text)
    if known is None:
        known = tuple(_find(text))
        _found.put(text, known)
    return list(known)


def _find(text: str) -> list[Span]:
    """Does what `find_pasted_content` does, without its memory."""
    found = _outermost(_fenced(text) + _tagged(text))
    found = _outermost(found + _documents(text) + _values(text, found))
    at = 0
    plain: list[Span] = []
    for start, end in [*found, (len(text), len(text))]:
        plain += _paragraphs(text, at, start)
        at = end
    return sorted(found + plain)


def _outermost(spans: list[Span]) -> list[Span]:
    """The spans that are long enough, those inside or across others left out."""
    out: list[Span] = []
    for a, b in sorted(spans, key=lambda s: (s[0], -s[1])):
        if b - a >= MIN_CHARS and (not out or a >= out[-1][1]):
            out.append((a, b))
    return out


def _fenced(text: str) -> list[Span]:
    out: list[Span] = []
    ticks, start = "", 0
    for m in _FENCE.finditer(text) if "```" in text or "~~~" in text else ():
        if not ticks:
            ticks, start = m.group(1), m.end()
        elif m.group(1).startswith(ticks) and not m.group(2).strip():
            out.append((start, m.start()))
            ticks = ""
    return out


def _tagged(text: str) -> list[Span]:
    out: list[Span] = []
    if "<" not in text:
        return out
    low = text.lower()
    if len(low) != len(text):
        low = text
    at = 0
    unclosed: set[str] = set()
    for m in _TAG.finditer(text):
        name = m.group(1).lower()
        if m.start() < at or name in unclosed:
            continue
        end = low.find(f"</{name}>", m.end())
        if end < 0:
            unclosed.add(name)
            continue
        out.append((m.end(), end))
        at = end
    return out


def _documents(text: str) -> list[Span]:
    """From the first numbered document to the end of the last one's paragraph."""
    if not any(word in text for word in _DOCUMENT_WORDS):
        return []
    openings = [m.start() for m in _DOCUMENT.finditer(text)]
    if len(openings) < 2:
        return []
    last = _BLANK.search(text, openings[-1])
    return [(openings[0], last.start() if last else len(text))]


def _values(text: str, found: list[Span]) -> list[Span]:
    out: list[Span] = []
    if "{" not in text and "[" not in text:
        return out
    decoder = json.JSONDecoder()
    at = tries = 0
    for m in _JSON_LINE.finditer(text):
        if m.end() < at or any(a <= m.end() < b for a, b in found):
            continue
        try:
            end = decoder.raw_decode(text, m.end())[1]
        except (ValueError, RecursionError):
            tries += 1
            if tries >= MAX_JSON_TRIES:
                break
            continue
        out.append((m.end(), end))
        at = end
    return out


def _paragraphs(text: str, start: int, end: int) -> list[Span]:
    """Runs of paragraphs between `start` and `end` that look like data."""
    if end - start < MIN_CHARS:
        return []
    edges = [start, *(m.end() for m in _BLANK.finditer(text, start, end) if m.end() < end), end]
    runs: list[Span] = []
    for a, b in pairwise(edges):
        paragraph = text[a:b].strip()
        if paragraph.count("\n") < 3:
            continue
        a += len(text[a:b]) - len(text[a:b].lstrip())
        b = a + len(paragraph)
        outer = (
            not text[:a].strip() or not text[b:].strip()
        )  # the first and last words of a message are its instruction
        if not _is_data(paragraph, _CERTAIN if outer else _LIKELY):
            continue
        if runs and not text[runs[-1][1] : a].strip():
            runs[-1] = (runs[-1][0], b)
        else:
            runs.append((a, b))
    return [(a, b) for a, b in runs if b - a >= MIN_CHARS]


def _is_data(paragraph: str, kinds: frozenset[str]) -> bool:
    """Whether a paragraph is data of one of these kinds. The cheap questions come first."""
    has_sentence = False
    if paragraph[0] not in _OPENS_DATA:
        # an issue that quotes code and errors is not material: with one sentence in it, it stays whole
        has_sentence = _SENTENCE.search(paragraph) is not None
        if has_sentence and not _is_log(paragraph):
            return False
    kind = detect_content_type(paragraph)
    if kind == "log":  # "log" is also the name for lines in no known format
        return _is_log(paragraph)
    if kind == "json" or (kind == "html" and paragraph[0] == "<"):
        return True
    return kind in kinds and not has_sentence and _SENTENCE.search(paragraph) is None


def _is_log(paragraph: str) -> bool:
    """Whether most lines are of a log."""
    lines = paragraph[:MAX_LOG_CHARS].split("\n")
    return sum(1 for line in lines if LOG_HEAD.match(line)) * 2 > len(lines)

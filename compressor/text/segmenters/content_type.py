"""Detects the content type of a text from a bounded sample of its lines.

The types are "json" (with NDJSON), "code", "diff", "table", "markdown", "html", "search", "trace", "
""transcript", "log" and
"prose".
"""

from __future__ import annotations

import re
from itertools import pairwise

from compressor.text.segmenters.content_lines import (
    count_header_fields,
    count_listed,
    count_log_heads,
    count_numbered,
    count_statements,
    count_tested,
    markdown_marks,
)
from compressor.text.segmenters.languages import hint_language, language_of, media_content_type
from compressor.text.segmenters.numbered_lines import leading_numbers
from compressor.text.segmenters.search_results import HEADING
from compressor.text.segmenters.table import is_table
from compressor.text.segmenters.transcript import is_transcript

SAMPLE_CHARS = 4_000  # characters read in each of three places
SAMPLE_LINES = 40  # lines read of each
MAX_SIGNS = 0.04  # signs a character in a paragraph

_JSON = re.compile(
    r"[\s\ufeff]*(?:\{\s*[\"}]|\[\s*(?:\{\s*[\"}]|[\[\]\"]|-?\d[\d.eE+-]{0,40}\s*[,\]]|true\b|false\b|null\b))"
)
_DIFF = re.compile(r"^(?:diff --git |@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@|Index: \S|--- \S[^\n]*\n\+\+\+ \S)", re.M)
_PAGE = re.compile(r"\s*(?:<\?xml\b|<!doctype html\b|<html\b|<head\b|<body\b)", re.I)
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9:-]{0,30}(?:[ \t\n][^<>]{0,400})?/?>")
_FAILS = re.compile(
    r"^(?:[ \t|+]*Traceback \(most recent call last\):|={3,} (?:test session starts|FAILURES|ERRORS|short test summary)"
    r"|Exception in thread |panic: |thread '[^'\n]{0,200}' panicked at|--- (?:FAIL|PASS): |=== RUN |(?:FAIL"
    r"|ERROR): test"
    r"|Ran \d+ tests? in |test result: |Tests run: \d|running \d+ tests?$|npm ERR! |\[(?:INFO|ERROR)\] -{20,}"
    r"|(?:[\w.$]+\.)?\w{0,60}(?:Error|Exception): [^\n]*\n\s+at )",
    re.M,
)
#: Marks that no programming language has: fences, links, and headings of several words after a blank line.
_SURELY_MARKDOWN = re.compile(
    r"^ {0,3}(?:```|~~~)|\]\((?:https?://|\.{0,2}/|#)[^)\n]*\)|^\[[^\]\n]+\]: \S|(?:\A|\n\n)#{1,6} [^\n]+\n\n", re.M
)
#: A line of running text that was wrapped at the margin, as in manual pages and RFCs.
_WORDS = re.compile(
    r"\s*(?:[^\W\d_][\w'’-]*[,;:.)\"”]*\s+|[(\"“\d][\w.,)\"”]*\s+){6,}[(\"“]?[\w'’\u2010-]+[,;:)\"”\u2010-]*\s*"
)
_SENTENCE_END = re.compile(r"""[.!?。！？:”]\s*$|[.!?,…]["']\s*$""")  # a quote alone also ends `key="value"`
_SIGN = re.compile(r"[=<>{}\[\]|;\\_]")
_HASH_LINE = re.compile(r"^[ \t]*#", re.M)
_HASH_LINES = re.compile(r"^[ \t]*#[^\n]*(?:\n[ \t]*#[^\n]*)+", re.M)


def detect_content_type(text: str, hint: str = "") -> str:
    """Returns the content type of a text.

    Args:
        text: Any text.
        hint: A file name, a media type, a fence's info string, or the tool call that produced the text.
    """
    if _JSON.match(text) and text[-200:].rstrip()[-1:] in ("}", "]"):
        return "json"
    return detect_line_content_type(text, hint)


def detect_line_content_type(text: str, hint: str = "") -> str:
    """Returns the content type of a text that is known not to be JSON; see `detect_content_type`."""
    sample, lines = _sample(text)
    n = len(lines)
    if not n:
        return "prose"
    if (named := media_content_type(hint)) and n > 1:
        return named
    if _PAGE.match(sample):
        return "html"
    if lines[0].startswith("[File: ") or _is_window(lines):
        return "code"
    if is_transcript(lines):
        return "transcript"
    language = hint_language(hint)
    if n == 1:
        has_tags = ("</" in sample or "/>" in sample) and len(_TAG.findall(sample)) > 8
        return "html" if has_tags else "table" if is_table(sample, lines) else "prose"
    if ("@@" in sample or "\n+++ " in sample or "Index: " in sample) and _DIFF.search(sample):
        return "diff"
    if count_log_heads(lines) > 0.4 * n:
        return "log"
    if _FAILS.search(sample) or count_tested(lines) > max(2, 0.2 * n):
        return "trace"
    listed = count_listed(lines)
    if listed and listed < n:  # ripgrep prints a path and, below it, the matches in that file
        listed += count_numbered(lines)
    if listed > 0.5 * n or HEADING.match(lines[0]):
        return "search"
    if language is not None or sample.startswith("#!"):
        return "code"
    if _has_comments(sample):  # `#` begins a comment here, not a heading
        lines = [x for x in lines if not x.lstrip().startswith("#")] or lines
        n = len(lines)
    if count_header_fields(lines) > 0.2 * n and "\n\n" in sample:
        return "prose"  # mail: the addresses in <> are no tags
    marked = markdown_marks(lines)
    if "</" in sample and len(_TAG.findall(sample)) > 0.5 * n and not _is_markdown(sample):
        return "html"
    coded = count_statements(lines)
    if marked.count("strong") > 1 and len(marked) > 0.15 * n and (coded < 0.3 * n or _is_markdown(sample)):
        return "markdown"
    if language_of(sample, hint):
        return "code"
    if is_table(sample, lines):
        return "table"
    if coded > 0.4 * n:
        return "code"
    if "strong" in marked or len(marked) > 0.3 * n:
        return "markdown"
    return "prose" if _is_prose(lines) else "log"


def _sample(text: str) -> tuple[str, list[str]]:
    """The beginning, middle and end of a text, and the lines there that are not blank."""
    sample = text[:SAMPLE_CHARS]
    lines = [x for x in sample.split("\n")[:SAMPLE_LINES] if x.strip()]
    if len(text) > 3 * SAMPLE_CHARS:
        middle = len(text) // 2
        for part in (text[middle : middle + SAMPLE_CHARS], text[-SAMPLE_CHARS:]):
            part = part.partition("\n")[2]
            sample += "\n" + part
            lines += [x for x in part.split("\n")[: SAMPLE_LINES // 2] if x.strip()]
    return sample, lines


def _has_comments(sample: str) -> bool:
    """Whether most lines that begin with `#` stand next to another one, as comments do and headings do not."""
    hashes = len(_HASH_LINE.findall(sample))
    return hashes > 1 and sum(m.group().count("\n") + 1 for m in _HASH_LINES.finditer(sample)) > 0.5 * hashes


def _is_markdown(sample: str) -> bool:
    """Whether a text has marks of markdown that do not occur in programs and pages by chance."""
    return len(_SURELY_MARKDOWN.findall(sample)) > 1


def _is_window(lines: list[str]) -> bool:
    """Whether most lines begin with line numbers that count up by one, as file viewers print them."""
    found = leading_numbers(lines)
    return sum(b == a + 1 > 0 for a, b in pairwise(found)) * 2 >= max(4, len(lines))


def _is_paragraph(line: str) -> bool:
    """Whether a line is long and has few of the signs that are rare in sentences."""
    return len(line) > 100 and len(_SIGN.findall(line)) < MAX_SIGNS * len(line)


def _is_prose(lines: list[str]) -> bool:
    """Whether most of the text is in lines that read like sentences or paragraphs."""
    prose = sum(len(x) for x in lines if _SENTENCE_END.search(x) or _WORDS.fullmatch(x) or _is_paragraph(x))
    return prose > 0.5 * sum(map(len, lines))

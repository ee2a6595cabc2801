"""Detects the content type of a text from a bounded sample of its lines.

The types are "json" (with NDJSON), "code", "diff", "table", "markdown", "html", "search", "trace", "log" and "prose".
"""

from __future__ import annotations

import re
from itertools import pairwise

from compressor.text.segmenters.code import NUMBER
from compressor.text.segmenters.languages import language_of
from compressor.text.segmenters.log import LOG_HEAD
from compressor.text.segmenters.search_results import GREP, HEADING, LS, NUMBERED, PATH, TREE
from compressor.text.segmenters.table import is_table

SAMPLE_CHARS = 4_000  # characters read in each of three places
SAMPLE_LINES = 40  # lines read of each

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
_TESTED = re.compile(
    r"[^\n]{1,200} \.\.\. (?:ok|FAIL|FAILED|ERROR|skipped)\b|\S{1,200}::\S{1,200} (?:PASSED|FAILED|ERROR|SKIPPED)"
    r"|(?:PASSED|FAILED|ERROR|SKIPPED)(?: \[\d+\])? \S+(?:::|\.py)|(?:PASS|FAIL)\s+\S+|\s+[✓✔√✕✗✘×] \S|ok +\d* ?- "
    r"|not ok \d"
    r"|\S{1,200}\.py [.sxXFE]+\s*(?:\[ *\d+%\])?\s*$|\s+at (?:\S{1,200} \()?\S{1,300}:\d+|\[INFO\] "
)
_MARKDOWN = re.compile(
    r"(?P<strong>#{1,6} \S|```|~~~|[^\n]{0,200}\]\((?:https?://|#|/|\.))|(?P<weak>\s{0,3}(?:[-*+]|\d{1,2}\.) |>"
    r"|[^\n]{0,120}\*\*\S)"
)


def detect_content_type(text: str, hint: str = "") -> str:
    """Returns the content type of a text.

    Args:
        text: Any text.
        hint: A file name, or the tool call that produced the text.
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
    if _PAGE.match(sample):
        return "html"
    if lines[0].startswith("[File: ") or _is_window(lines):
        return "code"
    if n == 1:
        return "html" if len(_TAG.findall(sample)) > 8 else "table" if is_table(sample, lines) else "prose"
    if ("@@" in sample or "\n+++ " in sample or "Index: " in sample) and _DIFF.search(sample):
        return "diff"
    if sum(1 for x in lines if LOG_HEAD.match(x)) > 0.4 * n:
        return "log"
    if _FAILS.search(sample) or sum(1 for x in lines if _TESTED.match(x)) > max(2, 0.2 * n):
        return "trace"
    listed = sum(1 for x in lines if GREP.match(x) or PATH.match(x) or LS.match(x) or TREE.match(x))
    if listed and listed < n:  # ripgrep prints a path and, below it, the matches in that file
        listed += sum(1 for x in lines if NUMBERED.match(x))
    if listed > 0.5 * n or HEADING.match(lines[0]):
        return "search"
    if "</" in sample and len(_TAG.findall(sample)) > 0.5 * n:
        return "html"
    marked = [m.lastgroup for x in lines if (m := _MARKDOWN.match(x))]
    if marked.count("strong") > 1 and len(marked) > 0.15 * n and not hint.endswith((".py", ".sh", ".rb")):
        return "markdown"
    if language_of(sample, hint):
        return "code"
    if is_table(sample, lines):
        return "table"
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


def _is_window(lines: list[str]) -> bool:
    """Whether most lines begin with line numbers that count up by one, as file viewers print them."""
    found = [int(m.group(1)) if (m := NUMBER.match(x)) else -1 for x in lines]
    return sum(b == a + 1 > 0 for a, b in pairwise(found)) * 2 >= max(4, len(lines))


def _is_prose(lines: list[str]) -> bool:
    """Whether most of the text is in lines that read like sentences or paragraphs."""
    prose = sum(len(x) for x in lines if len(x) > 100 or x.rstrip()[-1:] in '.!?。！？:"”')
    return prose > 0.5 * sum(map(len, lines))

"""Finds what a text is, from a bounded sample of it. Cuts nothing.

Kinds: "json", "code", "diff", "table", "markdown", "html", "search", "trace", "log", "prose".
"""

from __future__ import annotations

import re

from compressor.segments.languages import language_of
from compressor.segments.search import GREP, LS, PATH, TREE
from compressor.segments.table import RULE

SAMPLE = 4_000  # characters looked at in each of three places

_DIFF = re.compile(r"^(?:diff --git |@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@|Index: |--- \S[^\n]*\n\+\+\+ \S)", re.M)
_HTML = re.compile(r"<(?:!doctype html|html|head|body|div|p|span|table|ul|script|article|a href)\b", re.I)
_TAG = re.compile(r"</?[a-z][a-z0-9]*\b[^<>\n]{0,300}>", re.I)
_TRACE = re.compile(
    r"^(?:[ \t|+]*Traceback \(most recent call last\):|=+ (?:test session starts|FAILURES|ERRORS|short test summary)"
    r"|Exception in thread |panic: |thread '[^'\n]{0,200}' panicked at|\s+at \S+\(\S+:\d+\)|--- FAIL: |\[INFO\] -{20,}"
    r"|(?:FAIL|ERROR): test|\S[^\n]{0,200} \.\.\. (?:ok|FAIL|ERROR|skipped)|test \S+ \.\.\. (?:ok|FAILED)"
    r"|\S+::\S+ (?:PASSED|FAILED|ERROR|SKIPPED)|(?:PASS|FAIL)\s+\S+\.[jt]sx?\b)",
    re.M,
)
_LOG = re.compile(
    r"^(?:\W{0,3}\d{4}[-/.]\d\d[-/.]\d\d[T _]\d\d|\W{0,2}\d\d[-/]\d\d[-/ ]?\d{0,4}[ T:]\d\d:\d\d|\W{0,2}\d\d:\d\d:\d\d"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\W{0,3}(?:[A-Z][a-z]{2} ){2}[ \d]\d \d\d:\d\d:\d\d"
    r"|\W{0,3}(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRITICAL|SEVERE)\b|[-A-Z]\S* \d{9,10} \d{4}\.\d\d\.\d\d"
    r"|\d{1,3}(?:\.\d{1,3}){3} - |\d{6} \d{6} \d+ [A-Z]+|\d{13}\b|\[\d+\.\d+\] )",
    re.M,
)
_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```|~~~|\s{0,3}[-*+] \[[ x]\] |[^\n]*\]\(https?://)", re.M)
_CELLS = ("\t", "|", ";", ",")


def detect(text: str, hint: str = "") -> str:
    """The kind of a text. `hint` is what is known of where it comes from: a file name, the tool call that made it."""
    head = text[:SAMPLE].lstrip()
    if not head:
        return "prose"
    if head[0] in "{[" and text.rstrip()[-1:] in ("}", "]"):
        return "json"
    middle = len(text) // 2
    sample = text[:SAMPLE]
    if len(text) > 3 * SAMPLE:
        sample += "\n" + text[middle : middle + SAMPLE].partition("\n")[2] + "\n" + text[-SAMPLE:].partition("\n")[2]
    lines = [line for line in sample.split("\n") if line.strip()]
    n = len(lines)
    if n < 2:
        return "html" if len(_TAG.findall(sample)) > 8 else "prose"
    if _DIFF.search(sample):
        return "diff"
    if _HTML.search(sample) and len(_TAG.findall(sample)) > n / 3:
        return "html"
    if len(_TRACE.findall(sample)) >= (1 if "Traceback" in sample or "FAIL" in sample else 3):
        return "trace"
    if len(_LOG.findall(sample)) > 0.4 * n:
        return "log"
    listed = sum(1 for x in lines if GREP.match(x) or PATH.match(x) or LS.match(x) or TREE.match(x))
    if listed > 0.5 * n or (listed > 1 and lines[0].startswith(("Found ", "Search result"))):
        return "search"
    if language_of(sample, hint):
        return "code"
    if _is_table(sample, lines):
        return "table"
    if _MARKDOWN.search(sample):
        return "markdown"
    return "prose" if _is_prose(lines) else "log"


def _is_table(sample: str, lines: list[str]) -> bool:
    if any(RULE.match(line + "\n") and len(line.strip()) > 3 for line in lines[:4]) and sample.count("\n") > 2:
        return True
    for cell in _CELLS:
        counts = [line.count(cell) for line in lines[:40]]
        first = counts[0]
        if first >= (1 if cell in "\t|" else 2) and sum(c == first for c in counts) >= 0.8 * len(counts):
            return len(lines) > 2
    wide = [len(re.findall(r"\S(?: {2,}|\t)(?=\S)", line)) for line in lines[:40]]
    return len(lines) > 2 and wide[0] >= 2 and sum(abs(w - wide[0]) <= 1 for w in wide) >= 0.8 * len(wide)


def _is_prose(lines: list[str]) -> bool:
    """Whether most of the text stands in lines that read like sentences or paragraphs."""
    said = sum(len(x) for x in lines if len(x) > 100 or x.rstrip()[-1:] in '.!?。！？:"”')
    return said > 0.5 * sum(map(len, lines))

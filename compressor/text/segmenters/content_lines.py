"""Counts the lines of a sample that look like those of a log, a test run, a listing, markdown or a program."""

from __future__ import annotations

import re

from compressor.native import load_kernel
from compressor.text.segmenters.log import LOG_HEAD
from compressor.text.segmenters.search_results import GREP, LS, NUMBERED, PATH, TREE

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
_HEADER_FIELD = re.compile(r"(?:From |[A-Z][A-Za-z]*(?:-[A-Z][A-Za-z]*)+: |(?:From|To|Cc|Date|Subject|Received): )")
#: Keywords that close a statement, and keywords that begin one.
_CLOSING = "end fi done esac else begin endif endfunction".split()
_OPENING = (
    "set my local let var val const return import use require include sub proc def func function fun fn class if elsif "
    "elif elseif unless foreach while switch case call puts echo print printf export raise throw append lappend"
).split()
#: A line of code in almost any language: it ends in a bracket or semicolon, assigns, or is a lone keyword.
_STATEMENT = re.compile(
    r"[ \t]*(?!(?:#|//|--|\*|/\*|%|\"|;))(?:[^\n]*(?:[;{(\[]|[)\w\"'\]] \{|\b(?:do|then)|\) ?:|[\])}],|=>|&&"
    r"|\|\||\\)\r?$|[\])}]+[;,]?\r?$"
    rf"|(?:{'|'.join(_CLOSING)})\b[^\n]{{0,20}}$"
    rf"|(?:{'|'.join(_OPENING)})"
    r"\b[^\n]*[\w)\]}\"'$&@%!(\[{;:]$(?<![a-z] [a-z]{3}))"
)
#: Keywords that begin a line of code in the languages that `languages` knows, and words that are a line of their own.
_CODE_WORDS = (
    "def class import from return func fn fun val let const var my sub local module require public private package use"
).split()
_LINE_WORDS = "end fi done esac".split()
#: What nearly every line of code in these languages ends or begins with.
_CODE_MARKS = re.compile(
    rf"[;{{}}]\r?$|[)\]\w]:\r?$|^[ \t]*(?:{'|'.join(_LINE_WORDS)})\r?$|\b(?:do|then)\r?$"
    rf"|^[ \t]*(?:\d+[:|]?[ \t]*)?(?:{'|'.join(_CODE_WORDS)}|self\.|#include)\b",
    re.M,
)
_code_words, _line_words = frozenset(_CODE_WORDS), frozenset(_LINE_WORDS)
_opening, _closing = frozenset(_OPENING), frozenset(_CLOSING)
_kernel = load_kernel("content_lines")


def count_log_heads(lines: list[str]) -> int:
    """Returns how many lines begin as the records of a log do."""
    match = LOG_HEAD.match
    if _kernel is not None:
        return int(_kernel.count_log_heads(lines, match))
    return sum(1 for x in lines if match(x))


def count_tested(lines: list[str]) -> int:
    """Returns how many lines are the outcome of a test or the step of a build."""
    match = _TESTED.match
    if _kernel is not None:
        return int(_kernel.count_tested(lines, match))
    return sum(1 for x in lines if match(x))


def count_listed(lines: list[str]) -> int:
    """Returns how many lines are those of a listing: a match, a path, or an entry of a folder."""
    grep, path, ls, tree = GREP.match, PATH.match, LS.match, TREE.match
    if _kernel is not None:
        return int(_kernel.count_listed(lines, grep, path, ls, tree))
    return sum(1 for x in lines if grep(x) or path(x) or ls(x) or tree(x))


def count_numbered(lines: list[str]) -> int:
    """Returns how many lines are matches below the name of their file."""
    if _kernel is not None:
        return int(_kernel.count_numbered(lines))
    return sum(1 for x in lines if NUMBERED.match(x))


def count_header_fields(lines: list[str]) -> int:
    """Returns how many lines are header fields of a mail."""
    match = _HEADER_FIELD.match
    if _kernel is not None:
        return int(_kernel.count_header_fields(lines, match))
    return sum(1 for x in lines if match(x))


def markdown_marks(lines: list[str]) -> list[str | None]:
    """Returns "strong" or "weak" for each line with a mark of markdown: "weak" ones are also found elsewhere."""
    match = _MARKDOWN.match
    if _kernel is not None:
        found: list[str | None] = _kernel.marks(lines, match)
        return found
    return [m.lastgroup for x in lines if (m := match(x))]


def count_statements(lines: list[str]) -> int:
    """Returns how many lines are statements of a program."""
    if _kernel is not None:
        return int(_kernel.count_statements(lines, _opening, _closing))
    return sum(1 for x in lines if _STATEMENT.match(x))


def count_code_marks(text: str) -> int:
    """Returns how many signs of code a text has: up to two a line."""
    if _kernel is not None:
        return int(_kernel.count_code_marks(text, _code_words, _line_words))
    return len(_CODE_MARKS.findall(text))

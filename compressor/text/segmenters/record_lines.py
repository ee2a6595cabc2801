"""Reads the lines of notations that hold records: how deep a line is, its key and value, what it opens and closes.

It knows YAML, INI, TOML, `Key: value` blocks, properties, lists of fields, blocks in braces, vCard, LDIF, gettext,
reStructuredText fields and directives, git's and mail's headers by their common traits, not one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from compressor.native import load_kernel
from compressor.text.segmenters.lines import line_starts

MAX_KEY_WORDS = 5
TAB_WIDTH = 8
BLOCK_LEVEL = 2  # what the lines of a block from BEGIN to END are deeper
MAX_BLOCKS = 20  # one inside the other
CODE_SAMPLE = 200  # lines that are read to tell whether a text is a program

_RULE = re.compile(
    r"(?:(?:([-=_*~#+─━—═])[ \t]?){3,}[^\n]*?|[-=]{2,}(?:[ \t][-=]{2,})+|%%|\.\.\.|\[\d{1,5}\]|#\d{1,5}"
    r"|-\[ RECORD \d+ \][-+]*)[ \t]*\r?$"
)
#: What may stand in a rule: a number, and what is numbered.
_RULE_WORDS = re.compile(
    r"(?:records?|rows?|items?|entry|page|document|case|message|part|nr|no|number|of|#|\d|[-=_*~#+─━—═%.:/()\[\]\s])+$",
    re.I,
)
_SECTION = re.compile(r"\[{1,2}[^\[\]\n,{}]{1,120}\]{1,2}[ \t]*(?:[#;][^\n]*)?\r?$")
_HEADING = re.compile(r"(#{1,6})[ \t]+\S")
_ITEM = re.compile(r"(?:[-*+•‣]|\d{1,4}[.)])(?:[ \t]+|\r?$)")
_COMMENT = re.compile(r"#|;|//|/\*|\*/|\*(?=[ \t])|!(?=[ \t\r]|$)|<!--|--[ \t]|rem[ \t]|\\\"", re.I)
_DIRECTIVE = re.compile(r"\.\.[ \t]+(?P<key>[\w:.-]+?)::(?=\s|$)[ \t]*(?P<value>[^\n]*)")
#: A key that is quoted, bold or plain, what separates it from its value, and the value.
_FIELD = re.compile(
    r"[\"'`*_:@$%.!]{0,3}(?P<key>[^\W\d_][\w./@$\[\]#+-]*(?:[ ][\w./@$#+&()-]+){0,4})"
    r"[\"'`*_]{0,3}[ \t]?(?:\([^()\n]{0,30}\))?"
    r"[ \t]*(?P<sep>:(?=\s|$)|：|::?(?=[^\s:/\\])|=>|:=|==?(?!=)|\t| {2}(?=\S))[ \t]*(?P<value>[^\n]*)"
)
_QUOTED = re.compile(r"(?P<key>[A-Za-z_][\w\[\].-]*)[ \t]+(?P<value>\"(?:[^\"\\\n]|\\.)*\")[ \t]*;?\r?$")
_DIRECTIVE_LINE = re.compile(r"(?P<key>[A-Za-z_][\w.-]*)[ \t]+(?P<value>[^\n{};]{1,200});?\r?$")
#: The ends of blocks such as `BEGIN:CARD`, whose lines need not be indented.
_END = re.compile(r"^[ \t]*END:[ \t]*(?P<what>\S[^\n]*?)[ \t]*\r?$", re.M | re.I)
#: `[key] => value`
_INDEXED = re.compile(r"\[(?P<key>[^\[\]\n]{1,60})\][ \t]*(?:=>|[:=])[ \t]*(?P<value>[^\n]*)")
#: A record on one line, such as `{name: x, tls: false},`
_ROW = re.compile(r"(?=[^\n]*[:=,])[{(\[][^\n]*[})\]][,;]?[ \t]*\r?$")
#: A string that is an element of a list.
_ELEMENT = re.compile(r"(?:\"[^\"\n]*\"|'[^'\n]*')[,;]?[ \t]*(?:[#;/][^\n]*)?\r?$")
_BRACKET = re.compile(r"[{(\[][ \t]*\r?$")
_OPENS = re.compile(r"[{(\[][ \t]*(?:[#;/][^\n]*)?\r?$")
_ENTRY = re.compile(r"@\w+[ \t]*[{(][^,\n]{0,100},[ \t]*\r?$")
_CLOSE = re.compile(r"[}\])]+[;,]?[ \t]*\r?$|(?:(?:end|fi|done)\b|:END:)[ \t]*\r?$")
_NOT_DATA = re.compile(r"[;{]\r?$|\)\s*[{:;]?\r?$|\breturn\b|[=!]=|&&|\|\||->|\bdef \b|\bfunction\b")
_STATEMENT_WORDS = frozenset(
    "public private protected class def import return func fn const let var package if else elif for while static "
    "struct enum interface using namespace try except".split()
)
_STATEMENT = re.compile(rf"(?:{'|'.join(sorted(_STATEMENT_WORDS))})\b(?![ \t]*[:=])")
_SCHEMES = ("http", "https", "file", "ftp", "ssh", "git")


def is_rule(line: str) -> bool:
    """Returns whether a line separates records: signs of one kind, perhaps with a number between them."""
    return (
        bool(line) and line[0] in "-=_*~#+%.─━—═[" and _RULE.match(line) is not None and bool(_RULE_WORDS.match(line))
    )


@dataclass(slots=True)
class RecordLine:
    """One line that is not blank.

    Attributes:
        start: Offset of the line.
        level: How deep it is: a line belongs to the last line before it with a smaller level.
        kind: "field", "item", "section", "row", "open", "bracket" (one that opens, alone), "close", "rule", "comment",
            or "text".
        key: The key. Empty if the line has no key.
        value: The value, or the rest of the line.
        after_blank: Whether a blank line stands before it.
    """

    start: int
    level: int
    kind: str
    key: str
    value: str
    after_blank: bool


_kernel = load_kernel("record_lines")


def record_kinds(text: str, headings: bool = False) -> list[str]:
    """Returns the kinds of all lines that are not blank; see `read_record_lines`."""
    if _kernel is not None:
        kinds: list[str] | None = _kernel.record_kinds(text, headings, len(text), _read, is_rule)
        if kinds is not None:
            return kinds
    return [line.kind for line in read_lines_slowly(text, headings)]


def read_record_lines(text: str, headings: bool = False) -> list[RecordLine]:
    """Reads all lines that are not blank.

    Args:
        text: The text.
        headings: Whether lines such as `## title` are headings; otherwise they are comments.
    """
    if _kernel is not None:
        lines: list[RecordLine] | None = _kernel.read_record_lines(
            text, headings, len(text), _read, is_rule, RecordLine
        )
        if lines is not None:
            return lines
    return list(read_lines_slowly(text, headings))


def read_data_lines(text: str, headings: bool = False) -> list[RecordLine]:
    """Reads all lines that are not blank; none if many of the first are statements rather than data."""
    if _kernel is not None:
        is_code: bool | None = _kernel.looks_like_code(text, headings, CODE_SAMPLE, _read, is_rule, _STATEMENT_WORDS)
        if is_code is not None:
            return [] if is_code else read_record_lines(text, headings)
    lines = read_lines_slowly(text, headings)
    first = list(islice(lines, CODE_SAMPLE))
    return [] if are_statements(text, first) else [*first, *lines]


def read_lines_slowly(text: str, headings: bool = False) -> Iterator[RecordLine]:
    """Reads the lines that are not blank, in Python."""
    starts = line_starts(text).tolist()
    blank = False
    depth = 0  # braces that are open
    ended = {m.group("what") for m in _END.finditer(text)}
    begun: list[str] = []  # what has begun and not ended
    for i, start in enumerate(starts):
        end = starts[i + 1] if i + 1 < len(starts) else len(text)
        raw = text[start:end].rstrip("\r\n")
        body = raw.lstrip(" \t\ufeff")
        if not body.strip():
            blank = True
            continue
        lead = raw[: len(raw) - len(body)]
        indent = len(lead.expandtabs(TAB_WIDTH)) if "\t" in lead else len(lead.replace("\ufeff", ""))
        line = _read(body, indent, depth > 0, headings)
        line.start, line.after_blank = start, blank
        if begun and line.key.lower() == "end" and line.value in begun:
            while begun.pop() != line.value:
                pass
            line.kind = "close"
        line.level += BLOCK_LEVEL * len(begun)
        if ended and line.key.lower() == "begin" and line.value in ended and len(begun) < MAX_BLOCKS:
            begun.append(line.value)
            line.kind = "open"
        depth = max(0, depth + (line.kind in ("open", "bracket")) - (line.kind == "close"))
        yield line
        blank = False


def _read(body: str, indent: int, inside: bool, headings: bool) -> RecordLine:
    level = 2 * indent + 2
    first = body[0]
    if is_rule(body):
        return RecordLine(0, -20, "rule", "", "", False)
    if first == "[" and _SECTION.match(body) and "=>" not in body:
        return RecordLine(0, 0, "section", "", body.strip("[] \t\r"), False)
    if first == "#" and headings and (h := _HEADING.match(body)):
        return RecordLine(0, -10 + len(h.group(1)), "section", "", body.strip("# \t\r"), False)
    if _BRACKET.match(body):
        return RecordLine(0, level, "bracket", "", body, False)
    if _CLOSE.match(body):
        return RecordLine(0, level, "close", "", body, False)
    if item := _ITEM.match(body):
        rest = body[item.end() :]
        key, value, kind = _key(rest, inside)
        return RecordLine(0, level + 1, "item", key, value if key else rest, False)
    if m := _DIRECTIVE.match(body):
        return RecordLine(0, level, "field", m.group("key"), m.group("value").strip(), False)
    if first in "\"'" and _ELEMENT.match(body):
        return RecordLine(0, level, "row", "", body, False)
    if first in "{[(" and _ROW.match(body) and not _INDEXED.match(body):
        return RecordLine(0, level, "row", "", body, False)
    if _COMMENT.match(body):
        return RecordLine(0, level, "comment", "", body, False)
    key, value, kind = _key(body, inside)
    return RecordLine(0, level, kind, key, value, False)


def _key(body: str, inside: bool) -> tuple[str, str, str]:
    """The key and value of a line, and its kind."""
    if _ENTRY.match(body):
        return body.partition("{")[0].strip("@ \t"), body.partition("{")[2].strip(" ,\r"), "open"
    if m := _INDEXED.match(body):
        return m.group("key").strip("\"'"), m.group("value").strip(), "open" if _OPENS.search(body) else "field"
    m = _FIELD.match(body)
    if m is not None:
        key, value, sep = m.group("key").strip(), m.group("value").strip(), m.group("sep")
        words = key.count(" ") + 1
        tight = sep.startswith(":") and value and not body[m.start("sep") + len(sep) :][:1].isspace()
        is_word = tight and (words > 1 or key.lower() in _SCHEMES)
        if words <= MAX_KEY_WORDS and not is_word and (sep.strip() or words <= 2):
            return key, value, "open" if _OPENS.search(value) else "field"
    if m := _QUOTED.match(body):
        return m.group("key"), m.group("value"), "field"
    if _OPENS.search(body):
        words_before = body.rstrip("{([ \t\r").split()
        return (words_before[0].strip("\"'") if words_before else ""), body, "open"
    if inside and (m := _DIRECTIVE_LINE.match(body)):
        return m.group("key"), m.group("value").strip(), "field"
    return "", body, "text"


def are_statements(text: str, sample: list[RecordLine]) -> bool:
    """Returns whether many lines are statements rather than data."""
    statements = 0
    for line in sample:
        end = text.find("\n", line.start)
        body = text[line.start : end if end >= 0 else len(text)].strip()
        if line.kind in ("comment", "rule") or body == ")" or (body[0] == "(" and body[-1] == ")"):
            continue
        if _STATEMENT.match(body):
            statements += 1
        elif _NOT_DATA.search(body) and not (line.kind == "open" and "(" not in body):
            statements += not (body.endswith(";") and "(" not in body)
    return statements * 5 > len(sample)

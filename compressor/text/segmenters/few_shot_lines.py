"""The lines of a prompt, as far as lists of examples are made of them: rules, fences, headings, tags and labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from compressor.context.refs import ELLIPSIS

_LINE = re.compile(r"[^\n]*\n?")
_RULE = re.compile(rf"(?:[-=*_~#]{{3,}}|(?:[-*=] ?){{3,}}|{ELLIPSIS})$")
_FENCE = re.compile(r"(?:```|~~~)[\w+-]*[ \t]*$")
_HEADING = re.compile(r"#{1,6}[ \t]+\S|\*\*[^*\n]+\*\*[:：]?$|__[^_\n]+__[:：]?$|\[[^\]\n]{1,60}\][:：]?$")
_OPEN = re.compile(r"<[A-Za-z\w][\w-]*(?:\s[^<>\n]{0,200})?>$")
_CLOSE = re.compile(rf"</|\[{ELLIPSIS}|\{{%|\{{\{{/")
#: `Label: text`, with a number, a bullet, bold type or a heading's marks. Also `### Input` and `**Input**` alone.
_LABEL = re.compile(
    r"(?P<lead>[ \t]*(?:>[ \t]*)?(?:[*\-•–+][ \t]+)?(?:\(?\d{1,3}[.)][ \t]+)?(?:#{1,6}[ \t]+)?(?:\*\*|__|\[|\")?)"
    r"(?P<label>[^\W\d_](?:[\w'’.&/-]|[ \t](?=[^\W\d_])){0,30}?)"
    r"[ \t]*(?:\(?#?\d{1,3}\)?)?(?:\*\*|__|\]|\")?[ \t]*(?:[:：](?=[\s*_]|$|[^\x00-\x7f])|：)(?:\*\*|__)?[ \t]*"
)
_BARE_LABEL = re.compile(
    r"(?P<lead>[ \t]*(?:#{1,6}[ \t]+|\*\*|\[))(?P<label>[^\W\d_][\w -]{0,24}?)[ \t]*(?:#?\d{1,3})?"
    r"(?:\*\*|\])?[:：]?[ \t]*$"
)


class LineKind(Enum):
    """What a line is."""

    BLANK = "blank"
    RULE = "rule"
    FENCE = "fence"
    HEADING = "heading"
    OPEN = "open"
    CLOSE = "close"
    TEXT = "text"


BOUNDARIES = (LineKind.HEADING, LineKind.CLOSE, LineKind.FENCE, LineKind.OPEN)


@dataclass(slots=True)
class TextLine:
    """A line of the prompt, or a fenced block of lines.

    Attributes:
        start: The offset of its first character.
        end: The offset behind its last character that is not white space.
        text: Its text without white space at both ends.
        kind: What it is.
    """

    start: int
    end: int
    text: str
    kind: LineKind


@dataclass(frozen=True, slots=True)
class Label:
    """A label at the start of a line.

    Attributes:
        name: The label in lower case, without its number.
        lead: What stands before it, with every digit as 0.
        rest: The text behind it.
    """

    name: str
    lead: str
    rest: str


def read_lines(text: str) -> list[TextLine]:
    """Returns the lines of a text."""
    out: list[TextLine] = []
    for match in _LINE.finditer(text):
        line = match.group()
        if not line:
            break
        body = line.strip()
        out.append(TextLine(match.start(), match.start() + len(line.rstrip()), body, _kind(body)))
    return out


def _kind(body: str) -> LineKind:
    if not body:
        return LineKind.BLANK
    if _RULE.match(body):
        return LineKind.RULE
    if _FENCE.match(body):
        return LineKind.FENCE
    if _CLOSE.match(body):
        return LineKind.CLOSE
    if _HEADING.match(body):
        return LineKind.HEADING
    if _OPEN.match(body):
        return LineKind.OPEN
    return LineKind.TEXT


def fold_fences(lines: list[TextLine]) -> list[TextLine]:
    """Returns the lines with each fenced block as one line of text; an unclosed fence and what follows are left out."""
    out: list[TextLine] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.kind is LineKind.FENCE:
            mark = line.text[:3]
            close = next(
                (j for j in range(i + 1, len(lines)) if lines[j].kind is LineKind.FENCE and lines[j].text == mark), -1
            )
            if close < 0:
                break
            out.append(TextLine(line.start, lines[close].end, "```", LineKind.TEXT))
            i = close + 1
            continue
        out.append(line)
        i += 1
    return out


def read_label(source: str, bare: frozenset[str] = frozenset()) -> Label | None:
    """Returns the label at the start of a line.

    Args:
        source: The line, with the white space before it.
        bare: Labels that may stand alone in a heading, without a colon.
    """
    found = _LABEL.match(source)
    if found is None:
        found = _BARE_LABEL.match(source)
        if found is None or found["label"].lower() not in bare:
            return None
    name = found["label"].lower().strip()
    if len(name.split()) > 3:
        return None
    return Label(name, re.sub(r"\d+", "0", found["lead"]), source[found.end() :].strip())

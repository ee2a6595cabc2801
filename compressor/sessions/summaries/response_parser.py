"""Parses a model's notes: sections with lines, which old notes they replace, and which they drop.

It accepts answers that do not keep to the format: thinking tags, code fences, preambles, markdown headings, bold,
numbered lists, headings in other words, repeated sections, JSON instead of lines, lines without any heading. Nothing is
trusted: `verification.py` checks the lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from compressor.errors import CompressorError
from compressor.sessions.summaries.summary import SECTIONS

MAX_RESPONSE_CHARS = 400_000  # of an answer are parsed, including its reasoning
MAX_SUMMARY_CHARS = 20_000  # of notes
MOST_LINES = 200


class EmptySummaryError(CompressorError):
    """The model's answer is not a summary: it is empty, a refusal, or an error message."""


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One line of an answer.

    Attributes:
        section: The section, one of `SECTIONS`.
        text: The words.
        replaces: The number of the old note that it replaces, or 0.
    """

    section: str
    text: str
    replaces: int = 0


@dataclass(slots=True)
class DraftSummary:
    """A model's notes, not verified yet.

    Attributes:
        lines: The lines in order.
        dropped: Numbers of old notes that the model drops.
    """

    lines: list[DraftLine] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)


_HEADINGS = {
    "goal": "goal,goals,task,objective,objectives,user goal",
    "decisions": "decision,decisions,key decisions,decisions made,actions,actions taken",
    "facts": "fact,facts,key facts,results,findings,key findings,notes,summary",
    "failed": "failed,failures,failed attempts,errors,what failed,failures and errors",
    "open": "open,open items,open questions,open issues,next steps,todo,to do,remaining,pending",
    "drop": "drop,dropped,drop notes",
}
_BY_NAME = {name: section for section, names in _HEADINGS.items() for name in names.split(",")}

_THINKING_END = re.compile(r"\A.*</(?:think|thinking|thought|reasoning|reflection|scratchpad)>", re.I | re.S)
_THINKING_START = re.compile(r"<(?:think|thinking|thought|reasoning|reflection|scratchpad)>.*\Z", re.I | re.S)
_FINAL = re.compile(r"\A.*<\|channel\|>\s*final\s*<\|message\|>", re.S)
_SPECIAL = re.compile(r"<\|[^|<>]{1,40}\|>")
_FENCE = re.compile(r"\A\s*(?:```|~~~)\w*\s*\Z")
_HEADING = re.compile(
    r"\s*(?P<bullet>(?:[-*+•]|\d{1,2}[.)])\s+)?(?P<deco>#{1,6}\s*|[*_]{1,3}|\[|<)?\s*"
    r"(?P<name>[A-Za-z]+(?: [A-Za-z]+){0,3})(?![A-Za-z])"
    r"\s*(?P<paren>\([^()]{0,40}\))?\s*(?P<colon>:)?\s*(?P<close>[*_]{1,3}|\]|>)?\s*(?P<colon2>:)?\s*(?P<rest>.*)\Z",
    re.S,
)
_CLOSING = re.compile(r"\s*</[A-Za-z ]{3,24}>\s*\Z")
_BULLET = re.compile(r"\s*(?:[-*+•–]|\d{1,3}[.)])\s+")
_OLD = re.compile(r"\s*(?:replaces\s+)?[\[(]?P(\d{1,4})[\])]?(?:\s*\([^()]{0,60}\))?\s*[:\-]?\s+", re.I)
_NUMBER = re.compile(r"\bP?(\d{1,4})\b")
_BOLD = re.compile(r"\*\*(\S(?:[^*\n]*\S)?)\*\*")
_NOTHING = re.compile(
    r"[\W_]*(?:none|n/?a|nothing|empty|unknown|no|not applicable|nil)?(?:\s+(?:so far|yet|new|noted|mentioned|given|"
    r"found|known|decisions?|facts?|failures?|open items?|items?|lines?|to report|to drop|was|were|is|are|"
    r"stated))*[\W_]*",
    re.I,
)
_REFUSAL = re.compile(
    r"\W*(?:i['’]?m (?:very |really )?sorry|i am sorry|sorry|apologies|i apologi[sz]e|i (?:cannot|can['’]?t|can not|"
    r"am unable|am not able|['’]?m unable|won['’]?t|will not|must decline)|i['’]m (?:unable|not able)|"
    r"unfortunately,? i|as an ai|as a (?:large )?language model|there (?:is|are) no (?:passages?|text|content|data))\b",
    re.I,
)
_FAILURE = re.compile(
    r"\W*(?:(?:internal )?(?:server )?error\b|error code|api error|http(?: error)? ?[45]\d\d|"
    r"[45]\d\d (?:error|[A-Z][a-z]+)|rate limit|too many requests|request (?:timed out|failed)|"
    r"timed? ?out|time-out|bad gateway|service unavailable|"
    r"gateway time|connection (?:error|refused|reset)|unauthorized|forbidden|invalid api key|incorrect api key|"
    r"insufficient[_ ]quota|overloaded|model (?:is )?(?:overloaded|not found)|this model['’]s maximum context|"
    r"context[_ ]length|maximum context length|<!doctype|<html|traceback \(most|exception\b|an? (?:unexpected )?error "
    r"(?:occurred|has occurred)|something went wrong|no response|content[_ ]filter)",
    re.I,
)
_SAYS_ERROR = frozenset(("error", "errors", "detail", "exception"))


def parse_response(text: str, data_delimiter: str = "", is_truncated: bool = False) -> DraftSummary:
    """Parses a model's answer.

    Args:
        text: The answer.
        data_delimiter: The prompt's delimiter. Lines that contain it repeat the prompt, and are ignored.
        is_truncated: The answer was cut off, so its last line is incomplete.

    Raises:
        EmptySummaryError: The answer has no notes.
    """
    body = _plain(text)
    if not body:
        raise EmptySummaryError("the model's answer is empty")
    lines = [
        x
        for x in body.splitlines()
        if x.strip() and not _FENCE.match(x) and not (data_delimiter and data_delimiter in x)
    ]
    if is_truncated and len(lines) > 1:
        lines.pop()
    notes, headed = _from_json(body), True
    if notes is None:
        notes, headed = _from_lines(lines)
    first = lines[0] if lines else ""
    for found, what in ((_REFUSAL, "refused"), (_FAILURE, "answered with an error message")):
        if not headed and found.match(first):
            raise EmptySummaryError(f"the model {what}: {first.strip()[:120]!r}")
        notes.lines = [n for n in notes.lines if not (what == "refused" and found.match(n.text))]
    del notes.lines[MOST_LINES:]
    if not notes.lines and not notes.dropped:
        raise EmptySummaryError("the model's answer does not contain any notes")
    return notes


def _plain(text: str) -> str:
    """Returns the answer without reasoning and special tokens."""
    text = _THINKING_END.sub("", text[:MAX_RESPONSE_CHARS].replace("\r\n", "\n"))
    return _SPECIAL.sub("", _FINAL.sub("", _THINKING_START.sub("", text))).strip()[:MAX_SUMMARY_CHARS]


def _from_json(body: str) -> DraftSummary | None:
    inner = "\n".join(x for x in body.splitlines() if not _FENCE.match(x)).strip()
    if not inner.startswith("{"):
        return None
    try:
        data = json.loads(inner)
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    if _SAYS_ERROR & data.keys() and not any(str(k).lower() in SECTIONS for k in data):
        raise EmptySummaryError(f"the model answered with an error message: {inner[:120]!r}")
    notes = DraftSummary()
    for key, value in data.items():
        section = _BY_NAME.get(str(key).lower().replace("_", " ").strip(), "facts")
        for text in _strings(value):
            _add(notes, section, _BULLET.sub("", text, count=1))
    return notes


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, list):
        for x in value:
            yield from _strings(x)
    elif isinstance(value, dict):
        parts = [f"{k}: {v}" for k, v in value.items() if isinstance(v, (str, int, float))]
        if parts:
            yield "; ".join(parts)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _from_lines(lines: list[str]) -> tuple[DraftSummary, bool]:
    """Returns the notes, and whether the answer has headings."""
    found = [_heading(line) for line in lines]
    headed = any(found)
    bulleted = any(_BULLET.match(line) for line in lines)
    notes, section, item = DraftSummary(), "" if headed else "facts", ""
    for line, heading in zip(lines, found, strict=True):
        if heading or _CLOSING.match(line):
            _add(notes, section, item)
            section, item = heading or (section, "")
            continue
        bullet = _BULLET.match(line)
        if bullet:
            _add(notes, section, item)
            item = line[bullet.end() :]
        elif item and line[:2].isspace():
            item = f"{item} {line.strip()}"
        else:
            _add(notes, section, item)
            # Without headings, lines outside a list only talk about the list.
            item = line if headed or not bulleted else ""
    _add(notes, section, item)
    return notes, headed


def _heading(line: str) -> tuple[str, str] | None:
    """Returns section and rest of the line of a heading, or None for another line."""
    m = _HEADING.match(" ".join(line.split()))
    if m is None:
        return None
    section = _BY_NAME.get(" ".join(m["name"].lower().split()))
    colon = m["colon"] or m["colon2"]
    if section is None or not (colon or (m["deco"] and not m["rest"]) or (not m["rest"] and not m["bullet"])):
        return None
    if m["bullet"] and not m["deco"] and m["rest"]:  # "- Open: the file", an item
        return None
    return section, m["rest"]


def _add(notes: DraftSummary, section: str, text: str) -> None:
    text = _BOLD.sub(r"\1", " ".join(text.split()))
    if not section or not text or (len(text) < 100 and _NOTHING.fullmatch(text)) or not any(c.isalnum() for c in text):
        return
    if section == "drop":
        notes.dropped.update(int(n) for n in _NUMBER.findall(text))
        return
    old = _OLD.match(text)
    if old and text[old.end() :].strip():
        notes.lines.append(DraftLine(section, text[old.end() :].strip(), int(old[1])))
    else:
        notes.lines.append(DraftLine(section, text))

"""Keeps track of what an agent has not finished: failing tests, errors, promises, and its decisions and causes found.

An item is open until a later result or sentence shows that it is resolved: a test that passes, the same call without
the error, a sentence that says a promise is kept, a newer decision about the same thing. Errors and failing tests are
recognised by the forms in which tools write them, an agent's statements by phrases in eight languages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from compressor.context.model import TextSlot, Turn
from compressor.context.refs import PLACEHOLDER_RE, compute_ref, format_placeholder
from compressor.sessions.statement_phrases import says_done, statement_kind
from compressor.text.reasoning_phrases import ReasoningKind, classify_sentence
from compressor.text.segmenters.sentences import sentence_starts

MAX_TEXT_CHARS = 200  # of an item
MAX_ITEMS = 100  # that a session remembers
MIN_STATEMENT_CHARS = 24
#: From the most to the least important.
KINDS = ("failure", "promise", "cause", "decision", "error", "said")
MAX_ERRORS_PER_RESULT = 3
MAX_FAILURES_PER_RESULT = 8
MAX_SCANNED_CHARS = 400_000  # of a result: its beginning and its end

_TEST = r"[\w./\\:\[\]<>\-]{2,160}"
_FAILED_TEST = re.compile(
    rf"^\s*(?:FAILED|FAIL:?|--- FAIL:|ERROR:?)\s+({_TEST})"
    rf"|^\s*({_TEST}(?:::|\.)?{_TEST})\s+(?:\.\.\.\s+)?(?:FAILED|FAIL|ERROR)\b"
    rf"|^\s*test ({_TEST}) \.\.\. FAILED"
    r"|^\s*(?:[✕✗✘×]|not ok \d+ -?)\s+(.{3,120}?)(?:\s+\(\d+ ?ms\))?\s*$",
    re.MULTILINE,
)
_PASSED_LINE = re.compile(r"\b(?:PASSED|PASS|ok|passed)\b|[✓✔√]|^\s*ok \d+", re.IGNORECASE)
_ERROR_LINE = re.compile(
    r"^\s*(?:E\s+)?[\w.]*(?:Error|Exception|Failure)\b(?::|\s*$)"
    r"|^\s*(?:error|fatal|panic|fail(?:ed|ure)?|npm ERR!|Traceback)\b\s*[:\[(]?"
    r"|(?:^|[\s:(])(?:fatal )?error(?:\[?\s?[A-Z]{0,4}\d+\]?)?: "
    r"|(?:^|[\s\[|=\"])(?:ERROR|FATAL|CRITICAL|SEVERE)(?=[\s\]|:\",])"
    r"|\"(?:error|error_message|exception)\":\s*\"[^\"]{3,}"
    r"|command not found|No such file or directory|Permission denied|[Ee]xit (?:code|status):? *[1-9]",
    re.MULTILINE,
)
_ASSERTION = re.compile(r"^\s*(?:E\s+)?(?:[\w.]*(?:Error|Exception)\b:?.*|assert\b.*|.*\bexpected\b.*)$", re.MULTILINE)
_NO_ERROR = re.compile(r"\b(?:0|no|without) (?:errors?|failures?|failed)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"0x[0-9a-f]+|\d+")

#: What a statement is about: a word with a digit, an underscore, a dot inside, or capitals inside.
_OBJECT = re.compile(r"[A-Za-z_]*\d[\w.-]*|\w+_\w[\w.]*|\w+\.\w[\w./]*|\b[a-z]+[A-Z]\w*")


@dataclass(frozen=True)
class OpenItem:
    """Something that is not finished.

    Attributes:
        kind: "failure", "error", "promise", "decision", "cause", or "said" for anything else that the agent stated
            about something with a name or a number.
        key: What it is about; a newer item of the same kind and key replaces it.
        text: What the agent reads.
        message: Number of the message that says it.
        call: Ref of the call whose result says it, or "".
        ref: Ref of the whole text that says it.
    """

    kind: str
    key: str
    text: str
    message: int
    call: str = ""
    ref: str = ""

    @property
    def line(self) -> str:
        """Returns its line in the index. A statement that is given whole needs no ref."""
        is_whole = self.kind not in ("failure", "error") and not self.text.endswith("…")
        return f"{self.kind}: {self.text}" + ("" if is_whole else f" {format_placeholder(self.ref)}")

    def is_in(self, view: str) -> bool:
        """Returns whether a text with single blanks says the item."""
        return all(" ".join(part.split()).rstrip("…")[:120] in view for part in self.text.split(" | "))

    def to_json(self) -> list[Any]:
        """Returns JSON data."""
        return [self.kind, self.key, self.text, self.message, self.call, self.ref]


def update_open_items(items: Sequence[OpenItem], turns: Iterable[tuple[int, Turn]]) -> list[OpenItem]:
    """Returns the items that are open after more turns.

    Args:
        items: The items that were open before.
        turns: Numbers and originals of the messages that are new, oldest first.
    """
    out = list(items)
    calls: dict[str, str] = {}
    for number, turn in turns:
        for slot in turn.slots:
            if slot.kind == "tool_call" and slot.call_id:
                calls[slot.call_id] = compute_ref(f"{slot.name} {slot.text}")
            elif slot.kind == "tool_result" and slot.text:
                out = _after_result(out, slot, number, calls.get(slot.call_id or "", ""))
            elif slot.kind == "assistant" and slot.text:
                out = _after_statement(out, slot, number)
    return _bounded(out)


def _bounded(items: list[OpenItem]) -> list[OpenItem]:
    """Returns at most `MAX_ITEMS`: plain statements and errors go before the others, and older ones first."""
    out = list(items)
    for kinds in (("said", "error"), KINDS):
        excess = len(out) - MAX_ITEMS
        dropped = {id(item) for item in [item for item in out if item.kind in kinds][: max(0, excess)]}
        out = [item for item in out if id(item) not in dropped]
    return out


def _after_result(items: list[OpenItem], slot: TextSlot, number: int, call: str) -> list[OpenItem]:
    text = _scanned(slot.text)
    failures = _failures(text, number, call, compute_ref(slot.text))
    failed = {item.key for item in failures}
    passed_lines = [line for line in text.splitlines() if _PASSED_LINE.search(line)]
    out = []
    for item in items:
        if item.kind == "failure" and item.key not in failed:
            name = _short_name(item.key)
            if any(name in line for line in passed_lines) or (item.call == call and call and not failures):
                continue
        if (
            item.kind == "promise"
            and passed_lines
            and any(o in line for o in _objects(item.text) if len(o) > 4 for line in passed_lines)
        ):
            continue
        if item.kind == "error" and item.call and item.call == call:
            continue  # the same call answers again: what it says now counts
        out.append(item)
    for found in [*failures, *(_errors(text, number, call, compute_ref(slot.text)) if not failures else [])]:
        out = [item for item in out if (item.kind, item.key) != (found.kind, found.key)]
        out.append(found)
    return out


def _scanned(text: str) -> str:
    if len(text) <= MAX_SCANNED_CHARS:
        return text
    half = MAX_SCANNED_CHARS // 2
    return text[:half] + "\n" + text[-half:]


def _failures(text: str, number: int, call: str, ref: str) -> list[OpenItem]:
    out: dict[str, OpenItem] = {}
    for found in _FAILED_TEST.finditer(text):
        name = next(group for group in found.groups() if group).strip(" :-")
        if not re.search(r"[A-Za-z_]", name) or name in out:
            continue
        line = _line_at(text, found.start(found.lastindex or 0))
        if _NO_ERROR.search(line) or not _looks_like_test(name, line):
            continue
        out[name] = OpenItem("failure", name, line, number, call, ref)
        if len(out) >= MAX_FAILURES_PER_RESULT:
            break
    return [
        OpenItem(i.kind, i.key, _with_assertion(i, text, list(out)), i.message, i.call, i.ref) for i in out.values()
    ]


def _looks_like_test(name: str, line: str) -> bool:
    """Returns whether a name is one of a test rather than of a log's service or a file."""
    return bool(re.search(r"test|spec|::|[✕✗✘×]|not ok|--- FAIL|^\s*FAIL", f"{name} {line}", re.IGNORECASE))


def _with_assertion(item: OpenItem, text: str, names: Sequence[str]) -> str:
    """Returns the line of a failed test with the error that stands nearest after a mention of the test."""
    if _ASSERTION.search(item.text):
        return item.text
    name = _short_name(item.key)
    at = text.find(name)
    while at >= 0:
        behind = text[at : at + 6_000]
        for found in _ASSERTION.finditer(behind):
            line = found[0].strip()
            between = behind[: found.start()]
            if (
                name in line
                or line in item.text
                or any(_short_name(n) in between[len(name) :] for n in names if n != item.key)
            ):
                break
            if re.match(r"(?:E\s+)?[\w.]*(?:Error|Exception)\b|E\s+assert|assert", line):
                return _cut(f"{item.text} | {line.removeprefix('E').strip()}")
        at = text.find(name, at + 1)
    return item.text


def _errors(text: str, number: int, call: str, ref: str) -> list[OpenItem]:
    out: dict[str, OpenItem] = {}
    for found in _ERROR_LINE.finditer(text):
        line = _line_at(text, found.start() + len(found[0]) - len(found[0].lstrip()))
        key = _VARIABLE.sub("0", line)[:80]
        if key in out or _NO_ERROR.search(line) or PLACEHOLDER_RE.search(line) or line.startswith("Traceback"):
            continue
        out[key] = OpenItem("error", key, line, number, call, ref)
    items = list(out.values())
    return items[: MAX_ERRORS_PER_RESULT - 1] + items[MAX_ERRORS_PER_RESULT - 1 :][-1:]


def _after_statement(items: list[OpenItem], slot: TextSlot, number: int) -> list[OpenItem]:
    out = list(items)
    starts = [*sentence_starts(slot.text), len(slot.text)]
    for start, end in pairwise(starts):
        sentence = slot.text[start:end].strip()
        if not 12 <= len(sentence) <= 500:
            continue
        about = _objects(sentence)
        kind = statement_kind(sentence)
        if says_done(sentence) and kind != "promise":
            out = [i for i in out if i.kind != "promise" or not about & _objects(i.text)]
        if not kind and about and _is_statement(sentence):
            kind = "said"
        if kind:
            if about and kind != "said":
                out = [i for i in out if i.kind != kind or len(about & _objects(i.text)) < 2]
            out = [i for i in out if i.text != sentence]
            out.append(OpenItem(kind, sentence[:80], _cut(sentence), number, "", compute_ref(slot.text)))
    return out


def _is_statement(sentence: str) -> bool:
    """Returns whether a sentence says what is so, rather than what the agent does next or asks."""
    if len(sentence) < MIN_STATEMENT_CHARS or sentence.endswith(("?", ":", "？", "：")):
        return False
    return classify_sentence(sentence) not in (ReasoningKind.PLAN, ReasoningKind.CONNECTIVE)


def _objects(sentence: str) -> frozenset[str]:
    return frozenset(found[0].strip(".").lower() for found in _OBJECT.finditer(sentence))


def _short_name(name: str) -> str:
    return re.split(r"::|/|\\", name)[-1]


def _line_at(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)]
    if len(line) > MAX_TEXT_CHARS:
        first = max(0, min(position - start - 40, len(line) - MAX_TEXT_CHARS))
        line = line[first : first + MAX_TEXT_CHARS]
    return line.strip()


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"

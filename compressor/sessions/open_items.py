"""Keeps track of what an agent has not finished: failing tests, errors, promises, and its decisions and causes found.

An item is open until a later result or sentence shows that it is resolved: a test that passes, by name or with all
others, the same call without the error, a sentence that says a promise is kept, a newer decision about the same thing.
Errors and failing tests are found by `failure_reports`, an agent's statements by phrases in eight languages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from compressor.context.model import TextSlot, Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.scoring.bm25 import weighted_terms
from compressor.sessions.failure_reports import FailureReport, read_failures, short_names
from compressor.sessions.statement_phrases import says_done, statement_kind
from compressor.text.reasoning_phrases import ReasoningKind, classify_sentence
from compressor.text.segmenters.sentences import split_sentences

MAX_TEXT_CHARS = 200  # of an item
MAX_ASKED_CHARS = 160  # of the call whose result says an item
MAX_ITEMS = 100  # that a session remembers
MIN_STATEMENT_CHARS = 24
#: From the most to the least important.
KINDS = ("failure", "promise", "cause", "decision", "error", "said")
MAX_ERRORS_PER_RESULT = 3
MAX_FAILURES_PER_RESULT = 8
MIN_SENTENCE_CHARS = 8
MAX_STATEMENT_CHARS = 100_000  # of a message of the agent that are searched: its beginning and its end
MIN_SAME_COMMAND = 0.7  # of the words of a shell command that failed: one that has them repeats it
MIN_SAME_WORDS = 0.6  # of the words of a promise or a decision: a sentence that has them is about the same
MAX_STEM_CHARS = 5  # of a word that is compared in other forms

_VARIABLE = re.compile(r"0x[0-9a-f]+|\d+")
_RUNNER = re.compile(
    r"\b(?:pytest|unittest|nose2|tox|nox|go test|cargo (?:nextest|test)|jest|vitest|mocha|playwright|(?:npm|yarn"
    r"|pnpm|bun)"
    r"(?: run)? test|mvn|gradlew?|rspec|rake|dotnet test|ctest|phpunit|mix test|swift test|bazel test|make)\b"
)
_SELECTED = re.compile(
    r"[^\s\"',]+::[^\s\"',]+|[^\s\"',=]+\.(?:py|[jt]sx?|rb|go|exs?|php|rs|java|kt|cs)\b|\.?/?\btests?/[^\s\"',]+"
    r"|\./(?!\.\.\.)[^\s\"',]+|(?:\s-(?:k|t|g|run|R|-filter|-grep|-testNamePattern)|-Dtest"
    r"|--tests)[ =]['\"\\]*[\w.*/-]+"
)
_SHELL_ARGUMENTS = re.compile(r"\{\s*\"(?:cmd|command|script|code|input)\"")
_COMMAND_WORD = re.compile(r"[\w./:@%+-]+")

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
        asked: The beginning of that call.
    """

    kind: str
    key: str
    text: str
    message: int
    call: str = ""
    ref: str = ""
    asked: str = ""

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
        return [self.kind, self.key, self.text, self.message, self.call, self.ref, self.asked]


def update_open_items(items: Sequence[OpenItem], turns: Iterable[tuple[int, Turn]]) -> list[OpenItem]:
    """Returns the items that are open after more turns.

    Args:
        items: The items that were open before.
        turns: Numbers and originals of the messages that are new, oldest first.
    """
    out = list(items)
    calls: dict[str, tuple[str, str]] = {}
    for number, turn in turns:
        for slot in turn.slots:
            if slot.kind == "tool_call" and slot.call_id:
                asked = f"{slot.name} {slot.text}"
                calls[slot.call_id] = (
                    compute_ref(asked),
                    " ".join(asked[: 2 * MAX_ASKED_CHARS].split())[:MAX_ASKED_CHARS],
                )
            elif slot.kind == "tool_result" and slot.text:
                out = _after_result(out, slot.text, number, *calls.get(slot.call_id or "", ("", "")))
            elif slot.kind == "assistant" and slot.text:
                out = _after_statement(out, slot, number)
        for call_id in set(turn.result_call_ids) - {slot.call_id for slot in turn.slots if slot.text}:
            out = _after_result(out, "", number, *calls.get(call_id, ("", "")))  # a command that prints nothing
    return _bounded(out)


def _bounded(items: list[OpenItem]) -> list[OpenItem]:
    """Returns at most `MAX_ITEMS`: plain statements and errors go before the others, and older ones first."""
    out = list(items)
    for kinds in (("said", "error"), KINDS):
        excess = len(out) - MAX_ITEMS
        dropped = {id(item) for item in [item for item in out if item.kind in kinds][: max(0, excess)]}
        out = [item for item in out if id(item) not in dropped]
    return out


def _after_result(items: list[OpenItem], text: str, number: int, call: str, asked: str) -> list[OpenItem]:
    report, ref = read_failures(text), compute_ref(text)
    out = [item for item in items if not _is_resolved(item, report, call, asked)]
    found = [
        OpenItem("failure", test.name[:MAX_TEXT_CHARS], _cut(test.line), number, call, ref, asked)
        for test in report.failed[:MAX_FAILURES_PER_RESULT]
    ]
    errors: dict[str, OpenItem] = {}
    for line in report.errors if not found else ():
        key = _VARIABLE.sub("0", line)[:80]
        errors.setdefault(key, OpenItem("error", key, _cut(line), number, call, ref, asked))
    listed = list(errors.values())
    for item in [*found, *listed[: MAX_ERRORS_PER_RESULT - 1], *listed[MAX_ERRORS_PER_RESULT - 1 :][-1:]]:
        out = [other for other in out if (other.kind, other.key) != (item.kind, item.key)]
        out.append(item)
    return out


def _is_resolved(item: OpenItem, report: FailureReport, call: str, asked: str) -> bool:
    """Returns whether a result shows that an item is resolved."""
    has_failed = bool(report.failed or report.errors)
    if item.kind == "failure":
        if any(test.name == item.key for test in report.failed):
            return False
        names = short_names(item.key)
        if names[0] in report.passed or not report.passed.isdisjoint(names[1:2]):
            return True
        return not has_failed and (bool(call and item.call == call) or (report.is_green and _covers(asked, item)))
    if item.kind == "error":
        return bool(call and item.call == call) or (not has_failed and bool(asked) and _repeats(asked, item.asked))
    if item.kind == "promise":
        return any(len(o) > 4 and o in name.lower() for o in _objects(item.text) for name in report.passed)
    return False


def _covers(asked: str, failure: OpenItem) -> bool:
    """Returns whether a run of tests without a failure includes a test that failed in an earlier one."""
    runners = [found[0] if (found := _RUNNER.search(text)) else text.split(" ")[0] for text in (asked, failure.asked)]
    if runners[0] != runners[1]:
        return False
    selected = [found[0].strip() for found in _SELECTED.finditer(asked)]
    said = f"{failure.key} {failure.text} {failure.asked}"
    return not selected or any(re.split(r"[ =]['\"\\]*", part)[-1].removeprefix("./") in said for part in selected)


def _repeats(asked: str, failed: str) -> bool:
    """Returns whether a call does again what a failed one tried: the same tool, in a shell the same command."""
    if not failed or asked.split(" ")[0] != failed.split(" ")[0]:
        return False
    if not _SHELL_ARGUMENTS.search(failed):
        return True
    old, new = (set(_COMMAND_WORD.findall(text)) for text in (failed, asked))
    return len(old & new) >= MIN_SAME_COMMAND * len(old)


def _after_statement(items: list[OpenItem], slot: TextSlot, number: int) -> list[OpenItem]:
    out, text = list(items), slot.text
    if len(text) > MAX_STATEMENT_CHARS:
        text = text[: MAX_STATEMENT_CHARS // 2] + "\n\n" + text[-MAX_STATEMENT_CHARS // 2 :]
    for sentence in split_sentences(text):
        if not MIN_SENTENCE_CHARS <= len(sentence) <= 500:
            continue
        kind = statement_kind(sentence)
        if kind != "promise" and says_done(sentence):
            out = [i for i in out if i.kind != "promise" or not _is_about(sentence, i.text)]
        if not kind and _is_statement(sentence):
            kind = "said"
        if kind:
            replaced = kind if kind != "said" else ""
            out = [i for i in out if i.text != sentence and not (i.kind == replaced and _replaces(sentence, i.text))]
            out.append(OpenItem(kind, sentence[:80], _cut(sentence), number, "", compute_ref(slot.text)))
    return out


def _is_statement(sentence: str) -> bool:
    """Returns whether a sentence says what is so about something with a name or a number."""
    if len(sentence) < MIN_STATEMENT_CHARS or sentence.endswith(("?", ":", "？", "：")) or not _objects(sentence):
        return False
    return classify_sentence(sentence) not in (ReasoningKind.PLAN, ReasoningKind.CONNECTIVE)


def _is_about(done: str, promise: str) -> bool:
    """Returns whether a sentence speaks of what a promise is about."""
    objects = _objects(promise)
    if objects:
        return bool(objects & _objects(done))
    words = _words(promise) - _FILLERS
    return bool(words) and len(words & _words(done)) >= MIN_SAME_WORDS * len(words)


def _replaces(new: str, old: str) -> bool:
    """Returns whether a statement is about all that an older one of its kind is about."""
    objects, words = _objects(old), _words(old)
    if objects:
        return len(objects & _objects(new)) >= max(2, MIN_SAME_WORDS * len(objects))
    return len(words & _words(new)) >= max(2, MIN_SAME_WORDS * len(words))


#: Words of a promise that do not say what it is about.
_FILLERS = frozenset(
    term[:MAX_STEM_CHARS]
    for term in weighted_terms(
        (
            ("come back later revisit still fails need remember todo finish once soon next end forget left", 1.0),
            ("ich auf komme zurück später noch offen erledigen schlägt fehl vergessen nachher", 1.0),
            ("je sur le la les plus reviendrai reviens tard reste faire échoue encore toujours oublier faudra", 1.0),
            ("queda volveré pendiente falta tarde adelante sigue fallando olvidar", 1.0),
            ("voltarei mais tarde falta ainda falha pendente esquecer", 1.0),
            ("позже вернусь осталось потом ещё нужно надо забыть падает", 1.0),
            ("稍后 再 处理 之后 回头 还需要 还没 后で 後で 直します 残って まだ 忘れずに", 1.0),
        )
    )
)


@lru_cache(maxsize=1024)
def _words(sentence: str) -> frozenset[str]:
    """Returns the words of a statement that say something, in any language."""
    return frozenset(term[:MAX_STEM_CHARS] for term in weighted_terms(((sentence, 1.0),)))


@lru_cache(maxsize=1024)
def _objects(sentence: str) -> frozenset[str]:
    return frozenset(found[0].strip(".").lower() for found in _OBJECT.finditer(sentence))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"

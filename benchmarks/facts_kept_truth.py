"""Finds what a recorded run itself proves to matter at each of its calls.

Nothing here looks at a method or asks a model: what users said, what later calls use again, what is still failing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.facts_kept_case import (
    Fact,
    assistant_indices,
    call_arguments,
    call_text,
    flat,
    half_of,
    neighbours,
    split_sentences,
)
from benchmarks.facts_kept_reuse import NEWEST_ROUNDS, ReusedFacts
from benchmarks.facts_kept_state import StateFacts
from benchmarks.runs_chains import Recorded
from benchmarks.tokens import Message, message_text
from compressor.text.segmenters import find_pasted_content

DECISION_GAP = 10  # calls between a sentence and the use of its words
MIN_WORDS = 5  # of a decision
FAILURE_LINES = 2
MAX_LINE = 300
#: A user's message of only such words is no instruction.
ACKNOWLEDGEMENTS = frozenset(
    "yes no ok okay thanks thank you sure go on ahead continue please proceed correct right great good fine yep yeah "
    "and that is all it done perfect nice next carry keep going for your help so much i appreciate works".split()
)
_DEMONSTRATION = "--- END OF DEMONSTRATION ---"
_CODE_LINE = re.compile(
    r"^(?:[>$#@*|+(){}\[\]<\-]|\d+[:.|]\S)|[;{}]$|\w\(.*\)|[=!]=|^\S+ = |^(?:from|import|def|class|return|File) |\S{60}"
)
_WORDS = re.compile(r"\w+")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*(?:[./:-]\w+)+|\w*_\w+|[a-z]+[A-Z]\w+|\w*\d\w*")
_FAILURE = re.compile(
    r"^(?:E\s{2,}\S.*|FAILED\b.*|FAIL: .*|ERROR: .*|(?:\w+\.)*\w*(?:Error|Exception)\b(?:: .*)?|.*\bfatal error\b.*"
    r"|.*: error: .*|[Ee]rror(?:\[\w+\])?: .*|- [EF]\d{3} .*|.*: command not found.*|.*: No such file or directory.*"
    r"|--- FAIL: .*|panic: .*)$",
    re.M,
)


class RecordedFacts:
    """Answers what matters at a call of a recorded run."""

    def __init__(self, recording: Recorded, sampled: Sequence[int]) -> None:
        """Reads the run. sampled: the calls at which everything is asked; `calls` also has those of re-used strings."""
        self.messages = recording.messages
        self._sampled = frozenset(sampled)
        self._reused = ReusedFacts(recording.messages, recording.starts, min(sampled, default=0))
        self.calls = sorted({*sampled, *self._reused.by_call})
        self._starts = recording.starts
        self._calls = assistant_indices(self.messages)
        self._rounds = [i for i, m in enumerate(self.messages) if m.get("tool_calls")]
        self._states = StateFacts(self.messages)
        self._users = [(i, own_sentences(message_text(m))) for i, m in enumerate(self.messages) if m["role"] == "user"]
        self._failures = failures(self.messages)
        self._decisions = decisions(self.messages, self._calls, self._starts)

    def at(self, call: int) -> list[Fact]:
        """Returns the facts before the assistant message with this index."""
        reused = self._reused.by_call.get(call, [])
        if call not in self._sampled:
            return reused
        start = max((s for s in self._starts if s < call), default=0)
        rounds = [i for i in self._rounds if i < call]
        recent = rounds[-NEWEST_ROUNDS] if len(rounds) >= NEWEST_ROUNDS else 0
        return [
            *self._said(call, start),
            *reused,
            *self._states.before(call, start),
            *(Fact("failures", x, query, a >= start) for a, b, x, query in self._failures if a < call <= b),
            *self._decided(call, start, recent),
        ]

    def _said(self, call: int, start: int) -> list[Fact]:
        before = [(i, sentences) for i, sentences in self._users if i < call]
        newest = {s: i for i, own in before for s in own}
        facts = [Fact("users", s, half_of(s), i >= start) for s, i in newest.items()]
        last = next(((i, own) for i, own in reversed(before) if not is_acknowledgement(own)), None)
        return facts + ([Fact("last", s, half_of(s), last[0] >= start) for s in last[1]] if last else [])

    def _decided(self, call: int, start: int, recent: int) -> list[Fact]:
        newest: dict[str, Fact] = {}
        for said, used, sentence, identifier in self._decisions:
            if said < recent and said < call <= used:
                newest[identifier] = Fact("decisions", sentence, half_of(sentence), said >= start, anchor=identifier)
        by_sentence = {fact.text: fact for fact in newest.values()}
        return list(by_sentence.values())


def own_sentences(text: str) -> list[str]:
    """Returns the sentences that a user wrote, without pasted material, demonstrations and lines of code."""
    text = text.rpartition(_DEMONSTRATION)[2]
    parts, at = [], 0
    for begin, end in find_pasted_content(text):
        parts.append(text[at:begin])
        at = end
    return [s for s in split_sentences("\n".join([*parts, text[at:]])) if not _CODE_LINE.search(s)]


def is_acknowledgement(sentences: Sequence[str]) -> bool:
    """Returns whether a user's message only says that the agent may go on."""
    return all(w.lower() in ACKNOWLEDGEMENTS for s in sentences for w in _WORDS.findall(s))


def failures(messages: Sequence[Message]) -> list[tuple[int, int, str, str]]:
    """Returns error lines with the indices at which they arise and are resolved, and the words beside them.

    A failure is resolved by the next result of the same command (of a shell) or tool (of others) without an error.
    """
    calls = {c["id"]: c for m in messages for c in m.get("tool_calls") or ()}
    open_failures: dict[str, tuple[int, list[tuple[str, str]]]] = {}
    out: list[tuple[int, int, str, str]] = []
    for i, message in enumerate(messages):
        call = calls.get(message.get("tool_call_id", "")) if message["role"] == "tool" else None
        if call is None:
            continue
        key = _failure_key(call)
        text = message_text(message)
        found = [flat(line)[:MAX_LINE] for line in _FAILURE.findall(text)]
        if (before := open_failures.pop(key, None)) is not None:
            out += [(before[0], i, line, query) for line, query in before[1]]
        if found:
            tests = [line for line in found if line.startswith(("FAIL", "---"))]
            lines = dict.fromkeys([*tests[:1], found[-1], *found])
            query = neighbours(found[-1], f"{call_text({'tool_calls': [call]})[:200]} {' '.join(found)[:300]}")
            open_failures[key] = i, [(line, query) for line in list(lines)[:FAILURE_LINES]]
    end = len(messages)
    out += [(begin, end, line, query) for begin, several in open_failures.values() for line, query in several]
    return sorted(out)


def _failure_key(call: Message) -> str:
    arguments = call_arguments(call)
    command = arguments.get("command") or arguments.get("cmd") or arguments.get("code")
    name = str(call["function"]["name"])
    if not isinstance(command, str):
        return f"{name} {arguments.get('path', '')}"
    return "edit" if command.startswith("edit ") else flat(command)


def decisions(
    messages: Sequence[Message], calls: Sequence[int], starts: Sequence[int]
) -> list[tuple[int, int, str, str]]:
    """Returns (said at, last used at, sentence, identifier) for the sentences whose identifiers are used again.

    The identifier must be used in the assistant's words or calls of the same task, at least `DECISION_GAP` calls after
    the sentence.
    """
    out = []
    for begin, end in zip(starts, [*starts[1:], len(messages)], strict=True):
        own = [i for i in calls if begin <= i < end]
        words = {i: _identifiers(f"{message_text(messages[i])}\n{call_text(messages[i])}") for i in own}
        last_used = {identifier: i for i in own for identifier in words[i]}
        for i, later in zip(own, own[DECISION_GAP:], strict=False):
            for sentence in split_sentences(messages[i].get("content") or ""):
                far = [x for x in _identifiers(sentence) if last_used[x] >= later]
                if far and len(sentence) <= MAX_LINE and len(sentence.split()) >= MIN_WORDS:
                    identifier = max(far, key=len)
                    out.append((i, last_used[identifier], sentence, identifier))
    return [found for found in out if not _CODE_LINE.search(found[2])]


def _identifiers(text: str) -> list[str]:
    return [word for word in _IDENTIFIER.findall(text) if len(word) >= 5]

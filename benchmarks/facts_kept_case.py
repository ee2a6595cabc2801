"""Holds what the ruler of kept facts asks: facts that are true at a call of a run, and the runs that they come from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from benchmarks.runs_chains import Recorded
from benchmarks.tokens import Message, message_text

#: Kinds of facts in the order of the table.
KINDS = {
    "users": "users' sentences",
    "last": "last instruction",
    "reused_1": "re-used at the next call",
    "reused_5": "re-used 5 calls later",
    "reused_20": "re-used 10 to 20 calls later",
    "read_20": "used at the next call, read 20 calls ago",
    "state_written": "newest state written",
    "state_read": "newest state read",
    "failures": "open failures",
    "decisions": "decisions used again",
    "rules": "newest rules",
    "lifted": "lifted rules",
    "promises": "promises",
}
#: Kinds that hold for the whole run. Of the others the table shows what belongs to the task at hand.
WHOLE_RUN = ("users", "last", "rules", "lifted", "promises")
WORD = re.compile(r"\w+")
_ASIAN = r"\u3040-\u30ff\u4e00-\u9fff"
_SENTENCE_END = re.compile(rf"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+|(?<=[{_ASIAN}])；")
_LETTERS = re.compile(rf"[{_ASIAN}]|[^\W\d_]{{2,}}")


@dataclass(frozen=True)
class Fact:
    """Something that an agent needs at a call.

    Attributes:
        kind: A key of `KINDS`.
        text: What must stand in the view, with single spaces.
        query: Words that stand beside it, for a search.
        current: Whether it belongs to the task at hand, not to an earlier task of the same run.
        anchor: If given, a line that holds this string and most words of `text` is enough.
        owner: What it is the state of, such as a file. Facts with one owner are judged together.
        outdated: Lines of earlier states of the owner. None of them may stand in a view without the newest state.
    """

    kind: str
    text: str
    query: str = ""
    current: bool = True
    anchor: str = ""
    owner: str = ""
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A run, and the facts at some of its calls.

    Attributes:
        group: The row of the table that the case belongs to.
        domain: Where it is from.
        recording: The run. It has no probes of its own.
        calls: The indices of the assistant messages at which facts are looked for.
        facts_at: Returns the facts at one of these calls.
    """

    group: str
    domain: str
    recording: Recorded
    calls: Sequence[int]
    facts_at: Callable[[int], list[Fact]] = field(repr=False)


def assistant_indices(messages: Sequence[Message]) -> list[int]:
    """Returns the indices of the messages that are answers to a request."""
    return [i for i, m in enumerate(messages) if m["role"] == "assistant" and i > 0]


def asked_calls(messages: Sequence[Message], number: int, start: float = 1 / 3) -> list[int]:
    """Returns `number` evenly spaced calls after the fraction `start` of the calls, and the last one."""
    calls = assistant_indices(messages)
    first = int(len(calls) * start)
    later = calls[first:]
    if not later:
        return []
    spaced = [later[k * len(later) // number] for k in range(min(number, len(later)))]
    return list(dict.fromkeys([*spaced, later[-1]]))


@lru_cache(maxsize=100_000)
def flat(text: str) -> str:
    """Returns a text with single spaces."""
    return " ".join(text.split())


def split_sentences(text: str) -> list[str]:
    """Splits a text of any language into sentences and lines, and leaves out those of fewer than two words."""
    parts = (flat(part) for part in _SENTENCE_END.split(text))
    return [part for part in parts if len(_LETTERS.findall(part)) >= 2 and len(part) >= 6]


def leaf_strings(value: Any) -> Iterator[str]:
    """Yields the strings in JSON data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaf_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaf_strings(item)


@lru_cache(maxsize=20_000)
def argument_text(arguments: str) -> str:
    """Returns the strings in a call's arguments, without JSON's escapes."""
    try:
        return "\n".join(leaf_strings(json.loads(arguments)))
    except ValueError:
        return arguments


def call_arguments(call: Any) -> dict[str, Any]:
    """Returns the arguments of a call; empty if they are not a JSON object."""
    try:
        found = json.loads(call["function"]["arguments"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def call_text(message: Message) -> str:
    """Returns the strings in the arguments of all calls of a message."""
    return "\n".join(argument_text(call["function"]["arguments"]) for call in message.get("tool_calls") or ())


def visible_text(messages: Sequence[Message]) -> str:
    """Returns what a reader of the messages sees, with the arguments of calls both as they stand and unescaped."""
    parts: list[str] = []
    for message in messages:
        parts.append(message_text(message))
        if message.get("tool_calls"):
            parts.append(call_text(message))
    return "\n".join(parts)


def neighbours(text: str, around: str, limit: int = 12) -> str:
    """Returns words of `around` that are not in `text`: what somebody knows who has forgotten the text itself."""
    own = {w.lower() for w in WORD.findall(text)}
    words = [w for w in WORD.findall(around) if len(w) > 2 and w.lower() not in own]
    return " ".join(dict.fromkeys(words[:limit]))


def half_of(sentence: str) -> str:
    """Returns every second word of a sentence: what somebody remembers of it."""
    words = [w for w in WORD.findall(sentence) if len(w) > 2]
    return " ".join(words[::2]) if len(words) > 2 else sentence[: len(sentence) // 2 + 1]

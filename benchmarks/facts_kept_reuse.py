"""Finds strings that a run reads in tool output and uses in a call much later: what it needs from its memory."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.data import sample
from benchmarks.facts_kept_case import Fact, assistant_indices, call_text, flat, neighbours
from benchmarks.tokens import Message, message_text

NEWEST_ROUNDS = 3  # what stands in these is no test of memory
#: Kind of fact: the request is so many calls before the one that uses the string; the most, and the least.
DISTANCES = {"reused_1": (0, 0), "reused_5": (4, 4), "reused_20": (19, 9)}
LONG_GAP = 20  # calls from the newest sight of a string to its use, for the kind "read_20", asked at the last request
MAX_FACTS = 60  # of a kind in a run
_CANDIDATE = re.compile(r"[\w./:@#-]{5,}")
_SPECIFIC = re.compile(r"[\d_/.@#]|[a-z][A-Z]")


class ReusedFacts:
    """Answers which strings a later call uses that were last seen outside the newest rounds.

    A string counts if it first occurs in a tool result of the same task, and nothing between the request and the call
    that uses it holds it, so that the agent must have it from what the request says.

    Attributes:
        by_call: The facts by the index of the assistant message that answers the request.
    """

    def __init__(self, messages: Sequence[Message], starts: Sequence[int], first: int) -> None:
        """Finds the facts. first: index of the first message at which is asked."""
        calls = assistant_indices(messages)
        found: dict[str, list[tuple[int, Fact]]] = {kind: [] for kind in (*DISTANCES, "read_20")}
        for step, text, seen in _uses(messages, starts):
            gap = bisect_left(calls, step) - bisect_left(calls, seen + 1)  # calls from the newest sight to the use
            for kind, (most, least) in DISTANCES.items():
                distance = min(most, gap - NEWEST_ROUNDS)
                index = bisect_left(calls, step) - distance
                if distance >= least and index >= 0 and calls[index] >= first:
                    fact = Fact(kind, flat(text), _beside(message_text(messages[seen]), text))
                    found[kind].append((calls[index], fact))
                    if kind == "reused_1" and gap >= LONG_GAP:
                        found["read_20"].append((calls[index], replace(fact, kind="read_20")))
        self.by_call: dict[int, list[Fact]] = {}
        for several in found.values():
            for call, fact in sample(several, MAX_FACTS):
                self.by_call.setdefault(call, []).append(fact)


def _uses(messages: Sequence[Message], starts: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """Yields (index of the message that uses it, string, index of the newest earlier message of the task with it)."""
    texts = [f"{message_text(m)}\n{call_text(m)}" if m.get("tool_calls") else message_text(m) for m in messages]
    for begin, end in zip(starts, [*starts[1:], len(messages)], strict=True):
        for step in range(begin, end):
            if not messages[step].get("tool_calls"):
                continue
            words = (w.strip(".:-") for w in _CANDIDATE.findall(call_text(messages[step])))
            for text in dict.fromkeys(w for w in words if len(w) >= 5 and _SPECIFIC.search(w)):
                seen = [i for i in range(begin, step) if text in texts[i]]
                if seen and messages[seen[0]]["role"] == "tool":
                    yield step, text, seen[-1]


def _beside(whole: str, text: str) -> str:
    at = whole.find(text)
    return neighbours(text, whole[max(0, at - 120) : at + len(text) + 60])

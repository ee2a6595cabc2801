"""Builds agent contexts of a given size from recorded sessions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Any

from benchmarks.data import records
from benchmarks.tokens import Message, message_text
from benchmarks.tokens import count as tokens

DIGIT_SHIFTS = [str.maketrans("0123456789", "".join(str((d + k) % 10) for d in range(10))) for k in range(10)]


def _numbered(message: Message, prefix: str, turn: int) -> Message:
    """Copies a message with unique call ids and, after the first pass over the sessions, other digits in its text."""

    def other(text: str) -> str:
        return text.translate(DIGIT_SHIFTS[turn]) if turn else text

    out = dict(message)
    if isinstance(out.get("content"), str):
        out["content"] = other(out["content"])
    if out.get("tool_calls"):
        out["tool_calls"] = [
            {
                **call,
                "id": prefix + call["id"],
                "function": {**call["function"], "arguments": other(call["function"]["arguments"])},
            }
            for call in out["tool_calls"]
        ]
    if "tool_call_id" in out:
        out["tool_call_id"] = prefix + out["tool_call_id"]
    return out


class ContextSource:
    """Supplies recorded rounds, no round twice; after all of them, the same rounds with other digits."""

    def __init__(self, root: Path) -> None:
        files = sorted((root / "sessions").glob("*.jsonl.gz"))
        mixed = chain.from_iterable(zip_longest(*(list(records(path)) for path in files)))
        self._sessions: list[Any] = [session for session in mixed if session is not None]
        self._rounds = self._all_rounds()

    def _all_rounds(self) -> Iterator[list[Message]]:
        """Yields groups of messages that are valid alone: an assistant's calls together with all of their results."""
        for turn in count():
            for number, session in enumerate(self._sessions):
                group: list[Message] = []
                open_calls: set[str] = set()
                for message in session["messages"][1:]:
                    message = _numbered(message, f"{turn}.{number}.", turn % 10)
                    group.append(message)
                    open_calls |= {call["id"] for call in message.get("tool_calls") or ()}
                    open_calls.discard(message.get("tool_call_id", ""))
                    if not open_calls:
                        yield group
                        group = []

    def context(self, size: int) -> list[Message]:
        """Returns a conversation of at least `size` tokens of text that ends with a tool result."""
        out: list[Message] = [{"role": "system", "content": "You are an agent. Work through the tasks you are given."}]
        have = 0
        for group in self._rounds:
            out += group
            have += sum(tokens(message_text(m)) for m in group)
            if have >= size and out[-1]["role"] == "tool":
                break
        return out

    def tool_round(self, min_tokens: int, max_tokens: int) -> list[Message]:
        """Returns the next call with its one result of `min_tokens` to `max_tokens`."""
        for group in self._rounds:
            if (
                len(group) == 2
                and group[1]["role"] == "tool"
                and min_tokens <= tokens(message_text(group[1])) <= max_tokens
            ):
                return group
        raise LookupError(f"the sessions have no tool result of {min_tokens} to {max_tokens} tokens")

"""Recorded sessions as runs: one each, or the tasks of one domain chained into runs of 60,000 tokens and more.

A chained run is one agent that works through task after task under one system prompt. Call ids get a prefix, probes
move along. Bills and compresses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import records, sample
from benchmarks.tokens import Message, count, message_text

LONG_RUN_TOKENS = 60_000  # tokens of text, cl100k


@dataclass(frozen=True)
class Recorded:
    """A run: `messages` as an agent had them at its end; `probes` by the index of the assistant message that used
    `atoms`, strings that it can only have read in tool output."""

    name: str
    messages: list[Message]
    probes: dict[int, list[str]]


def as_run(session: Any) -> Recorded:
    """One session as it is."""
    return Recorded(session["id"], session["messages"], _probes(session, 0))


def chain_sessions(sessions: Sequence[Any], min_tokens: int = LONG_RUN_TOKENS) -> list[Recorded]:
    """Sessions in order, joined until a run has `least` tokens; what is left over at the end is too short for one.

    Only the first session's system message stays: in these data every session of a domain has the same one.
    """
    runs: list[Recorded] = []
    messages: list[Message] = []
    probes: dict[int, list[str]] = {}
    size = 0
    for number, session in enumerate(sessions):
        given = session["messages"]
        skip = _skip(messages, given)
        probes.update(_probes(session, len(messages) - skip))
        part = [_renamed(m, f"t{number}-") for m in given[skip:]]
        messages += part
        size += sum(count(message_text(m)) for m in part)
        if size >= min_tokens:
            runs.append(Recorded(f"{session['id']} and before", messages, probes))
            messages, probes, size = [], {}, 0
    return runs


def join_sessions(sessions: Sequence[Any]) -> list[Message]:
    """All sessions as one run's messages, under the first one's system message."""
    messages: list[Message] = []
    for number, session in enumerate(sessions):
        given = session["messages"]
        messages += [_renamed(m, f"t{number}-") for m in given[_skip(messages, given) :]]
    return messages


def _skip(messages: list[Message], given: list[Message]) -> int:
    return 1 if messages and given[0]["role"] == "system" else 0


def read_runs(
    folder: Path, limit: int | None, min_tokens: int = LONG_RUN_TOKENS
) -> dict[str, tuple[list[Recorded], list[Recorded]]]:
    """By domain: the sessions (of each file at most `limit`, evenly spread) and the chained runs (at most `limit`)."""
    out = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        sessions = list(records(path))
        long = chain_sessions(sessions, min_tokens)
        short = [as_run(s) for s in sessions]
        out[path.name.removesuffix(".jsonl.gz")] = (
            sample(short, limit or len(short)),
            sample(long, limit or len(long)),
        )
    return out


def _probes(session: Any, shift: int) -> dict[int, list[str]]:
    return {p["step"] + shift: [atom["text"] for atom in p["atoms"]] for p in session["probes"]}


def _renamed(message: Message, prefix: str) -> Message:
    out = dict(message)
    if out.get("tool_calls"):
        out["tool_calls"] = [{**call, "id": prefix + call["id"]} for call in out["tool_calls"]]
    if out.get("tool_call_id"):
        out["tool_call_id"] = prefix + out["tool_call_id"]
    return out

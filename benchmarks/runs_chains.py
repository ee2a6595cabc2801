"""Turns recorded sessions into runs: one each, or the tasks of one domain chained into runs of at least 60,000 tokens.

A chained run is one agent that works through task after task under one system prompt. Call ids get a prefix, and the
indices of probes are shifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import records, sample
from benchmarks.tokens import Message, count, message_text

LONG_RUN_TOKENS = 60_000  # cl100k tokens of text


@dataclass(frozen=True)
class Recorded:
    """A run.

    Attributes:
        messages: The agent's messages at the end of the run.
        probes: By the index of an assistant message, the strings in it that it can only have read in tool output.
        starts: The indices of the messages with which its tasks begin.
    """

    name: str
    messages: list[Message]
    probes: dict[int, list[str]]
    starts: list[int] = field(default_factory=lambda: [0])


def as_run(session: Any) -> Recorded:
    """Returns one session as a run."""
    return Recorded(session["id"], session["messages"], _probes(session, 0))


def chain_sessions(sessions: Sequence[Any], min_tokens: int = LONG_RUN_TOKENS) -> list[Recorded]:
    """Joins sessions in order into runs of at least `min_tokens`; a shorter rest at the end is left out.

    Only the first session's system message stays: in these data every session of a domain has the same one.
    """
    runs: list[Recorded] = []
    messages: list[Message] = []
    probes: dict[int, list[str]] = {}
    starts: list[int] = []
    size = 0
    for number, session in enumerate(sessions):
        given = session["messages"]
        skip = _skip(messages, given)
        probes.update(_probes(session, len(messages) - skip))
        starts.append(len(messages))
        part = [renamed(m, f"t{number}-") for m in given[skip:]]
        messages += part
        size += sum(count(message_text(m)) for m in part)
        if size >= min_tokens:
            runs.append(Recorded(f"{session['id']} and before", messages, probes, starts))
            messages, probes, starts, size = [], {}, [], 0
    return runs


def join_sessions(sessions: Sequence[Any]) -> list[Message]:
    """Joins all sessions into one run's messages, with the first one's system message."""
    messages: list[Message] = []
    for number, session in enumerate(sessions):
        given = session["messages"]
        messages += [renamed(m, f"t{number}-") for m in given[_skip(messages, given) :]]
    return messages


def _skip(messages: list[Message], given: list[Message]) -> int:
    return 1 if messages and given[0]["role"] == "system" else 0


def read_runs(
    folder: Path, limit: int | None, min_tokens: int = LONG_RUN_TOKENS
) -> dict[str, tuple[list[Recorded], list[Recorded]]]:
    """Returns, by domain, the sessions and the chained runs; at most `limit` of each, evenly spread."""
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


def renamed(message: Message, prefix: str) -> Message:
    """Returns a message with a prefix before its call ids."""
    out = dict(message)
    if out.get("tool_calls"):
        out["tool_calls"] = [{**call, "id": prefix + call["id"]} for call in out["tool_calls"]]
    if out.get("tool_call_id"):
        out["tool_call_id"] = prefix + out["tool_call_id"]
    return out

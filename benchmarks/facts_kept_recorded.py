"""Reads recorded runs as cases: sessions with probes, and the runs of other agents in the same form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

from benchmarks.data import records, sample
from benchmarks.facts_kept_case import Case, Fact, asked_calls
from benchmarks.facts_kept_truth import RecordedFacts
from benchmarks.runs_chains import Recorded, chain_sessions, renamed
from benchmarks.tokens import Message

#: Name of a group of runs, tokens of a run, and tasks that the agent works on in turns.
CHAINS = (("60k", 60_000, 1), ("200k", 200_000, 1), ("60k, four tasks in turns", 60_000, 4))
TURN = 3  # calls
#: What is looked for where tasks take turns: the other kinds are about one task at a time.
MIXED_KINDS = ("reused_1", "reused_5", "reused_20", "read_20", "decisions")
ASKED = 10  # calls of a run at which facts are looked for, and the last one
_CODE = re.compile(r"```(?:python|sh|bash)?\n(.*?)```", re.S)


def recorded_cases(root: Path, limit: int | None, domains: Sequence[str] = ()) -> Iterator[Case]:
    """Yields the chained runs of every domain, at most `limit` of a domain and size."""
    for group, size, ways in CHAINS:
        for domain, read in sources(root).items():
            if domains and domain not in domains:
                continue
            sessions = interleave(read(), ways) if ways > 1 else read()
            chained = chain_sessions(sessions, size)
            for recording in sample(chained, limit or len(chained)):
                yield _case(group, domain, recording, ways == 1)


def interleave(sessions: Sequence[Any], ways: int) -> list[Any]:
    """Returns sessions in which an agent works on several of the given ones in turns of `TURN` calls.

    The recorded tasks are short; so a string that a task reads is used again many calls later.
    """
    out = []
    for first in range(0, len(sessions) - ways + 1, ways):
        several = sessions[first : first + ways]
        queues = [_turns(s["messages"], f"w{number}-") for number, s in enumerate(several)]
        turns = [turn for group in zip_longest(*queues) for turn in group if turn]
        messages = [m for turn in turns for m in turn]
        system = [m for m in messages if m["role"] == "system"][:1]
        messages = system + [m for m in messages if m["role"] != "system"]
        out.append({"id": several[-1]["id"], "messages": messages, "probes": []})
    return out


def _turns(messages: Sequence[Message], prefix: str) -> list[list[Message]]:
    """Cuts a session into turns of `TURN` calls. A turn ends before an assistant message, so rounds stay whole."""
    calls = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    cuts = [0, *calls[TURN::TURN], len(messages)]
    return [[renamed(m, prefix) for m in messages[a:b]] for a, b in pairwise(cuts) if b > a]


def sources(root: Path) -> dict[str, Callable[[], list[Any]]]:
    """Returns, by domain, what reads its sessions."""
    found: dict[str, Callable[[], list[Any]]] = {}
    for path in sorted((root / "sessions").glob("*.jsonl.gz")):
        found[path.name.removesuffix(".jsonl.gz")] = partial(_listed, path)
    for domain, convert in CONVERTERS.items():
        if paths := sorted((root / domain).glob("*.jsonl.gz")):
            found[domain] = partial(_converted, paths[0], convert)
    return found


def _listed(path: Path) -> list[Any]:
    return list(records(path))


def _converted(path: Path, convert: Callable[[Any], list[Message]]) -> list[Any]:
    runs = (convert(record) for record in records(path))
    return [
        {"id": f"{path.parent.name}-{i}", "messages": run, "probes": []} for i, run in enumerate(runs) if len(run) > 2
    ]


def _case(group: str, domain: str, recording: Recorded, everything: bool) -> Case:
    sampled = asked_calls(recording.messages, ASKED)
    facts = RecordedFacts(replace(recording, probes={}), sampled)

    @cache
    def at(call: int) -> list[Fact]:
        found = facts.at(call)
        return found if everything else [fact for fact in found if fact.kind in MIXED_KINDS]

    return Case(group, domain, replace(recording, probes={}), facts.calls, at)


def _call(number: int, content: str, name: str, arguments: dict[str, Any]) -> Message:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}],
    }


def _result(number: int, content: str) -> Message:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def convert_openhands(record: Any) -> list[Message]:
    """Returns the messages of an OpenHands run."""
    messages: list[Message] = []
    waiting: dict[str, int] = {}
    for event in record["history"]:
        given = event.get("tool_call_metadata")
        if event.get("action") == "system":
            messages.append({"role": "system", "content": event["args"]["content"]})
        elif event.get("source") == "user" and event.get("action") == "message":
            messages.append({"role": "user", "content": event["args"]["content"]})
        elif given and event.get("action") and given["tool_call_id"] not in waiting:
            answer = given["model_response"]["choices"][0]["message"]
            arguments = next(
                c["function"]["arguments"] for c in answer["tool_calls"] if c["id"] == given["tool_call_id"]
            )
            waiting[given["tool_call_id"]] = number = len(waiting)
            call = _call(number, answer.get("content") or "", given["function_name"], {})
            call["tool_calls"][0]["function"]["arguments"] = arguments
            messages += [call, _result(number, "")]
        elif given and event.get("observation") and given["tool_call_id"] in waiting:
            messages[-1]["content"] = event.get("content") or ""
    return messages


def convert_swe_agent(record: Any) -> list[Message]:
    """Returns the messages of an SWE-agent run: each action is a call of a shell."""
    messages: list[Message] = []
    number = 0
    for entry in record["history"] or ():
        content = entry["content"] if isinstance(entry["content"], str) else json.dumps(entry["content"])
        acted = bool(messages) and messages[-1].get("tool_calls")
        if entry["role"] in ("user", "tool") and acted:
            messages.append(_result(number, content))
            number += 1
        elif entry["role"] == "assistant" and entry.get("action"):
            messages.append(_call(number, entry.get("thought") or "", "shell", {"command": entry["action"]}))
        else:
            messages.append({"role": entry["role"], "content": content})
    if messages and messages[-1].get("tool_calls"):
        messages.pop()
    return messages


def convert_who_and_when(record: Any) -> list[Message]:
    """Returns the messages of a run of several agents, as one agent's: the terminal's output is a tool result."""
    messages: list[Message] = []
    for number, entry in enumerate(record["history"]):
        content = entry.get("content") or ""
        if not messages:
            messages.append({"role": "user", "content": content})
        elif "terminal" in str(entry.get("name") or entry.get("role")).lower() and messages[-1]["role"] == "assistant":
            before = messages.pop()["content"]
            code = "\n".join(_CODE.findall(before))
            messages += [_call(number, before, "run_code", {"code": code}), _result(number, content)]
        elif content.strip():
            messages.append({"role": "assistant", "content": content})
    return messages


CONVERTERS: dict[str, Callable[[Any], list[Message]]] = {
    "openhands": convert_openhands,
    "swe_agent": convert_swe_agent,
    "who_and_when": convert_who_and_when,
}

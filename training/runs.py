"""Recorded agent runs in one form: what the agent was told, called and read. Only sets whose licence lets weights made
from them ship: tau-bench, SWE-agent demonstrations, InterCode, OpenHands (MIT), Schema-Guided Dialogue (CC BY-SA 4.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import records

Message = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run in the OpenAI chat format. `task` is shared by all runs of a task: what is held out is whole tasks."""

    source: str
    task: str
    messages: list[Message]


def runs(folder: Path) -> Iterator[Run]:
    """Yields all runs of all sets, in a fixed order."""
    for name in ("airline_gpt4o_200", "retail_grok3"):
        domain = name.partition("_")[0]
        for r in records(folder / "tau_bench" / f"{name}.jsonl.gz"):
            yield Run(f"tau_{domain}", f"{domain}-{r['task_id']}", [_chat(m) for m in r["traj"]])
    for r in records(folder / "sessions" / "swe_demos.jsonl.gz"):
        yield Run("swe_demos", r["id"], r["messages"])
    for r in records(folder / "intercode" / "ic_sql_multiturn_gpt-4_10_turns.jsonl.gz"):
        yield Run("intercode", f"intercode-{r['task_id']}", _intercode(r))
    for r in records(folder / "sgd" / "sgd-train-subset.jsonl.gz"):
        yield Run("sgd", f"sgd-{r['dialogue_id']}", _sgd(r))
    for r in records(folder / "openhands" / "multi_swe_bench_example.jsonl.gz"):
        yield Run("openhands", r["instance_id"], _openhands(r))


def _chat(message: Message) -> Message:
    """The message without the fields that recordings add."""
    known = ("role", "content", "tool_calls", "tool_call_id", "name")
    return {k: v for k, v in message.items() if k in known and v is not None}


def call_message(number: int, name: str, arguments: Any, said: str = "") -> Message:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return {"role": "assistant", "content": said, "tool_calls": [call]}


def result_message(number: int, text: str) -> Message:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": text}


def _intercode(record: dict[str, Any]) -> list[Message]:
    out: list[Message] = [{"role": "user", "content": record["query"]}]
    turns = record["turn_history"]
    for i, (action, seen) in enumerate(zip(turns["actions"], turns["observations"], strict=True)):
        out += [call_message(i, "sql", {"query": action}), result_message(i, str(seen))]
    return out


def _sgd(record: dict[str, Any]) -> list[Message]:
    out: list[Message] = []
    calls = 0
    for turn in record["turns"]:
        if turn["speaker"] == "USER":
            out.append({"role": "user", "content": turn["utterance"]})
            continue
        for frame in turn["frames"]:
            if call := frame.get("service_call"):
                out.append(call_message(calls, call["method"], call["parameters"]))
                out.append(result_message(calls, json.dumps(frame.get("service_results", []))))
                calls += 1
        out.append({"role": "assistant", "content": turn["utterance"]})
    return out


def _openhands(record: dict[str, Any]) -> list[Message]:
    out: list[Message] = []
    calls: dict[int, int] = {}
    for event in record["history"]:
        content = event.get("content") or ""
        if event.get("action") == "message" and event.get("source") == "user":
            out.append({"role": "user", "content": event["message"]})
        elif "tool_call_metadata" in event and "action" in event:
            number = int(event["id"])
            calls[event["id"]] = number
            arguments = dict(event.get("args") or {})
            said = str(arguments.pop("thought", "") or "")
            out.append(call_message(number, event["tool_call_metadata"]["function_name"], arguments, said))
        elif event.get("cause") in calls and content:
            out.append(result_message(calls.pop(event["cause"]), content))
    open_calls = {f"call_{n}" for n in calls.values()}
    return [m for m in out if not any(c["id"] in open_calls for c in m.get("tool_calls", ()))]

"""Builds training examples from recorded agent runs: units of tool outputs with strings that later tool calls use.

tau-bench, SWE-agent's demonstrations and InterCode (MIT), Schema-Guided Dialogue (CC BY-SA 4.0). Every fifth task is
left out, by the hash of its id (`held_out`), so that a measure on those tasks tells something. Trains nothing.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from compressor.scoring.base import Query
from compressor.scoring.models.bundled_pruner import build_query_text
from compressor.scoring.query import LAST_ACTION, LAST_USER, TASK
from compressor.text.segmenters import segment_text
from training.data import records
from training.pruner_data import Document, Group

SHORTEST = 4  # characters of a string that is worth following
IDENTIFIER = re.compile(r"\b[A-Za-z_]\w{2,}\b")
TEXT = 1_400  # characters of a stretch of tool output

Message = dict[str, Any]


def held_out(task: str) -> bool:
    """Returns whether a task ("airline-4": set and task id) is held out for measuring, as one in five is."""
    return hashlib.sha256(task.encode()).digest()[0] % 5 == 0


def runs(folder: Path, rng: random.Random) -> list[Group]:
    """Returns all agent examples of the tasks that are not held out."""
    out: list[Group] = []
    for name, path in (("airline", "airline_gpt4o_200"), ("retail", "retail_grok3")):
        for r in records(folder / "tau_bench" / f"{path}.jsonl.gz"):
            if not held_out(f"{name}-{r['task_id']}"):
                out += list(_steps(r["traj"], "tau_bench", rng))
    for r in records(folder / "sessions" / "swe_demos.jsonl.gz"):
        if not held_out(r["id"]):
            out += list(_steps(r["messages"], "swe_demos", rng))
    out += list(_dialogues(folder, rng))
    out += list(_queries(folder, rng))
    return out


def _calls(message: Message) -> str:
    """The calls of an agent's message in the form of `SourceBlock.tool_call_text`."""
    return " ".join(f"{c['function']['name']} {c['function']['arguments']}" for c in message.get("tool_calls") or ())


def _strings(value: Any) -> Iterator[str]:
    """The leaves of a tool's arguments, and the words of shell commands among them."""
    if isinstance(value, dict):
        for v in value.values():
            yield from _strings(v)
    elif isinstance(value, list):
        for v in value:
            yield from _strings(v)
    elif isinstance(value, str) and " " in value:
        yield from (w.strip("'\"()[]{},;:") for w in value.split())
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _arguments(call: Message) -> list[str]:
    try:
        found = json.loads(call["function"]["arguments"])
    except ValueError:
        return []
    return [s for s in dict.fromkeys(_strings(found)) if len(s) >= SHORTEST]


def _steps(messages: Sequence[Message], source: str, rng: random.Random) -> Iterator[Group]:
    """Builds one example for each step that uses a string of earlier tool outputs."""
    uses: list[tuple[int, str]] = []
    for i, m in enumerate(messages):
        said = "\n".join(str(x.get("content") or "") + _calls(x) for x in messages[:i] if x["role"] != "tool")
        seen = "\n".join(str(x.get("content") or "") for x in messages[:i] if x["role"] == "tool")
        for call in m.get("tool_calls") or ():
            uses += [(i, s) for s in _arguments(call) if s in seen and s not in said]
    for step in sorted({i for i, _ in uses}):
        wanted = [s for i, s in uses if i >= step]
        good: list[Document] = []
        bad: list[Document] = []
        for i, m in enumerate(messages[:step]):
            if m["role"] != "tool":
                continue
            asked = next((_calls(x) for x in reversed(messages[:i]) if x.get("tool_calls")), "")
            document = _cut(str(m.get("content") or ""), asked, wanted, rng)
            if document is not None:
                (good if any(document.labels) else bad).append(document)
        if good:
            documents = (*good[-2:], *rng.sample(bad, min(1, len(bad))))
            yield Group(_query(messages[:step]), documents, source)


def _query(messages: Sequence[Message]) -> str:
    """The query that `build_query` makes of them: last user turn, last action, task."""
    users = [str(m["content"]) for m in messages if m["role"] == "user"]
    last = next((m for m in reversed(messages) if m["role"] == "assistant"), {})
    action = f"{last.get('content') or ''} {_calls(last)}".strip()
    return build_query_text(Query(((users[-1], LAST_USER), (action, LAST_ACTION), (users[0], TASK))))


def _cut(text: str, asked: str, wanted: Sequence[str], rng: random.Random) -> Document | None:
    """A part of a tool output, segmented as the package does, around a unit with one of the strings if there is one."""
    layout = segment_text(text[:20_000], asked)
    spans = layout.spans.tolist()
    if len(spans) < 2:
        return None
    labels = [any(w in layout.text[a:b] for w in wanted) for a, b in spans]
    hits = [i for i, x in enumerate(labels) if x]
    centre = rng.choice(hits) if hits else rng.randrange(len(spans))
    # Of a long output a stretch that begins somewhere before the centre, so that the hit stands anywhere in it.
    first, before = centre, TEXT * rng.random()
    while first and spans[centre][1] - spans[first - 1][0] < before:
        first -= 1
    last = first
    while last < len(spans) and spans[last][1] - spans[first][0] <= TEXT:
        last += 1
    start = spans[first][0]
    part = tuple((a - start, b - start) for a, b in spans[first:last])
    return Document(asked, layout.text[start : spans[last - 1][1]], part, tuple(labels[first:last])) if part else None


def _dialogues(folder: Path, rng: random.Random) -> Iterator[Group]:
    """SGD: values of service results which a later call of the dialogue is given."""
    for r in records(folder / "sgd" / "sgd-train-subset.jsonl.gz"):
        if held_out(f"sgd-{r['dialogue_id']}"):
            continue
        results: list[tuple[str, str]] = []
        user = task = ""
        for turn in r["turns"]:
            if turn["speaker"] == "USER":
                user = turn["utterance"]
                task = task or user
                continue
            for frame in turn["frames"]:
                call = frame.get("service_call")
                if call is None:
                    continue
                values = [str(v) for v in call["parameters"].values() if len(str(v)) >= SHORTEST]
                action = f"{call['method']} {json.dumps(call['parameters'])}"
                for asked, text in results[-2:]:
                    fresh = [v for v in values if v in text and v not in asked]
                    document = _cut(text, asked, fresh, rng) if fresh else None
                    if document is not None:
                        query = build_query_text(Query(((user, LAST_USER), (asked, LAST_ACTION), (task, TASK))))
                        yield Group(query, (document,), "sgd")
                if frame.get("service_results"):
                    results.append((action, json.dumps(frame["service_results"])))


def _queries(folder: Path, rng: random.Random) -> Iterator[Group]:
    """InterCode: names of tables and columns which a later SQL statement uses, first seen in the database's answers."""
    path = folder / "intercode" / "ic_sql_multiturn_gpt-4_10_turns.jsonl.gz"
    for r in records(path):
        if held_out(f"intercode-{r['task_id']}"):
            continue
        actions, answers = r["turn_history"]["actions"], r["turn_history"]["observations"]
        known = set(IDENTIFIER.findall(r["query"].lower()))
        for i, (action, answer) in enumerate(zip(actions[:4], answers, strict=False)):
            known |= set(IDENTIFIER.findall(str(action).lower()))
            later = {w for a in actions[i + 1 :] for w in IDENTIFIER.findall(str(a)) if w.lower() not in known}
            text = str(answer)
            wanted = sorted(w for w in later if re.search(rf"\b{w}\b", text))
            document = _cut(text, str(action), wanted, rng) if wanted else None
            if document is not None:
                yield Group(
                    build_query_text(Query(((r["query"], LAST_USER), (str(action), LAST_ACTION)))),
                    (document,),
                    "intercode",
                )

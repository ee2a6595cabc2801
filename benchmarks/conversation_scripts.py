"""Conversations of agents, written and recorded, in the forms of the three APIs, and a provider that plays its part.

A script says what the client adds before each request and what the model answers. Some answers ask for a text that was
cut, alone or beside a call of the client's. The provider answers by the script alone, so that two runs whose requests
are equal get equal answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import records, sample
from benchmarks.runs_chains import as_run

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
MODELS = {"chat": "gpt-4o", "responses": "gpt-5", "messages": "claude-sonnet-4-5"}
MAX_RECORDED_STEPS = 14
_REF = re.compile(r"cut ref (\d{12})")
_WORDS = "cache index shard worker queue batch offset cursor schema token lease region replica quota order node".split()
Message = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What the client adds, and what the model then answers.

    Attributes:
        user: What the user says, or "".
        results: Results of the last answer's calls, by call id.
        text: The model's text.
        calls: The ids of the model's calls of the client's tool.
        expand: "alone" or "beside" its other calls, if the model first asks for a cut text.
        back: How many steps the client goes back before it adds its messages, as after an edit.
    """

    user: str = ""
    results: tuple[tuple[str, str], ...] = ()
    text: str = "Go on."
    calls: tuple[str, ...] = ()
    expand: str = ""
    back: int = 0


@dataclass(frozen=True)
class Script:
    """A conversation: its API, system prompt, budget and steps. `tools` says whether the client has tools."""

    name: str
    api: str
    system: str
    budget: str
    steps: Sequence[Step]
    tools: bool = True


def written(number: int) -> Script:
    """Returns a conversation of an agent that reads logs, unlike those of other numbers."""
    rng = random.Random(number)
    api = list(PATHS)[number % 3]
    count = rng.randrange(6, 16)
    steps: list[Step] = []
    calls: tuple[str, ...] = ()
    for i in range(count):
        results = tuple((call, _log(rng, rng.choice((20, 60, 150)))) for call in calls)
        user = f"Case {number}: find out why step {i} of the import stopped." if i == 0 or not results else ""
        last = i == count - 1 or (i > 3 and rng.random() < 0.15)
        calls = () if last else tuple(f"call_{number}_{i}_{k}" for k in range(rng.choice((1, 1, 2))))
        expand = rng.choice(("", "", "", "alone", "beside" if calls else "alone")) if i > 1 else ""
        back = rng.choice((2, 3)) if i > 5 and user and rng.random() < 0.3 else 0
        text = f"Step {i}: I look at the {rng.choice(_WORDS)} of {rng.choice(_WORDS)}-{rng.randrange(999)}."
        steps.append(Step(user, results, text, calls, expand, back))
    budget = rng.choice(("6000", "9000", "14000", ""))
    return Script(f"written {number}", api, "You are an agent that looks after a service.", budget, steps)


def greeted(number: int) -> Script:
    """Returns one of many conversations that begin with the same words."""
    first = [Step("hi", text="Hello! What can I do for you?"), Step(f"Look at case {number}.", calls=("call_1",))]
    return Script(f"hi {number}", "chat", "You help.", "6000", [*first, *_tail(number)])


def long_run(number: int, turns: int) -> list[Step]:
    """Returns the steps of an agent that reads a log in every turn."""
    rng = random.Random(number)
    steps: list[Step] = []
    calls: tuple[str, ...] = ()
    for i in range(turns):
        results = tuple((call, _log(rng, rng.choice((20, 60, 150)))) for call in calls)
        calls = (f"call_{number}_{i}",) if i < turns - 1 else ()
        steps.append(
            Step("" if i else f"Case {number}: find out why the import stopped.", results, f"Step {i}.", calls)
        )
    return steps


def recorded(folder: Path, limit: int) -> list[Script]:
    """Returns recorded runs of agents, evenly spread over the files."""
    out = []
    for path in sorted((folder / "sessions").glob("*.jsonl.gz")):
        for session in sample(list(records(path)), max(1, limit // 3)):
            steps = _recorded_steps(as_run(session).messages)[:MAX_RECORDED_STEPS]
            out.append(Script(f"{path.stem} {session['id']}", "chat", "You are an agent.", "12000", steps))
    return out[:limit]


def _tail(number: int) -> list[Step]:
    rng = random.Random(number)
    return [
        Step(results=(("call_1", _log(rng, 150)),), text="I see.", calls=("call_2",)),
        Step(results=(("call_2", _log(rng, 150)),), text="Done.", expand="alone"),
        Step("Thanks. And the other one?", text="That one is fine."),
    ]


def _recorded_steps(messages: Sequence[Message]) -> list[Step]:
    """Returns the steps of a recorded chat. Only texts, call ids and results are kept."""
    steps: list[Step] = []
    user, results = "", []
    known: set[str] = set()
    for message in messages:
        content = message.get("content") or ""
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        if message["role"] == "user":
            user += text
        elif message["role"] == "tool" and message["tool_call_id"] in known:
            results.append((message["tool_call_id"], text))
        elif message["role"] == "assistant":
            calls = tuple(call["id"] for call in message.get("tool_calls") or ())
            known.update(calls)
            steps.append(Step(user, tuple(results), text or "Go on.", calls))
            user, results = "", []
    return steps


def _log(rng: random.Random, lines: int) -> str:
    return "\n".join(
        f"12:{rng.randrange(60):02d}:{rng.randrange(60):02d} {rng.choice(('INFO', 'INFO', 'INFO', 'ERROR'))} "
        f"{rng.choice(_WORDS)}-{rng.randrange(99)}: the {rng.choice(_WORDS)} {rng.choice(_WORDS)} took "
        f"{rng.randrange(9999)} ms"
        for _ in range(lines)
    )


# -- the client's side


def client_items(api: str, step: Step) -> list[Message]:
    """Returns what the client adds to its history."""
    out: list[Message] = []
    if api == "messages":
        blocks = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in step.results]
        user = [{"type": "text", "text": step.user}] if step.user else []
        return [{"role": "user", "content": [*blocks, *user]}]
    for id, text in step.results:
        if api == "chat":
            out.append({"role": "tool", "tool_call_id": id, "content": text})
        else:
            out.append({"type": "function_call_output", "call_id": id, "output": text})
    if step.user:
        out.append({"role": "user", "content": step.user})
    return out


def answer_items(api: str, answer: Message) -> list[Message]:
    """Returns what a client keeps of an answer."""
    if api == "chat":
        message = answer["choices"][0]["message"]
        kept = {"role": "assistant", "content": message["content"]}
        return [kept | ({"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {})]
    if api == "responses":
        return list(answer["output"])
    return [{"role": "assistant", "content": answer["content"]}]


def request_body(script: Script, history: list[Message]) -> Message:
    """Returns the client's request."""
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    tool: Message = {"name": "read_log", "description": "Reads a log."}
    body: Message = {"model": MODELS[script.api]}
    if script.api == "chat":
        body |= {"messages": [{"role": "system", "content": script.system}, *history]}
        tool = {"type": "function", "function": {**tool, "parameters": schema}}
    elif script.api == "responses":
        body |= {"instructions": script.system, "input": history, "store": False}
        tool = {"type": "function", **tool, "parameters": schema}
    else:
        body |= {"system": script.system, "max_tokens": 1000, "messages": history}
        tool = {**tool, "input_schema": schema}
    return body | ({"tools": [tool]} if script.tools else {})


# -- the provider's side


def provider_answer(api: str, step: Step, seen: bytes, is_first: bool) -> Message:
    """Returns the provider's answer to the first or a later request of a step."""
    refs = _REF.findall(seen.decode())
    has_tool = b'"expand_context"' in seen
    calls = [(id, "read_log", {"path": f"{id}.log"}) for id in step.calls]
    text = step.text
    if step.expand and is_first and refs and has_tool:
        asked = (f"expand_{len(seen)}", "expand_context", {"ref": refs[-1]})
        if step.expand == "beside" and calls:
            calls.append(asked)
        else:
            calls, text = [asked], "I look that up."
    return _WIRES[api](text, calls, len(seen) // 4)


def _chat(text: str, calls: list[tuple[str, str, Message]], tokens: int) -> Message:
    message: Message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for id, name, args in calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": tokens, "completion_tokens": 9, "total_tokens": tokens + 9}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "choices": [choice], "usage": usage}


def _responses(text: str, calls: list[tuple[str, str, Message]], tokens: int) -> Message:
    part = {"type": "output_text", "text": text, "annotations": []}
    output: list[Message] = [
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    ]
    output += [
        {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": json.dumps(args)}
        for id, name, args in calls
    ]
    usage = {"input_tokens": tokens, "output_tokens": 9, "total_tokens": tokens + 9}
    return {"id": "resp_1", "object": "response", "status": "completed", "output": output, "usage": usage}


def _messages(text: str, calls: list[tuple[str, str, Message]], tokens: int) -> Message:
    content: list[Message] = [{"type": "text", "text": text}]
    content += [{"type": "tool_use", "id": id, "name": name, "input": args} for id, name, args in calls]
    usage = {"input_tokens": tokens, "output_tokens": 9}
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return made | {"stop_reason": "tool_use" if calls else "end_turn", "usage": usage}


_WIRES = {"chat": _chat, "responses": _responses, "messages": _messages}


@dataclass
class Provider:
    """A provider on a free loopback port that answers by scripts; the header `x-replay` names script, step and try.

    Attributes:
        scripts: The scripts by name.
        seen: The bodies of the requests, by that header.
        port: The port.
    """

    scripts: dict[str, Script]
    seen: dict[str, list[bytes]] = field(default_factory=dict)
    port: int = 0

    async def start(self) -> None:
        """Begins to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Ends listening."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                name, step, _ = headers["x-replay"].split("|")
                bodies = self.seen.setdefault(headers["x-replay"], [])
                script = self.scripts[name]
                answer = provider_answer(script.api, script.steps[int(step)], body, not bodies)
                bodies.append(body)
                packed = json.dumps(answer).encode()
                front = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                writer.write(front % len(packed) + packed)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

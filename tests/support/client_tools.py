"""Provides a long tool result, and callers that hold a conversation through each of the three APIs.

A `Talk` does what a caller of an SDK does: it appends each answer to its history and sends the whole history again. It
reads streams event by event.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from support.scripted_server import Request, ScriptedServer

NEEDLE = "worker-3 gave up on order ORD-777123 with code E-4711 after 9 tries"
LOG = "\n".join(
    NEEDLE
    if i == 61
    else f"2026-01-{i % 28 + 1:02d} 10:{i % 60:02d}:07 worker-{i % 7} did {i * i * 7919 % 99991} of {i * 37:06d}"
    for i in range(150)
)
TASK = "Why did the import stop? Read the log."


def ref_in(request: Request) -> str:
    """Returns the first ref that the model can see."""
    found = re.findall(r"cut ref (\d{12})", json.dumps(request.messages, ensure_ascii=False))
    assert found, "nothing was cut"
    return str(found[0])


@dataclass
class Answer:
    """What the caller received.

    `calls` are (id, name, arguments), `pieces` the text deltas of a stream.
    """

    text: str
    calls: list[tuple[str, str, str]]
    usage: dict[str, Any]
    reason: str | None
    pieces: list[str] = field(default_factory=list)


class Talk:
    """Calls a synchronous client, or with a loop an asynchronous one."""

    def __init__(self, client: Any, loop: asyncio.AbstractEventLoop | None = None, **options: Any) -> None:
        self.client, self.loop, self.options = client, loop, options
        self.history: list[Any] = []
        self.tools: list[Any] = []
        self.begin()

    def begin(self) -> None:
        raise NotImplementedError

    def request(self, stream: bool) -> Any:
        """Returns the response of the client's method."""
        raise NotImplementedError

    def read(self, response: Any) -> Answer:
        """Reads a whole response into the history."""
        raise NotImplementedError

    def gather(self, events: list[Any]) -> Answer:
        """Reads a stream's events into the history."""
        raise NotImplementedError

    def result(self, call_id: str, text: str) -> None:
        raise NotImplementedError

    def say(self, text: str) -> None:
        self.history.append({"role": "user", "content": text})

    def ask(self, stream: bool = False) -> Answer:
        if self.loop is None:
            response = self.request(stream)
            return self.gather(list(response)) if stream else self.read(response)

        async def run() -> Any:
            response = await self.request(stream)
            return [event async for event in response] if stream else response

        got = self.loop.run_until_complete(run())
        return self.gather(got) if stream else self.read(got)

    def read_log(self, stream: bool = False) -> None:
        """The first round: the model asks for the log and gets it."""
        answer = self.ask(stream)
        assert [call[1] for call in answer.calls] == ["read_log"]
        self.result(answer.calls[0][0], LOG)


def finish(talk: Talk, stream: bool) -> list[str]:
    """Runs all tools that are called; returns their names."""
    called, answer = [], talk.ask(stream)
    while answer.calls:
        for call_id, name, _ in answer.calls:
            called.append(name)
            talk.result(call_id, "ok")
        answer = talk.ask(stream)
    return called


PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


class ChatTalk(Talk):
    """Chat completions."""

    def begin(self) -> None:
        self.tools = [
            {"type": "function", "function": {"name": "read_log", "description": "Reads", "parameters": PARAMETERS}}
        ]
        self.history = [{"role": "system", "content": "You are careful."}, {"role": "user", "content": TASK}]

    def request(self, stream: bool) -> Any:
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        tools = {"tools": self.tools} if self.tools else {}
        return self.client.chat.completions.create(
            model="gpt-4o", messages=self.history, **tools, **more, **self.options
        )

    def result(self, call_id: str, text: str) -> None:
        self.history.append({"role": "tool", "tool_call_id": call_id, "content": text})

    def read(self, response: Any) -> Answer:
        message = response.choices[0].message
        self.history.append(message)
        calls = [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()]
        return Answer(message.content or "", calls, response.usage.to_dict(), response.choices[0].finish_reason)

    def gather(self, events: list[Any]) -> Answer:
        assert len({chunk.id for chunk in events}) == 1 and len({chunk.created for chunk in events}) == 1
        roles = [c.delta.role for chunk in events for c in chunk.choices if c.delta.role]
        reasons = [c.finish_reason for chunk in events for c in chunk.choices if c.finish_reason]
        usages = [chunk.usage for chunk in events if chunk.usage]
        assert roles == ["assistant"] and len(reasons) == 1 and len(usages) == 1 and events[-1].usage
        pieces = [c.delta.content for chunk in events for c in chunk.choices if c.delta.content]
        calls: dict[int, list[str]] = {}
        for piece in [p for chunk in events for c in chunk.choices for p in c.delta.tool_calls or ()]:
            call = calls.setdefault(piece.index, [piece.id, piece.function.name, ""])
            call[2] += piece.function.arguments or ""
        assert sorted(calls) == list(range(len(calls)))
        found = [(i, name, arguments) for i, name, arguments in calls.values()]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(pieces) or None}
        if found:
            message["tool_calls"] = [
                {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in found
            ]
        self.history.append(message)
        return Answer("".join(pieces), found, usages[0].to_dict(), reasons[0], pieces)


class ResponsesTalk(Talk):
    """Responses."""

    def begin(self) -> None:
        self.tools = [{"type": "function", "name": "read_log", "description": "Reads", "parameters": PARAMETERS}]
        self.history = [{"role": "user", "content": TASK}]

    def request(self, stream: bool) -> Any:
        return self.client.responses.create(
            model="gpt-4o",
            instructions="You are careful.",
            input=self.history,
            tools=self.tools,
            stream=stream,
            **self.options,
        )

    def result(self, call_id: str, text: str) -> None:
        self.history.append({"type": "function_call_output", "call_id": call_id, "output": text})

    def read(self, response: Any) -> Answer:
        self.history += response.output
        calls = [(i.call_id, i.name, i.arguments) for i in response.output if i.type == "function_call"]
        return Answer(response.output_text, calls, response.usage.to_dict(), response.status)

    def gather(self, events: list[Any]) -> Answer:
        kinds = [event.type for event in events]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert kinds[:2] == ["response.created", "response.in_progress"] and kinds.count("response.created") == 1
        assert kinds[-1] == "response.completed" and kinds.count("response.completed") == 1
        done = [event for event in events if event.type == "response.output_item.done"]
        assert [event.output_index for event in done] == list(range(len(done)))
        final = events[-1].response
        assert [event.item.to_dict() for event in done] == [item.to_dict() for item in final.output]
        answer = self.read(final)
        answer.pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(answer.pieces) == answer.text
        return answer


class MessagesTalk(Talk):
    """Anthropic messages."""

    def begin(self) -> None:
        self.tools = [{"name": "read_log", "description": "Reads", "input_schema": PARAMETERS}]
        self.history = [{"role": "user", "content": TASK}]

    def request(self, stream: bool) -> Any:
        return self.client.messages.create(
            model="claude-sonnet-5",
            max_tokens=500,
            system="You are careful.",
            messages=self.history,
            tools=self.tools,
            stream=stream,
            **self.options,
        )

    def result(self, call_id: str, text: str) -> None:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
        self.history.append({"role": "user", "content": [block]})

    def read(self, response: Any) -> Answer:
        self.history.append({"role": "assistant", "content": response.content})
        calls = [(b.id, b.name, json.dumps(b.input)) for b in response.content if b.type == "tool_use"]
        text = "".join(block.text for block in response.content if block.type == "text")
        return Answer(text, calls, response.usage.to_dict(), response.stop_reason)

    def gather(self, events: list[Any]) -> Answer:
        kinds = [event.type for event in events]
        assert kinds[0] == "message_start" and kinds.count("message_start") == 1
        assert kinds[-2:] == ["message_delta", "message_stop"] and kinds.count("message_stop") == 1
        starts = [event for event in events if event.type == "content_block_start"]
        assert [event.index for event in starts] == list(range(len(starts)))
        blocks = [event.content_block.to_dict() for event in starts]
        bits = [""] * len(blocks)
        for event in events:
            if event.type == "content_block_delta":
                delta = event.delta
                if delta.type == "input_json_delta":
                    bits[event.index] += delta.partial_json
                else:
                    key = delta.type.removesuffix("_delta")
                    blocks[event.index][key] += getattr(delta, key)
        for block, text in zip(blocks, bits, strict=True):
            if block["type"] == "tool_use":
                block["input"] = json.loads(text or "{}")
        self.history.append({"role": "assistant", "content": blocks})
        calls = [(b["id"], b["name"], json.dumps(b["input"])) for b in blocks if b["type"] == "tool_use"]
        pieces = [e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta"]
        usage = events[0].message.usage.to_dict() | {k: v for k, v in events[-2].usage.to_dict().items() if v}
        return Answer("".join(pieces), calls, usage, events[-2].delta.stop_reason, pieces)


def plain_openai(server: ScriptedServer, kind: str = "OpenAI", **options: Any) -> Any:
    """Returns an OpenAI client of a scripted server, which is not wrapped."""
    import openai

    return getattr(openai, kind)(base_url=server.url + "/v1", api_key="any", **options)

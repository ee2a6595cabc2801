"""What the scripted server says and understands: replies in the three wire forms, and what a provider would refuse.

A `Reply` becomes one JSON answer or a list of stream events (`scripted_chat.py` and the others hold the wire forms);
`refusal` names what is wrong with a request's tool rounds or tool schemas. No HTTP here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """A tool call. arguments: a dict, or the very text to send. id: made from the request's number if not given."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    id: str | None = None

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Usage:
    """Tokens of one call: `prompt` counts all input, `cached` the part of it read from the prompt cache."""

    prompt: int
    cached: int
    completion: int


@dataclass(frozen=True)
class Reply:
    """One answer of the model: thinking, then text, then calls. breaks_after: stream events until the line drops."""

    text: str = ""
    calls: Sequence[Call] = ()
    thinking: str = ""
    usage: Usage | None = None
    breaks_after: int | None = None

    @property
    def size(self) -> int:
        return len(self.text) + len(self.thinking) + sum(len(c.name) + len(c.text) for c in self.calls)

    def ids(self, number: int) -> list[str]:
        return [call.id or f"call_{number}_{i}" for i, call in enumerate(self.calls)]


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "the script says so"
    headers: Mapping[str, str] = field(default_factory=lambda: {"retry-after-ms": "1"})


class Wire(Protocol):
    """One wire form."""

    end: str

    def conversation(self, body: dict[str, Any]) -> list[Any]: ...
    def tool(self, tool: dict[str, Any]) -> tuple[str, Any]: ...
    def pairs(self, body: dict[str, Any]) -> Iterator[list[tuple[str, str]]]: ...
    def whole(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> dict[str, Any]: ...
    def events(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> list[dict[str, Any]]: ...
    def sse(self, event: dict[str, Any]) -> str: ...
    def error(self, fail: Fail) -> dict[str, Any]: ...


def refusal(wire: Wire, body: dict[str, Any]) -> str | None:
    """What a provider would answer 400 for, or None: tool rounds that are not whole, schemas that are none."""
    open_calls: list[str] = []
    for step in wire.pairs(body):
        if open_calls and not any(kind == "result" for kind, _ in step):
            return f"tool calls without a result: {open_calls}"
        for kind, call_id in step:
            if kind == "call":
                open_calls.append(call_id)
            elif call_id not in open_calls:
                return f"a result for {call_id!r}, which no call waits for"
            else:
                open_calls.remove(call_id)
    if open_calls:
        return f"tool calls without a result: {open_calls}"
    names = []
    for tool in body.get("tools") or ():
        name, schema = wire.tool(tool)
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
            return f"no name of a tool: {name!r}"
        if not isinstance(schema, dict) or schema.get("type") != "object":
            return f"the schema of tool {name!r} is not an object's: {schema!r}"
        missing = set(schema.get("required") or ()) - set(schema.get("properties") or {})
        if missing:
            return f"the schema of tool {name!r} requires what it does not describe: {sorted(missing)}"
        names.append(name)
    return f"a tool's name twice: {names}" if len(set(names)) < len(names) else None


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def bits(text: str) -> list[str]:
    return [text[i : i + 3] for i in range(0, len(text), 3)] or [""]

"""Long runs of an agent, told once and played through every client; each request is kept as it was sent.

A run is a list of events. Clients that keep their own history (SDKs, sessions, the proxy) are sent the history of each
model call; agent frameworks are given the users' words and a model and tools that play the rest.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.context.formats import detect_format
from compressor.tokens import get_counter


@dataclass(frozen=True)
class User:
    """What the user says."""

    text: str


@dataclass(frozen=True)
class Said:
    """What the model answers at the end of a turn."""

    text: str


@dataclass(frozen=True)
class Step:
    """A tool call and its result; thinking: the model's before the call; words: the user's beside the result."""

    tool: str
    arguments: dict[str, Any]
    result: str
    thinking: str = ""
    words: str = ""


@dataclass(frozen=True)
class System:
    """A system message in the middle, such as a retrieved memory."""

    text: str


@dataclass(frozen=True)
class Raw:
    """Messages that only one provider has, by the form of the history."""

    messages: dict[str, list[Any]]


Event = User | Said | Step | System | Raw


@dataclass(frozen=True)
class Sent:
    """A request as it was sent."""

    messages: list[Any]
    tools: list[Any]
    model: str

    @property
    def text(self) -> str:
        """The messages as JSON."""
        return json.dumps(self.messages, ensure_ascii=False, default=str)

    @property
    def tokens(self) -> int:
        """The tokens of the messages and the tools, as our own counter has them."""
        context = detect_format(self.messages, self.tools).parse(self.messages, self.tools)
        return get_counter(self.model).count_context(context)


def log(seed: Any, lines: int = 26) -> str:
    """Returns a log of about a thousand tokens that depends only on the seed."""
    draw = random.Random(str(seed))
    words = "alpha river table node parser cache token index build module server request worker queue".split()
    return "\n".join(
        f"2026-03-{draw.randrange(10, 29)} 12:{draw.randrange(60):02}:{draw.randrange(60):02} "
        f"{draw.choice(('INFO', 'WARN', 'DEBUG'))} {' '.join(draw.choices(words, k=7))} id={draw.randrange(10**6):06x}"
        for _ in range(lines)
    )


def thought(seed: Any) -> str:
    """Returns reasoning of about six hundred tokens."""
    draw = random.Random(f"thought {seed}")
    nouns = "pump valve supplier contract price site engineer delivery warranty seal motor".split()
    return " ".join(
        f"The {draw.choice(nouns)} of option {draw.randrange(900)} depends on the {draw.choice(nouns)}, so I compare "
        f"it with the {draw.choice(nouns)}."
        for _ in range(24)
    )


def reads(start: int, stop: int, **more: Any) -> list[Step]:
    """Returns steps that read parts of something."""
    return [Step("read", {"part": n}, log(n), **more) for n in range(start, stop)]


def prefixes(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yields the history of each model call."""
    for i, event in enumerate(events, 1):
        if isinstance(event, (User, Step)) and (i == len(events) or not isinstance(events[i], System)):
            yield list(events[:i])


def to_chat(events: Sequence[Event]) -> list[Any]:
    """Returns a history as chat messages."""
    out: list[Any] = []
    for n, event in enumerate(events):
        if isinstance(event, Raw):
            out += event.messages.get("chat", ())
        elif isinstance(event, Step):
            function = {"name": event.tool, "arguments": json.dumps(event.arguments)}
            call = {"id": f"call_{n}", "type": "function", "function": function}
            own = {"reasoning_content": event.thinking} if event.thinking else {}
            out.append({"role": "assistant", "content": None, **own, "tool_calls": [call]})
            out.append({"role": "tool", "tool_call_id": f"call_{n}", "content": event.result})
            out += [{"role": "user", "content": event.words}] if event.words else []
        else:
            role = {User: "user", Said: "assistant", System: "system"}[type(event)]
            out.append({"role": role, "content": event.text})
    return out


def to_responses(events: Sequence[Event]) -> list[Any]:
    """Returns a history as items of the Responses API."""
    out: list[Any] = []
    for n, event in enumerate(events):
        if isinstance(event, Raw):
            out += event.messages.get("responses", ())
        elif isinstance(event, Step):
            if event.thinking:
                summary = [{"type": "summary_text", "text": event.thinking}]
                out.append({"type": "reasoning", "id": f"rs_{n}", "summary": summary, "encrypted_content": "c2VhbA=="})
            arguments = json.dumps(event.arguments)
            call = {"type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": event.tool}
            out.append({**call, "arguments": arguments})
            out.append({"type": "function_call_output", "call_id": f"call_{n}", "output": event.result})
            out += [{"role": "user", "content": event.words}] if event.words else []
        else:
            role = {User: "user", Said: "assistant", System: "developer"}[type(event)]
            out.append({"role": role, "content": event.text})
    return out


def to_anthropic(events: Sequence[Event]) -> list[Any]:
    """Returns a history as Anthropic messages."""
    out: list[Any] = []
    for n, event in enumerate(events):
        if isinstance(event, Raw):
            out += event.messages.get("anthropic", ())
        elif isinstance(event, Step):
            block = {"type": "thinking", "thinking": event.thinking, "signature": f"sig{n}"}
            call = {"type": "tool_use", "id": f"call_{n}", "name": event.tool, "input": event.arguments}
            result = {"type": "tool_result", "tool_use_id": f"call_{n}", "content": event.result}
            words = {"type": "text", "text": event.words}
            out.append({"role": "assistant", "content": [*([block] if event.thinking else []), call]})
            out.append({"role": "user", "content": [result, *([words] if event.words else [])]})
        else:
            out.append({"role": "assistant" if isinstance(event, Said) else "user", "content": event.text})
    return out


SCHEMA = {"type": "object", "properties": {}, "additionalProperties": True}


def tools_of(events: Sequence[Event], form: str) -> list[dict[str, Any]]:
    """Returns the schemas of the tools of a run."""
    names = list(dict.fromkeys(event.tool for event in events if isinstance(event, Step)))
    if form == "anthropic":
        return [{"name": name, "description": name, "input_schema": SCHEMA} for name in names]
    functions = [{"name": name, "description": name, "parameters": SCHEMA} for name in names]
    if form == "responses":
        return [{"type": "function", **function} for function in functions]
    return [{"type": "function", "function": function} for function in functions]

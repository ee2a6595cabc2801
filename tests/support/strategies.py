"""Hypothesis strategies for valid contexts in every dialect, and the tool outputs in them.

    from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

Each gives a strategy for a list of messages: a conversation with text, images, tool rounds (parallel calls, results in
any order, an open round at the end at times), unicode and keys nobody knows. One script is drawn first and then written
in the dialect, so that all of them cover the same ground. `langchain_contexts` needs langchain-core when drawn from.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from support.property_tests import st

Message = dict[str, Any]
TOOLS = ("read_file", "search_flights", "bash", "get_user_details", "наличие")


def png(width: int, height: int) -> str:
    """A valid white grayscale PNG as base64 text."""
    rows = zlib.compress((b"\0" + b"\xff" * width) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


PICTURES = {size: png(*size) for size in ((1, 1), (64, 48), (200, 300))}

texts = st.one_of(
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        (
            "Book flight HAT204 on 2024-05-20, not the red-eye; id 550e8400-e29b-41d4-a716-446655440000.",
            "Почему падает тест? 请修复 tests/test_api.py 🙂 e\u0301",
            "\x1b[31mERROR\x1b[0m\r\nnul: \x00 tab:\t end",
            "Fix it.\n\n```python\ndef f(x):\n    return x + 1\n```\n",
        )
    ),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(st.text(min_size=1, max_size=8), json_values, max_size=3)
extra_keys: st.SearchStrategy[Message] = st.sampled_from(
    ({}, {}, {"x_trace": {"span": "a1", "n": [1, None]}}, {"vendor.flag": False})
)


@st.composite
def tool_outputs(draw: st.DrawFn) -> str:
    """What tools give back: JSON records, logs, code, search results, tables, or any text; at most some 6 KB."""
    n = draw(st.integers(1, 25))
    start = draw(st.integers(0, 10**6))
    ids = range(start, start + n)
    shape = draw(st.sampled_from(("records", "log", "code", "grep", "csv", "text", "empty object")))
    if shape == "records":
        rows = [
            {"id": f"ID{i}", "price": i / 4, "note": None if i % 3 else "", "seats": {"economy": i % 7}} for i in ids
        ]
        return json.dumps(rows, indent=draw(st.sampled_from((None, 2))))
    if shape == "log":
        return "\n".join(
            f"2024-05-15 15:00:{i % 60:02d} {'INFO' if i % 11 else 'ERROR'} worker-{i % 4}: job {i} took {i % 97} ms"
            for i in ids
        )
    if shape == "code":
        return "import os\n\n" + "\n".join(f"def step_{i}(x):\n    # add\n    return x + {i}\n" for i in ids)
    if shape == "grep":
        return "\n".join(f"src/pkg/module_{i % 3}.py:{i}:    raise ValueError({i})" for i in ids)
    if shape == "csv":
        return "name,qty,price\n" + "\n".join(f"item {i},{i % 9},{i}.50" for i in ids)
    return "{}" if shape == "empty object" else draw(texts)


@dataclass
class Piece:
    """A part of a message: a text, or an image by its size."""

    text: str = ""
    image: tuple[int, int] | None = None


@dataclass
class Call:
    id: str
    name: str
    arguments: dict[str, Any]
    result: str | list[Piece] | None  # None: still open


@dataclass
class Step:
    """A message of a conversation; an assistant's step carries its tool calls and their results."""

    role: str
    content: str | list[Piece] | None
    calls: list[Call] = field(default_factory=list)
    answered: list[Call] = field(default_factory=list)  # in the order the results come in
    extra: dict[str, Any] = field(default_factory=dict)


_pieces = st.lists(
    st.one_of(
        st.builds(Piece, text=texts),
        st.builds(Piece, text=texts),
        st.builds(Piece, image=st.sampled_from(sorted(PICTURES))),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def scripts(draw: st.DrawFn) -> list[Step]:
    """A conversation, in no dialect yet. The first user message is always there."""
    steps = []
    if draw(st.booleans()):
        steps.append(Step("system", draw(texts), extra=draw(extra_keys)))
    turns = draw(st.integers(1, 4))
    number = 0
    for turn in range(turns):
        steps.append(Step("user", draw(texts | _pieces), extra=draw(extra_keys)))
        for _ in range(draw(st.integers(0, 2))):
            calls = []
            for _ in range(draw(st.integers(1, 3))):
                number += 1
                result = draw(tool_outputs() | tool_outputs() | _pieces)
                calls.append(Call(f"call_{number}", draw(st.sampled_from(TOOLS)), draw(arguments), result))
            answered = draw(st.permutations(calls))
            steps.append(Step("assistant", draw(st.none() | texts), calls, answered, draw(extra_keys)))
        last = turn == turns - 1
        if last and steps[-1].calls and draw(st.booleans()):
            open_round = steps[-1]
            open_round.answered = open_round.answered[: draw(st.integers(0, len(open_round.calls)))]
        elif not last or draw(st.booleans()):
            steps.append(Step("assistant", draw(texts), extra=draw(extra_keys)))
    return steps


def _data_url(size: tuple[int, int]) -> str:
    return f"data:image/png;base64,{PICTURES[size]}"


def _texts_only(content: str | list[Piece] | None) -> str | list[Piece] | None:
    return [piece for piece in content if piece.image is None] if isinstance(content, list) else content


@st.composite
def openai_chat_contexts(draw: st.DrawFn) -> list[Message]:
    """OpenAI chat completions."""

    def content(given: str | list[Piece] | None) -> Any:
        if not isinstance(given, list):
            return given
        parts: list[Message] = []
        for piece in given:
            if piece.image is None:
                parts.append({"type": "text", "text": piece.text})
            else:
                detail = draw(st.sampled_from(({}, {"detail": "low"}, {"detail": "high"})))
                parts.append({"type": "image_url", "image_url": {"url": _data_url(piece.image), **detail}})
        return parts

    messages: list[Message] = []
    for step in draw(scripts()):
        role = draw(st.sampled_from(("system", "developer"))) if step.role == "system" else step.role
        message: Message = {"role": role, "content": content(step.content), **step.extra}
        if draw(st.booleans()):
            message["name"] = "agent_1"
        if step.calls:
            message["tool_calls"] = []
            for call in step.calls:
                if draw(st.integers(0, 4)):
                    body = {"name": call.name, "arguments": json.dumps(call.arguments)}
                    message["tool_calls"].append({"id": call.id, "type": "function", "function": body})
                else:
                    body = {"name": call.name, "input": draw(texts)}
                    message["tool_calls"].append({"id": call.id, "type": "custom", "custom": body})
        elif role == "assistant" and draw(st.integers(0, 9)) == 0:
            message["refusal"] = "I can't help with that."
        messages.append(message)
        for call in step.answered:
            result = content(_texts_only(call.result))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result, **draw(extra_keys)})
    return messages


@st.composite
def responses_contexts(draw: st.DrawFn) -> list[Message]:
    """OpenAI Responses input items."""

    def content(given: str | list[Piece] | None, text_type: str = "input_text") -> Any:
        if not isinstance(given, list):
            return given
        return [
            {"type": text_type, "text": piece.text}
            if piece.image is None
            else {"type": "input_image", "image_url": _data_url(piece.image), "detail": "auto"}
            for piece in given
        ]

    items: list[Message] = []
    for n, step in enumerate(draw(scripts())):
        given = step.content
        if step.role == "assistant" and draw(st.booleans()):
            summary = [{"type": "summary_text", "text": draw(texts)}] if draw(st.booleans()) else []
            items.append({"type": "reasoning", "id": f"rs_{n}", "summary": summary, "encrypted_content": "gAAAAAB=="})
        if given is not None and step.role == "assistant":
            parts = [{"type": "output_text", "text": given, "annotations": []}]
            items.append(
                {"type": "message", "id": f"msg_{n}", "status": "completed", "role": "assistant", "content": parts}
                | step.extra
            )
        elif given is not None:
            role = draw(st.sampled_from(("system", "developer"))) if step.role == "system" else step.role
            typed = draw(st.sampled_from(({}, {"type": "message"})))
            items.append({**typed, "role": role, "content": content(given), **step.extra})
        if draw(st.integers(0, 9)) == 0:
            action = {"type": "search", "query": "x"}
            items.append({"type": "web_search_call", "id": f"ws_{n}", "status": "completed", "action": action})
        custom = {call.id for call in step.calls if draw(st.integers(0, 4)) == 0}
        for call in step.calls:
            if call.id in custom:
                held = {"type": "custom_tool_call", "input": draw(texts)}
            else:
                held = {"type": "function_call", "id": f"fc_{call.id}", "arguments": json.dumps(call.arguments)}
            items.append({**held, "call_id": call.id, "name": call.name})
        for call in step.answered:
            kind = "custom_tool_call_output" if call.id in custom else "function_call_output"
            items.append({"type": kind, "call_id": call.id, "output": content(call.result), **draw(extra_keys)})
    if not any(item.get("type") for item in items):  # otherwise it would be plain chat
        items[0]["type"] = "message"
    return items


@st.composite
def anthropic_contexts(draw: st.DrawFn) -> list[Message]:
    """Anthropic messages, a system message in front at times."""

    def cache() -> Message:
        return {"cache_control": {"type": "ephemeral"}} if draw(st.integers(0, 5)) == 0 else {}

    def blocks(given: list[Piece]) -> list[Message]:
        made: list[Message] = []
        for piece in given:
            if piece.image is None:
                made.append({"type": "text", "text": piece.text, **cache()})
            else:
                source = {"type": "base64", "media_type": "image/png", "data": PICTURES[piece.image]}
                made.append({"type": "image", "source": source, **cache()})
        return made

    messages: list[Message] = []
    for step in draw(scripts()):
        body: Any = step.content
        if isinstance(body, list):
            body = blocks(body)
            if draw(st.integers(0, 4)) == 0:
                source = {"type": "text", "media_type": "text/plain", "data": draw(tool_outputs())}
                body.append({"type": "document", "source": source, "title": "Report", **cache()})
        elif step.role == "assistant" and (step.calls or draw(st.booleans())):
            thought = draw(st.integers(0, 2))
            text, body = body, []
            if thought == 1:
                body.append({"type": "thinking", "thinking": draw(texts), "signature": "EqQBCg=="})
            elif thought == 2:
                body.append({"type": "redacted_thinking", "data": "EmwKAhgB"})
            if text is not None:
                body.append({"type": "text", "text": text})
            body += [
                {"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments, **cache()} for c in step.calls
            ]
        messages.append({"role": step.role, "content": body, **step.extra})
        results: list[Message] = []
        for call in step.answered:
            held: Any = blocks(call.result) if isinstance(call.result, list) else call.result
            error = draw(st.sampled_from(({}, {}, {"is_error": True})))
            results.append({"type": "tool_result", "tool_use_id": call.id, "content": held, **error, **cache()})
        if results:
            complete = len(results) == len(step.calls)
            if complete and draw(st.integers(0, 4)) == 0:
                results.append({"type": "text", "text": draw(texts)})
            messages.append({"role": "user", "content": results})
    if isinstance(messages[0]["content"], str):  # otherwise it might be plain chat
        messages[0]["content"] = [
            {"type": "text", "text": messages[0]["content"], "cache_control": {"type": "ephemeral"}}
        ]
    return messages


@st.composite
def langchain_contexts(draw: st.DrawFn) -> list[Any]:
    """LangChain messages."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    def content(given: str | list[Piece] | None) -> Any:
        if not isinstance(given, list):
            return given or ""
        made: list[Any] = []
        for piece in given:
            if piece.image is None:
                made.append(draw(st.sampled_from((piece.text, {"type": "text", "text": piece.text}))))
            elif draw(st.booleans()):
                made.append({"type": "image", "base64": PICTURES[piece.image], "mime_type": "image/png"})
            else:
                made.append({"type": "image_url", "image_url": {"url": _data_url(piece.image)}})
        return made

    messages: list[Any] = []
    for n, step in enumerate(draw(scripts())):
        common: dict[str, Any] = {"id": f"m{n}", "additional_kwargs": dict(step.extra)}
        if step.role == "system":
            messages.append(SystemMessage(content(step.content), **common))
        elif step.role == "user":
            messages.append(HumanMessage(content(step.content), name=draw(st.sampled_from((None, "bob"))), **common))
        else:
            given: Any = content(step.content)
            as_blocks = draw(st.booleans())
            if step.calls and as_blocks:
                given = [{"type": "reasoning", "reasoning": draw(texts)}, {"type": "text", "text": given or "."}]
                given += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in step.calls]
            calls = [{"type": "tool_call", "id": c.id, "name": c.name, "args": c.arguments} for c in step.calls]
            usage = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
            made = AIMessage(
                given, tool_calls=calls, usage_metadata=usage, response_metadata={"finish_reason": "stop"}, **common
            )
            messages.append(made)
        for call in step.answered:
            status = draw(st.sampled_from(("success", "error")))
            held = content(call.result)
            messages.append(
                ToolMessage(held, tool_call_id=call.id, name=call.name, status=status, artifact={"raw": [n]})
            )
    return messages

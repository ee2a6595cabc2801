"""Made-up agent runs with screenshots, in the message format of each provider."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from compressor.context.formats import detect_format
from compressor.context.model import Context
from support.strategies import png

FORMATS = ("openai_chat", "openai_responses", "anthropic", "langchain")


class ScreenStep(NamedTuple):
    """One call of an agent and its result."""

    tool: str
    arguments: dict[str, Any]
    text: str = ""
    has_image: bool = True
    words: str = ""


def screen_run(
    steps: Sequence[ScreenStep],
    format_name: str,
    task: str = "Go on.",
    after: str = "",
    size: tuple[int, int] = (1280, 800),
) -> Context:
    """Returns a run as a parsed context.

    Args:
        steps: What the agent does.
        format_name: The message format. OpenAI chat has the image in a user message after the result.
        task: What the user asks first.
        after: What the user says at the end; "" for nothing.
        size: The size of the screenshots.
    """
    write = {
        "openai_chat": _chat, "openai_responses": _responses, "anthropic": _anthropic, "langchain": _langchain,
    }[format_name]  # fmt: skip
    return parse_run(write(steps, task, after, png(*size)))


def parse_run(messages: Sequence[Any], tools: Sequence[Any] | None = None) -> Context:
    """Returns parsed messages."""
    return detect_format(messages, tools).parse(messages, tools)


def chat_image(size: tuple[int, int] = (1280, 800)) -> dict[str, Any]:
    """Returns an image part of OpenAI chat."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(*size)}"}}


def shown(*parts: str | dict[str, Any]) -> dict[str, Any]:
    """Returns a user message of OpenAI chat with texts and images."""
    return {"role": "user", "content": [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]}


def said(text: str) -> dict[str, Any]:
    """Returns an assistant message."""
    return {"role": "assistant", "content": text}


def _chat(steps: Sequence[ScreenStep], task: str, after: str, data: str) -> list[Any]:
    out: list[Any] = [{"role": "user", "content": task}]
    for i, step in enumerate(steps):
        function = {"name": step.tool, "arguments": json.dumps(step.arguments)}
        calls = [{"id": f"c{i}", "type": "function", "function": function}]
        out.append({"role": "assistant", "content": step.words or None, "tool_calls": calls})
        out.append({"role": "tool", "tool_call_id": f"c{i}", "content": step.text or "ok"})
        if step.has_image:
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
            out.append({"role": "user", "content": [image]})
    return out + ([said("Done."), {"role": "user", "content": after}] if after else [])


def _responses(steps: Sequence[ScreenStep], task: str, after: str, data: str) -> list[Any]:
    out: list[Any] = [{"role": "user", "content": task}]
    for i, step in enumerate(steps):
        if step.words:
            out.append({"role": "assistant", "content": [{"type": "output_text", "text": step.words}]})
        arguments = json.dumps(step.arguments)
        out.append({"type": "function_call", "call_id": f"c{i}", "name": step.tool, "arguments": arguments})
        parts: list[Any] = [{"type": "input_text", "text": step.text}] if step.text else []
        if step.has_image:
            parts.append({"type": "input_image", "image_url": f"data:image/png;base64,{data}"})
        out.append({"type": "function_call_output", "call_id": f"c{i}", "output": parts})
    return out + ([said("Done."), {"role": "user", "content": after}] if after else [])


def _anthropic(steps: Sequence[ScreenStep], task: str, after: str, data: str) -> list[Any]:
    out: list[Any] = [{"role": "user", "content": task}]
    for i, step in enumerate(steps):
        words = [{"type": "text", "text": step.words}] if step.words else []
        call = {"type": "tool_use", "id": f"c{i}", "name": step.tool, "input": step.arguments}
        out.append({"role": "assistant", "content": [*words, call]})
        parts: list[Any] = [{"type": "text", "text": step.text}] if step.text else []
        if step.has_image:
            source = {"type": "base64", "media_type": "image/png", "data": data}
            parts.append({"type": "image", "source": source})
        out.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"c{i}", "content": parts}]})
    return out + ([said("Done."), {"role": "user", "content": after}] if after else [])


def _langchain(steps: Sequence[ScreenStep], task: str, after: str, data: str) -> list[Any]:
    messages = pytest.importorskip("langchain_core.messages")
    out: list[Any] = [messages.HumanMessage(task)]
    for i, step in enumerate(steps):
        call = {"name": step.tool, "args": step.arguments, "id": f"c{i}"}
        out.append(messages.AIMessage(step.words, tool_calls=[call]))
        parts: list[Any] = [{"type": "text", "text": step.text}] if step.text else []
        if step.has_image:
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        out.append(messages.ToolMessage(parts, tool_call_id=f"c{i}"))
    return out + ([messages.AIMessage("Done."), messages.HumanMessage(after)] if after else [])

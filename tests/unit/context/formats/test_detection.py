"""Telling the dialects apart, and naming the message that does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.formats import MESSAGE_FORMATS, detect_format
from compressor.errors import ContextError
from support.cpu_time import cpu_time_below

USER = {"role": "user", "content": "hi"}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
TOOL = {"role": "tool", "tool_call_id": "c", "content": "ok"}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]}
CACHED = {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}
INPUT = {"role": "user", "content": [{"type": "input_text", "text": "x"}]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}

DETECTED: list[tuple[str, list[Any]]] = [
    ("openai_chat", [USER]),
    ("openai_chat", [{"role": "developer", "content": "x"}, USER]),
    ("openai_chat", [USER, CALLING, TOOL]),
    ("openai_chat", [{"role": "user", "content": [{"type": "text", "text": "x"}]}]),
    ("openai_chat", [CACHED, CALLING, TOOL]),  # gateways take Anthropic's cache borders in chat form
    ("openai_chat", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]),
    ("openai_chat", [{"role": "user", "content": None}]),
    ("anthropic", [USER, USE]),
    ("anthropic", [CACHED]),
    ("anthropic", [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]}]),
    ("anthropic", [USER, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}]),
    ("anthropic", [{"role": "system", "content": "s"}, CACHED]),
    ("openai_responses", [USER, CALL]),
    ("openai_responses", [INPUT]),
    ("openai_responses", [{"type": "message", **USER}]),
    ("openai_responses", [{"role": "developer", "content": "x"}, USER, {"type": "reasoning", "summary": []}]),
    ("openai_responses", [USER, CALL, {"type": "unheard_of"}]),
]


@pytest.mark.parametrize(("name", "messages"), DETECTED)
def test_detects(name: str, messages: list[Any]) -> None:
    dialect = detect_format(messages)
    assert dialect.name == name and dialect.matches(messages)
    assert dialect.parse(messages).format_name == name


def test_tools_decide_for_plain_messages() -> None:
    assert detect_format([USER], tools=[{"name": "f", "input_schema": {}}]).name == "anthropic"
    assert detect_format([USER], tools=[{"type": "function", "function": {"name": "f"}}]).name == "openai_chat"
    assert detect_format([USER, CALLING], tools=[{"name": "f", "input_schema": {}}]).name == "openai_chat"
    assert detect_format([USER], tools=["odd", None]).name == "openai_chat"


BAD: list[tuple[Any, int | None, str]] = [
    ([], None, "the context is empty"),
    ((), None, "the context is empty"),
    ("hi", None, "a list of messages, got str"),
    (USER, None, "a list of messages, got dict"),
    (None, None, "got NoneType"),
    (["hi"], 0, "got str"),
    ([USER, 3], 1, "got int"),
    ([USER, None], 1, "got NoneType"),
    ([USER, {"content": "x"}], 1, "the role is missing"),
    ([{"role": "robot", "content": "x"}], 0, "unknown role 'robot'"),
    ([{"role": 3, "content": "x"}], 0, "the role is missing"),
    ([{}], 0, "the role is missing"),
    ([CALLING, TOOL, USE], 2, "the format is anthropic, but the messages before it are in openai_chat"),
    ([USER, USE, CALL], 2, "the format is openai_responses"),
    ([INPUT, TOOL], 1, "the format is openai_chat"),
    ([USER, {"type": "unheard_of"}], 1, "the role is missing, and the type"),
    ([{"role": "user", "content": [{"type": "tool_result"}, {"type": "input_text"}]}], 0, "several message formats"),
]


@pytest.mark.parametrize(("messages", "index", "problem"), BAD)
def test_refuses(messages: Any, index: int | None, problem: str) -> None:
    with pytest.raises(ContextError) as caught:
        detect_format(messages)
    assert caught.value.index == index and problem in str(caught.value)


@pytest.mark.parametrize("messages", [[], [3], [None], [{}], ["x"], [{"role": []}], [{"content": [3, {"type": []}]}]])
def test_matches_never_raises(messages: list[Any]) -> None:
    assert not any(dialect.matches(messages) for dialect in MESSAGE_FORMATS)


@pytest.mark.moderate
def test_ten_thousand_messages_in_linear_time() -> None:
    messages: list[Any] = [USER, CALLING, TOOL] * 3334
    with cpu_time_below(2):  # about 35 ms; quadratic code takes far longer
        context = detect_format(messages).parse(messages)
    assert len(context.turns) == 10_002

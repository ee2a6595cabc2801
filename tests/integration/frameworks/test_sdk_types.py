"""What we write, checked against the types of the providers' own SDKs, and the SDKs' objects as input."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from compressor.context.formats import detect_format
from support.property_tests import given, settings, st
from support.strategies import anthropic_contexts, openai_chat_contexts, responses_contexts

relaxed = settings(deadline=None, max_examples=15)


def _exhaust(value: Any) -> None:
    """Reads all of a validated value: pydantic checks `Iterable` fields only as they are read."""
    if isinstance(value, dict):
        for held in value.values():
            _exhaust(held)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for held in value:
            _exhaust(held)


@cache  # it must outlive the iterators it gives
def _adapter(message_type: Any) -> Any:
    return pytest.importorskip("pydantic").TypeAdapter(list[message_type])


def _validate(message_type: Any, messages: list[Any]) -> None:
    _exhaust(_adapter(message_type).validate_python(messages))


def _edited(messages: list[Any]) -> list[Any]:
    dialect = detect_format(messages)
    context = dialect.parse(messages)
    edits = {
        (s.message, s.path): '{"cut": 1}' if s.kind == "tool_call" else "[…cut ref 123456789012]"
        for turn in context.turns
        for s in turn.slots
        if s.editable
    }
    return dialect.render(context, edits)


@relaxed
@given(st.data())
def test_openai_chat(data: st.DataObject) -> None:
    types = pytest.importorskip("openai.types.chat")
    messages = data.draw(openai_chat_contexts())
    _validate(types.ChatCompletionMessageParam, messages)
    _validate(types.ChatCompletionMessageParam, _edited(messages))


@relaxed
@given(st.data())
def test_openai_responses(data: st.DataObject) -> None:
    types = pytest.importorskip("openai.types.responses")
    messages = data.draw(responses_contexts())
    _validate(types.ResponseInputItemParam, messages)
    _validate(types.ResponseInputItemParam, _edited(messages))


@relaxed
@given(st.data())
def test_anthropic(data: st.DataObject) -> None:
    types = pytest.importorskip("anthropic.types")
    messages = data.draw(anthropic_contexts())
    _validate(types.MessageParam, messages)
    _validate(types.MessageParam, _edited(messages))


def test_validation_is_deep() -> None:
    """The check above would see a wrong part inside a tool result."""
    types = pytest.importorskip("anthropic.types")
    wrong = [{"type": "tool_result", "tool_use_id": "x", "content": [{"type": "input_text", "text": "y"}]}]
    with pytest.raises(ValueError):
        _validate(types.MessageParam, [{"role": "user", "content": wrong}])


def test_openai_response_objects() -> None:
    """`messages.append(response.choices[0].message)`"""
    types = pytest.importorskip("openai.types.chat")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "\ud800"}'}}
    answer = types.ChatCompletionMessage.model_construct(
        role="assistant",
        content="hi",
        refusal=None,
        tool_calls=[types.ChatCompletionMessageFunctionToolCall.model_construct(**call)],
    )
    messages = [{"role": "user", "content": "x"}, answer, {"role": "tool", "tool_call_id": "c", "content": "ok"}]
    dialect = detect_format(messages)
    context = dialect.parse(messages)
    assert dialect.name == "openai_chat" and context.turns[1].call_ids == ("c",)
    assert dialect.render(context, {})[1] is answer
    edited = dialect.render(context, {(1, ("content",)): "new"})[1]
    assert edited == {"role": "assistant", "content": "new", "refusal": None, "tool_calls": [call]}
    assert answer.content == "hi"


def test_anthropic_response_objects() -> None:
    """`messages.append({"role": "assistant", "content": response.content})`"""
    types = pytest.importorskip("anthropic.types")
    blocks = [
        types.ThinkingBlock(type="thinking", thinking="hm", signature="s"),
        types.TextBlock(type="text", text="hi"),
        types.ToolUseBlock(type="tool_use", id="t", name="f", input={"a": 1}),
    ]
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok"}
    messages = [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
    dialect = detect_format(messages)
    context = dialect.parse(messages)
    assert dialect.name == "anthropic"
    assert [slot.text for slot in context.turns[0].slots] == ["hm", "hi", '{"a": 1}']
    edited = dialect.render(context, {(0, ("content", 2, "input")): '{"a": 2}'})[0]
    assert edited["content"][:2] == blocks[:2] and edited["content"][0] is blocks[0]
    assert edited["content"][2] == {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 2}}
    assert blocks[2].input == {"a": 1}


def test_openai_responses_objects() -> None:
    """`items += response.output`"""
    types = pytest.importorskip("openai.types.responses")
    call = types.ResponseFunctionToolCall(type="function_call", call_id="c", name="f", arguments="{}")
    messages = [
        {"role": "user", "content": "x"},
        call,
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
    ]
    dialect = detect_format(messages)
    context = dialect.parse(messages)
    assert dialect.name == "openai_responses" and context.turns[2].slots[0].name == "f"
    edited = dialect.render(context, {(1, ("arguments",)): '{"a": 1}'})[1]
    assert edited == {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}

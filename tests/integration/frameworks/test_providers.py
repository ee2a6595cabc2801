"""Streams against whole answers: whatever is said in however many rounds, the caller gets the same from both.

The events and bodies come from the scripted server's wire forms, the streams are read by the callers of
`client_tools.py`; no HTTP.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from compressor.providers import (
    AnthropicMessagesApi,
    HiddenRounds,
    OpenAIChatApi,
    OpenAIResponsesApi,
    ProviderApi,
    sum_usage,
)
from support.client_scenarios import OWN_TOOLS
from support.client_tools import ChatTalk, MessagesTalk, ResponsesTalk
from support.property_tests import given, settings, st
from support.scripted_chat import ChatWire
from support.scripted_messages import AnthropicWire
from support.scripted_responses import ResponsesWire
from support.scripted_wire import Call, Reply, Usage, refusal

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

TEXTS = st.sampled_from(["", "Yes.", "One two  three\nfour ", "…", " x", "{}"])
ARGUMENTS = st.dictionaries(st.sampled_from(["ref", "query", "path"]), st.sampled_from(["1", "ä b", ""]), max_size=2)
ASKS = st.builds(Call, st.sampled_from(OWN_TOOLS), ARGUMENTS)
OWN = st.builds(
    Call,
    st.sampled_from(["read_log", "expand", "expand_context_too", "recall", "recall_contexts", "e", "r"]),
    ARGUMENTS,
)


@st.composite
def talks(draw: st.DrawFn) -> list[Reply]:
    """Rounds that only expand, then one with whatever; it says something, or its message would hold nothing."""
    rounds = [
        Reply(draw(TEXTS), draw(st.lists(ASKS, min_size=1, max_size=2)), draw(st.sampled_from(["", "Hm. So."])))
        for _ in range(draw(st.integers(0, 3)))
    ]
    calls = draw(st.lists(st.one_of(OWN, ASKS), max_size=4))
    text = draw(TEXTS.filter(str.strip)) if not any(call.name not in OWN_TOOLS for call in calls) else draw(TEXTS)
    return [*rounds, Reply(text, calls, draw(st.sampled_from(["", "Well."])))]


def chat_event(data: dict[str, Any]) -> Any:
    return openai.types.chat.ChatCompletionChunk.construct(**data)


def response_event(data: dict[str, Any]) -> Any:
    from openai._models import construct_type

    return construct_type(value=data, type_=openai.types.responses.ResponseStreamEvent)


def message_event(data: dict[str, Any]) -> Any:
    from anthropic._models import construct_type

    return construct_type(value=data, type_=anthropic.types.RawMessageStreamEvent)


APIS: dict[str, Any] = {
    "chat": (
        OpenAIChatApi(),
        ChatWire(),
        ChatTalk,
        chat_event,
        lambda d: openai.types.chat.ChatCompletion.construct(**d),
    ),
    "responses": (
        OpenAIResponsesApi(),
        ResponsesWire(),
        ResponsesTalk,
        response_event,
        lambda d: openai.types.responses.Response.construct(**d),
    ),
    "messages": (
        AnthropicMessagesApi(),
        AnthropicWire(),
        MessagesTalk,
        message_event,
        lambda d: anthropic.types.Message.construct(**d),
    ),
}
BODY: dict[str, Any] = {"model": "m", "stream_options": {"include_usage": True}, "messages": [], "input": []}


@pytest.mark.parametrize("kind", list(APIS))
@settings(max_examples=150, deadline=None)
@given(replies=talks())
def test_a_stream_says_what_the_whole_answer_says_and_the_history_stays_whole(kind: str, replies: list[Reply]) -> None:
    api: ProviderApi
    api, wire, talk, event_of, whole_of = APIS[kind]
    usage = Usage(100, 30, 7)
    stream, inner, out = api.make_stream_filter(OWN_TOOLS), HiddenRounds(), []
    for number, reply in enumerate(replies, 1):
        if number > 1:
            last = inner.last
            inner.items += [
                *last.items,
                *api.build_context_results(last.context_calls, ["text"] * len(last.context_calls)),
            ]
        for event in wire.events(reply, number, usage, BODY):
            out += stream.feed(event)
        streamed, whole = stream.end_call(), wire.whole(reply, number, usage, BODY)
        turn = api.parse_turn(whole, OWN_TOOLS)
        assert (streamed.context_calls, streamed.caller_call_ids, streamed.items) == (
            turn.context_calls,
            turn.caller_call_ids,
            turn.items,
        )
        assert sum_usage([streamed.usage]) == turn.usage
        inner.turns.append(turn)
    out += stream.flush()
    last = inner.last
    if last.caller_call_ids and last.context_calls:
        inner.context_answers = ["text"] * len(last.context_calls)

    caller = talk(None)
    answer = caller.gather([event_of(event) for event in out])
    other = talk(None)
    assert other.read(whole_of(api.visible_turn(whole, inner, OWN_TOOLS))) == replace(answer, pieces=[])
    assert not {call[1] for call in answer.calls} & set(OWN_TOOLS) and len(answer.calls) == len(last.caller_call_ids)

    for call in answer.calls:
        caller.result(call[0], "done")
    if kind == "messages" and len(answer.calls) > 1:  # all results go into one message
        results = [caller.history.pop() for _ in answer.calls][::-1]
        caller.history.append({"role": "user", "content": [r["content"][0] for r in results]})
    before = len(talk(None).history)
    rest = [item if isinstance(item, dict) else item.to_dict() for item in caller.history[before:]]
    rest = json.loads(json.dumps(rest, default=lambda o: o.to_dict()))
    restored = api.with_hidden_rounds(rest, inner) if rest else []
    key = "input" if kind == "responses" else "messages"
    assert refusal(wire, {key: restored, "tools": []}) is None
    if inner.has_hidden_parts and inner.items and rest:
        assert restored[: len(inner.items)] == inner.items


def test_a_name_that_comes_in_pieces_is_known_when_it_is_whole(own_tool: str) -> None:
    verb = own_tool.removesuffix("_context")

    def piece(index: int, name: str, arguments: str = "") -> dict[str, Any]:
        call = {"index": index, "id": f"c{index}", "function": {"name": name, "arguments": arguments}}
        return {"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}

    chunks = OpenAIChatApi().make_stream_filter(OWN_TOOLS)
    assert chunks.feed(piece(0, f"{verb}_")) == [] and chunks.feed(piece(0, "context")) == []
    assert chunks.feed(piece(0, "", '{"ref": "1"}')) == []
    assert chunks.feed(piece(1, verb)) == []
    out = chunks.feed(piece(1, "", "{}"))
    calls = out[0]["choices"][0]["delta"]["tool_calls"]
    assert [call["index"] for call in calls] == [0, 0] and calls[0]["function"]["name"] == verb
    assert chunks.feed(piece(2, verb[:3])) == []
    end: dict[str, Any] = {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    assert chunks.feed(end) == []
    turn = chunks.end_call()
    assert turn.context_calls == [("c0", own_tool, '{"ref": "1"}')] and turn.caller_call_ids == ["c1", "c2"]
    (last,) = chunks.flush()
    assert last["choices"][0]["delta"]["tool_calls"][0]["index"] == 1
    assert last["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("kind", list(APIS))
def test_a_stream_without_expand_calls_passes_as_the_same_objects(kind: str) -> None:
    api, wire, *_ = APIS[kind]
    stream = api.make_stream_filter(OWN_TOOLS)
    for event in wire.events(Reply("Hi there.", [Call("read_log", {"a": 1})], "Hm."), 1, Usage(1, 0, 1), BODY):
        assert [one is event for one in stream.feed(event)] == [True]
    assert stream.end_call().context_calls == [] and stream.flush() == []


def test_usage_is_added_up_field_by_field() -> None:
    one = {"a": 1, "details": {"cached": 2}, "tier": "default", "none": None}
    other = {"a": 10, "details": {"cached": 20, "new": 1}, "tier": "flex", "none": 3}
    assert sum_usage([one, None, other]) == {"a": 11, "details": {"cached": 22, "new": 1}, "tier": "flex", "none": 3}
    assert sum_usage([None]) is None

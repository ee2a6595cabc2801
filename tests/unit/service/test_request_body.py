"""Bodies as text and as data; and that what is not read twice comes out as if it had been."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from compressor import Compressor, CompressorError, ContextError
from compressor.service.http_errors import HttpError, json_bytes
from compressor.service.proxy.request_body import RequestBody, read_body
from compressor.service.request_limits import parse
from compressor.sessions import Conversation, Policy
from support.property_tests import given, settings, st
from support.session_tools import conversation as talk_of
from support.strategies import anthropic_contexts, openai_chat_contexts, responses_contexts

DEPTH = 20
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["messages", "input", "tools", "model", "x", ""]), JSON | st.lists(JSON))


def body(raw: bytes, *known: RequestBody) -> RequestBody:
    return read_body(raw, DEPTH, lambda first: [one for one in known if one.first == first])


@given(data=OBJECTS, wide=st.booleans(), escaped=st.booleans())
def test_any_body_is_read_as_json_is_and_written_as_it_came(data: dict[str, Any], wide: bool, escaped: bool) -> None:
    raw = json.dumps(data, ensure_ascii=escaped, indent=2 if wide else None).encode("utf-8", "surrogatepass")
    one = body(b" " + raw + b"\r\n ")
    assert one.data == data == json.loads(raw)
    assert one.encode(one.data) == b" " + raw + b"\r\n "
    assert not data or one.encode(dict(one.data)) == b" " + raw + b"\r\n "  # another dict of the same things


@given(data=OBJECTS, other=OBJECTS, keep=st.lists(st.booleans(), min_size=8, max_size=8))
def test_what_is_changed_is_written_anew_and_nothing_else(
    data: dict[str, Any], other: dict[str, Any], keep: list[bool]
) -> None:
    one = body(json_bytes(data))
    made = dict(one.data)
    for key in ("messages", "input", "tools"):
        if isinstance(made.get(key), list):
            left = [item for item, kept in zip(made[key], keep, strict=False) if kept]
            made[key] = [*left, {"new": key}, *left[::-1], *made[key]]
    made.update(other)
    assert json.loads(one.encode(made)) == made
    assert json.loads(one.encode(other)) == other


def test_numbers_escapes_and_double_keys_stay_as_they_are_written() -> None:
    kept = '{"role": "user", "content": "\\u00e9 \\/ é", "n": 1.0, "n": 1e2, "big": 123456789012345678901234567890}'
    raw = f'{{"x" :-0, "y":1.10,"messages": [ {kept} , {{"role":"user","content":"b"}}], "z": null}}'.encode()
    one = body(raw)
    made = {**one.data, "messages": [one.data["messages"][0], {"role": "user", "content": "c"}], "tools": []}
    assert one.encode(made).decode() == (
        f'{{"x" :-0, "y":1.10,"messages": [{kept},{{"role":"user","content":"c"}}], "z": null,"tools":[]}}'
    )


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"1",
    b'{"a":1,}',
    b'{"a" 1}',
    b'{"a":1 "b":2}',
    b'{"messages":[1 2]}',
    b'{"messages":[1,]}',
]
BROKEN += [b'{"a":NaN}', b"{1:2}", b'{"a":1}x', b'{"messages":[', b'{"a":"\n"}', b"\xff", b'{"a":' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize("raw", BROKEN)
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        body(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize("key", ["messages", "x"])
def test_depth_is_counted_from_the_whole_body(key: str) -> None:
    def nested(levels: int) -> bytes:
        return f'{{"{key}":'.encode() + b"[" * levels + b"]" * levels + b"}"

    def outcome(reading: Callable[[bytes], Any], levels: int) -> str:
        try:
            return str(reading(nested(levels)) is not None)
        except HttpError as error:
            return str(error)

    for levels in (DEPTH - 1, DEPTH, DEPTH + 1, 100_000):
        assert outcome(lambda raw: body(raw).data, levels) == outcome(lambda raw: parse(raw, DEPTH), levels)
    with pytest.raises(HttpError, match="limit: 20 levels"):
        body(nested(DEPTH + 1))


def test_a_body_takes_up_what_it_came_in() -> None:
    for raw in ('{"a":"\u0434"}'.encode(), '{"a":"\u0434"}'.encode("utf-16"), b'\xef\xbb\xbf{"a":1}'):
        assert body(raw).size == len(raw)


def test_one_thing_said_twice_is_not_compressed() -> None:
    with pytest.raises(HttpError, match="twice"):
        body(b'{"messages":[],"messages":[{}]}')


@pytest.mark.parametrize("system", [True, False])
def test_messages_of_an_earlier_body_are_the_same_objects(system: bool) -> None:
    messages = [{"role": "system", "content": "Be kind."}] * system + talk_of(4)
    old = body(json_bytes({"messages": messages[:-3], "model": "m"}))
    longer = body(json_bytes({"model": "m", "messages": messages}), old)
    count = len(messages) - 3
    assert longer.data["messages"] == messages
    assert all(a is b for a, b in zip(longer.data["messages"], old.data["messages"], strict=False))
    shorter = body(json_bytes({"messages": messages[:3]}), old, longer)
    assert shorter.data["messages"] == messages[:3] and shorter.data["messages"][2] is longer.data["messages"][2]
    changed = [*messages[: count - 1], {"role": "user", "content": "Other \u0434."}]
    forked = body(json_bytes({"messages": changed}), old, longer)
    same = [a is b for a, b in zip(forked.data["messages"], old.data["messages"], strict=True)]
    assert forked.data["messages"] == changed and same == [True] * (count - 1) + [False]
    assert forked.encode({**forked.data, "messages": changed[:2]}) == json_bytes({"messages": changed[:2]})
    # Bytes decide, not what they mean.
    spaced = body(json.dumps({"messages": messages}).encode(), longer)
    assert spaced.data == {"messages": messages}
    assert spaced.data["messages"][-1] is not longer.data["messages"][-1]


def test_what_stands_for_a_message_is_written_once() -> None:
    messages, cut = talk_of(4), {"role": "tool", "tool_call_id": "c0", "content": "cut \u0434 \ud800"}
    old = body(json_bytes({"messages": messages[:-2]}))
    first = {**old.data, "messages": [*old.data["messages"][:3], cut, *old.data["messages"][4:]]}
    assert json.loads(old.encode(first)) == first
    new = body(json_bytes({"messages": messages}), old)
    made = {**new.data, "messages": [*new.data["messages"][:3], cut, *new.data["messages"][4:]]}
    cut["content"] = "nobody writes to it, so nobody looks"
    assert b"nobody" not in new.encode(made) and json.loads(new.encode(made))["messages"][4:] == messages[4:]
    assert b"nobody" in new.encode({**made, "messages": [dict(cut)]})
    assert b"nobody" in new.encode(made)  # what was not written last is not kept


def view_of(conversation: Conversation, messages: list[Any]) -> bytes:
    try:
        conversation.sync(messages, tools=[{}])
        return json_bytes(conversation.view())
    except CompressorError as error:
        return f"{type(error).__name__}: {error}".encode()


@pytest.mark.moderate
@pytest.mark.parametrize("contexts", [openai_chat_contexts, anthropic_contexts, responses_contexts])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_history_that_nobody_writes_to_gives_the_same_views(contexts: Callable[[], Any], data: st.DataObject) -> None:
    """Read piece by piece, from bytes, as the proxy does; and whole, from data, each time."""
    context = data.draw(contexts())
    low = data.draw(st.sampled_from([1, 50, 300]))
    policy = Policy(
        target=("tokens", low),
        tool_result_min_tokens=data.draw(st.sampled_from([1, 50])),
        strip_reasoning=data.draw(st.booleans()),
    )
    budget = data.draw(st.sampled_from([150, 400, 5_000]))
    ends = [*sorted(data.draw(st.sets(st.integers(1, len(context)), max_size=6))), len(context)]
    if data.draw(st.booleans()):
        ends.append(max(1, len(context) // 2))
    made = [
        Conversation(Compressor(store="memory"), "gpt-4o", budget, policy, frozen=f, clock=lambda: 0.0)
        for f in (False, True)
    ]
    known: list[RequestBody] = []
    for end in ends:
        known.append(body(json_bytes({"messages": context[:end]}), *known))
        plain = view_of(made[0], json.loads(json_bytes(context[:end])))
        assert view_of(made[1], known[-1].data["messages"]) == plain
        assert json_bytes(made[0].state) == json_bytes(made[1].state)
        assert json_bytes(context[:end]) == json_bytes(known[-1].data["messages"])  # nobody has written to them


@pytest.mark.moderate
def test_a_frozen_history_says_what_is_wrong_as_any_other() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    good = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    good.append({"role": "tool", "tool_call_id": "c", "content": "done"})
    one = Conversation(Compressor(store="memory"), frozen=True)
    one.sync(good)
    assert one.view() == good
    with pytest.raises(ContextError, match="a message must be a dict"):
        one.sync([*good, 5])
    one.sync([*good, {"role": "user", "content": "And?"}])
    assert len(one.view()) == 4

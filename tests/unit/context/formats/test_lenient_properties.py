"""What holds for lenient parsing whatever is wrong with a history: it never raises, and changes nothing valid."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from compressor.context.formats import MESSAGE_FORMATS, MessageFormat, detect_format
from compressor.context.model import Turn
from compressor.context.tool_rounds import group_tool_rounds
from compressor.errors import ContextError
from support.property_tests import given, settings, st
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

WIRE = {
    "openai_chat": openai_chat_contexts(),
    "openai_responses": responses_contexts(),
    "anthropic": anthropic_contexts(),
}
BY_NAME = {message_format.name: message_format for message_format in MESSAGE_FORMATS}
_junk = st.sampled_from(("a text", None, 7, ["a", "b"], {}, {"role": "critic", "content": "Bad."}, {"content": "x"}))
_ids = st.sampled_from(("call_1", "call_2", "call_9", "", None))
_ID_KEYS = ("id", "call_id", "tool_call_id", "tool_use_id")


def _contexts(name: str) -> st.SearchStrategy[list[Any]]:
    if name == "langchain":
        pytest.importorskip("langchain_core")
        return langchain_contexts()
    return WIRE[name]


@st.composite
def damaged(draw: st.DrawFn, name: str) -> list[Any]:
    """A history of a format with up to four things wrong."""
    messages = list(draw(_contexts(name)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(messages) - 1))
        how = draw(st.sampled_from(("drop", "repeat", "move", "junk", "id", "key")))
        if how == "drop" and len(messages) > 1:
            del messages[at]
        elif how == "repeat":
            messages.insert(draw(st.integers(0, len(messages))), messages[at])
        elif how == "move":
            messages.insert(draw(st.integers(0, len(messages) - 1)), messages.pop(at))
        elif how == "junk":
            messages.insert(at, draw(_junk))
        elif isinstance(messages[at], dict):
            messages[at] = draw(_broken(messages[at], how))
        elif getattr(messages[at], "tool_call_id", None):
            messages[at] = messages[at].model_copy(update={"tool_call_id": draw(_ids)})
    return messages


@st.composite
def _broken(draw: st.DrawFn, message: dict[str, Any], how: str) -> dict[str, Any]:
    """A copy of a message with another id somewhere, or without one of its keys."""
    message = copy.deepcopy(message)
    nodes = [node for node in _dicts(message) if node]
    if not nodes:
        return message
    if how == "id":
        places = [(node, key) for node in nodes for key in _ID_KEYS if key in node]
        if places:
            node, key = draw(st.sampled_from(places))
            node[key] = draw(_ids)
    else:
        node = draw(st.sampled_from(nodes))
        del node[draw(st.sampled_from(sorted(node)))]
    return message


def _dicts(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(node for held in value.values() for node in _dicts(held))]
    return [node for held in value for node in _dicts(held)] if isinstance(value, list) else []


def _pending(turns: Sequence[Turn]) -> dict[str, int]:
    """The calls without a result, after a check that no result lacks its call."""
    pending: dict[str, int] = {}
    for turn in turns:
        for answered in turn.result_call_ids:
            del pending[answered]
        for called in turn.call_ids:
            assert called not in pending
            pending[called] = turn.index
    return pending


def _strict(message_format: MessageFormat, messages: list[Any]) -> list[Turn] | None:
    try:
        return message_format.parse(messages).turns
    except ContextError:
        return None


@pytest.mark.parametrize("name", BY_NAME)
@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_damage_never_raises_and_stays_where_it_is(name: str, data: st.DataObject) -> None:
    messages = data.draw(damaged(name))
    detect_format(messages, lenient=True)
    for message_format in MESSAGE_FORMATS:
        context = message_format.parse(messages, lenient=True)
        turns = context.turns
        strict = _strict(message_format, messages)
        assert strict is None or strict == turns
        assert strict is not None or any(turn.is_malformed for turn in turns)
        assert [turn.index for turn in turns] == list(range(len(messages)))
        assert not any(slot.editable for turn in turns if turn.is_malformed for slot in turn.slots)
        rendered = message_format.render(context, {})
        assert all(a is b for a, b in zip(rendered, messages, strict=True))
        users = [turn.index for turn in turns if turn.role == "user" and not turn.is_malformed]
        assert all(index >= max(users, default=0) for index in _pending(turns).values())
        assert sorted(index for group in group_tool_rounds(turns) for index in group) == list(range(len(turns)))


@pytest.mark.parametrize("name", BY_NAME)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_what_follows_a_damaged_history_does_not_change_it(name: str, data: st.DataObject) -> None:
    """A session parses only what was appended: that must give what parsing everything gives."""
    before, after = data.draw(damaged(name)), data.draw(_contexts(name))
    message_format = BY_NAME[name]
    first = message_format.parse(before, lenient=True).turns
    if _pending(first):
        return
    rest = message_format.parse(after).turns
    for turn in rest:
        turn.index += len(before)
        for slot in turn.slots:
            slot.message += len(before)
    assert [*first, *rest] == message_format.parse([*before, *after], lenient=True).turns


@pytest.mark.parametrize("name", BY_NAME)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_the_format_of_most_messages_is_found(name: str, data: st.DataObject) -> None:
    messages = data.draw(_contexts(name))
    found = detect_format(messages)
    assert detect_format(messages, lenient=True) is found
    junk = data.draw(st.lists(_junk, max_size=max(0, len(messages) - 1)))
    at = data.draw(st.integers(0, len(messages)))
    assert detect_format([*messages[:at], *junk, *messages[at:]], lenient=True) in (found, BY_NAME["openai_chat"])

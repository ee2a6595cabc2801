"""What holds for every dialect: reading and writing loses nothing, and an edit changes one text and nothing else."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest

from compressor.context.formats import MESSAGE_FORMATS, MessageFormat, detect_format
from compressor.context.model import TextSlot
from compressor.errors import ContextError
from support.property_tests import assume, given, settings, st
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

WIRE = {
    "openai_chat": openai_chat_contexts(),
    "openai_responses": responses_contexts(),
    "anthropic": anthropic_contexts(),
}
BY_NAME = {dialect.name: dialect for dialect in MESSAGE_FORMATS}
relaxed = settings(deadline=None, max_examples=25)


def _contexts(name: str) -> st.SearchStrategy[list[Any]]:
    if name == "langchain":
        pytest.importorskip("langchain_core")
        return langchain_contexts()
    return WIRE[name]


def _snapshot(messages: list[Any]) -> Any:
    return [m if isinstance(m, dict) else (type(m), m.model_dump()) for m in copy.deepcopy(messages)]


def _facts(slot: TextSlot) -> tuple[Any, ...]:
    return slot.message, slot.path, slot.kind, slot.text, slot.editable, slot.name, slot.call_id, slot.image


def _new_text(slot: TextSlot) -> str:
    return json.dumps({"cut": f"[{slot.message}]"}) if slot.kind == "tool_call" else f"[…{slot.message} é\r\n\x00]"


def test_names() -> None:
    assert set(BY_NAME) == {*WIRE, "langchain"}


@pytest.mark.parametrize("name", BY_NAME)
@relaxed
@given(data=st.data())
def test_detected_and_untouched(name: str, data: st.DataObject) -> None:
    messages = data.draw(_contexts(name))
    if name == "anthropic":  # plain texts could be anyone's
        assume(BY_NAME[name].matches(messages))
    before = _snapshot(messages)
    dialect = detect_format(messages)
    assert dialect is BY_NAME[name] and dialect.matches(messages)
    context = dialect.parse(messages)
    rendered = dialect.render(context, {})
    assert len(rendered) == len(messages) and all(a is b for a, b in zip(rendered, messages, strict=True))
    unchanged = {(s.message, s.path): s.text for t in context.turns for s in t.slots if s.editable and not s.image}
    assert all(a is b for a, b in zip(dialect.render(context, unchanged), messages, strict=True))
    assert _snapshot(messages) == before
    assert [turn.index for turn in context.turns] == list(range(len(messages)))
    for turn in context.turns:
        assert len({slot.path for slot in turn.slots}) == len(turn.slots)
        for slot in turn.slots:
            assert slot.message == turn.index and bool(slot.text) != bool(slot.image)
            assert slot.kind not in ("tool_call", "tool_result") or (slot.name and slot.call_id)
    called = [c for turn in context.turns for c in turn.call_ids]
    answered = [a for turn in context.turns for a in turn.result_call_ids]
    assert len(set(called)) == len(called) and set(answered) <= set(called) and len(set(answered)) == len(answered)


@pytest.mark.parametrize("name", BY_NAME)
@relaxed
@given(data=st.data())
def test_one_edit_changes_one_text(name: str, data: st.DataObject) -> None:
    messages = data.draw(_contexts(name))
    dialect = BY_NAME[name]
    context = dialect.parse(messages)
    before = _snapshot(messages)
    slots = [s for turn in context.turns for s in turn.slots if s.editable]
    slot = data.draw(st.sampled_from(slots))
    new = _new_text(slot)
    rendered = dialect.render(context, {(slot.message, slot.path): new})
    assert _snapshot(messages) == before
    assert type(rendered[slot.message]) is type(messages[slot.message])
    assert all(a is b for i, (a, b) in enumerate(zip(rendered, messages, strict=True)) if i != slot.message)
    again = dialect.parse(rendered)
    old_facts = {(f[0], f[1]): f for t in context.turns for f in map(_facts, t.slots)}
    new_facts = {(f[0], f[1]): f for t in again.turns for f in map(_facts, t.slots)}
    changed = {key for key in old_facts.keys() | new_facts.keys() if old_facts.get(key) != new_facts.get(key)}
    texts = [s.text for t in again.turns for s in t.slots if (s.message, s.path) in changed]
    assert texts == [new] and (len(changed) == 1 or slot.image)
    for old_turn, new_turn in zip(context.turns, again.turns, strict=True):
        assert (old_turn.role, old_turn.call_ids, old_turn.result_call_ids, old_turn.extras) == (
            new_turn.role,
            new_turn.call_ids,
            new_turn.result_call_ids,
            new_turn.extras,
        )
    if not slot.image:  # back again: exactly what it was
        back = dialect.render(again, {(slot.message, slot.path): slot.text})
        assert _snapshot(back) == before


@pytest.mark.parametrize("name", BY_NAME)
@relaxed
@given(data=st.data())
def test_all_edits_at_once(name: str, data: st.DataObject) -> None:
    messages = data.draw(_contexts(name))
    dialect = BY_NAME[name]
    context = dialect.parse(messages)
    before = _snapshot(messages)
    edits = {(s.message, s.path): _new_text(s) for t in context.turns for s in t.slots if s.editable}
    rendered = dialect.render(context, edits)
    assert _snapshot(messages) == before
    again = dialect.parse(rendered)
    for turn, old in zip(again.turns, context.turns, strict=True):
        assert [s.text for s in turn.slots] == [_new_text(s) if s.editable else s.text for s in old.slots]


@pytest.mark.parametrize("name", BY_NAME)
@relaxed
@given(data=st.data())
def test_dropping_whole_rounds(name: str, data: st.DataObject) -> None:
    messages = data.draw(_contexts(name))
    dialect = BY_NAME[name]
    context = dialect.parse(messages)
    tools = {turn.index for turn in context.turns if turn.call_ids or turn.result_call_ids}
    kept = dialect.render(context, {}, drop=tools)
    assert [id(m) for m in kept] == [id(m) for i, m in enumerate(messages) if i not in tools]
    dialect.parse(kept)


_WORDS = """user assistant system tool function text tool_use tool_result function_call function_call_output message
    reasoning input_text document image image_url thinking refusal c1 x content base64 search_result custom"""
_KEYS = """role type content tool_calls id call_id tool_call_id tool_use_id function custom name arguments input output
    text source data image_url url refusal function_call summary thinking args"""
_words, _keys = st.sampled_from(_WORDS.split()), st.sampled_from(_KEYS.split())
_junk = st.recursive(
    _words | st.none() | st.integers(0, 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=6),
    max_leaves=30,
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.dictionaries(_keys, _junk, max_size=6) | _junk, max_size=4))
def test_junk_is_read_or_refused(messages: list[Any]) -> None:
    """Whatever comes, it is either a context that can be edited or a clear error."""
    for dialect in MESSAGE_FORMATS:
        dialect.matches(messages)
        try:
            context = dialect.parse(messages)
        except ContextError:
            continue
        edits = {(s.message, s.path): _new_text(s) for t in context.turns for s in t.slots if s.editable}
        dialect.render(context, edits)
    with suppress(ContextError):
        detect_format(messages)


@pytest.mark.parametrize("name", WIRE)
@relaxed
@given(data=st.data())
def test_json_round_trip(name: str, data: st.DataObject) -> None:
    messages = data.draw(_contexts(name))
    dialect: MessageFormat = BY_NAME[name]
    copied = json.loads(json.dumps(messages))
    first, second = dialect.parse(messages), dialect.parse(copied)
    assert [list(map(_facts, t.slots)) for t in first.turns] == [list(map(_facts, t.slots)) for t in second.turns]
    assert dialect.render(second, {}) == messages

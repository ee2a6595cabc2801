"""A context that is known gives what a new one gives, whatever was done to its messages."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.formats.edited_turns import read_edited_turns
from compressor.context.formats.known_history import forget_histories, read_changed, read_context
from compressor.context.model import Context
from compressor.context.running_totals import RunningTotals, totals_of
from compressor.errors import ContextError
from compressor.tokens import get_counter
from support.property_tests import given, settings, st
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

FORMATS = ("openai_chat", "openai_responses", "anthropic", "langchain")
relaxed = settings(deadline=None, max_examples=40)


def contexts(name: str) -> st.SearchStrategy[list[Any]]:
    if name == "langchain":
        pytest.importorskip("langchain_core")
        return langchain_contexts()
    return {
        "openai_chat": openai_chat_contexts,
        "openai_responses": responses_contexts,
        "anthropic": anthropic_contexts,
    }[name]()


def outcome(messages: list[Any], is_known: bool, lenient: bool = False) -> Any:
    """Everything that is read from messages, or the error."""
    try:
        if is_known:
            message_format, context = read_context(messages, None, lenient)
        else:
            message_format = detect_format(messages, None, lenient)
            context = message_format.parse(messages, None, lenient)
    except ContextError as error:
        return str(error), error.index
    except AttributeError as error:  # an object that lost a field, which no format can read
        return str(error), None
    totals = totals_of(context)
    results = totals.result_texts(len(messages))
    tokens = get_counter("gpt-4o").count_context(context)
    fresh = RunningTotals(context.turns)
    assert [totals.outline(n) for n in range(len(messages))] == [fresh.outline(n) for n in range(len(messages))]
    return message_format.name, copy.deepcopy(context.turns), totals.outline(), results, tokens


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value that can be written to."""
    if isinstance(value, (list, dict)):
        for key, item in list(enumerate(value)) if isinstance(value, list) else list(value.items()):
            yield value, key
            yield from places(item)
    elif hasattr(value, "__pydantic_fields_set__"):
        yield from places(value.__dict__)


def write(data: st.DataObject, messages: list[Any]) -> None:
    """Writes to the messages in place, as callers do."""
    found = list(places(messages))
    holder, key = found[data.draw(st.integers(0, len(found) - 1))]
    how = data.draw(st.sampled_from(("remove", "text", "number", "reverse", "copy", "same")))
    if how == "remove":
        del holder[key]
    elif how == "text":
        holder[key] = data.draw(st.text(max_size=3) | st.sampled_from(("user", "tool", "assistant", "c1", "text")))
    elif how == "number":
        holder[key] = data.draw(st.sampled_from((1, True, 1.0, None, [], {})))
    elif how == "copy":
        holder[key] = copy.deepcopy(holder[key])
    elif how == "reverse" and isinstance(holder, dict):
        items = list(holder.items())[::-1]
        holder.clear()
        holder.update(items)


@pytest.mark.parametrize("name", FORMATS)
@relaxed
@given(data=st.data())
def test_messages_that_were_written_to_are_read_anew(name: str, data: st.DataObject) -> None:
    forget_histories()
    messages = copy.deepcopy(data.draw(contexts(name)))  # strategies share parts of what they draw
    for _ in range(4):
        lenient = data.draw(st.booleans())
        known = outcome(messages, True, lenient)
        assert known == outcome(messages, False, lenient)
        step = data.draw(st.sampled_from(("write", "extend", "shorten", "insert", "nothing")))
        if step == "write" and messages:
            write(data, messages)
        elif step == "extend":
            other = data.draw(st.sampled_from((name, "openai_chat")))
            messages = [*messages, *copy.deepcopy(data.draw(contexts(other)))]
        elif step == "shorten":
            messages = messages[: data.draw(st.integers(0, len(messages)))]
        elif step == "insert":
            at = data.draw(st.integers(0, len(messages)))
            messages = [*messages[:at], *copy.deepcopy(data.draw(contexts(name))), *messages[at:]]
    assert outcome(messages, True) == outcome(messages, False)


@pytest.mark.parametrize("name", FORMATS)
@relaxed
@given(data=st.data())
def test_starts_of_a_history_are_read_as_new_in_any_order(name: str, data: st.DataObject) -> None:
    """A short start may be of another format than the whole."""
    forget_histories()
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Let me look."}]
    messages += copy.deepcopy(data.draw(contexts(name)))
    for _ in range(6):
        start = messages[: data.draw(st.integers(0, len(messages)))]
        lenient = data.draw(st.booleans())
        assert outcome(start, True, lenient) == outcome(start, False, lenient)


def test_a_start_of_another_format_can_be_read_after_the_whole() -> None:
    forget_histories()
    plain = [{"role": ("user", "assistant")[i % 2], "content": f"message {i}"} for i in range(4)]
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    messages = [*plain, {"role": "user", "content": "Look."}, {"role": "assistant", "content": [call]}]
    for length in (6, 2, 4, 3, 6, 5):
        assert outcome(messages[:length], True, True) == outcome(messages[:length], False, True)


@pytest.mark.parametrize("name", FORMATS)
@relaxed
@given(data=st.data())
def test_edited_messages_are_read_as_all_messages_are(name: str, data: st.DataObject) -> None:
    messages = data.draw(contexts(name))
    message_format, context = read_context(messages)
    slots = [slot for turn in context.turns for slot in turn.slots if slot.editable and slot.kind != "tool_call"]
    chosen = data.draw(st.lists(st.sampled_from(slots), unique_by=lambda slot: (slot.message, slot.path)))
    edits = {(slot.message, slot.path): f"[{i} …]" for i, slot in enumerate(chosen)}
    plain = [t.index for t in context.turns if t.role == "user" and not t.result_call_ids and t.slots]
    removed = set(data.draw(st.lists(st.sampled_from(plain), max_size=2)) if len(plain) > 2 else ())
    edits = {key: text for key, text in edits.items() if key[0] not in removed}
    rendered = message_format.render(context, edits, removed)
    whole = message_format.parse(rendered)
    changed = read_edited_turns(context, message_format, rendered, edits, removed)
    if changed is None:
        return
    left = [turn for turn in context.turns if turn.index not in removed]
    for turn, old in zip(whole.turns, left, strict=True):
        new = changed.get(old.index, old)
        assert facts(new) == facts(turn)
    assert counted(context, removed, changed) == get_counter("gpt-4o").count_context(whole)


def test_threads_do_not_disturb_each_other() -> None:
    forget_histories()
    start = [{"role": "user", "content": "Fix it."}, {"role": "assistant", "content": "How?"}]

    def converse(number: int) -> list[Any]:
        messages, seen = list(start), []
        for i in range(40):
            messages.append({"role": "user", "content": f"{i % (number + 1)}"})
            context = read_context(messages)[1]
            tokens = get_counter("gpt-4o").count_context(context)
            seen.append((totals_of(context).outline(), tokens, [turn.slots[0].text for turn in context.turns]))
            if i % 7 == number % 7:
                messages = copy.deepcopy(messages[: len(messages) // 2])
        return seen

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(converse, range(8)))
    for number, seen in enumerate(together):
        forget_histories()
        assert converse(number) == seen


def facts(turn: Any) -> Any:
    """What matters of a turn, whatever its index; the name of a result's tool stands in its call."""
    slots = [replace(slot, message=0, name=None) for slot in turn.slots]
    return replace(
        turn, index=0, slots=[(*(getattr(s, key) for key in ("path", "kind", "text", "image")),) for s in slots]
    )


def counted(context: Context, removed: set[int], changed: dict[int, Any]) -> int:
    counter = get_counter("gpt-4o")
    turns = [changed.get(turn.index, turn) for turn in context.turns if turn.index not in removed]
    return counter.count_context(Context(context.messages, turns, context.format_name))


@relaxed
@given(data=st.data())
def test_the_result_of_a_call_is_known_for_the_next(data: st.DataObject) -> None:
    forget_histories()
    messages = data.draw(openai_chat_contexts())
    message_format, context = read_context(messages)
    slots = [slot for turn in context.turns for slot in turn.slots if slot.editable and slot.kind != "tool_call"]
    slot = data.draw(st.sampled_from(slots))
    rendered = message_format.render(context, {(slot.message, slot.path): "cut"})
    assert read_changed(context, rendered, slot.message)[1].turns == message_format.parse(rendered).turns
    longer = [*rendered, *data.draw(openai_chat_contexts())]
    assert outcome(longer, True) == outcome(longer, False)
    assert outcome(messages, True) == outcome(messages, False)

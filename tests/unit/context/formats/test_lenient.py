"""Lenient parsing: what a provider would reject becomes turns that nobody edits, and the rest is read as usual."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.formats.signed_reasoning import strip_finished_reasoning
from compressor.context.model import Context, Turn
from compressor.errors import ContextError

USER = {"role": "user", "content": "Fix it."}
SAID = {"role": "assistant", "content": "Waiting."}
History = list[dict[str, Any]]


class _Chat:
    """Writes histories in the chat format."""

    @staticmethod
    def call(*ids: str) -> History:
        calls = [{"id": one, "type": "function", "function": {"name": "read", "arguments": "{}"}} for one in ids]
        return [{"role": "assistant", "content": None, "tool_calls": calls}]

    @staticmethod
    def result(*ids: str) -> History:
        return [{"role": "tool", "tool_call_id": one, "content": "ok"} for one in ids]


class _Anthropic:
    """Writes histories in Anthropic's format."""

    @staticmethod
    def call(*ids: str) -> History:
        return [
            {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "read", "input": {}} for i in ids]}
        ]

    @staticmethod
    def result(*ids: str) -> History:
        results = [{"type": "tool_result", "tool_use_id": one, "content": "ok"} for one in ids]
        return [{"role": "user", "content": results}]


class _Responses:
    """Writes histories in the Responses format."""

    @staticmethod
    def call(*ids: str) -> History:
        return [{"type": "function_call", "call_id": one, "name": "read", "arguments": "{}"} for one in ids]

    @staticmethod
    def result(*ids: str) -> History:
        return [{"type": "function_call_output", "call_id": one, "output": "ok"} for one in ids]


WRITERS = [_Chat, _Anthropic, _Responses]


def _parse(messages: list[Any]) -> Context:
    message_format = detect_format(messages, lenient=True)
    with pytest.raises(ContextError):
        detect_format(messages).parse(messages)
    context = message_format.parse(messages, lenient=True)
    rendered = message_format.render(context, {})
    assert all(a is b for a, b in zip(rendered, messages, strict=True))
    stripped, removed = strip_finished_reasoning(messages, message_format, lenient=True)
    assert not removed and stripped == messages
    return context


def _malformed(turns: list[Turn]) -> list[int]:
    assert not any(slot.editable for turn in turns if turn.is_malformed for slot in turn.slots)
    return [turn.index for turn in turns if turn.is_malformed]


def _good_round(writer: Any, number: int = 7) -> History:
    return [*writer.call(f"g{number}"), *writer.result(f"g{number}")]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_dangling_call_before_a_users_word(writer: Any) -> None:
    turns = _parse([USER, *writer.call("o"), USER, *_good_round(writer)]).turns
    assert _malformed(turns) == [1] and turns[1].call_ids == ()
    assert turns[3].call_ids == turns[4].result_call_ids == ("g7",)
    assert all(slot.editable for slot in turns[4].slots)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_left_over_result_in_front(writer: Any) -> None:
    turns = _parse([*writer.result("o"), USER, *_good_round(writer)]).turns
    assert _malformed(turns) == [0] and turns[0].result_call_ids == ()
    assert [slot.text for slot in turns[0].slots] == ["ok"]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("between", [[], [SAID, USER, SAID]])
def test_an_answer_and_later_another_one(writer: Any, between: History) -> None:
    late = [USER, *writer.call("a"), *writer.result("a"), *between, *writer.result("a"), *_good_round(writer)]
    turns = _parse(late).turns
    (index,) = _malformed(turns)
    assert index == 3 + len(between) and turns[index].linked_ids == ("a",) and turns[index].result_call_ids == ()
    assert turns[1].call_ids == turns[2].result_call_ids == ("a",)


@pytest.mark.parametrize("writer", [_Chat, _Responses])
def test_one_id_twice_in_parallel(writer: Any) -> None:
    messages = [USER, *writer.call("x", "x"), *writer.result("x", "x"), *_good_round(writer)]
    turns = _parse(messages).turns
    assert _malformed(turns) == list(range(1, len(messages) - 2))
    assert [i for turn in turns for i in turn.call_ids] == ["x", "g7"]
    assert [i for turn in turns for i in turn.result_call_ids] == ["x", "g7"]


@pytest.mark.parametrize("writer", WRITERS)
def test_calls_at_the_very_end_are_pending_and_not_malformed(writer: Any) -> None:
    turns = _parse([USER, *writer.call("o"), USER, *writer.call("p")]).turns
    assert _malformed(turns) == [1]
    assert turns[3].call_ids == ("p",) and turns[3].slots[0].editable


@pytest.mark.parametrize("writer", WRITERS)
def test_ids_used_again_pair_with_their_own_call(writer: Any) -> None:
    rounds = [message for _ in range(3) for message in (*writer.call("call_0"), *writer.result("call_0"))]
    assert not _malformed(detect_format(rounds).parse([USER, *rounds], lenient=True).turns)
    turns = _parse([USER, *rounds, *writer.result("call_0"), USER, *rounds]).turns
    assert _malformed(turns) == [7]


@pytest.mark.parametrize(
    "odd", ["a text", None, 7, ["x"], {}, {"role": "critic", "content": "Bad."}, {"role": 5, "content": []}]
)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_no_message_is_left_as_it_is(writer: Any, odd: Any) -> None:
    turns = _parse([USER, *_good_round(writer), odd, USER, *_good_round(writer, 8)]).turns
    assert _malformed(turns) == [3] and not turns[3].slots
    assert turns[5].call_ids == ("g8",)


def test_the_texts_of_an_unreadable_message_are_known() -> None:
    odd = {"role": "assistant", "content": "Hm.", "tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}
    turns = _parse([USER, odd, *_Chat.result("a"), USER]).turns
    assert _malformed(turns) == [1, 2]
    assert "Hm." in turns[1].extras and turns[1].role == "assistant"


def test_anthropic_one_of_two_results_and_a_word() -> None:
    half = {"role": "user", "content": [*_Anthropic.result("a")[0]["content"], {"type": "text", "text": "Hurry."}]}
    turns = _parse([USER, *_Anthropic.call("a", "b"), half, SAID]).turns
    assert _malformed(turns) == [1] and turns[1].call_ids == ("a",) == turns[2].result_call_ids
    assert [slot.editable for slot in turns[2].slots] == [True, True]


def test_langchain() -> None:
    langchain = pytest.importorskip("langchain_core.messages")
    call = langchain.AIMessage("", tool_calls=[{"id": "o", "name": "read", "args": {}}])
    late = langchain.ToolMessage("late", tool_call_id="o")
    removal = langchain.RemoveMessage(id="x")
    human = langchain.HumanMessage("Go.")
    turns = _parse([human, call, human, late, removal, {"role": "user", "content": "x"}, human]).turns
    assert _malformed(turns) == [1, 3, 4, 5]
    assert turns[1].linked_ids == turns[3].linked_ids == ("o",)


def test_strict_is_the_default_and_a_list_is_always_needed() -> None:
    with pytest.raises(ContextError, match="has no result"):
        detect_format([USER]).parse([USER, *_Chat.call("o"), USER])
    with pytest.raises(ContextError, match="must be a list"):
        detect_format([USER]).parse("text", lenient=True)
    with pytest.raises(ContextError, match="is empty"):
        detect_format([], lenient=True)


def test_a_first_message_that_is_damaged_does_not_decide_the_format() -> None:
    messages = [{"type": "x"}, USER, *_good_round(_Chat)]
    assert detect_format(messages, lenient=True).name == "openai_chat"
    assert detect_format(["x", *_Responses.call("a")], lenient=True).name == "openai_responses"
    assert detect_format([7, None], lenient=True).name == "openai_chat"
    assert json.loads(json.dumps(messages)) == messages

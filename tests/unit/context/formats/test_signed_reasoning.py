"""Whole signed reasoning goes out of finished turns where the provider allows that, and nowhere else."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from compressor.context.formats import MESSAGE_FORMATS, MessageFormat, detect_format
from compressor.context.formats.signed_reasoning import strip_finished_reasoning
from compressor.errors import ContextError
from support.property_tests import given, st
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

BY_NAME: dict[str, MessageFormat] = {dialect.name: dialect for dialect in MESSAGE_FORMATS}
ANTHROPIC, CHAT = BY_NAME["anthropic"], BY_NAME["openai_chat"]
RESPONSES, LANGCHAIN = BY_NAME["openai_responses"], BY_NAME["langchain"]


def thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl"}


def redacted() -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr"}


def claude_turns() -> list[dict[str, Any]]:
    """Two finished turns, the first with a tool loop, and a current one that waits for the model after a result."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
    again = {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Rome"}}
    return [
        {"role": "user", "content": "What's the weather in Paris?"},
        {"role": "assistant", "content": [thinking("Paris first."), {"type": "text", "text": "One moment."}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "20 °C"}]},
        {"role": "assistant", "content": [redacted(), thinking("Warm."), {"type": "text", "text": "It has 20 °C."}]},
        {"role": "user", "content": [{"type": "text", "text": "And in Rome?"}]},
        {"role": "assistant", "content": [thinking("Now Rome."), again]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_2", "content": "25 °C"}]},
    ]


def test_anthropic_finished_turns_lose_their_thinking_the_current_one_keeps_it() -> None:
    messages = claude_turns()
    left, removed = strip_finished_reasoning(messages, ANTHROPIC)
    assert [part["type"] for part in left[1]["content"]] == ["text", "tool_use"]
    assert left[3] == {"role": "assistant", "content": [{"type": "text", "text": "It has 20 °C."}]}
    assert [i for i, (a, b) in enumerate(zip(messages, left, strict=True)) if a is b] == [0, 2, 4, 5, 6]
    assert removed == [(1, "Paris first."), (3, json.dumps(redacted())), (3, "Warm.")]
    assert messages == claude_turns()
    assert ANTHROPIC.parse(left).turns[5].call_ids == ("toolu_2",)
    bare, also = strip_finished_reasoning(messages, ANTHROPIC, current=True)
    assert bare[5] == {"role": "assistant", "content": messages[5]["content"][1:]} and also == [
        *removed,
        (5, "Now Rome."),
    ]


def test_anthropic_a_tool_loop_is_one_turn_even_with_a_word_of_the_user_among_the_results() -> None:
    messages = claude_turns()[:3]
    assert strip_finished_reasoning(messages, ANTHROPIC) == (messages, [])
    messages[2]["content"].append({"type": "text", "text": "Hurry up."})
    assert strip_finished_reasoning(messages, ANTHROPIC) == (messages, [])
    messages.append({"role": "user", "content": "Please."})  # goes to the provider in one message with the result
    assert strip_finished_reasoning(messages, ANTHROPIC) == (messages, [])


def test_anthropic_no_gap_where_a_message_would_be_empty() -> None:
    messages = claude_turns()
    messages[3]["content"] = [thinking("Warm."), {"type": "text", "text": " \n"}]
    left, removed = strip_finished_reasoning(messages, ANTHROPIC)
    assert removed == [(1, "Paris first.")] and left[3] is messages[3]
    messages[1]["content"] = [thinking("Paris first.")]
    del messages[2]
    assert strip_finished_reasoning(messages, ANTHROPIC) == (messages, [])


@pytest.mark.moderate
def test_anthropic_objects_of_the_sdk() -> None:
    anthropic = pytest.importorskip("anthropic")
    answer = anthropic.types.Message.model_validate(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-4-5",
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
            "content": [thinking("Simple."), {"type": "text", "text": "Yes."}],
        }
    )
    messages = [
        {"role": "user", "content": "Is 7 prime?"},
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": "And 9?"},
    ]
    left, removed = strip_finished_reasoning(messages, ANTHROPIC)
    assert removed == [(1, "Simple.")] and left[1]["content"] == [answer.content[1]]


def reasoning(number: int, summary: str = "") -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": summary}] if summary else []
    return {"type": "reasoning", "id": f"rs_{number}", "summary": parts, "encrypted_content": "gAAAAABo"}


def gpt() -> list[dict[str, Any]]:
    said = [{"type": "output_text", "text": "It has 20 °C.", "annotations": []}]
    call = {"type": "function_call", "name": "weather", "arguments": '{"city":"Paris"}'}
    return [
        {"role": "user", "content": "What's the weather in Paris?"},
        reasoning(1, "Look it up"),
        {**call, "id": "fc_1", "call_id": "call_1", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "20 °C"},
        reasoning(2),
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": said},
        {"role": "user", "content": "And in Rome?"},
        reasoning(3, "Rome"),
        {**call, "id": "fc_2", "call_id": "call_2"},
        {"type": "function_call_output", "call_id": "call_2", "output": "25 °C"},
    ]


def test_responses_reasoning_goes_with_the_ids_that_tie_items_to_it() -> None:
    items = gpt()
    left, removed = strip_finished_reasoning(items, RESPONSES)
    assert [item.get("type", "message") for item in left] == [
        *("message", "function_call", "function_call_output", "message", "message"),
        *("reasoning", "function_call", "function_call_output"),
    ]
    assert all("id" not in item for item in left[:5]) and left[1]["call_id"] == "call_1"
    assert all(a is b for a, b in zip(left[4:], items[6:], strict=True))
    assert removed[0] == (1, "Look it up") and json.loads(removed[1][1])["id"] == "rs_2"
    assert items == gpt()
    RESPONSES.parse(left)
    assert strip_finished_reasoning(items, RESPONSES, current=True) == strip_finished_reasoning(items, RESPONSES)


@pytest.mark.parametrize(
    "tied",
    [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "item_reference", "id": "msg_9"},
    ],
)
def test_responses_reasoning_stays_where_an_item_cannot_lose_its_id(tied: dict[str, Any]) -> None:
    items = gpt()
    items.insert(2, tied)
    assert strip_finished_reasoning(items, RESPONSES) == (items, [])


def test_responses_a_call_answered_after_the_users_word_keeps_its_reasoning() -> None:
    items = [*gpt()[:3], {"role": "user", "content": "Well?"}, gpt()[3]]
    assert strip_finished_reasoning(items, RESPONSES) == (items, [])


def deepseek() -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": "9.11 and 9.8, which is greater?"},
        {"role": "assistant", "reasoning_content": "Compare the tenths.", "content": "9.8 is greater."},
        {"role": "user", "content": "How many Rs are there in 'strawberry'?"},
        {"role": "assistant", "reasoning_content": "Spell it.", "content": "3"},
    ]


def test_chat_reasoning_goes_from_finished_turns_where_nothing_was_called() -> None:
    messages = deepseek()
    left, removed = strip_finished_reasoning(messages, CHAT)
    assert left[1] == {"role": "assistant", "content": "9.8 is greater."} and removed == [(1, "Compare the tenths.")]
    assert left[3] is messages[3]
    messages[1]["content"] = ""
    assert strip_finished_reasoning(messages, CHAT) == (messages, [])


def test_chat_reasoning_stays_once_there_are_tools() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "count", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Count."},
        {"role": "assistant", "reasoning_content": "Use the tool.", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
        {"role": "assistant", "reasoning_content": "Done.", "content": "3"},
        *deepseek(),
    ]
    assert strip_finished_reasoning(messages, CHAT) == (messages, [])


def test_langchain_by_the_rules_of_who_made_the_message() -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.messages import AIMessage, HumanMessage

    def made_by(provider: str, content: Any, **more: Any) -> AIMessage:
        return AIMessage(content, id="run-1", response_metadata={"model_provider": provider}, **more)

    said = {"type": "text", "text": "Yes.", "id": "msg_1"}
    signed = {"type": "reasoning", "reasoning": "Simple.", "extras": {"signature": "EqQB"}}
    cases: list[tuple[AIMessage, Any]] = [
        (made_by("anthropic", [thinking("Simple."), said]), [said]),
        (made_by("anthropic", [signed, said]), [said]),
        (made_by("openai", [reasoning(1, "Simple."), said]), [{"type": "text", "text": "Yes."}]),
        (made_by("google_genai", [thinking("Simple."), said]), None),
        (made_by("google_genai", [signed, said]), None),
        (AIMessage([signed, said]), None),
        (made_by("openai", [reasoning(1, "Simple."), {"type": "web_search_call", "id": "ws_1"}, said]), None),
        (made_by("deepseek", "Yes.", additional_kwargs={"reasoning_content": "Simple."}), "Yes."),
    ]
    for message, content in cases:
        messages = [HumanMessage("Is 7 prime?"), message, HumanMessage("And 9?")]
        left, removed = strip_finished_reasoning(messages, LANGCHAIN)
        assert (left[0] is messages[0]) and (left[2] is messages[2])
        if content is None:
            assert left[1] is message and removed == []
            continue
        assert (left[1].content, left[1].id, removed) == (content, "run-1", [(1, "Simple.")])
        assert "reasoning_content" not in left[1].additional_kwargs
        LANGCHAIN.parse(left)
        current = messages[:2]
        assert strip_finished_reasoning(current, LANGCHAIN) == (current, [])


@pytest.mark.moderate
def test_langchain_openai_then_sends_no_id_that_asks_for_reasoning() -> None:
    base = pytest.importorskip("langchain_openai.chat_models.base")
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}"}
    by = {"model_provider": "openai"}
    asked = AIMessage(
        [reasoning(1), call], tool_calls=[{"name": "weather", "args": {}, "id": "call_1"}], response_metadata=by
    )
    said = AIMessage([reasoning(2), {"type": "text", "text": "20 °C.", "id": "msg_1"}], response_metadata=by)
    block = {"type": "tool_call", "id": "call_1", "name": "weather", "args": {}, "extras": {"item_id": "fc_1"}}
    in_v1 = asked.model_copy(update={"content": [reasoning(1), block]})
    for first in (asked, in_v1):
        result = ToolMessage("20 °C", tool_call_id="call_1")
        messages = [HumanMessage("Paris?"), first, result, said, HumanMessage("Rome?")]
        left, removed = strip_finished_reasoning(messages, LANGCHAIN)
        sent = base._construct_responses_api_input(left)
        assert [item.get("type", "message") for item in sent] == [
            *("message", "function_call", "function_call_output", "message", "message")
        ]
        assert not any("id" in item for item in sent) and len(removed) == 2
        assert {"fc_1", "msg_1"} <= {item.get("id") for item in base._construct_responses_api_input(messages)}


def test_what_the_dialect_refuses_is_refused() -> None:
    with pytest.raises(ContextError):
        strip_finished_reasoning(
            [*claude_turns(), {"role": "user", "content": "Stop."}, {"role": "narrator"}], ANTHROPIC
        )


def is_user(dialect: str, message: Any) -> bool:
    """A word of the user's, by the wire alone."""
    if dialect == "langchain":
        return bool(message.type == "human")
    content = message.get("content")
    results = isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)
    return message.get("role") == "user" and not results


def reasoned(dialect: str, message: Any) -> list[str]:
    """The reasoning in a message, in order."""
    if dialect == "langchain":
        parts = message.content if isinstance(message.content, list) else []
        found = [p for p in parts if isinstance(p, dict) and p.get("type") in ("thinking", "reasoning")]
        return [json.dumps(p) for p in found] + [
            str(v) for v in [message.additional_kwargs.get("reasoning_content")] if v
        ]
    if dialect == "openai_responses":
        return [json.dumps(message)] if message.get("type") == "reasoning" else []
    if dialect == "openai_chat":
        return [message["reasoning_content"]] if "reasoning_content" in message else []
    parts = message["content"] if isinstance(message["content"], list) else []
    return [json.dumps(p) for p in parts if p.get("type") in ("thinking", "redacted_thinking")]


@st.composite
def contexts(draw: st.DrawFn) -> list[Any]:
    """Contexts of every dialect; those that have no reasoning get some."""
    messages: list[Any] = draw(
        st.one_of(anthropic_contexts(), responses_contexts(), openai_chat_contexts(), langchain_contexts())
    )
    for i, message in enumerate(messages):
        if isinstance(message, dict):
            if message.get("role") == "assistant" and isinstance(message.get("content"), str) and draw(st.booleans()):
                messages[i] = {**message, "reasoning_content": "Hmm."}
        elif message.type == "ai":
            provider = draw(st.sampled_from(("anthropic", "openai", "google_genai", "deepseek", "")))
            content = message.content
            if provider == "anthropic":
                content = [thinking("Hmm."), *(content if isinstance(content, list) else [content] if content else [])]
            more = {"reasoning_content": "Hmm."} if provider == "deepseek" else {}
            update = {"content": content, "additional_kwargs": {**message.additional_kwargs, **more}}
            by = {"response_metadata": {"model_provider": provider} if provider else {}}
            messages[i] = message.model_copy(update={**update, **by})
    return messages


def snapshot(messages: Sequence[Any]) -> list[Any]:
    return [copy.deepcopy(m if isinstance(m, dict) else m.model_dump()) for m in messages]


@given(contexts())
def test_nothing_but_finished_reasoning_goes_and_what_is_left_is_sound(messages: list[Any]) -> None:
    dialect = detect_format(messages)
    before = snapshot(messages)
    left, removed = strip_finished_reasoning(messages, dialect)
    assert snapshot(messages) == before
    dialect.parse(left)
    assert strip_finished_reasoning(left, dialect) == (left, [])

    last = max((i for i, m in enumerate(messages) if is_user(dialect.name, m)), default=0)
    assert all(index < last for index, _ in removed)
    current = messages[last:]
    assert all(a is b for a, b in zip(current, left[len(left) - len(current) :], strict=True))

    gone = {index for index, _ in removed}
    if dialect.name == "openai_responses":
        assert all(messages[index]["type"] == "reasoning" for index in gone)
        assert len(left) == len(messages) - len(gone)
        rest = [m for i, m in enumerate(messages) if i not in gone]
        assert [{k: v for k, v in m.items() if k != "id"} for m in left] == [
            {k: v for k, v in m.items() if k != "id"} for m in rest
        ]
    else:
        assert all(a is b for i, (a, b) in enumerate(zip(messages, left, strict=True)) if i not in gone)
        for index in gone:
            assert reasoned(dialect.name, messages[index]) and left[index] is not messages[index]
    had = [text for message in messages for text in reasoned(dialect.name, message)]
    has = [text for message in left for text in reasoned(dialect.name, message)]
    assert len(has) + len(removed) == len(had)
    if dialect.name == "anthropic":  # the API refuses a gap between blocks that stay
        assert has == had[len(removed) :]


@given(responses_contexts())
def test_responses_no_id_is_left_without_its_reasoning(items: list[dict[str, Any]]) -> None:
    dialect = detect_format(items)
    if dialect.name != "openai_responses":
        return
    left, _ = strip_finished_reasoning(items, dialect)
    kept = {item["id"] for item in left if item.get("type") == "reasoning"}
    needs: dict[str, str] = {}  # as the API ties them: an item to the reasoning right before it
    for before, item in pairwise(items):
        if before.get("type") == "reasoning" and item.get("id"):
            needs[item["id"]] = before["id"]
    for item in left:
        assert needs.get(item.get("id", "")) in (None, *kept)

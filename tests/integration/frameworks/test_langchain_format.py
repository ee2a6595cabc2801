"""LangChain messages: read from every class, edited as copies that keep everything else, never imported unasked."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.formats.langchain import LangChainFormat
from compressor.context.model import Image, TextSlot
from compressor.errors import ContextError
from support.strategies import png

messages_of = pytest.importorskip("langchain_core.messages")
AI, Human, System, Tool = (
    messages_of.AIMessage,
    messages_of.HumanMessage,
    messages_of.SystemMessage,
    messages_of.ToolMessage,
)
LANGCHAIN = LangChainFormat()
USAGE = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}


def _tool_call(call_id: str | None, name: str = "f", **args: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "args": args}


def _conversation() -> list[Any]:
    use = {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "ä"}}
    raw = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "ä"}'}}
    return [
        System("Be brief.", id="s1"),
        Human(
            [
                "Look.",
                {"type": "text", "text": "Here:"},
                {"type": "image", "base64": png(64, 48), "mime_type": "image/png"},
                {"type": "image_url", "image_url": "https://example.com/a.png"},
                {"type": "text-plain", "mime_type": "text/plain", "text": "a report", "title": "T"},
            ],
            name="bob",
        ),
        AI(
            [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "reasoning", "reasoning": "So."},
                {"type": "text", "text": "I read."},
                use,
            ],
            tool_calls=[_tool_call("c1", "read", path="ä"), _tool_call("c2", "shell")],
            additional_kwargs={"tool_calls": [raw]},
            response_metadata={"model_name": "m"},
            usage_metadata=USAGE,
            id="a1",
        ),
        Tool("out", tool_call_id="c2", artifact={"raw": b"\x00"}, status="error", id="t2"),
        Tool([{"type": "text", "text": "text of a"}, "tail"], tool_call_id="c1", name="read"),
        AI("Done.", id="a2"),
    ]


def test_reads_everything() -> None:
    turns = LANGCHAIN.parse(_conversation()).turns
    assert [t.role for t in turns] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert turns[0].slots == [TextSlot(0, ("content",), "system", "Be brief.")]
    assert turns[1].slots == [
        TextSlot(1, ("content", 0), "user", "Look."),
        TextSlot(1, ("content", 1, "text"), "user", "Here:"),
        TextSlot(1, ("content", 2), "image", image=Image(64, 48)),
        TextSlot(1, ("content", 3), "image", image=Image()),
        TextSlot(1, ("content", 4, "text"), "document", "a report"),
    ]
    assert turns[1].extras == ("bob", "T")
    assert turns[2].slots == [
        TextSlot(2, ("content", 0, "thinking"), "thinking", "Hm.", editable=False),
        TextSlot(2, ("content", 1, "reasoning"), "thinking", "So.", editable=False),
        TextSlot(2, ("content", 2, "text"), "assistant", "I read."),
        TextSlot(2, ("tool_calls", 0, "args"), "tool_call", '{"path": "ä"}', name="read", call_id="c1"),
        TextSlot(2, ("tool_calls", 1, "args"), "tool_call", "{}", name="shell", call_id="c2"),
    ]
    assert turns[2].call_ids == ("c1", "c2") and turns[2].extras == ("read", "shell")
    assert turns[3].slots == [TextSlot(3, ("content",), "tool_result", "out", name="shell", call_id="c2")]
    assert turns[4].slots == [
        TextSlot(4, ("content", 0, "text"), "tool_result", "text of a", name="read", call_id="c1"),
        TextSlot(4, ("content", 1), "tool_result", "tail", name="read", call_id="c1"),
    ]
    assert [t.result_call_ids for t in turns[3:5]] == [("c2",), ("c1",)]


def test_edits_keep_everything_else() -> None:
    messages = _conversation()
    before = [m.model_dump() for m in copy.deepcopy(messages)]
    edits = {
        (1, ("content", 0)): "L.",
        (1, ("content", 2)): "[image]",
        (2, ("tool_calls", 0, "args")): '{"path": "b"}',
        (3, ("content",)): "o",
        (4, ("content", 1)): "t",
    }
    rendered = LANGCHAIN.render(LANGCHAIN.parse(messages), edits)
    assert [m.model_dump() for m in messages] == before
    expected = [m.model_dump() for m in messages]
    expected[1]["content"][0] = "L."
    expected[1]["content"][2] = {"type": "text", "text": "[image]"}
    expected[2]["tool_calls"][0]["args"] = {"path": "b"}
    expected[2]["content"][3]["input"] = {"path": "b"}  # the same call, held three times
    expected[2]["additional_kwargs"]["tool_calls"][0]["function"]["arguments"] = '{"path": "b"}'
    expected[3]["content"] = "o"
    expected[4]["content"][1] = "t"
    assert [m.model_dump() for m in rendered] == expected
    assert [type(m) for m in rendered] == [type(m) for m in messages]
    assert rendered[0] is messages[0] and rendered[5] is messages[5]
    assert rendered[3].artifact is messages[3].artifact and rendered[3].id == "t2" and rendered[3].status == "error"
    assert rendered[2].usage_metadata == USAGE and rendered[2].content_blocks


def test_standard_content_blocks_and_chunks() -> None:
    made = AI(content_blocks=[{"type": "text", "text": "hi"}, _tool_call("c", "f", a=1)])
    messages = [made, Tool("ok", tool_call_id="c")]
    context = LANGCHAIN.parse(messages)
    assert [s.path for s in context.turns[0].slots] == [("content", 0, "text"), ("tool_calls", 0, "args")]
    (edited, _) = LANGCHAIN.render(context, {(0, ("tool_calls", 0, "args")): '{"a": 2}'})
    assert edited.tool_calls[0]["args"] == edited.content[1]["args"] == {"a": 2}
    assert made.tool_calls[0]["args"] == {"a": 1}
    assert LANGCHAIN.parse([messages_of.AIMessageChunk("x")]).turns[0].slots[0].kind == "assistant"


def test_calls_held_only_in_content() -> None:
    use = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
    context = LANGCHAIN.parse([AI([use]), Tool("ok", tool_call_id="c")])
    assert context.turns[0].call_ids == ("c",)
    (edited, _) = LANGCHAIN.render(context, {(0, ("content", 0, "input")): "{}"})
    assert edited.content[0]["input"] == {}


def test_invalid_calls_count_if_answered() -> None:
    bad = {"type": "invalid_tool_call", "id": "c", "name": "f", "args": "{oops", "error": "x"}
    for unanswered in (bad, {**bad, "id": None}):
        assert LANGCHAIN.parse([AI("", invalid_tool_calls=[unanswered]), Human("hi")]).turns[0].call_ids == ()
    context = LANGCHAIN.parse([AI("", invalid_tool_calls=[bad]), Tool("no", tool_call_id="c")])
    assert context.turns[0].call_ids == ("c",) and context.turns[0].slots[0].text == "{oops"


def test_chat_and_function_messages() -> None:
    legacy = AI("", additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}})
    messages = [
        messages_of.ChatMessage("hi", role="user"),
        legacy,
        messages_of.FunctionMessage("42", name="f"),
        messages_of.ChatMessage("yes", role="assistant"),
    ]
    context = LANGCHAIN.parse(messages)
    assert [t.role for t in context.turns] == ["user", "assistant", "tool", "assistant"]
    assert context.turns[2].result_call_ids == () and context.turns[2].slots[0].name == "f"
    path = ("additional_kwargs", "function_call", "arguments")
    edited = LANGCHAIN.render(context, {(1, path): '{"a": 1}'})[1]
    assert edited.additional_kwargs["function_call"]["arguments"] == '{"a": 1}'
    assert legacy.additional_kwargs["function_call"]["arguments"] == "{}"


class MyHuman(Human):  # type: ignore[misc, valid-type]
    """A subclass from elsewhere."""


def test_subclasses() -> None:
    mine = MyHuman("hi")
    context = LANGCHAIN.parse([mine])
    assert LANGCHAIN.matches([mine]) and context.turns[0].role == "user"
    assert type(LANGCHAIN.render(context, {(0, ("content",)): "x"})[0]) is MyHuman


BAD: list[tuple[list[Any], int, str]] = [
    ([Human("a"), messages_of.RemoveMessage(id="x")], 1, "RemoveMessage"),
    ([Human("a"), {"role": "user", "content": "x"}], 1, "a dict is not a LangChain message"),
    ([("human", "a")], 0, "a tuple is not a LangChain message"),
    ([messages_of.ChatMessage("x", role="robot")], 0, "role 'robot'"),
    ([Tool("x", tool_call_id="c")], 0, "tool result for 'c'"),
    ([AI("", tool_calls=[_tool_call("c")]), Human("x")], 0, "'c' has no result"),
    ([AI("", tool_calls=[_tool_call("c"), _tool_call("c")])], 0, "used twice"),
    ([AI("", tool_calls=[_tool_call(None)])], 0, "has no id"),
    ([AI("", tool_calls=[_tool_call("c", a=object())])], 0, "cannot be written as JSON"),
    ([messages_of.FunctionMessage("42", name="f")], 0, "function 'f'"),
]


@pytest.mark.parametrize(("messages", "index", "problem"), BAD)
def test_refuses(messages: list[Any], index: int, problem: str) -> None:
    with pytest.raises(ContextError) as caught:
        LANGCHAIN.parse(messages)
    assert caught.value.index == index and problem in str(caught.value)


def test_detected() -> None:
    assert detect_format(_conversation()).name == "langchain"
    with pytest.raises(ContextError) as caught:
        detect_format([Human("a"), Human("b"), {"role": "user", "content": "x"}])
    assert caught.value.index == 2
    with pytest.raises(ContextError) as caught:
        detect_format([{"role": "user", "content": "x"}, Human("a")])
    assert caught.value.index == 1


def test_not_imported_unless_it_is() -> None:
    code = (
        "import sys; from compressor.context.formats import detect_format; m = [{'role': 'user', 'content': 'x'}];"
        "detect_format(m).parse(m);"
        "print([n for n in sys.modules if n.startswith(('langchain', 'pydantic', 'openai', 'anthropic'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

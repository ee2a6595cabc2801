"""OpenAI chat completions: what each part of the wire form is read as, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compressor.context.formats.openai_chat import OpenAIChatFormat
from compressor.context.model import Image, TextSlot
from compressor.errors import ContextError
from support.strategies import png

CHAT = OpenAIChatFormat()


def _call(call_id: str, name: str = "f", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def _result(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


MESSAGES: list[Any] = [
    {"role": "developer", "content": "Be brief.", "name": "boss"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + png(64, 48), "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "brand_new", "words": ["counted", {"text": "too"}], "id": "x"},
        ],
    },
    {
        "role": "assistant",
        "content": [{"type": "text", "text": "Let me see."}, {"type": "refusal", "refusal": "No."}],
        "refusal": "Not that.",
        "x_unknown": {"a": [1]},
        "tool_calls": [
            _call("c1", "read", '{"path": "a"}'),
            {"id": "c2", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}},
        ],
    },
    _result("c2", [{"type": "text", "text": "total 0"}, {"type": "text", "text": ""}]),
    {**_result("c1", "text of a"), "name": "reader"},
    {"role": "assistant", "content": "Done.", "tool_calls": None, "function_call": None, "refusal": None},
]


def test_reads_everything() -> None:
    context = CHAT.parse(MESSAGES, tools=[{"type": "function"}])
    assert (
        context.format_name == "openai_chat"
        and context.messages is MESSAGES
        and context.tools == [{"type": "function"}]
    )
    assert [t.role for t in context.turns] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert context.turns[0].slots == [TextSlot(0, ("content",), "system", "Be brief.")]
    assert context.turns[0].extras == ("boss",)
    assert context.turns[1].slots == [
        TextSlot(1, ("content", 0, "text"), "user", "What is this?"),
        TextSlot(1, ("content", 1), "image", image=Image(64, 48, "low")),
        TextSlot(1, ("content", 2), "image", image=Image(0, 0, "auto")),
    ]
    assert context.turns[1].extras == ("counted", "too")
    assert context.turns[2].slots == [
        TextSlot(2, ("content", 0, "text"), "assistant", "Let me see."),
        TextSlot(2, ("content", 1, "refusal"), "assistant", "No.", editable=False),
        TextSlot(2, ("refusal",), "assistant", "Not that.", editable=False),
        TextSlot(
            2, ("tool_calls", 0, "function", "arguments"), "tool_call", '{"path": "a"}', name="read", call_id="c1"
        ),
        TextSlot(2, ("tool_calls", 1, "custom", "input"), "tool_call", "ls -l", name="shell", call_id="c2"),
    ]
    assert context.turns[2].call_ids == ("c1", "c2") and context.turns[2].extras == ("read", "shell")
    assert context.turns[3].slots == [
        TextSlot(3, ("content", 0, "text"), "tool_result", "total 0", name="shell", call_id="c2")
    ]
    assert context.turns[3].result_call_ids == ("c2",)
    assert context.turns[4].slots == [
        TextSlot(4, ("content",), "tool_result", "text of a", name="reader", call_id="c1")
    ]
    assert context.turns[5].slots == [TextSlot(5, ("content",), "assistant", "Done.")]


def test_image_becomes_a_text_part() -> None:
    messages = copy.deepcopy(MESSAGES)
    messages[1]["content"][1]["prompt_cache_breakpoint"] = {"mode": "explicit"}
    rendered = CHAT.render(CHAT.parse(messages), {(1, ("content", 1)): "[image]"})
    expected = copy.deepcopy(messages)
    expected[1]["content"][1] = {
        "type": "text",
        "text": "[image]",
        "prompt_cache_breakpoint": {"mode": "explicit"},
    }
    assert rendered == expected and messages != expected
    assert rendered[1]["content"][2] is messages[1]["content"][2]  # as shallow as possible


def test_arguments_as_a_dict() -> None:
    messages = [_calling(_call("c", arguments={"α": [1]})), _result("c")]
    context = CHAT.parse(messages)
    assert context.turns[0].slots[0].text == '{"α": [1]}'
    path = context.turns[0].slots[0].path
    assert CHAT.render(context, {(0, path): '{"b": 2}'})[0]["tool_calls"][0]["function"]["arguments"] == {"b": 2}
    for bad in ("[1]", "{", "[" * 100_000):
        with pytest.raises(ContextError) as caught:
            CHAT.render(context, {(0, path): bad})
        assert caught.value.index == 0


def test_legacy_functions_pair_by_name() -> None:
    messages = [
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
    ]
    context = CHAT.parse(messages)
    assert [(t.role, t.call_ids, t.result_call_ids, t.extras) for t in context.turns] == [
        ("assistant", (), (), ("f",)),
        ("tool", (), (), ("f",)),
    ]
    assert context.turns[0].slots == [TextSlot(0, ("function_call", "arguments"), "tool_call", "{}", name="f")]
    assert context.turns[1].slots == [TextSlot(1, ("content",), "tool_result", "42", name="f")]
    with pytest.raises(ContextError, match="function 'g'"):
        CHAT.parse([messages[0], {"role": "function", "name": "g", "content": "42"}])
    with pytest.raises(ContextError) as caught:
        CHAT.parse([*messages, messages[1]])
    assert caught.value.index == 2


def test_open_round_and_reused_ids() -> None:
    CHAT.parse([_calling(_call("a"), _call("b"))])
    CHAT.parse([_calling(_call("a"), _call("b")), _result("b")])
    context = CHAT.parse([_calling(_call("a", "f")), _result("a"), _calling(_call("a", "g")), _result("a")])
    assert [s.name for t in context.turns for s in t.slots if s.kind == "tool_result"] == ["f", "g"]


@pytest.mark.parametrize("content", [None, "", []])
def test_no_content_no_slot(content: Any) -> None:
    for role in ("system", "user", "assistant"):
        assert CHAT.parse([{"role": role, "content": content}]).turns[0].slots == []
    assert CHAT.parse([{"role": "assistant"}]).turns[0].slots == []
    assert CHAT.parse([]).turns == []


BAD: list[tuple[list[Any], int | None, str]] = [
    (["hi"], 0, "dict, got str"),
    ([None], 0, "dict, got NoneType"),
    ([{"role": "user", "content": "a"}, 3], 1, "got int"),
    ([{"content": "a"}], 0, "unknown role None"),
    ([{"role": "robot", "content": "a"}], 0, "unknown role 'robot'"),
    ([{"role": ["user"], "content": "a"}], 0, "unknown role"),
    ([{"role": "user", "content": 3}], 0, "content must be a string or a list"),
    ([{"role": "user", "content": {"type": "text"}}], 0, "content must be"),
    ([{"role": "user", "content": ["a"]}], 0, "part 0 of content must be a dict"),
    ([{"role": "user", "content": [{"text": "a"}]}], 0, "no type"),
    ([{"role": "user", "content": [{"type": "text", "text": None}]}], 0, "content.0.text must be a string"),
    ([_result("x")], 0, "tool result for 'x'"),
    ([_calling(_call("a")), _result("a"), _result("a")], 2, "tool result for 'a'"),
    ([_calling(_call("a")), _result("b")], 1, "tool result for 'b'"),
    ([_calling(_call("a")), {"role": "tool", "content": "b"}], 1, "has no id"),
    ([_calling(_call("a")), {"role": "user", "content": "b"}], 0, "'a' has no result"),
    ([_calling(_call("a"), _call("b")), _result("b"), {"role": "user", "content": "b"}], 0, "'a' has no result"),
    ([_calling(_call("a")), _calling(_call("b"))], 0, "'a' has no result"),
    ([_calling(_call("a"), _call("a"))], 0, "used twice"),
    ([_calling(_call(""))], 0, "has no id"),
    ([_calling(_call("a", ""))], 0, "no tool name"),
    ([_calling(_call("a", "f", 3))], 0, "arguments must be a string"),
    ([_calling({"id": "a", "type": "function"})], 0, "no field 'function'"),
    ([{"role": "assistant", "tool_calls": "x"}], 0, "tool_calls must be a list"),
    ([{"role": "assistant", "tool_calls": ["x"]}], 0, "must be a dict"),
    ([{"role": "assistant", "refusal": 3}], 0, "refusal must be a string"),
]


@pytest.mark.parametrize(("messages", "index", "problem"), BAD)
def test_refuses(messages: list[Any], index: int | None, problem: str) -> None:
    with pytest.raises(ContextError) as caught:
        CHAT.parse(messages)
    assert caught.value.index == index and problem in str(caught.value)


@pytest.mark.parametrize("messages", ["text", {"messages": []}, None, 3, b"x"])
def test_refuses_anything_but_a_list(messages: Any) -> None:
    with pytest.raises(ContextError, match="must be a list of messages"):
        CHAT.parse(messages)


def test_refuses_edits_that_fit_nothing() -> None:
    context = CHAT.parse(MESSAGES)
    for edit in ((0, ("content", 3)), (2, ("refusal",)), (99, ("content",)), (-1, ("content",))):
        with pytest.raises(ContextError):
            CHAT.render(context, {edit: "x"})
    assert CHAT.render(context, {(5, ("content",)): "x"}, drop={5}) == MESSAGES[:5]


@pytest.mark.moderate
@pytest.mark.parametrize("deep", [False, True])
def test_arguments_that_json_cannot_hold(deep: bool) -> None:
    held: dict[str, Any] = {}
    node = held
    for _ in range(100_000 if deep else 3):
        node["a"] = {}
        node = node["a"]
    if not deep:
        node["a"] = held
    with pytest.raises(ContextError, match="cannot be written as JSON"):
        CHAT.parse([_calling(_call("c", arguments=held))])
    part = {"type": "brand_new", "held": held, "text": "counted"}
    assert CHAT.parse([{"role": "user", "content": [part]}]).turns[0].extras == ("counted",)


@pytest.mark.parametrize("text", ["\ud800 lone", "nul \x00", "\x1b[0m", "a\r\nb", "x" * 1_000_000, "é" * 200_000])
def test_odd_texts(text: str) -> None:
    messages = [_calling(_call("c", arguments={"a": text})), _result("c", text)]
    context = CHAT.parse(messages)
    assert context.turns[1].slots[0].text is text
    rendered = CHAT.render(context, {(0, context.turns[0].slots[0].path): context.turns[0].slots[0].text + " "})
    assert rendered == messages and rendered[1] is messages[1]

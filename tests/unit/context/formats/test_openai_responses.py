"""OpenAI Responses items: what each item is read as, what passes through, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compressor.context.formats.openai_responses import OpenAIResponsesFormat
from compressor.context.model import Image, TextSlot
from compressor.errors import ContextError
from support.strategies import png

RESPONSES = OpenAIResponsesFormat()
URL = "data:image/png;base64," + png(64, 48)


def _function_call(call_id: str, name: str = "f") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def _output(call_id: str, output: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


USER = {"role": "user", "content": "hi"}
ITEMS: list[Any] = [
    {"role": "developer", "content": "Be brief."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look."},
            {"type": "input_image", "image_url": URL, "detail": "high"},
            {"type": "input_file", "file_id": "f1"},
        ],
    },
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Thinking."}, {"type": "summary_text", "text": ""}],
        "content": [{"type": "reasoning_text", "text": "Raw."}],
        "encrypted_content": "gAAAA",
    },
    _function_call("c1", "read"),
    {"type": "custom_tool_call", "call_id": "c2", "name": "shell", "input": "ls"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "total 0"},
    _output("c1", [{"type": "input_text", "text": "text of a"}, {"type": "input_image", "image_url": URL}]),
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "phase": "final_answer",
        "content": [
            {"type": "output_text", "text": "Done.", "annotations": []},
            {"type": "refusal", "refusal": "No more."},
        ],
    },
    {"type": "item_reference", "id": "msg_0"},
    {"id": "msg_00"},
    {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "lookup",
        "arguments": '{"q": 1}',
        "output": "found",
        "server_label": "s",
    },
    {"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgo=", "status": "completed"},
    {"type": "never_heard_of", "payload": {"text": "counted", "encrypted_content": "gAAA"}},
]


def test_reads_everything() -> None:
    context = RESPONSES.parse(ITEMS)
    roles = ["system", "user", *["assistant"] * 3, "tool", "tool", *["assistant"] * 6]
    assert [t.role for t in context.turns] == roles
    assert context.turns[0].slots == [TextSlot(0, ("content",), "system", "Be brief.")]
    assert context.turns[1].slots == [
        TextSlot(1, ("content", 0, "text"), "user", "Look."),
        TextSlot(1, ("content", 1), "image", image=Image(64, 48, "high")),
    ]
    assert context.turns[2].slots == [
        TextSlot(2, ("summary", 0, "text"), "thinking", "Thinking.", editable=False),
        TextSlot(2, ("content", 0, "text"), "thinking", "Raw.", editable=False),
    ]
    assert context.turns[3].slots == [TextSlot(3, ("arguments",), "tool_call", "{}", name="read", call_id="c1")]
    assert context.turns[4].slots == [TextSlot(4, ("input",), "tool_call", "ls", name="shell", call_id="c2")]
    assert [t.call_ids for t in context.turns[3:5]] == [("c1",), ("c2",)]
    assert context.turns[5].slots == [TextSlot(5, ("output",), "tool_result", "total 0", name="shell", call_id="c2")]
    assert context.turns[6].slots == [
        TextSlot(6, ("output", 0, "text"), "tool_result", "text of a", name="read", call_id="c1"),
        TextSlot(6, ("output", 1), "image", name="read", call_id="c1", image=Image(64, 48)),
    ]
    assert [t.result_call_ids for t in context.turns[5:7]] == [("c2",), ("c1",)]
    assert context.turns[7].slots == [
        TextSlot(7, ("content", 0, "text"), "assistant", "Done."),
        TextSlot(7, ("content", 1, "refusal"), "assistant", "No more.", editable=False),
    ]
    assert [t.slots for t in context.turns[8:]] == [[]] * 5
    assert [t.extras for t in context.turns[8:]] == [(), (), ("lookup", '{"q": 1}', "found", "s"), (), ("counted",)]


def test_edits() -> None:
    edits = {(1, ("content", 1)): "[image]", (6, ("output", 0, "text")): "a", (5, ("output",)): "b"}
    rendered = RESPONSES.render(RESPONSES.parse(ITEMS), edits)
    expected = copy.deepcopy(ITEMS)
    expected[1]["content"][1] = {"type": "input_text", "text": "[image]"}
    expected[6]["output"][0]["text"] = "a"
    expected[5]["output"] = "b"
    assert rendered == expected
    assert all(a is b for i, (a, b) in enumerate(zip(rendered, ITEMS, strict=True)) if i not in (1, 5, 6))


def test_computer_and_shell_calls_are_paired() -> None:
    items = [
        USER,
        {"type": "computer_call", "id": "cu_1", "call_id": "c1", "action": {"type": "screenshot"}},
        {
            "type": "computer_call_output",
            "call_id": "c1",
            "output": {"type": "computer_screenshot", "image_url": URL},
        },
        {"type": "shell_call", "call_id": "c2", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "c2", "output": [{"stdout": "a.txt", "stderr": ""}]},
    ]
    turns = RESPONSES.parse(items).turns
    assert [(t.role, t.call_ids, t.result_call_ids) for t in turns[1:]] == [
        ("assistant", ("c1",), ()),
        ("tool", (), ("c1",)),
        ("assistant", ("c2",), ()),
        ("tool", (), ("c2",)),
    ]
    (shot,) = turns[2].slots
    assert shot.image == Image(64, 48, needs_picture=True) and not shot.editable
    assert turns[3].extras == ("ls",) and turns[4].extras == ("a.txt",)


def test_results_may_come_late_and_references_may_stand_for_calls() -> None:
    context = RESPONSES.parse([_function_call("a"), {"role": "assistant", "content": "wait"}, USER, _output("a"), USER])
    assert context.turns[3].result_call_ids == ("a",)
    RESPONSES.parse([USER, _function_call("a"), _function_call("b"), _output("b")])
    (_, _, turn) = RESPONSES.parse([USER, {"type": "item_reference", "id": "fc_1"}, _output("a")]).turns
    assert turn.result_call_ids == () and turn.slots[0].call_id == "a"


BAD: list[tuple[list[Any], int, str]] = [
    (["hi"], 0, "an item must be a dict"),
    ([USER, {}], 1, "neither a type nor a role"),
    ([{"type": "message", "content": "x"}], 0, "unknown role None"),
    ([{"role": "tool", "content": "x"}], 0, "unknown role 'tool'"),
    ([{"role": "user", "content": 3}], 0, "content must be"),
    ([_output("a")], 0, "tool result for 'a'"),
    ([_function_call("a"), _output("a"), _output("a")], 2, "tool result for 'a'"),
    ([_output("a"), _function_call("a")], 0, "tool result for 'a'"),
    ([USER, _function_call("a"), USER], 1, "'a' has no result"),
    ([_function_call("a"), _function_call("a")], 1, "used twice"),
    ([{"type": "function_call", "name": "f", "arguments": "{}"}], 0, "has no id"),
    ([{"type": "function_call", "call_id": "a", "arguments": "{}"}], 0, "no tool name"),
    ([{"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}], 0, "arguments must be a string"),
    ([_function_call("a"), _output("a", {"x": 1})], 1, "output must be a string or a list"),
    ([_function_call("a"), {"type": "function_call_output", "output": "x"}], 1, "has no id"),
]


@pytest.mark.parametrize(("items", "index", "problem"), BAD)
def test_refuses(items: list[Any], index: int, problem: str) -> None:
    with pytest.raises(ContextError) as caught:
        RESPONSES.parse(items)
    assert caught.value.index == index and problem in str(caught.value)

"""Anthropic messages: what each block is read as, what passes through, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compressor.context.formats.anthropic import AnthropicFormat
from compressor.context.model import Image, TextSlot
from compressor.errors import ContextError
from support.strategies import png

ANTHROPIC = AnthropicFormat()
CACHE = {"cache_control": {"type": "ephemeral"}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(64, 48)}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _use(call_id: str, name: str = "f", given: Any = None) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {} if given is None else given}


def _tool_result(call_id: str, content: Any = "ok") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def _user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def _assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


MESSAGES: list[Any] = [
    {"role": "system", "content": [{**_text("Be brief."), **CACHE}]},
    _user(
        _text("Read this."),
        {**PICTURE, **CACHE},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "title": "T",
            "context": "C",
            "source": {"type": "text", "media_type": "text/plain", "data": "long"},
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "content", "content": [_text("piece"), PICTURE]}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        {"type": "search_result", "source": "http://s", "title": "S", "content": [_text("found")]},
    ),
    _assistant(
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQ="},
        {"type": "redacted_thinking", "data": "Emw="},
        _text("I read."),
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{"type": "web_search_result", "title": "W", "url": "u", "encrypted_content": "Eq"}],
        },
        _use("t1", "read", {"path": "ä", "n": [1, 1.0, None]}),
        {**_use("t2", "shell"), **CACHE},
    ),
    _user(
        {
            **_tool_result(
                "t2", [_text("out"), PICTURE, {"type": "document", "source": {"type": "text", "data": "doc"}}]
            )
        },
        {**_tool_result("t1", "failed"), "is_error": True, **CACHE},
    ),
    _assistant(_use("t3", "read")),
    _user(_tool_result("t3", None), _text("And now?")),
    {"role": "assistant", "content": "Done."},
]


def test_reads_everything() -> None:
    context = ANTHROPIC.parse(MESSAGES)
    assert [t.role for t in context.turns] == ["system", "user", "assistant", "tool", "assistant", "user", "assistant"]
    assert context.turns[0].slots == [TextSlot(0, ("content", 0, "text"), "system", "Be brief.")]
    assert context.turns[1].slots == [
        TextSlot(1, ("content", 0, "text"), "user", "Read this."),
        TextSlot(1, ("content", 1), "image", image=Image(64, 48)),
        TextSlot(1, ("content", 2), "image", image=Image()),
        TextSlot(1, ("content", 3, "source", "data"), "document", "long"),
        TextSlot(1, ("content", 4, "source", "content", 0, "text"), "document", "piece"),
        TextSlot(1, ("content", 4, "source", "content", 1), "image", image=Image(64, 48)),
        TextSlot(1, ("content", 6, "content", 0, "text"), "document", "found"),
    ]
    assert context.turns[1].extras == ("T", "C", "S", "http://s")
    assert context.turns[2].slots == [
        TextSlot(2, ("content", 0, "thinking"), "thinking", "Hm.", editable=False),
        TextSlot(2, ("content", 2, "text"), "assistant", "I read."),
        TextSlot(
            2,
            ("content", 5, "input"),
            "tool_call",
            '{"path": "ä", "n": [1, 1.0, null]}',
            name="read",
            call_id="t1",
        ),
        TextSlot(2, ("content", 6, "input"), "tool_call", "{}", name="shell", call_id="t2"),
    ]
    assert context.turns[2].call_ids == ("t1", "t2")
    assert context.turns[2].extras == ("web_search", '{"query": "q"}', "W", "u", "read", "shell")
    assert context.turns[3].slots == [
        TextSlot(3, ("content", 0, "content", 0, "text"), "tool_result", "out", name="shell", call_id="t2"),
        TextSlot(3, ("content", 0, "content", 1), "image", name="shell", call_id="t2", image=Image(64, 48)),
        TextSlot(
            3,
            ("content", 0, "content", 2, "source", "data"),
            "tool_result",
            "doc",
            name="shell",
            call_id="t2",
        ),
        TextSlot(3, ("content", 1, "content"), "tool_result", "failed", name="read", call_id="t1"),
    ]
    assert context.turns[3].result_call_ids == ("t2", "t1")
    assert context.turns[5].result_call_ids == ("t3",)
    assert context.turns[5].slots == [TextSlot(5, ("content", 1, "text"), "user", "And now?")]
    assert context.turns[6].slots == [TextSlot(6, ("content",), "assistant", "Done.")]


def test_edits() -> None:
    edits = {
        (1, ("content", 1)): "[image]",
        (2, ("content", 5, "input")): '{"path": "b"}',
        (3, ("content", 0, "content", 1)): "[image]",
        (3, ("content", 1, "content")): "x",
        (1, ("content", 3, "source", "data")): "short",
    }
    rendered = ANTHROPIC.render(ANTHROPIC.parse(MESSAGES), edits)
    expected = copy.deepcopy(MESSAGES)
    expected[1]["content"][1] = {"type": "text", "text": "[image]", **CACHE}
    expected[1]["content"][3]["source"]["data"] = "short"
    expected[2]["content"][5]["input"] = {"path": "b"}
    expected[3]["content"][0]["content"][1] = _text("[image]")
    expected[3]["content"][1]["content"] = "x"
    assert rendered == expected
    assert rendered[2]["content"][0] is MESSAGES[2]["content"][0]


def test_open_rounds() -> None:
    ANTHROPIC.parse([_assistant(_use("a"), _use("b"))])
    ANTHROPIC.parse([_assistant(_use("a"), _use("b")), _user(_tool_result("b"))])
    ANTHROPIC.parse(
        [_assistant(_use("a"), _use("b")), _user(_tool_result("b")), _user(_tool_result("a"), _text("go on"))]
    )
    ANTHROPIC.parse([_assistant(_use("a")), _user(_tool_result("a")), _assistant(_use("a")), _user(_tool_result("a"))])


BAD: list[tuple[list[Any], int, str]] = [
    ([7], 0, "dict, got int"),
    ([{"content": "x"}], 0, "unknown role None"),
    ([{"role": "tool", "content": "x"}], 0, "unknown role 'tool'"),
    ([{"role": ["user"], "content": "x"}], 0, "unknown role"),
    ([{"role": "user", "content": 3}], 0, "content must be"),
    ([_user("x")], 0, "must be a dict"),
    ([_user({"text": "x"})], 0, "no type"),
    ([_user(_tool_result("a"))], 0, "tool result for 'a'"),
    ([_assistant(_use("a")), _user(_tool_result("a"), _tool_result("a"))], 1, "tool result for 'a'"),
    ([_assistant(_use("a")), _user(_text("x"))], 0, "'a' has no result"),
    ([_assistant(_use("a"), _use("b")), _user(_tool_result("a"), _text("x"))], 0, "'b' has no result"),
    ([_assistant(_use("a")), _assistant(_text("x"))], 0, "'a' has no result"),
    ([_assistant(_use("a"), _use("a"))], 0, "used twice"),
    ([_user(_use("a"))], 0, "only allowed in an assistant"),
    ([_assistant(_tool_result("a"))], 0, "only allowed in a user"),
    ([_assistant(_use("a", "f", [1]))], 0, "must be a dict"),
    ([_assistant(_use("a", "f", {"x": object()}))], 0, "cannot be written as JSON"),
    ([_assistant({"type": "thinking", "thinking": 3})], 0, "thinking must be a string"),
]


@pytest.mark.parametrize(("messages", "index", "problem"), BAD)
def test_refuses(messages: list[Any], index: int, problem: str) -> None:
    with pytest.raises(ContextError) as caught:
        ANTHROPIC.parse(messages)
    assert caught.value.index == index and problem in str(caught.value)


def test_signed_thinking_cannot_be_edited() -> None:
    with pytest.raises(ContextError, match="no editable text"):
        ANTHROPIC.render(ANTHROPIC.parse(MESSAGES), {(2, ("content", 0, "thinking")): "x"})

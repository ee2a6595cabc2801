"""Tests of reading and writing the pictures of image parts, in every form, and of rendering messages with them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.formats.image_parts import image_base64, with_picture
from compressor.context.image_edits import drawn_edit

OLD, NEW = "T0xE", "TkVX"
URL = f"data:image/png;base64,{NEW}"
FORMS: dict[str, dict[str, Any]] = {
    "chat": {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{OLD}", "detail": "high"}},
    "chat text": {"type": "image_url", "image_url": f"data:image/jpeg;base64,{OLD}"},
    "responses": {"type": "input_image", "image_url": f"data:image/jpeg;base64,{OLD}", "detail": "low"},
    "screenshot": {"type": "computer_screenshot", "image_url": f"data:image/jpeg;base64,{OLD}"},
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": OLD}},
    "langchain": {"type": "image", "base64": OLD, "mime_type": "image/jpeg", "id": "a"},
    "langchain 0.3": {"type": "image", "source_type": "base64", "data": OLD, "mime_type": "image/jpeg"},
    "mcp": {"type": "image", "data": OLD, "mimeType": "image/jpeg"},
}


@pytest.mark.parametrize("name", list(FORMS))
def test_only_picture_and_media_type_change(name: str) -> None:
    part = FORMS[name]
    before = copy.deepcopy(part)
    assert image_base64(part) == OLD
    changed = with_picture(part, URL)
    assert part == before
    assert image_base64(changed) == NEW
    assert str(changed).replace(NEW, OLD).replace("image/png", "image/jpeg") == str(before)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "image"},
        "text",
        None,
    ],
)
def test_an_image_that_is_not_here_has_no_data(part: Any) -> None:
    assert image_base64(part) == ""


def _messages(name: str) -> list[Any]:
    if name == "chat":
        return [
            {"role": "user", "content": [{"type": "text", "text": "a"}, FORMS["chat"], {"type": "text", "text": "b"}]}
        ]
    if name == "anthropic":
        use = {"type": "tool_use", "id": "t", "name": "shot", "input": {}}
        content = [{"type": "text", "text": "a"}, FORMS["anthropic"], {"type": "text", "text": "b"}]
        return [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]},
        ]
    call = {"type": "function_call", "call_id": "c", "name": "shot", "arguments": "{}"}
    parts = [{"type": "input_text", "text": "a"}, FORMS["responses"], {"type": "input_text", "text": "b"}]
    return [call, {"type": "function_call_output", "call_id": "c", "output": parts}]


@pytest.mark.parametrize("name", ["chat", "anthropic", "responses"])
def test_a_note_and_a_picture_take_the_place_of_an_image(name: str) -> None:
    messages = _messages(name)
    before = copy.deepcopy(messages)
    message_format = detect_format(messages)
    context = message_format.parse(messages)
    slots = {slot.kind: slot for turn in context.turns for slot in turn.slots}
    texts = [slot for turn in context.turns for slot in turn.slots if slot.text == "b"]
    key = slots["image"].message, slots["image"].path
    edits = {key: drawn_edit(URL, "[a note]"), (texts[0].message, texts[0].path): "B"}
    rendered = message_format.render(context, edits)
    assert messages == before
    again = message_format.parse(rendered)
    last = [(slot.kind, slot.text) for slot in again.turns[-1].slots if slot.text in ("a", "[a note]", "B", "")]
    kind = last[0][0]
    assert last == [(kind, "a"), (kind, "[a note]"), ("image", ""), (kind, "B")]
    assert NEW in str(rendered) and OLD not in str(rendered)
    only = message_format.parse(message_format.render(context, {key: drawn_edit(URL, "")}))
    assert [slot.kind for slot in only.turns[-1].slots].count(kind) == 2


def test_langchain_messages_get_note_and_picture() -> None:
    messages_of = pytest.importorskip("langchain_core.messages")
    message = messages_of.HumanMessage(content=["a", FORMS["langchain"], {"type": "text", "text": "b"}])
    message_format = detect_format([message])
    context = message_format.parse([message])
    slot = next(slot for slot in context.turns[0].slots if slot.kind == "image")
    (changed,) = message_format.render(context, {(0, slot.path): drawn_edit(URL, "[a note]")})
    kinds = [part if isinstance(part, str) else part["type"] for part in changed.content]
    assert kinds == ["a", "text", "image", "text"] and changed.content[2]["base64"] == NEW
    assert message.content[1]["base64"] == OLD

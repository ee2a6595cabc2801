"""The reports of image blocks have the image's size and its part, whatever the message format."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from compressor import Compressor
from compressor.context.formats.image_parts import image_base64

HEADER = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5s", 13, b"IHDR", 1280, 800, b"\x08\x02\x00\x00\x00")
DATA = base64.b64encode(HEADER + bytes(12)).decode()
TEXT = "\n".join(f"row {i}: {i * 37 % 91} pieces" for i in range(400))
URL = f"data:image/png;base64,{DATA}"


def messages_in(name: str) -> list[Any]:
    if name == "anthropic":
        source = {"type": "base64", "media_type": "image/png", "data": DATA}
        content = [{"type": "text", "text": TEXT}, {"type": "image", "source": source}]
        return [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "shot", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": content}]},
        ]
    if name == "responses":
        output = [{"type": "input_text", "text": TEXT}, {"type": "input_image", "image_url": URL}]
        return [
            {"role": "user", "content": "go"},
            {"type": "function_call", "call_id": "c", "name": "shot", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": output},
        ]
    call = {"id": "c", "type": "function", "function": {"name": "shot", "arguments": "{}"}}
    parts = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": URL}}]
    return [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": parts},
    ]


@pytest.mark.parametrize("name", ["chat", "anthropic", "responses"])
def test_an_image_that_is_dropped_is_reported_with_its_size_part_and_ref(name: str) -> None:
    result = Compressor(store="memory", images=False).compress(messages_in(name), budget=2000, model="gpt-4o")
    (block,) = [block for block in result.blocks if block.kind == "image"]
    assert block.image is not None and block.action == "dropped" and block.image.sizes == "1280 × 800"
    assert (block.image.shown_width, block.image.shown_height) == (0, 0) and block.image.edit == block.after
    assert image_base64(block.image.part) == DATA
    assert all(block.image is None for block in result.blocks if block.kind != "image")
    assert "image shot, 1280 × 800 pixels: dropped" in result.report()


def test_an_image_that_stays_is_reported_as_it_is() -> None:
    messages = messages_in("chat")
    messages[0]["content"] = [{"type": "text", "text": "go"}, messages[2]["content"].pop()]
    result = Compressor(store="memory", images=False).compress(messages, budget=2500, model="gpt-4o")
    (block,) = [block for block in result.blocks if block.kind == "image"]
    assert block.action == "pinned" and block.before == block.after == "image 1280 × 800"
    assert block.image is not None and (block.image.shown_width, block.image.shown_height) == (1280, 800)
    assert block.image.edit == "" and image_base64(block.image.part) == DATA


def test_langchain_messages_have_the_part_too() -> None:
    classes = pytest.importorskip("langchain_core.messages")
    content = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": URL}}]
    call = {"name": "shot", "args": {}, "id": "c", "type": "tool_call"}
    messages = [
        classes.HumanMessage("go"),
        classes.AIMessage("", tool_calls=[call]),
        classes.ToolMessage(content, tool_call_id="c"),
    ]
    result = Compressor(store="memory", images=False).compress(messages, budget=2000, model="gpt-4o")
    (block,) = [block for block in result.blocks if block.kind == "image"]
    assert block.image is not None and image_base64(block.image.part) == DATA

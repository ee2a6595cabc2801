"""Files and images in messages of every format: all of them are counted, and files stay as they are."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.formats.attached_files import PAGE_CHARACTERS, UNKNOWN_FILE, read_attached_file
from compressor.context.model import AttachedFile, Image
from compressor.tokens.counter import get_counter
from support.pdf_files import encode, make_pdf
from support.strategies import png

PDF = make_pdf(3, "a page of text")
FOUND = AttachedFile(3, 42)
PDF_URL = encode(PDF, "application/pdf")
PNG = png(200, 300)
PNG_URL = f"data:image/png;base64,{PNG}"
SIZE = Image(200, 300)
UNKNOWN = Image()
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": encode(PDF)}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}

MCP = {"type": "image", "data": PNG, "mimeType": "image/png"}


def read(messages: list[Any]) -> tuple[list[AttachedFile], list[Image]]:
    """Returns the files and images of messages, after a check that rendering changes nothing."""
    format_ = detect_format(messages)
    context = format_.parse(messages)
    rendered = format_.render(context, {})
    assert all(new is old for new, old in zip(rendered, messages, strict=True))
    slots = [slot for turn in context.turns for slot in turn.slots]
    return [file for turn in context.turns for file in turn.files], [slot.image for slot in slots if slot.image]


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "What is this?"}]}]


def response(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts, {"type": "input_text", "text": "What is this?"}]}]


@pytest.mark.parametrize(
    ("messages", "file"),
    [
        # OpenAI chat
        (user({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URL}}), FOUND),
        (user({"type": "file", "file": {"file_id": "file-abc"}}), UNKNOWN_FILE),
        # OpenAI Responses
        (response({"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL}), FOUND),
        (response({"type": "input_file", "file_data": PDF_URL, "detail": "low"}), AttachedFile(3, 42, "low")),
        (response({"type": "input_file", "file_url": "https://e.org/a.pdf"}), UNKNOWN_FILE),
        (response({"type": "input_file", "file_id": "file-abc"}), UNKNOWN_FILE),
        # Anthropic
        (user(DOCUMENT), FOUND),
        (user({"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}}), UNKNOWN_FILE),
        (user({"type": "document", "source": {"type": "file", "file_id": "file_1"}}), UNKNOWN_FILE),
    ],
)
def test_files_are_counted(messages: list[Any], file: AttachedFile) -> None:
    assert read(messages) == ([file], [])
    for model in ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro"):
        counter = get_counter(model)
        context = detect_format(messages).parse(messages)
        bare = detect_format(messages).parse([{**messages[0], "content": messages[0]["content"][1:]}])
        assert counter.count_context(context) - counter.count_context(bare) >= 85 * file.pages


@pytest.mark.parametrize(
    ("messages", "image"),
    [
        # OpenAI chat and Responses: data URLs, URLs, and ids
        (user({"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}}), Image(200, 300, "low")),
        (user({"type": "image_url", "image_url": {"url": "https://e.org/a.png"}}), UNKNOWN),
        (response({"type": "input_image", "image_url": PNG_URL, "detail": "original"}), Image(200, 300, "original")),
        (response({"type": "input_image", "file_id": "file-abc"}), UNKNOWN),
        # Gemini's media resolution of one part
        (
            user({"type": "image_url", "image_url": PNG_URL, "media_resolution": {"level": "MEDIA_RESOLUTION_LOW"}}),
            Image(200, 300, "low"),
        ),
        # Anthropic
        (user(PICTURE), SIZE),
        (user({"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}}), UNKNOWN),
        (user({"type": "image", "source": {"type": "file", "file_id": "file_1"}}), UNKNOWN),
        (user({"type": "document", "source": {"type": "content", "content": [PICTURE]}}), SIZE),
    ],
)
def test_images_are_counted(messages: list[Any], image: Image) -> None:
    assert read(messages) == ([], [image])


def test_tool_results_of_openai_chat() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "shoot", "arguments": "{}"}}
    parts = [
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "file", "file": {"file_data": PDF_URL}},
    ]
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": parts},
    ]
    assert read(messages) == ([FOUND], [SIZE])


def test_tool_results_of_openai_responses() -> None:
    parts = [{"type": "input_image", "image_url": PNG_URL}, {"type": "input_file", "file_data": PDF_URL}]
    screen = {"type": "computer_screenshot", "image_url": PNG_URL}
    messages = [
        {"role": "user", "content": "Look."},
        {"type": "function_call", "call_id": "c1", "name": "shoot", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": parts},
        {"type": "computer_call", "call_id": "c2", "action": {"type": "screenshot"}},
        {"type": "computer_call_output", "call_id": "c2", "output": screen},
        {"type": "computer_call", "call_id": "c3", "action": {"type": "screenshot"}},
        {"type": "computer_call_output", "call_id": "c3", "output": {**screen, "image_url": None, "file_id": "f"}},
    ]
    screens = [replace(image, needs_picture=True) for image in (SIZE, UNKNOWN)]
    assert read(messages) == ([FOUND], [SIZE, *screens])


def test_tool_results_of_anthropic() -> None:
    pages = {"type": "document", "source": {"type": "content", "content": [PICTURE, {"type": "text", "text": "p. 1"}]}}
    fetched = {"type": "web_fetch_result", "url": "https://e.org/a.pdf", "content": DOCUMENT}
    messages = [
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "s1", "name": "web_fetch", "input": {"url": "https://e.org/a.pdf"}},
                {"type": "web_fetch_tool_result", "tool_use_id": "s1", "content": fetched},
                {"type": "tool_use", "id": "t1", "name": "shoot", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [PICTURE, DOCUMENT, pages, MCP]}],
        },
    ]
    assert read(messages) == ([FOUND, FOUND], [SIZE, SIZE, SIZE])


def test_blocks_of_langchain() -> None:
    langchain = pytest.importorskip("langchain_core.messages")
    text = base64.b64encode(b"x" * 70).decode()
    blocks = [
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},  # its first form
        {"type": "image", "source_type": "url", "url": "https://e.org/a.png"},
        {"type": "image", "file_id": "f"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        MCP,
        {"type": "media", "mime_type": "image/png", "data": PNG, "media_resolution": "MEDIA_RESOLUTION_HIGH"},
        {"type": "file", "base64": encode(PDF), "mime_type": "application/pdf"},
        {"type": "file", "source_type": "base64", "data": encode(PDF), "mime_type": "application/pdf"},
        {"type": "file", "url": "https://e.org/a.pdf"},
        {"type": "file", "file_id": "f"},
        {"type": "media", "mime_type": "application/pdf", "data": encode(PDF)},
        {"type": "media", "mime_type": "video/mp4", "file_uri": "gs://a/b.mp4"},
        {"type": "text-plain", "base64": text, "mime_type": "text/plain"},
        {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
        {"type": "video", "url": "https://e.org/a.mp4"},
    ]
    call = {"name": "shoot", "args": {}, "id": "c1", "type": "tool_call"}
    files, images = read(
        [
            langchain.HumanMessage(content=blocks),
            langchain.AIMessage(content="", tool_calls=[call]),
            langchain.ToolMessage(content=blocks[:2], tool_call_id="c1"),
        ]
    )
    assert images == [SIZE, SIZE, UNKNOWN, UNKNOWN, SIZE, SIZE, Image(200, 300, "high"), SIZE, SIZE]
    assert files == [FOUND, FOUND, UNKNOWN_FILE, UNKNOWN_FILE, FOUND, AttachedFile(0, 70)]


def test_sizes_of_files_that_cannot_be_read() -> None:
    broken = b"%PDF-1.7 " + b"x" * 120_000
    assert read_attached_file(encode(broken, "application/pdf")) == AttachedFile(3, 3 * PAGE_CHARACTERS)
    locked = make_pdf(4, "secret", encrypted=True)
    assert read_attached_file(encode(locked), "application/pdf") == AttachedFile(4, 4 * PAGE_CHARACTERS)
    sheet = encode(b"PK\x03\x04" + b"x" * 60_000, "application/vnd.ms-excel")
    assert read_attached_file(sheet) == AttachedFile(0, 2 * PAGE_CHARACTERS)
    assert read_attached_file(encode(b"a,b\n" * 25, "text/csv")) == AttachedFile(0, 100)
    assert read_attached_file(encode(PDF)) == FOUND  # known by its first bytes
    assert read_attached_file(b"bytes") == read_attached_file("") == read_attached_file("gs://a/b.pdf") == UNKNOWN_FILE
    assert read_attached_file("x", "audio/wav") is read_attached_file("data:video/mp4;base64,AAAA") is None

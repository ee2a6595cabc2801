"""Converts pydantic-ai's messages to Anthropic messages and back; uncut parts stay the same objects.

A `ModelRequest` becomes a user message, a `ModelResponse` an assistant message, and each part a block that names its
origin (`_at`). What is not plain text of the conversation (native tools and their returns, images, typed returns,
compactions, records of the framework) becomes a block that is counted and never edited: it stays as long as its message
does. The tokens of other files are not counted.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import BinaryContent, ImageUrl, ModelMessage, TextContent

from compressor.context.formats.content_parts import FIXED_PART

Json = dict[str, Any]
_IGNORED = "container_upload"  # a block type that the Anthropic format does not read
_HEAD_BYTES = 1 << 10  # what tells the size of an image; a JPEG's may stand behind its metadata
_JPEG_HEAD_BYTES = 1 << 16
_FILE_KINDS = frozenset(("image-url", "audio-url", "document-url", "video-url", "binary", "uploaded-file"))
_JPEG_MAGIC = b"\xff\xd8"


def to_anthropic(messages: Sequence[ModelMessage]) -> list[Json]:
    """Returns the messages in the form that the compressor reads."""
    result = []
    for m, message in enumerate(messages):
        system, blocks = [], []
        for p, part in enumerate(message.parts):
            if part.part_kind == "system-prompt":
                system.append({"type": "text", "text": part.content, "_at": f"{m}.{p}"})
            else:
                blocks += _convert_part(part, f"{m}.{p}")
        converted_messages = [{"role": "system", "content": system}] if system else []
        if blocks or not system:
            role = "user" if message.kind == "request" else "assistant"
            body = {"role": role, "content": blocks or [{"type": _IGNORED, "_at": f"{m}"}]}
            answers = any(block["type"] == "tool_result" for block in blocks)
            converted_messages = (
                [body, *converted_messages] if answers else [*converted_messages, body]
            )  # results must follow their calls directly
        result += converted_messages
    return result


def from_anthropic(
    view: Sequence[Json], converted: Sequence[Json], messages: Sequence[ModelMessage]
) -> list[ModelMessage]:
    """Returns the pydantic-ai messages of a view.

    Args:
        view: A view of `converted`.
        converted: The result of `to_anthropic(messages)`.
        messages: The original messages.
    """
    originals = {block["_at"]: block for body in converted for block in body["content"]}
    kept: dict[int, dict[str, Json]] = {}
    for body in view:
        for block in body["content"]:
            kept.setdefault(int(block["_at"].split(".")[0]), {})[block["_at"]] = block
    return [_restore_message(messages[m], m, blocks, originals) for m, blocks in sorted(kept.items())]


def _restore_message(message: ModelMessage, m: int, kept: dict[str, Json], originals: dict[str, Json]) -> ModelMessage:
    parts: list[Any] = []
    for p, part in enumerate(message.parts):
        positions = [at for at in originals if at == f"{m}.{p}" or at.startswith(f"{m}.{p}.")]
        blocks = {at: kept[at] for at in positions if at in kept}
        if not positions or (
            len(blocks) == len(positions) and all(originals[at] == block for at, block in blocks.items())
        ):
            parts.append(part)
        elif blocks:
            parts.append(_update_part(part, blocks))
    if len(parts) == len(message.parts) and all(a is b for a, b in zip(parts, message.parts, strict=True)):
        return message
    changed: ModelMessage = replace(message, parts=parts)  # type: ignore[arg-type]  # the parts are those of the message's own kind
    return changed


def _convert_part(part: Any, at: str) -> list[Json]:
    kind = part.part_kind
    if kind == "user-prompt" and not isinstance(part.content, str):
        return [_convert_item(item, f"{at}.{i}") for i, item in enumerate(part.content)]
    if kind in ("user-prompt", "text"):
        return [{"type": "text", "text": part.content, "_at": at} | _citations(part)]
    if kind == "thinking":
        return [{"type": "thinking", "thinking": part.content, "signature": part.signature or "", "_at": at}]
    if kind == "tool-call":
        head = {"type": "tool_use", "id": part.tool_call_id, "name": part.tool_name}
        return [head | {"input": part.args_as_dict(), "_at": at}]
    if kind == "tool-return" or (kind == "retry-prompt" and part.tool_name):
        return [{"type": "tool_result", "tool_use_id": part.tool_call_id, "content": _convert_result(part), "_at": at}]
    return [_fixed(_fixed_content(part), at)]


def _convert_item(item: Any, at: str) -> Json:
    text = _text(item)
    return _fixed([_convert_file(item)], at) if text is None else {"type": "text", "text": text, "_at": at}


def _fixed(content: list[Json], at: str) -> Json:
    """Returns a block that is counted and never edited."""
    return {"type": FIXED_PART, "content": content, "_at": at}


def _fixed_content(part: Any) -> list[Json]:
    """Returns what the model sees of a part that is never edited."""
    kind = part.part_kind
    if kind == "compaction":
        payload = (part.provider_details or {}).get("encrypted_content")
        return [{"type": "compaction", "content": part.content, "encrypted_content": payload}]
    if kind == "builtin-tool-call":
        return [{"type": "server_tool_use", "name": part.tool_name, "input": part.args}]
    if kind == "builtin-tool-return":
        items = part.content_items(mode="jsonable", wrap_if_error=False)
        return [
            _convert_file(item) if _is_file(item) else {"type": "server_tool_result", "content": item} for item in items
        ]
    if kind == "speech":
        return _texts(part.transcript)
    if kind in ("retry-prompt", "retry-feedback"):
        return _texts(part.model_response())
    content = getattr(part, "content", None)
    return [_convert_file(content)] if _is_file(content) else _texts(content)


def _convert_result(part: Any) -> Any:
    if part.part_kind == "retry-prompt":
        return part.model_response()
    if part.files or part.tool_kind is not None:  # a file, or content whose structure the framework reads
        items = part.content_items(mode="str", wrap_if_error=False)
        blocks = [block for item in items for block in ([_convert_file(item)] if _is_file(item) else _texts(item))]
        return [{"type": FIXED_PART, "content": blocks}]
    return part.model_response_str(wrap_if_error=False)


def _texts(text: Any) -> list[Json]:
    return [{"type": "text", "text": text}] if isinstance(text, str) else []


def _is_file(item: Any) -> bool:
    return getattr(item, "kind", None) in _FILE_KINDS


def _convert_file(item: Any) -> Json:
    """Returns an image with the bytes that tell its size, a document, or a block that is not counted."""
    if isinstance(item, ImageUrl):
        return {"type": "image", "source": {"type": "url", "url": item.url}}
    if isinstance(item, BinaryContent) and item.is_image:
        head = item.data[: _JPEG_HEAD_BYTES if item.data.startswith(_JPEG_MAGIC) else _HEAD_BYTES]
        return {"type": "image", "source": {"type": "base64", "data": base64.b64encode(head).decode()}}
    if isinstance(item, BinaryContent) and item.is_document:
        data = base64.b64encode(item.data).decode()
        return {"type": "document", "source": {"type": "base64", "media_type": item.media_type, "data": data}}
    if isinstance(item, TextContent):
        return {"type": "text", "text": item.content}
    if item.kind in ("document-url", "uploaded-file"):
        return {"type": "document", "source": {"type": "url"}}
    return {"type": _IGNORED}


def _citations(part: Any) -> Json:
    """Returns what a text quotes, in the form of Anthropic's citations."""
    sources = [source for citation in getattr(part, "citations", None) or () for source in citation.sources]
    quotes = [
        {"cited_text": "\n".join(source.excerpts), "title": source.title, "url": getattr(source, "url", None)}
        for source in sources
    ]
    return {"citations": quotes} if quotes else {}


def _text(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    return item.content if type(item) is TextContent else None


def _update_part(part: Any, blocks: dict[str, Json]) -> Any:
    kind = part.part_kind
    if kind == "user-prompt" and not isinstance(part.content, str):
        items = []
        for i, item in enumerate(part.content):
            block = next((block for at, block in blocks.items() if at.endswith(f".{i}")), None)
            if block is None or block["type"] != "text" or block["text"] == _text(item):
                items.append(item)
            else:
                items.append(block["text"] if isinstance(item, str) else replace(item, content=block["text"]))
        return replace(part, content=items)
    block = next(iter(blocks.values()))
    if kind == "tool-call":
        return replace(part, args=block["input"])
    return replace(part, content=block["content"] if block["type"] == "tool_result" else block["text"])

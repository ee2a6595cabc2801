"""pydantic-ai's messages as Anthropic messages and back. Parts of which nothing was cut stay the same objects.

A `ModelRequest` becomes a user message, a `ModelResponse` an assistant message, a part a block that says where it came
from (`_at`). What is no text of the conversation (files, native tools, records of the framework) is a block that nobody
reads: it stays where its message stays. Files are not counted. Chooses nothing to cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelMessage, TextContent

Json = dict[str, Any]
_UNREAD = "container_upload"  # a block type that the dialect passes by


def to_anthropic(messages: Sequence[ModelMessage]) -> list[Json]:
    """The messages as the compressor reads them."""
    found = []
    for m, message in enumerate(messages):
        system, blocks = [], []
        for p, part in enumerate(message.parts):
            if part.part_kind == "system-prompt":
                system.append({"type": "text", "text": part.content, "_at": f"{m}.{p}"})
            else:
                blocks += _blocks(part, f"{m}.{p}")
        first = [{"role": "system", "content": system}] if system else []
        if blocks or not system:
            role = "user" if message.kind == "request" else "assistant"
            body = {"role": role, "content": blocks or [{"type": _UNREAD, "_at": f"{m}"}]}
            answers = any(block["type"] == "tool_result" for block in blocks)
            first = [body, *first] if answers else [*first, body]  # results stand right behind their calls
        found += first
    return found


def from_anthropic(view: Sequence[Json], given: Sequence[Json], messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """The messages that a view stands for. given: what `to_anthropic` made of `messages`, of which it is a view."""
    known = {block["_at"]: block for body in given for block in body["content"]}
    kept: dict[int, dict[str, Json]] = {}
    for body in view:
        for block in body["content"]:
            kept.setdefault(int(block["_at"].split(".")[0]), {})[block["_at"]] = block
    return [_message(messages[m], m, blocks, known) for m, blocks in sorted(kept.items())]


def _message(message: ModelMessage, m: int, kept: dict[str, Json], known: dict[str, Json]) -> ModelMessage:
    parts: list[Any] = []
    for p, part in enumerate(message.parts):
        mine = [at for at in known if at == f"{m}.{p}" or at.startswith(f"{m}.{p}.")]
        blocks = {at: kept[at] for at in mine if at in kept}
        if not mine or (len(blocks) == len(mine) and all(known[at] == block for at, block in blocks.items())):
            parts.append(part)
        elif blocks:
            parts.append(_changed(part, blocks))
    if len(parts) == len(message.parts) and all(a is b for a, b in zip(parts, message.parts, strict=True)):
        return message
    changed: ModelMessage = replace(message, parts=parts)  # type: ignore[arg-type]  # of the message's own kind
    return changed


def _blocks(part: Any, at: str) -> list[Json]:
    kind = part.part_kind
    if kind == "user-prompt" and not isinstance(part.content, str):
        return [
            {"type": "text", "text": text, "_at": f"{at}.{i}"}
            if (text := _text(item)) is not None
            else {"type": _UNREAD, "_at": f"{at}.{i}"}
            for i, item in enumerate(part.content)
        ]
    if kind in ("user-prompt", "text"):
        return [{"type": "text", "text": part.content, "_at": at}]
    if kind == "thinking":
        return [{"type": "thinking", "thinking": part.content, "signature": part.signature or "", "_at": at}]
    if kind == "tool-call":
        head = {"type": "tool_use", "id": part.tool_call_id, "name": part.tool_name}
        return [head | {"input": part.args_as_dict(), "_at": at}]
    if kind == "tool-return" or (kind == "retry-prompt" and part.tool_name):
        return [{"type": "tool_result", "tool_use_id": part.tool_call_id, "content": _answer(part), "_at": at}]
    return [{"type": _UNREAD, "_at": at}]


def _answer(part: Any) -> Any:
    if part.part_kind == "retry-prompt":
        return part.model_response()
    if part.files or part.tool_kind is not None:  # a file, or a content whose shape the framework reads
        return [{"type": _UNREAD}]
    return part.model_response_str(wrap_if_error=False)


def _text(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    return item.content if type(item) is TextContent else None


def _changed(part: Any, blocks: dict[str, Json]) -> Any:
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

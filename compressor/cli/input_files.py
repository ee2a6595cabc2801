"""Reads the files that users keep contexts in, and writes them again in the same shape.

A file is a request body, a list of messages, JSONL of either, or plain text. Whether the messages are valid is checked
later, by their message format.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compressor.errors import ContextError

InputKind = Literal["text", "json", "lines", "batch"]

_AS_TEXT = "use --text to compress it as plain text"
_HEAD = 8_192  # bytes that are looked at to recognise a binary file
_MAX_CONTROL_FRACTION = 0.02  # random bytes have 0.08; text has next to none
#: Control characters that text does not have. Backspaces and escapes are left out: logs of terminals have both.
_CONTROL = bytes(b for b in range(32) if b not in b"\b\t\n\v\f\r\x1b")
#: Items of the OpenAI Responses API that have no role.
_ITEM_TYPE = re.compile(r"reasoning|item_reference|compaction\w*|\w+_call(?:_output)?|mcp_\w+")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One context of a file.

    Attributes:
        messages: The messages.
        body: The request body that holds the messages under `key`, or None for a plain list.
        key: "messages", or "input" for the OpenAI Responses API.
    """

    messages: Sequence[Any]
    body: dict[str, Any] | None = None
    key: str = "messages"

    @property
    def tools(self) -> Sequence[Any] | None:
        """The tools of the request, or None."""
        tools = (self.body or {}).get("tools")
        return tools if isinstance(tools, list) and tools else None

    @property
    def system(self) -> Any:
        """Anthropic's `system` or the Responses API's `instructions`, which are sent and billed beside the messages."""
        return (self.body or {}).get("system" if self.key == "messages" else "instructions")

    @property
    def model(self) -> str | None:
        """The model that the request names, or None."""
        model = (self.body or {}).get("model")
        return model if isinstance(model, str) else None

    def rewrap(self, messages: Sequence[Any]) -> Any:
        """Returns other messages in the shape of this context: a plain list, or the same request body around them."""
        return messages if self.body is None else {**self.body, self.key: messages}


@dataclass(frozen=True, slots=True)
class InputFile:
    """The parsed content of a file.

    Attributes:
        kind: "text" (`text`, no contexts), "json" (one context), "lines" (one context, a message on each line) or
            "batch" (a context on each line).
        text: The text of a "text" file.
        contexts: The contexts of other files.
        indent: The indentation of a "json" file, for `dumps`.
        description: What a "text" file holds, for messages: "plain text", "JSON without messages".
    """

    kind: InputKind
    text: str = ""
    contexts: tuple[RequestContext, ...] = ()
    indent: int | None = None
    description: str = "plain text"

    @property
    def is_fallback(self) -> bool:
        """Whether a JSON file is treated as text because it holds no messages."""
        return self.kind == "text" and self.description != "plain text"

    def dumps(self, messages: Sequence[Sequence[Any]]) -> bytes:
        """Returns the bytes of the file with other messages, one list for each of its contexts."""
        values = [context.rewrap(new) for context, new in zip(self.contexts, messages, strict=True)]
        if self.kind == "lines":
            values = list(values[0])
        return b"".join(_json_bytes(value, self.indent) for value in values)


def read_input(path: str) -> bytes:
    """Returns the bytes of a file, or of stdin for "-"."""
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def parse(data: bytes, name: str, as_text: bool = False) -> InputFile:
    """Recognises what a file holds.

    JSON and JSONL that hold no messages (API responses, logs, notebooks) are text.

    Args:
        data: The bytes of the file.
        name: Its name, for messages; its suffix decides where the content alone does not tell JSON from other text.
        as_text: Whether to skip all of this and treat the file as text.

    Raises:
        ContextError: If the file is binary, or if it is called .json or .jsonl and is not valid JSON.
    """
    text = decode(data)
    if as_text:
        return InputFile("text", text)
    if _is_binary(data):
        raise ContextError(f"{name} looks like a binary file, not like text; {_AS_TEXT} anyway")
    stripped = text.lstrip("\ufeff").strip()
    claims_json = name.lower().endswith((".json", ".jsonl", ".ndjson", ".ipynb"))
    if not (claims_json or stripped[:1] in ("[", "{")):
        return InputFile("text", text)
    if not _is_unicode(text):
        if claims_json:
            raise ContextError(f"{name} is not UTF-8, which JSON must be; {_AS_TEXT}")
        return InputFile("text", text)
    try:
        return _from_value(json.loads(stripped), text, 2 if "\n" in stripped else None)
    except RecursionError:
        raise ContextError(f"{name} is nested too deeply to be read as JSON; {_AS_TEXT}") from None
    except ValueError as error:
        lines = _json_lines(stripped)
        if lines:
            return _from_lines(lines, text, name)
        if claims_json:
            raise ContextError(f"{name} is not valid JSON ({error}); {_AS_TEXT}") from None
        return InputFile("text", text)


def decode(data: bytes) -> str:
    """Decodes any bytes: UTF-8, or UTF-16 with a byte order mark.

    Other bytes become lone surrogates, from which `encode` makes the same bytes again.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Encodes a text that `decode` made or that was found in JSON, in which any surrogate may stand alone."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _is_binary(data: bytes) -> bool:
    """Whether bytes are no text in any encoding: they hold a NUL, as git decides it, or many control characters."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    head = data[:_HEAD]
    controls = len(head) - len(head.translate(None, _CONTROL))
    return b"\0" in head or controls > _MAX_CONTROL_FRACTION * len(head)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _from_value(value: Any, text: str, indent: int | None) -> InputFile:
    """The file that holds one JSON value."""
    if _is_message(value):
        return InputFile("lines", contexts=(RequestContext([value]),))  # JSONL with a single message
    context = _find_context(value)
    if context is not None:
        return InputFile("json", contexts=(context,), indent=indent)
    is_notebook = isinstance(value, dict) and "nbformat" in value and "cells" in value
    return InputFile("text", text, description="a notebook" if is_notebook else "JSON without messages")


def _from_lines(lines: list[Any], text: str, name: str) -> InputFile:
    """The file that holds a JSON value on each line."""
    contexts = [_find_context(line) for line in lines]
    found = [context for context in contexts if context is not None]
    if len(found) == len(lines):
        return InputFile("batch", contexts=tuple(found))
    if not found and any(map(_is_message, lines)):
        return InputFile("lines", contexts=(RequestContext(lines),))
    if not found:
        return InputFile("text", text, description="JSONL without messages")
    number = contexts.index(None) + 1
    raise ContextError(
        f"{name}: line {number} is neither a list of messages nor a request body, but other lines are; {_AS_TEXT}"
    )


def _find_context(value: Any) -> RequestContext | None:
    """The context of a list of messages or of a request body; None for other JSON."""
    if isinstance(value, list):
        return RequestContext(value) if not value or any(map(_is_message, value)) else None
    if isinstance(value, dict):
        for key in ("messages", "input"):
            messages = value.get(key)
            if isinstance(messages, list) and (not messages or any(map(_is_message, messages))):
                return RequestContext(messages, value, key)
    return None


def _is_message(value: Any) -> bool:
    """Whether a JSON value looks like a message. A role alone is not enough: records of users have roles, too."""
    if not isinstance(value, dict):
        return False
    if "role" in value:
        return any(key in value for key in ("content", "tool_calls", "function_call"))
    kind = value.get("type")
    return isinstance(kind, str) and _ITEM_TYPE.fullmatch(kind) is not None


def _json_lines(text: str) -> list[Any]:
    """The values of JSONL; empty if a line is not JSON."""
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        return []


def _json_bytes(value: Any, indent: int | None) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode() + b"\n"
    except UnicodeEncodeError:  # only an escape can carry a lone surrogate
        return json.dumps(value, indent=indent).encode() + b"\n"

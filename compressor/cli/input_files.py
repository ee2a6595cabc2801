"""What users keep contexts in: request bodies, lists of messages, JSONL, plain text. Reads and writes these shapes.

Whether messages are sound is for their dialect to say; this module compresses nothing and opens no file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compressor.errors import ContextError

InputKind = Literal["text", "json", "lines", "batch"]

_AS_TEXT = "--text compresses it as plain text"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One context; `body` is the request that holds its messages under `key`, if there is one."""

    messages: Sequence[Any]
    body: dict[str, Any] | None = None
    key: str = "messages"

    @property
    def tools(self) -> Sequence[Any] | None:
        tools = (self.body or {}).get("tools")
        return tools if isinstance(tools, list) and tools else None

    @property
    def system(self) -> Any:
        """Anthropic's `system` or Responses' `instructions`: sent, and billed, beside the messages."""
        return (self.body or {}).get("system" if self.key == "messages" else "instructions")

    @property
    def model(self) -> str | None:
        model = (self.body or {}).get("model")
        return model if isinstance(model, str) else None

    def rewrap(self, messages: Sequence[Any]) -> Any:
        """Other messages in this case's outer shape."""
        return messages if self.body is None else {**self.body, self.key: messages}


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file's content.

    form: "text" (`text`, no cases), "json" (one case), "lines" (one case, a message a line) or "batch" (a case a line).
    """

    kind: InputKind
    text: str = ""
    cases: tuple[RequestContext, ...] = ()
    indent: int | None = None

    def dumps(self, contexts: Sequence[Sequence[Any]]) -> bytes:
        """The file again with these messages in place of its own; one context for each case."""
        wholes = [case.rewrap(messages) for case, messages in zip(self.cases, contexts, strict=True)]
        if self.kind == "lines":
            wholes = list(wholes[0])
        return b"".join(_json_bytes(whole, self.indent) for whole in wholes)


def parse(data: bytes, name: str, as_text: bool = False) -> InputFile:
    """Finds out what the bytes of a file are. `name` tells JSON from other text where the content alone does not.

    Raises `ContextError` for JSON that holds no messages, and for broken JSON in a file that claims to be JSON.
    """
    text = decode(data)
    stripped = text.lstrip("\ufeff").strip()
    claims_json = name.lower().endswith((".json", ".jsonl", ".ndjson"))
    if as_text or not (claims_json or stripped[:1] in ("[", "{")):
        return InputFile("text", text)
    if not _is_unicode(text):
        if claims_json:
            raise ContextError(f"{name} is not UTF-8, as JSON has to be; {_AS_TEXT}")
        return InputFile("text", text)
    try:
        return _document(json.loads(stripped), name, 2 if "\n" in stripped else None)
    except RecursionError:
        raise ContextError(f"{name} is nested too deeply to be read as JSON; {_AS_TEXT}") from None
    except ContextError:
        raise
    except ValueError as error:
        lines = _json_lines(stripped)
        if lines:
            return _from_lines(lines, name)
        if claims_json:
            raise ContextError(f"{name} is not valid JSON ({error}); {_AS_TEXT}") from None
        return InputFile("text", text)


def decode(data: bytes) -> str:
    """Text of any file: UTF-8, or UTF-16 with its mark; other bytes become lone surrogates, from which `encode` makes
    the same bytes again."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes of a text read by `decode`, or found in JSON (where any surrogate may stand alone)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _document(value: Any, name: str, indent: int | None) -> InputFile:
    if isinstance(value, dict) and "role" in value and "messages" not in value:
        return InputFile("lines", cases=(RequestContext([value]),))  # a JSONL of one message
    case = _case(value)
    if case is None:
        raise ContextError(f"{name} is JSON but holds no messages; {_AS_TEXT}")
    return InputFile("json", cases=(case,), indent=indent)


def _case(value: Any) -> RequestContext | None:
    """A list of messages or a request body; None for other JSON."""
    if isinstance(value, list):
        looks_right = not value or any(isinstance(m, dict) and ("role" in m or "type" in m) for m in value)
        return RequestContext(value) if looks_right else None
    if isinstance(value, dict):
        for key in ("messages", "input"):
            if isinstance(value.get(key), list):
                return RequestContext(value[key], value, key)
    return None


def _json_lines(text: str) -> list[Any]:
    """The values of JSONL; empty if a line is not JSON."""
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        return []


def _from_lines(lines: list[Any], name: str) -> InputFile:
    cases = [_case(line) for line in lines]
    found = [case for case in cases if case is not None]
    if len(found) == len(lines):
        return InputFile("batch", cases=tuple(found))
    if not found and any(isinstance(line, dict) and ("role" in line or "type" in line) for line in lines):
        return InputFile("lines", cases=(RequestContext(lines),))
    if not found:
        raise ContextError(f"{name} is JSONL but holds no messages; {_AS_TEXT}")
    bad = cases.index(None) + 1
    raise ContextError(f"{name}: line {bad} is neither a list of messages nor a request body, as other lines are")


def _json_bytes(value: Any, indent: int | None) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode() + b"\n"
    except UnicodeEncodeError:  # lone surrogates: only an escape can carry them
        return json.dumps(value, indent=indent).encode() + b"\n"

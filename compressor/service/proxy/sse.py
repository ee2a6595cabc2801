"""Server-sent events as bytes, and what of them a caller gets while expand calls are resolved behind its back.

What need not change goes out as the very bytes that came in. Makes no request.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from compressor.providers import Json
from compressor.providers.expand_resolver import FailOpen, ResolvedCall
from compressor.service.http_errors import HttpError

_END = re.compile(rb"\r?\n\r?\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")
_LAST = ("message_stop", "response.completed", "response.incomplete", "response.failed")


async def blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The events of a stream, each with the blank line that ends it."""
    buffer, seen = b"", 0
    async for chunk in chunks:
        buffer += chunk
        while match := _END.search(buffer, max(0, seen - 3)):
            yield buffer[: match.end()]
            buffer, seen = buffer[match.end() :], 0
        seen = len(buffer)
    if buffer:
        yield buffer


class SseRewriter:
    """What the caller gets of the streams of one call. An error of ours lets the rest through as it is."""

    def __init__(self, call: ResolvedCall, failing: FailOpen) -> None:
        self._call, self._failing = call, failing
        self._filter: Any = call.make_stream_filter()
        self._named = False
        self._done = b""
        self.ended = False  # the stream at hand has come to its end, and did not just stop

    def feed(self, block: bytes) -> bytes:
        """An event that came in; what goes out now."""
        if self._filter is None:
            return block
        lines = _LINE.split(block)
        text = b"\n".join(line[5:].lstrip(b" ") for line in lines if line.startswith(b"data:"))
        if text.strip() == b"[DONE]":
            self._done = block
            return b""
        try:
            data = json.loads(text)
        except ValueError:
            return block  # a comment, a ping without data, or nothing of this world
        if not isinstance(data, dict):
            return block
        self._named = any(line.startswith(b"event:") for line in lines)
        try:
            out = self._filter.feed(data)
            self.ended = self.ended or _ends(data)
            return b"".join(block if one is data else self._packed(one) for one in out)
        except Exception as error:
            self._filter = None
            self._failing.handle(error)
            return block

    def needs_another_round(self) -> bool:
        """Whether the call's `body` has to be sent now to go on. Refused if it should be, and cannot."""
        if self._filter is None or not self.ended:
            return False
        self.ended = False
        turn = None
        try:
            turn = self._filter.end_call()
            if self._call.on_turn(turn):
                self._done = b""
                return True
        except Exception as error:
            self._failing.handle(error)
            if turn is None or turn.expand_calls:
                raise HttpError(503, "expansion_failed", "what the model asked for could not be given to it") from None
        return False

    def finish(self) -> bytes:
        """What was held back, once no further request is made."""
        held = self._filter.flush() if self._filter is not None else []
        return b"".join(map(self._packed, held)) + self._done

    def failed(self, kind: str, message: str) -> bytes:
        """An error in the middle of the stream, in the form the SDKs raise."""
        error = {"type": kind, "message": message}
        if not self._named:
            return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
        # Anthropic's form, and Responses' fields beside it
        whole = {"type": "error", "error": error, "code": kind, "message": message, "param": None}
        return b"event: error\ndata: " + json.dumps(whole).encode() + b"\n\n"

    def _packed(self, data: Json) -> bytes:
        name = b"event: " + str(data.get("type", "")).encode() + b"\n" if self._named else b""
        return name + b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _ends(data: Json) -> bool:
    choices = data.get("choices")
    if isinstance(choices, list):
        return any(isinstance(c, dict) and c.get("finish_reason") is not None for c in choices)
    return data.get("type") in _LAST

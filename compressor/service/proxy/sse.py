"""Rewrites streams of server-sent events while expand and recall calls are resolved unseen by the client.

Events that need no change are forwarded as the very bytes that arrived.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from compressor.providers import Json
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.failure_notices import LoggedFailures
from compressor.service.http_errors import HttpError

_END = re.compile(rb"\r?\n\r?\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")
_FINAL_EVENTS = ("message_stop", "response.completed", "response.incomplete", "response.failed")


async def split_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yields the events of a stream, each with the blank line that ends it."""
    buffer, searched = b"", 0
    async for chunk in chunks:
        buffer += chunk
        while match := _END.search(buffer, max(0, searched - 3)):
            yield buffer[: match.end()]
            buffer, searched = buffer[match.end() :], 0
        searched = len(buffer)
    if buffer:
        yield buffer


class SseRewriter:
    """Rewrites the streams of one call. If that fails, the rest is forwarded as it is.

    Args:
        call: The call.
        failing: Takes errors of the rewriting.

    Attributes:
        ended: Whether the current stream has come to its end, and did not just break off.
    """

    def __init__(self, call: ResolvedCall, failing: LoggedFailures) -> None:
        self._call, self._failing = call, failing
        self._filter: Any = call.make_stream_filter()
        self._named = False
        self._done = b""
        self.ended = False

    def feed(self, block: bytes) -> bytes:
        """Takes an event, and returns the bytes to send now."""
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
            return block  # comment, ping or malformed event: forward unchanged
        if not isinstance(data, dict):
            return block
        self._named = any(line.startswith(b"event:") for line in lines)
        try:
            out = self._filter.feed(data)
            self.ended = self.ended or _ends(data)
            return b"".join(block if one is data else self._encode(one) for one in out)
        except Exception as error:
            self._filter = None
            self._failing.note(error)
            return block

    def needs_another_round(self) -> bool:
        """Returns whether the call's `body` has to be sent to continue the answer.

        Raises:
            HttpError: 503 if it should be sent, but cannot be built.
        """
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
            if turn is None or turn.context_calls:
                raise HttpError(
                    503, "expansion_failed", "The text that the model asked for could not be expanded"
                ) from None
        return False

    def finish(self) -> bytes:
        """Returns the bytes that were held back, when there is no further round."""
        held_back = self._filter.flush() if self._filter is not None else []
        return b"".join(map(self._encode, held_back)) + self._done

    def error_event(self, error: Json) -> bytes:
        """Returns an error event for the middle of a stream, in the form that the SDKs raise.

        Args:
            error: Its `type` and `message`, and the provider's other fields.
        """
        if not self._named:
            return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
        # Anthropic's form, plus the fields of the Responses API
        code = error.get("code") or error["type"]
        whole = {"type": "error", "error": error, "code": code, "message": error["message"]}
        whole["param"] = error.get("param")
        return b"event: error\ndata: " + json.dumps(whole).encode() + b"\n\n"

    def _encode(self, data: Json) -> bytes:
        name = b"event: " + str(data.get("type", "")).encode() + b"\n" if self._named else b""
        return name + b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _ends(data: Json) -> bool:
    choices = data.get("choices")
    if isinstance(choices, list):
        return any(isinstance(c, dict) and c.get("finish_reason") is not None for c in choices)
    return data.get("type") in _FINAL_EVENTS

"""Finds the provider's usage in an answer while it passes to the client, whatever the API and the form."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

Send = Callable[[Any], Awaitable[None]]
_HEAD, _TAIL = 2**15, 2**16  # bytes of an answer that are kept: Anthropic's usage begins at the front, others end it
_USAGE = re.compile(rb'"usage(?:Metadata)?"\s*:\s*(?=\{)')
_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")
_decode = json.JSONDecoder().raw_decode


class AnswerWatcher:
    """Passes an answer on to the client, and finds the usage in it.

    Args:
        send: ASGI's function that sends a part of the answer.

    Attributes:
        status: The status of the answer, 0 before it.
        events: The number of server-sent events so far. Providers send about one token in each.
    """

    def __init__(self, send: Send) -> None:
        self._send, self.status, self.events = send, 0, 0
        self._head, self._tail = b"", bytearray()
        self._unpack: Callable[[bytes], bytes] | None = bytes

    async def __call__(self, message: Any) -> None:
        """Takes a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            encoding = dict(message.get("headers", ())).get(b"content-encoding", b"identity").lower()
            self._unpack = _unpacker(encoding)
        elif body := message.get("body"):
            self._feed(body)
        await self._send(message)

    def usage(self) -> Mapping[str, Any] | None:
        """Returns the usage in the answer, or None if it has none that can be read."""
        merged: dict[str, Any] = {}
        for part in (self._head, bytes(self._tail)):
            for match in _USAGE.finditer(part):
                with suppress(ValueError, RecursionError):
                    found, _ = _decode(part[match.end() :].decode("utf-8", "replace"))
                    merged = _merge(merged, found)
        return merged or None

    def _feed(self, data: bytes) -> None:
        if self._unpack is None:
            return
        try:
            data = self._unpack(data)
        except zlib.error:
            self._unpack = None
            return
        self.events += (self._tail[-4:] + data).count(b"data:")
        if len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        self._tail += data
        if len(self._tail) > 2 * _TAIL:
            del self._tail[:-_TAIL]


def _unpacker(encoding: bytes) -> Callable[[bytes], bytes] | None:
    if encoding in (b"", b"identity"):
        return bytes
    return zlib.decompressobj(47).decompress if encoding in (b"gzip", b"deflate") else None


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the larger of each count: streams report what there is so far."""
    out = dict(one)
    for key, value in other.items():
        name = _CAMEL.sub("_", key).lower()
        if isinstance(value, dict):
            out[name] = _merge(out.get(name) or {}, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            out[name] = max(value, out.get(name) or 0)
    return out

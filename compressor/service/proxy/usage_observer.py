"""Reads the provider's `usage` from an answer that is forwarded as it is, without changing a byte of it."""

from __future__ import annotations

import json
import zlib
from typing import Any

from compressor.providers import Json

MAX_BYTES = 8 << 20  # of an answer in one piece; a longer one is not measured
_GZIP = 16 + zlib.MAX_WBITS


class UsageObserver:
    """Watches one answer.

    Args:
        content_type: The answer's content type.
        encoding: The answer's content encoding. Other than gzip and deflate, it is not measured.
    """

    def __init__(self, content_type: str, encoding: str) -> None:
        self._is_stream = content_type.startswith("text/event-stream")
        self._decoder: Any = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        if encoding == "deflate":
            self._decoder = zlib.decompressobj()
        is_readable = self._is_stream or content_type.startswith("application/json")
        self._buffer: bytearray | None = bytearray() if is_readable and encoding in _ENCODINGS else None
        self._usage: Json = {}

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes, as they came."""
        if self._buffer is None:
            return
        try:
            self._buffer += chunk if self._decoder is None else self._decoder.decompress(chunk, MAX_BYTES)
        except zlib.error:
            self._buffer = None
            return
        if self._is_stream:
            *lines, rest = bytes(self._buffer).split(b"\n")
            self._buffer = bytearray(rest)
            for line in lines:
                if line.startswith(b"data:") and b'"usage"' in line:
                    self._take(line[5:])
        if len(self._buffer) > MAX_BYTES:
            self._buffer = None

    def finish(self) -> list[Json]:
        """Returns what the provider reported: one usage, or nothing."""
        if self._buffer and not self._is_stream:
            self._take(bytes(self._buffer))
        return [self._usage] if self._usage else []

    def _take(self, text: bytes) -> None:
        try:
            data = json.loads(text)
        except ValueError:
            return
        # Anthropic's stream begins with a message, that of Responses ends with a response; both hold the usage.
        for holder in (data, *(data.get(name) for name in ("message", "response"))) if isinstance(data, dict) else ():
            usage = holder.get("usage") if isinstance(holder, dict) else None
            if isinstance(usage, dict):
                self._usage |= {name: value for name, value in usage.items() if value is not None}


_ENCODINGS = ("", "identity", "gzip", "deflate")

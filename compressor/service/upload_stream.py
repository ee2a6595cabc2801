"""A request body that is handed on as it arrives, in constant memory: uploads, and all else that is not compressed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from compressor.service.http_errors import HttpError

Receive = Callable[[], Awaitable[Any]]
SMALL_BYTES = 2**18  # a body up to this size is read whole, so that it can be sent a second time
MIN_BYTES_PER_SECOND = 2**14  # how fast a longer body has to arrive, once `timeout` is over


class UploadStream:
    """The body of one request, to be read once.

    Args:
        receive: ASGI's function that returns the next part of the body.
        headers: The headers of the request.
        max_bytes: The maximum size of the body.
        timeout: Seconds that the service waits for the body altogether; more for a long one, see
            `MIN_BYTES_PER_SECOND`. The time that the provider takes to read it does not count.

    Attributes:
        is_started: Whether parts of it were handed on.

    Raises:
        HttpError: 413 if its length is given and too large.
    """

    def __init__(
        self, receive: Receive, headers: Iterable[tuple[bytes, bytes]], max_bytes: int, timeout: float
    ) -> None:
        self._receive, self._max_bytes, self._timeout = receive, max_bytes, timeout
        self._parts: list[bytes] = []
        self._size, self._waited = 0, 0.0
        self._is_complete = False
        self._is_done = asyncio.Event()  # nobody reads the body any more
        self.is_started = False
        self._length = next((int(v) for n, v in headers if n == b"content-length" and v.isdigit()), None)
        if self._length is not None and self._length > max_bytes:
            raise self._too_large()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header with the length of the body, if it is known."""
        return [] if self._length is None else [(b"content-length", b"%d" % self._length)]

    async def read_small(self) -> bytes | None:
        """Returns the whole body if it is small, else None; what was read comes first in the parts.

        Raises:
            HttpError: As `__aiter__`.
        """
        while not self._is_complete and self._size <= SMALL_BYTES:
            self._parts.append(await self._next())
        if not self._is_complete:
            return None
        self._is_done.set()
        return b"".join(self._parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yields the parts of the body as they arrive.

        Raises:
            HttpError: 413 for a body that is too large, 408 for one that is too slow, 400 if the client disconnected.
        """
        self.is_started = True
        try:
            for part in self._parts:
                yield part
            self._parts = []
            while not self._is_complete:
                yield await self._next()
        finally:
            self._is_done.set()

    def end(self) -> None:
        """Notes that nobody will read the rest, because the provider has answered."""
        self._is_done.set()

    async def wait_for_disconnect(self) -> None:
        """Returns when the client has disconnected. While the body is read, the reader sees that."""
        await self._is_done.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        left = self._timeout + self._size / MIN_BYTES_PER_SECOND - self._waited
        start = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.001, left))
        except asyncio.TimeoutError:
            raise HttpError(
                408, "timeout", f"The request body arrived too slowly ({self._timeout:g} s)", {"connection": "close"}
            ) from None
        self._waited += time.monotonic() - start
        if message["type"] == "http.disconnect":
            raise HttpError(400, "disconnected", "The client disconnected before the body was complete")
        part: bytes = message.get("body", b"")
        self._size += len(part)
        if self._size > self._max_bytes:
            raise self._too_large()
        self._is_complete = not message.get("more_body")
        return part

    def _too_large(self) -> HttpError:
        # The rest of the body is not read, so the connection cannot be used again.
        message = f"The upload is too large (limit: {self._max_bytes} bytes, setting max_upload_bytes)"
        return HttpError(413, "too_large", message, {"connection": "close"})

"""uvicorn's HTTP protocol with header and write timeouts (slow-client protection).

uvicorn has a timeout for idle connections only. This closes a connection on which no complete request head arrives
within `HEADER_TIMEOUT` seconds, or whose client takes nothing of its answer for `WRITE_TIMEOUT` seconds. The timeout of
a body is in `request_limits`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_TIMEOUT = 15.0
WRITE_TIMEOUT = 60.0
#: Seconds an idle connection is kept. Longer than load balancers (60 as a rule) and clients keep one for reuse, or they
#: would send a request on a connection that is being closed here.
KEEP_ALIVE = 75


class TimeoutHttpProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # h11 or httptools, chosen at import
    """The protocol of one connection."""

    _is_upgraded = False
    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _has_partial_head = False

    def connection_made(self, transport: Any) -> None:
        """Starts the timeout of the first request's head."""
        super().connection_made(transport)
        self._start_header_timer()

    def data_received(self, data: bytes) -> None:
        """Receives a part of a request; the head's timeout ends when the application has the request."""
        super().data_received(data)
        if self._is_upgraded:
            return
        self._has_partial_head = not self.is_serving()
        if self.is_serving():
            self._cancel("_header_timer")
        elif self._header_timer is None:
            self._start_header_timer()

    def is_serving(self) -> bool:
        """Returns True from the complete head of a request to the end of its response."""
        return self.cycle is not None and not self.cycle.response_complete

    def is_receiving(self) -> bool:
        """Returns True if a part of a request's head has arrived."""
        return self._has_partial_head and not self.is_serving()

    def cut(self) -> None:
        """Ends a response that has begun, so that the client sees it broken off and nothing is logged for it."""
        self.cycle.disconnected = True
        self.transport.close()

    def handle_websocket_upgrade(self, *args: Any) -> None:
        """Hands the connection to the websocket protocol, which has pings instead of these timeouts."""
        self._is_upgraded = True
        self._cancel("_header_timer")
        self._cancel("_write_timer")
        super().handle_websocket_upgrade(*args)

    def pause_writing(self) -> None:
        """Starts the write timeout, because the client takes its answer slower than it is sent."""
        super().pause_writing()
        self._cancel("_write_timer")
        self._start_write_timer(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Ends the write timeout."""
        self._cancel("_write_timer")
        super().resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Ends all timeouts."""
        self._cancel("_header_timer")
        self._cancel("_write_timer")
        super().connection_lost(error)

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT, self._on_header_timeout)

    def _on_header_timeout(self) -> None:
        self._header_timer = None
        if not self.is_serving():
            self.transport.abort()

    def _start_write_timer(self, buffered: int) -> None:
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self._on_write_timeout, buffered)

    def _on_write_timeout(self, buffered_before: int) -> None:
        buffered = self.transport.get_write_buffer_size()
        if buffered >= buffered_before:
            self.transport.abort()
        else:
            self._start_write_timer(buffered)

    def _cancel(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)

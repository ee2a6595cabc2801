"""A client's connection: uvicorn's, which does not wait for ever. It ends where no whole head of a request arrives
within `HEAD` seconds of its beginning, and where a client takes nothing of its answer for `STUCK` seconds. Knows no
requests; how long a body may take is `limits`' business.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD = 15.0
STUCK = 60.0
#: Seconds between two requests: longer than balancers (60 as a rule) and clients keep a connection that they may use
#: again, or a request meets our end of it.
KEEP_ALIVE = 75


class TimeoutHttpProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # which of two is known when it is imported
    """One of them, for its whole life."""

    _head: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Takes a part of a request."""
        super().data_received(data)
        if self._served():
            self._stop("_head")
        elif self._head is None:
            self._wait()

    def pause_writing(self) -> None:
        """The client takes its answer slower than it is made, or not at all."""
        super().pause_writing()
        self._stop("_reader")
        self._look(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has taken it."""
        self._stop("_reader")
        super().resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Forgets what it waited for."""
        self._stop("_head")
        self._stop("_reader")
        super().connection_lost(error)

    def _served(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._head = self.loop.call_later(HEAD, self._late)

    def _late(self) -> None:
        self._head = None
        if not self._served():
            self.transport.abort()

    def _look(self, before: int) -> None:
        self._reader = self.loop.call_later(STUCK, self._stuck, before)

    def _stuck(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._look(left)

    def _stop(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)

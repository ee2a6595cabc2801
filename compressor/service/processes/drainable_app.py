"""Wraps the application for the time in which the service is told to end."""

from __future__ import annotations

import asyncio
from typing import Any

from compressor.service.http_errors import HttpError, send_error

MESSAGE = "The service is shutting down: send the request to another instance"


class DrainableApp:
    """An ASGI application that can be told to end.

    While it drains, each response tells its client to close the connection, so that the next request goes to another
    instance. A request that is cut gets a 503 if its response has not begun; otherwise the response stays without an
    end.

    Args:
        app: The application.

    Attributes:
        is_draining: Whether the service is about to end.
    """

    def __init__(self, app: Any) -> None:
        self._app, self.is_draining, self._is_cutting = app, False, False

    def cut(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Ends the tasks of requests in flight."""
        self._is_cutting = True
        for task in tasks:
            task.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request."""
        has_started = scope["type"] != "http"

        async def send_on(message: Any) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                if self.is_draining:
                    kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
                    message = {**message, "headers": [*kept, (b"connection", b"close")]}
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except asyncio.CancelledError:
            if not self._is_cutting:
                raise
            if not has_started:
                await send_error(send, HttpError(503, "draining", MESSAGE, {"retry-after": "1", "connection": "close"}))

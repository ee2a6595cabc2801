"""Relays a websocket between a client and the provider: messages, back-pressure and close codes, in both directions."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from compressor.service.http_errors import HttpError, without_message
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.response_lanes import ResponseLanes, dump_event
from compressor.service.proxy.routes import RESPONSES
from compressor.service.proxy.websocket_upstream import BROKEN, WebsocketUpstream, accept_headers, sendable_code
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics

log = logging.getLogger("compressor.service")
GONE = 1001  # the close code for a client that went without one
NO_CODE = 1005  # what stands for the missing code of a proper close

Prepare = Callable[[Exchange], Awaitable[None]]


class WebsocketRelay:
    """Serves the websockets of the providers.

    Args:
        config: The settings of the service.
        metrics: Takes compressions, fallbacks and errors.
        prepare: Finds what to send for a request of the Responses API.
    """

    def __init__(self, config: Settings, metrics: Metrics, prepare: Prepare) -> None:
        self._metrics, self._prepare = metrics, prepare
        self._upstream = WebsocketUpstream(config)
        self._open: Counter[str] = Counter()  # connections by tenant

    async def serve(self, exchange: Exchange, subprotocols: list[str], receive: Any, send: Any) -> None:
        """Serves one connection until it is closed.

        Args:
            exchange: The client's handshake.
            subprotocols: The subprotocols that the client offers.
            receive: ASGI's function that returns the next message of the client.
            send: ASGI's function that sends a message to the client.

        Raises:
            HttpError: Before the handshake is accepted: there are too many connections, or no provider answers.
            HandshakeRefusedError: The provider refuses the handshake.
        """
        tenant = exchange.tenant
        limit = tenant.config.max_websockets
        if self._open[tenant.name] >= limit:
            raise HttpError(
                429, "too_many_requests", f"Too many open websockets (limit: {limit})", {"retry-after": "1"}
            )
        self._open[tenant.name] += 1
        try:
            connection = await self._upstream.connect(exchange, subprotocols)
            try:
                headers = accept_headers(connection)
                await send({"type": "websocket.accept", "subprotocol": connection.subprotocol, "headers": headers})
                await self._relay(exchange, connection, receive, send)
            finally:
                await connection.close()
        finally:
            self._open[tenant.name] -= 1

    async def _relay(self, exchange: Exchange, connection: Any, receive: Any, send: Any) -> None:
        lanes = None
        if exchange.route.api is RESPONSES and not exchange.is_bypassed:
            lanes = ResponseLanes(exchange, self._prepare, self._metrics, connection.send)
        tasks = [
            asyncio.ensure_future(_from_client(connection, lanes, receive, send)),
            asyncio.ensure_future(_from_provider(connection, lanes, send)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if lanes is not None:
                lanes.close()
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        for error in done:
            if isinstance(error, Exception):
                name = type(error).__name__
                log.error("a websocket failed: %s", name, exc_info=without_message(error))
                with suppress(Exception):  # the client may be gone
                    await send({"type": "websocket.close", "code": BROKEN, "reason": "internal error"})


async def _from_client(connection: Any, lanes: ResponseLanes | None, receive: Any, send: Any) -> None:
    """Hands on the client's messages until it closes, then closes the provider's connection with the same code."""
    from websockets.exceptions import ConnectionClosed

    try:
        while (event := await receive())["type"] == "websocket.receive":
            if (text := event.get("text")) is None:
                await connection.send(event["bytes"])
                continue
            made = text if lanes is None else await lanes.from_client(text)
            if isinstance(made, str):
                await connection.send(made)
            else:
                await send({"type": "websocket.send", "text": dump_event(made)})
    except ConnectionClosed:
        await asyncio.Event().wait()  # the other task tells the client
    except OSError:  # the client is gone
        return
    code = event.get("code")
    await connection.close(sendable_code(code, 1000 if code == NO_CODE else GONE), event.get("reason") or "")


async def _from_provider(connection: Any, lanes: ResponseLanes | None, send: Any) -> None:
    """Hands on the provider's messages until it closes, then closes the client's connection with the same code."""
    from websockets.exceptions import ConnectionClosed

    code, reason = None, ""
    try:
        while True:
            message = await connection.recv()
            if isinstance(message, bytes):
                await send({"type": "websocket.send", "bytes": message})
                continue
            for text in [message] if lanes is None else await lanes.from_provider(message):
                await send({"type": "websocket.send", "text": text})
    except ConnectionClosed as error:
        if error.rcvd is None:
            reason = "the connection to the provider broke off"
        else:
            code, reason = error.rcvd.code, error.rcvd.reason
    except OSError:  # the client is gone
        return
    sent_code = sendable_code(code, 1000 if code == NO_CODE else BROKEN)
    with suppress(OSError):
        await send({"type": "websocket.close", "code": sent_code, "reason": reason})

"""Receives every websocket: authenticates it like a request, applies the limits, and hands it to the proxy."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from compressor.service.http_errors import HttpError, json_bytes, to_http_error, without_message
from compressor.service.proxy.websocket_upstream import HandshakeRefusedError
from compressor.service.request_paths import prepare_path, route_request, take_path_key
from compressor.service.telemetry import logging as logs
from compressor.service.telemetry.records import CURRENT_RECORD

if TYPE_CHECKING:
    from compressor.service.request_handler import RequestHandler

log = logging.getLogger("compressor.service")
_POLICY_VIOLATION = 1008


class WebsocketHandler:
    """One websocket.

    Args:
        handler: The handler of requests, which knows the keys and the tenants.
        scope: ASGI's description of the connection.
        receive: ASGI's function that returns the next message of the client.
        send: ASGI's function that sends a message to the client.
    """

    def __init__(self, handler: RequestHandler, scope: Any, receive: Any, send: Any) -> None:
        self._handler, self._scope, self._receive, self._send = handler, scope, receive, send
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        self._record = logs.start_record("GET", request_id)
        scope["method"] = "GET"

    async def serve(self) -> None:
        """Serves the connection until it is closed."""
        record, start = self._record, time.perf_counter()
        CURRENT_RECORD.set(record)
        try:
            await self._receive()  # websocket.connect
            prepare_path(self._scope)
            await self._dispatch()
        except HandshakeRefusedError as refused:
            await self._refuse(refused.status, refused.headers, refused.body)
        except Exception as error:
            if not isinstance(error, HttpError):
                name = type(error).__name__
                log.error("websocket %s failed: %s", record.id, name, exc_info=without_message(error))
            if not record.status:
                answer = to_http_error(error)
                pairs = [(n.encode("latin-1"), v.encode("latin-1", "replace")) for n, v in answer.headers.items()]
                head = [(b"content-type", b"application/json"), *pairs]
                await self._refuse(answer.status, head, json_bytes(answer.body))
        finally:
            self._handler.record_websocket(record)
            logs.log_request(record, time.perf_counter() - start)

    async def _dispatch(self) -> None:
        handler, scope = self._handler, self._scope
        path_key = take_path_key(scope)
        route = route_request(scope, False)
        if route is not None:
            self._record.route = route.label
        key = handler.authenticate(scope, path_key, route is not None)
        self._record.tenant = key.tenant
        tenant = await handler.find_tenant(key.tenant)
        if route is None or not route.is_websocket:
            raise HttpError(
                404, "not_found", "There is no websocket at this path: see docs/service.md for those there are"
            )
        with tenant.rate_limiter.open_request() as admission:
            await admission.admit()  # the messages that are compressed count by themselves
            admission.release_place()
            scope["compressor"], scope["compressor.route"] = (tenant, None), route
            scope["compressor.admission"] = admission
            await handler.proxy.serve_websocket(scope, self._receive, self._send_with_headers)

    async def _send_with_headers(self, message: Any) -> None:
        if message["type"] == "websocket.accept":
            self._record.status = 101
            message = {**message, "headers": [*message.get("headers", ()), *self._id_headers()]}
        await self._send(message)

    def _id_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-compressor-request-id", self._record.id.encode())]

    async def _refuse(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._record.status = status
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        head = [*headers, *self._id_headers(), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": head})
        await self._send({"type": "websocket.http.response.body", "body": body})

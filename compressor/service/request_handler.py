"""Receives every request: authenticates it, applies the limits, routes it, and records the outcome.

Without keys, everybody on this machine is one tenant, but web pages are rejected: the Host header has to name the
loopback address, which defeats DNS rebinding, and so does the Origin header. With keys, no route is open except
`/healthz` and `/readyz`, which answer one word, to a client on this machine.
"""

from __future__ import annotations

import logging
import re
import time
from base64 import b64decode
from contextlib import nullcontext
from typing import Any

from compressor.scoring.runtime.executor import QUEUE_WAIT_HOOK, run_in_thread
from compressor.service.auth import ApiKey
from compressor.service.content_encoding import content_encoding, unpack
from compressor.service.direct_routes import DirectRoutes
from compressor.service.http_errors import HttpError, json_bytes, to_http_error, without_message
from compressor.service.key_directory import KeyDirectory
from compressor.service.limits.rate_limiter import Admission
from compressor.service.limits.rejection import RateLimitedError
from compressor.service.limits.request_cost import find_model, find_token_use, price_tokens
from compressor.service.proxy.exchange import UpstreamStreamError
from compressor.service.proxy.proxy import Proxy
from compressor.service.request_limits import body_size, read_body, reject_ambiguous_length
from compressor.service.request_paths import is_own_route, prepare_path, route_request, take_path_key
from compressor.service.route_hints import RouteHints
from compressor.service.settings import Settings, is_loopback
from compressor.service.telemetry import logging as logs
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CURRENT_RECORD, RequestRecord
from compressor.service.telemetry.tracing import Tracing
from compressor.service.tenants import LOCAL_TENANT, Tenant, Tenants
from compressor.service.websocket_handler import WebsocketHandler
from compressor.text.redaction import redact

log = logging.getLogger("compressor.service")
_UNLIMITED_ROUTES = re.compile(r"/(healthz?|readyz|metrics)|/admin/.*", re.DOTALL)  # a limit must not hide its cause
_REF_LOOKUP = re.compile(r"/v1/(retrieve/.*|sessions/[^/]*/expand)", re.DOTALL)
_ORIGIN = re.compile(r"https?://(\[[^\]]*\]|[^:/]*)(:\d+)?")
_PROBES = ("/healthz", "/readyz")
_PROVIDER_KEYS = (b"x-api-key", b"api-key", b"x-goog-api-key")
_BEARER = re.compile(rb"(?i)bearer\s+(\S+)")
_BASIC = re.compile(rb"(?i)basic\s+([A-Za-z0-9+/]+=*)")


class RequestHandler:
    """The ASGI application of the service.

    Args:
        config: The settings of the service.
        tenants: All tenants.
        metrics: Counts requests.
        api: The application for the service's own routes.
        proxy: The application for the routes of the providers. Also an attribute.
        tracing: Traces requests, if given.
        keys: The keys that are valid now; None for those of the settings.
        direct: Serves what it can of the service's own routes, before `api`.
    """

    def __init__(
        self,
        config: Settings,
        tenants: Tenants,
        metrics: Metrics,
        api: Any,
        proxy: Proxy,
        tracing: Tracing | None = None,
        keys: KeyDirectory | None = None,
        direct: DirectRoutes | None = None,
    ) -> None:
        self._config, self._tenants, self._metrics = config, tenants, metrics
        self._api, self._direct, self._tracing = api, direct, tracing
        self.proxy = proxy
        self._keys = keys or KeyDirectory(config.keys, config.needs_keys)
        self._hints = RouteHints(api)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request."""
        if scope["type"] == "lifespan":
            await self._api(scope, receive, send)
        elif scope["type"] == "http":
            await _RequestScope(self, dict(scope), receive, send).serve()
        else:
            await WebsocketHandler(self, dict(scope), receive, send).serve()

    def authenticate(self, scope: Any, path_key: str, proxied: bool) -> ApiKey:
        """Finds the key of a request.

        Args:
            scope: ASGI's description of the request.
            path_key: The key in the path, or "".
            proxied: Whether the request goes to the provider. Then only our own header and the path can hold our key,
                because the standard headers are forwarded.

        Raises:
            HttpError: 401 without a known key; without configured keys, 403 for a request from elsewhere.
        """
        headers = dict(scope["headers"])
        if not self._keys.is_required:
            host = headers.get(b"host", b"").decode("latin-1")
            if not is_loopback(re.sub(r":\d+$", "", host)):
                raise HttpError(
                    403,
                    "forbidden",
                    "Without keys this service accepts requests from its own machine only: use the host 127.0.0.1",
                )
            origin = headers.get(b"origin", b"http://localhost").decode("latin-1")
            page = _ORIGIN.fullmatch(origin)
            if page is None or not is_loopback(page[1]):  # a page cannot read the response, but it could send requests
                raise HttpError(
                    403, "forbidden", "Without keys this service accepts no requests from web pages of other sites"
                )
            return ApiKey(LOCAL_TENANT, "", admin=True)
        given = path_key or headers.get(b"x-compressor-key", b"").decode("latin-1")
        other = [m[1].decode("latin-1") for m in [_BEARER.fullmatch(headers.get(b"authorization", b"").strip())] if m]
        other += [headers.get(name, b"").decode("latin-1") for name in _PROVIDER_KEYS]
        if proxied:
            misplaced = next(filter(None, (self._keys.find(one) for one in other if one)), None)
            if misplaced is not None:
                if not self._tenants.settings_of(misplaced.tenant).has_provider_keys:
                    self._metrics.auth_failures.labels("misplaced_key").inc()
                    raise HttpError(
                        401,
                        "misplaced_key",
                        "Send the key of this service in x-compressor-key: other headers are forwarded to the provider",
                    )
                scope["compressor.own_key"] = True  # a provider's key replaces it
                if not given:
                    return misplaced
        else:
            if scope["method"] == "GET":  # a browser sends it unasked, so it may only read
                other.append(_password(headers.get(b"authorization", b"")))
            given = given or next(filter(None, other), "")
        key = self._keys.find(given) if given else None
        if key is None:
            self._metrics.auth_failures.labels("unknown_key" if given else "missing_key").inc()
            message = "Unknown API key" if given else "Send your API key in the header x-compressor-key"
            challenge = 'Basic realm="compressor", charset="UTF-8"' if scope["path"] == "/" else "Bearer"
            raise HttpError(401, "unauthorized", message, {"www-authenticate": challenge})
        return key

    @property
    def api(self) -> Any:
        """The application for the service's own routes."""
        return self._api

    async def find_tenant(self, name: str) -> Tenant:
        """Returns a tenant, and creates it if needed.

        Raises:
            StoreError: The store cannot be opened.
        """
        tenant = self._tenants.find(name)
        if tenant is None:
            tenant = await run_in_thread(self._tenants.get, name)  # opens the store
            if self._tracing is not None:
                self._tracing.trace_store(tenant.compressor.store)
        return tenant

    def record_websocket(self, record: RequestRecord) -> None:
        """Counts a websocket that is over; its duration says nothing about this service."""
        self._metrics.requests.labels(record.tenant, record.route, str(record.status)).inc()

    def drain(self) -> None:
        """Makes `/readyz` answer 503 from now on, because the service is about to end."""
        self._api.state.draining = True

    def reconfigure(self, config: Settings) -> None:
        """Serves with other settings from the next request on: keys, limits, and all that a tenant may have for itself.

        Args:
            config: The new settings. Of the others, those that were given at the start stay in force.
        """
        self._keys.replace(config.keys)
        self._tenants.reconfigure(config)

    def is_probe(self, scope: Any) -> bool:
        """Returns True for a health check from this machine, which needs no key."""
        client = scope.get("client")
        return self._keys.is_required and scope["path"] in _PROBES and client is not None and is_loopback(client[0])


class _RequestScope:
    """One request."""

    def __init__(self, handler: RequestHandler, scope: Any, receive: Any, send: Any) -> None:
        self._handler, self._scope, self._receive, self._send = handler, scope, receive, send
        prepare_path(scope)
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        self._record = logs.start_record(scope["method"], request_id)

    async def serve(self) -> None:
        start = time.perf_counter()
        record, metrics, tracing = self._record, self._handler._metrics, self._handler._tracing
        CURRENT_RECORD.set(record)
        QUEUE_WAIT_HOOK.set(self._record_wait)
        is_traced = tracing is not None and self._scope["path"] not in logs.PROBE_ROUTES
        with tracing.request(record, self._scope["headers"]) if tracing and is_traced else nullcontext():
            try:
                await self._answer()
            finally:
                seconds = time.perf_counter() - start
                metrics.requests.labels(record.tenant, record.route, str(record.status)).inc()
                metrics.request_seconds.labels(record.tenant, record.route).observe(seconds)
                logs.log_request(record, seconds)

    async def _answer(self) -> None:
        try:
            await self._dispatch()
        except UpstreamStreamError as error:
            log.warning("the provider's stream broke off: %s", error)  # so the client's stays without an end
        except Exception as error:
            if isinstance(error, RateLimitedError):
                self._handler._metrics.limited.labels(self._record.tenant, error.limit).inc()
            if not isinstance(error, HttpError):
                log.error(
                    "request %s failed: %s", self._record.id, type(error).__name__, exc_info=without_message(error)
                )
            if self._record.status:
                return
            await self._send_error(to_http_error(error))

    def _record_wait(self, queue: str, seconds: float) -> None:
        self._record.queue_seconds += seconds
        self._handler._metrics.record_queue_wait(queue, seconds)

    async def _dispatch(self) -> None:
        handler, scope = self._handler, self._scope
        reject_ambiguous_length(scope["headers"])  # first of all, whoever sends it
        path_key = take_path_key(scope)
        route = route_request(scope, handler._config.forward_unknown_routes)
        path = scope["path"]
        if route is not None:
            self._record.route = route.label
        if handler.is_probe(scope):
            scope["compressor"] = None, b""  # health checks need neither
            self._record.route = path
            await handler._api(scope, self._receive, self._send_with_headers)
            return
        key = handler.authenticate(scope, path_key, route is not None)
        self._record.tenant = key.tenant
        if route is None and path.startswith("/v1/") and not is_own_route(path):
            raise handler._hints.unknown_route(scope["method"], path)
        tenant = await handler.find_tenant(key.tenant)
        in_flight = handler._metrics.in_flight.labels(key.tenant)
        size = body_size(scope["headers"], handler._config.max_body_bytes)
        with tenant.rate_limiter.open_request(size) as admission, in_flight.track_inprogress():
            if is_lookup := bool(_REF_LOOKUP.fullmatch(path)):
                tenant.rate_limiter.check_ref_lookups()
            scope["compressor.admin"], scope["compressor.admission"] = key.admin, admission
            scope["compressor.key_id"] = key.id
            if route is not None:
                scope["compressor"], scope["compressor.route"] = (tenant, None), route
                await handler.proxy(scope, self._receive, self._send_with_headers)
            else:
                config, headers = handler._config, scope["headers"]
                body = await read_body(self._receive, headers, config.max_body_bytes, config.timeout)
                if encoding := content_encoding(headers):
                    body = await run_in_thread(unpack, body, encoding, config.max_body_bytes)
                if not _UNLIMITED_ROUTES.fullmatch(path):
                    await admission.admit(body, find_token_use(scope["method"], path, False))
                if admission.is_local:
                    handler._metrics.limit_fallbacks.labels(key.tenant).inc()
                if config.log_content:
                    logs.log_content(self._record, body, redact)
                scope["compressor"] = tenant, body
                try:
                    direct, send = handler._direct, self._send_with_headers
                    if direct is None or not await direct.serve(scope, body, send):
                        await handler._api(scope, _BufferedReceive(body, self._receive), send)
                finally:
                    self._record.route = getattr(scope.get("route"), "path", "other")
                    self._settle(admission, tenant, body)
                if is_lookup and self._record.status == 404:
                    tenant.rate_limiter.record_miss()

    def _settle(self, admission: Admission, tenant: Tenant, body: bytes) -> None:
        """Books what a request to our own API has made, which its client is about to send to a provider."""
        event = self._record.compression
        if event is not None and admission.counts_cost:
            found = tenant.conversations.find(event.session) if event.session else None
            model = find_model(body) or (getattr(found[0], "model", None) if found else None)
            admission.settle(price_tokens(event.tokens_after, 0, model))

    async def _send_with_headers(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            message = {**message, "headers": [*(given := [*message.get("headers", ())]), *self._id_headers(given)]}
        await self._send(message)

    def _id_headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Returns the headers that identify the request. A provider's own request id stays: clients may refer to it."""
        id = self._record.id.encode()
        out = [(b"x-compressor-request-id", id)]
        if not any(name.lower() == b"x-request-id" for name, _ in given):
            out.append((b"x-request-id", id))
        if self._record.trace:
            out.append((b"x-compressor-trace-id", self._record.trace.encode()))
        return out

    async def _send_error(self, error: HttpError) -> None:
        body = json_bytes(error.body)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send_with_headers({"type": "http.response.start", "status": error.status, "headers": pairs})
        await self._send_with_headers({"type": "http.response.body", "body": body})


class _BufferedReceive:
    """Passes on a body that was read already."""

    def __init__(self, body: bytes, receive: Any) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Any:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _password(header: bytes) -> str:
    """Returns the password of HTTP Basic, which is where a browser's user enters the key; the user name is ignored."""
    found = _BASIC.fullmatch(header.strip())
    try:
        return b64decode(found[1], validate=True).decode().partition(":")[2] if found else ""
    except ValueError:
        return ""

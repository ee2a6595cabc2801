"""Where every request comes in: who is it, is it too much, where does it go, and what is told of it afterwards.

Without keys everybody on this machine is one tenant, and a page in a browser is nobody: the Host header has to name the
loopback address, which keeps out names that are made to point there. With keys no route is open but `/healthz` and
`/readyz` to a caller on this very machine, which tell one word. Knows no bodies.
"""

from __future__ import annotations

import logging
import re
import time
from base64 import b64decode
from contextlib import nullcontext
from typing import Any

from compressor.scoring.runtime.executor import QUEUE_WAIT_HOOK, run_in_thread
from compressor.service.auth import ApiKey, find_key
from compressor.service.http_errors import HttpError, json_bytes, to_http_error, without_message
from compressor.service.proxy.exchange import UpstreamStreamError
from compressor.service.proxy.proxy import APIS, Proxy
from compressor.service.request_limits import read_body, reject_ambiguous_length, reject_encoded_body
from compressor.service.settings import Settings, is_loopback
from compressor.service.telemetry import logging as logs
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.tracing import Tracing
from compressor.service.tenants import LOCAL_TENANT, Tenants
from compressor.text.redaction import redact

log = logging.getLogger("compressor.service")
_KEYED = re.compile(r"/k/([^/]+)(/.*)")
_OWN = re.compile(r"/v1/(compress|examples|retrieve|sessions|stats)(/.*)?", re.DOTALL)  # never goes on
_GUESS = re.compile(r"/v1/(retrieve/.*|sessions/[^/]*/expand)", re.DOTALL)
_ORIGIN = re.compile(r"https?://(\[[^\]]*\]|[^:/]*)(:\d+)?")
_PROBES = ("/healthz", "/readyz")
_BEARER = re.compile(rb"(?i)bearer\s+(\S+)")
_BASIC = re.compile(rb"(?i)basic\s+([A-Za-z0-9+/]+=*)")


class RequestHandler:
    """An ASGI application. `api` answers our own routes, `proxy` what else is under /v1."""

    def __init__(
        self,
        config: Settings,
        tenants: Tenants,
        metrics: Metrics,
        api: Any,
        proxy: Proxy,
        tracing: Tracing | None = None,
    ) -> None:
        self._config, self._tenants, self._metrics = config, tenants, metrics
        self._api, self._proxy, self._tracing = api, proxy, tracing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request."""
        if scope["type"] == "lifespan":
            await self._api(scope, receive, send)
        elif scope["type"] == "http":
            await _RequestScope(self, dict(scope), receive, send).serve()
        else:
            await send({"type": "websocket.close", "code": 1008})

    def authenticate(self, scope: Any, keyed: str, proxied: bool) -> ApiKey:
        """Whose request it is. Refused: 401, and 403 for one that comes to an open service from elsewhere."""
        headers = dict(scope["headers"])
        if not self._config.keys:
            host = headers.get(b"host", b"").decode("latin-1")
            if not is_loopback(re.sub(r":\d+$", "", host)):
                raise HttpError(
                    403, "forbidden", "without keys this service is only for its own machine: ask 127.0.0.1"
                )
            origin = headers.get(b"origin", b"http://localhost").decode("latin-1")
            page = _ORIGIN.fullmatch(origin)
            if page is None or not is_loopback(page[1]):  # a page cannot read what it is answered, but it can ask
                raise HttpError(403, "forbidden", "without keys this service is not for pages that come from elsewhere")
            return ApiKey(LOCAL_TENANT, "", admin=True)
        given = keyed or headers.get(b"x-compressor-key", b"").decode("latin-1")
        theirs = [m[1].decode("latin-1") for m in [_BEARER.fullmatch(headers.get(b"authorization", b"").strip())] if m]
        theirs.append(headers.get(b"x-api-key", b"").decode("latin-1"))
        if proxied:
            if any(one and find_key(self._config.keys, one) for one in theirs):
                raise HttpError(
                    401, "misplaced_key", "a key of this service goes into x-compressor-key, or it would go on"
                )
        else:
            if scope["method"] == "GET":  # a browser sends it unasked: nothing may be done with it but reading
                theirs.append(_password(headers.get(b"authorization", b"")))
            given = given or next(filter(None, theirs), "")
        key = find_key(self._config.keys, given) if given else None
        if key is None:
            why = "this key is not known" if given else "give your key in the header x-compressor-key"
            asks = 'Basic realm="compressor", charset="UTF-8"' if scope["path"] == "/" else "Bearer"
            raise HttpError(401, "unauthorized", why, {"www-authenticate": asks})
        return key

    def drain(self) -> None:
        """The service is about to end: from now on `/readyz` says so."""
        self._api.state.draining = True

    def is_probe(self, scope: Any) -> bool:
        """Whether it is a probe from this machine, which needs no key."""
        client = scope.get("client")
        return bool(self._config.keys) and scope["path"] in _PROBES and client is not None and is_loopback(client[0])


class _RequestScope:
    """One request."""

    def __init__(self, gate: RequestHandler, scope: Any, receive: Any, send: Any) -> None:
        self._gate, self._scope, self._receive, self._send = gate, scope, receive, send
        asked = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        self._record = logs.start_record(scope["method"], asked)

    async def serve(self) -> None:
        start = time.perf_counter()
        record, metrics, tracing = self._record, self._gate._metrics, self._gate._tracing
        logs.CURRENT_RECORD.set(record)
        QUEUE_WAIT_HOOK.set(self._waited)
        traced = tracing is not None and self._scope["path"] not in logs.PROBE_ROUTES
        with tracing.request(record, self._scope["headers"]) if tracing and traced else nullcontext():
            try:
                await self._answer()
            finally:
                took = time.perf_counter() - start
                metrics.requests.labels(record.tenant, record.route, str(record.status)).inc()
                metrics.request_seconds.labels(record.tenant, record.route).observe(took)
                logs.log_request(record, took)

    async def _answer(self) -> None:
        try:
            await self._dispatch()
        except UpstreamStreamError as error:
            log.warning("the provider's stream broke: %s", error)  # and so does ours: it is not ended
        except Exception as error:
            if not isinstance(error, HttpError):
                log.error(
                    "request %s failed: %s", self._record.id, type(error).__name__, exc_info=without_message(error)
                )
            if self._record.status:
                return
            await self._send_error(to_http_error(error))

    def _waited(self, queue: str, seconds: float) -> None:
        self._record.queue_seconds += seconds
        self._gate._metrics.record_queue_wait(queue, seconds)

    async def _dispatch(self) -> None:
        gate, scope = self._gate, self._scope
        reject_ambiguous_length(scope["headers"])  # before all else, and whoever asks
        keyed = _KEYED.fullmatch(scope["path"])
        if keyed:  # from here on nobody sees the key
            scope["path"] = keyed[2]
            front = f"/k/{keyed[1]}/".encode()
            if not scope["raw_path"].startswith(front):
                raise HttpError(400, "invalid_path", "the key in a path is not written as it is")
            scope["raw_path"] = scope["raw_path"][len(front) - 1 :]
        path = scope["path"]
        proxied = path.startswith("/v1/") and not _OWN.fullmatch(path)
        if proxied:
            self._record.route = path if path in APIS else "/v1/*"
        if gate.is_probe(scope):
            scope["compressor"] = None, b""  # they ask for neither
            self._record.route = path
            await gate._api(scope, self._receive, self._send_with_headers)
            return
        key = gate.authenticate(scope, keyed[1] if keyed else "", proxied)
        self._record.tenant = key.tenant
        tenant = gate._tenants.find(key.tenant)
        if tenant is None:
            tenant = await run_in_thread(gate._tenants.get, key.tenant)  # opens the store
            if gate._tracing is not None:
                gate._tracing.trace_store(tenant.compressor.store)
        tenant.rate_limiter.acquire()
        inside = gate._metrics.in_flight.labels(key.tenant)
        inside.inc()
        try:
            if guess := bool(_GUESS.fullmatch(path)):
                tenant.rate_limiter.check_ref_lookups()
            if not proxied:
                reject_encoded_body(scope["headers"])
            body = await read_body(self._receive, scope["headers"], gate._config.max_body_bytes, gate._config.timeout)
            if gate._config.log_content:
                logs.log_content(self._record, body, redact)
            scope["compressor"] = tenant, body
            scope["compressor.admin"] = key.admin
            if proxied:
                await gate._proxy(scope, self._receive, self._send_with_headers)
            else:
                try:
                    await gate._api(scope, _BufferedReceive(body, self._receive), self._send_with_headers)
                finally:
                    self._record.route = getattr(scope.get("route"), "path", "other")
                if guess and self._record.status == 404:
                    tenant.rate_limiter.record_miss()
        finally:
            inside.dec()
            tenant.rate_limiter.release()

    async def _send_with_headers(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            message = {**message, "headers": [*(given := [*message.get("headers", ())]), *self._names(given)]}
        await self._send(message)

    def _names(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers that name this request. A provider's own id stays, for its client may ask about it."""
        id = self._record.id.encode()
        out = [(b"x-compressor-request-id", id)]
        if not any(name.lower() == b"x-request-id" for name, _ in given):
            out.append((b"x-request-id", id))
        if self._record.trace:
            out.append((b"x-compressor-trace-id", self._record.trace.encode()))
        return out

    async def _send_error(self, refused: HttpError) -> None:
        body = json_bytes(refused.body)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send_with_headers({"type": "http.response.start", "status": refused.status, "headers": pairs})
        await self._send_with_headers({"type": "http.response.body", "body": body})


class _BufferedReceive:
    """Says the body again that was read already."""

    def __init__(self, body: bytes, receive: Any) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Any:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _password(header: bytes) -> str:
    """Of HTTP Basic, as a browser asks its user for it: the key; the name says nothing."""
    found = _BASIC.fullmatch(header.strip())
    try:
        return b64decode(found[1], validate=True).decode().partition(":")[2] if found else ""
    except ValueError:
        return ""

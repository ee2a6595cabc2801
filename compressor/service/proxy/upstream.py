"""Sends requests to the provider over a pool of connections, and decides which headers pass in each direction."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from compressor.service.http_errors import HttpError
from compressor.service.proxy.provider_credentials import ProviderCredentials
from compressor.service.proxy.request_body import read_body
from compressor.service.proxy.routes import is_repeatable
from compressor.service.proxy.upstream_choice import UpstreamChoice
from compressor.service.settings import Settings
from compressor.service.telemetry.tracing import upstream_span
from compressor.service.upload_stream import UploadStream
from compressor.service.upstream_settings import UpstreamSettings

log = logging.getLogger("compressor.service")
Headers = list[tuple[bytes, bytes]]
MAX_DEPTH = 1_000  # of JSON whose model is renamed: the client's own body was checked before
KEEP_ALIVE = 4.0  # seconds an idle connection is kept: servers on uvicorn close theirs after 5
STALE_WINDOW = 1.0  # seconds; a connection that closes later was not closed before the request was sent
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADER_PREFIX = b"x-compressor-"
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade expect".split()  # `expect` is answered by this service
)


_STATEFUL = re.compile(rb'"(previous_response_id|conversation|background)"\s*:\s*(?!null|false)')
#: In a response's `extensions`: the name of the upstream that gave it.
UPSTREAM = "compressor_upstream"


@dataclass(frozen=True)
class UpstreamRequest:
    """One request to a provider.

    Attributes:
        method: The HTTP method.
        path: The path, quoted.
        query: The query, quoted.
        headers: The headers.
        body: The body. A stream is sent once: if the connection breaks, the client has to send it again.
        model: The model that it names, or "".
        provider: The provider whose route it is, see `Settings.find_upstreams`.
        credentials: With whose key it goes.
        pinned: The name of the upstream that has to answer, because it answered the round before; "" for any.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes | UploadStream
    model: str = ""
    provider: str = ""
    credentials: ProviderCredentials = field(default_factory=ProviderCredentials)
    pinned: str = ""

    @property
    def may_be_repeated(self) -> bool:
        """Whether it does no harm to send it twice: it generates an answer, or only reads."""
        return self.method in _SAFE_METHODS or is_repeatable(self.path)

    @property
    def is_free(self) -> bool:
        """Whether any provider of the model may answer it: it does not refer to what one of them has stored."""
        if self.method != "POST" or not is_repeatable(self.path) or not isinstance(self.body, bytes):
            return False
        return _STATEFUL.search(self.body) is None


class Upstream:
    """Sends requests to the provider, or to the next one if the first cannot answer. Call `close` at the end."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._timeout = httpx.Timeout(
            config.upstream_timeout, connect=config.connect_timeout, pool=config.connect_timeout
        ).as_dict()
        limits = httpx.Limits(
            max_connections=config.max_connections,
            max_keepalive_connections=config.max_connections // 4 or 1,
            keepalive_expiry=KEEP_ALIVE,
        )
        # Cookies of one client must not reach another.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        http2 = config.upstream_http2
        self._client = httpx.AsyncClient(limits=limits, cookies=no_cookies, follow_redirects=False, http2=http2)
        no_reuse = httpx.Limits(max_connections=config.max_connections, max_keepalive_connections=0)
        self._fresh = httpx.AsyncClient(limits=no_reuse, cookies=no_cookies, follow_redirects=False)
        self._choice = UpstreamChoice()

    async def send(self, request: UpstreamRequest) -> httpx.Response:
        """Sends a request and returns the provider's response, whose body is not read yet.

        If several upstreams serve the model, and the first one cannot be reached, is overloaded or fails, the next one
        is asked. The response's `extensions` say which one answered.

        Raises:
            HttpError: 502 if the provider cannot be reached, or there is no key for it; 504 if it is too slow; 404 if
                none is configured.
        """
        *others, last = self._order(request)
        for upstream in others:
            try:
                response = await self._ask(upstream, request)
            except HttpError as error:
                self._choice.record(upstream, None)
                log.warning("upstream %r failed (%s), the next one is asked", upstream.name, error.kind)
                continue
            if not self._choice.record(upstream, response):
                return response
            log.warning("upstream %r answered %d, the next one is asked", upstream.name, response.status_code)
            await response.aclose()
        return await self._ask(last, request)

    def _order(self, request: UpstreamRequest) -> list[UpstreamSettings]:
        """Returns the upstreams to ask, one after the other; at least one.

        Raises:
            HttpError: 404 if no provider is configured for the request.
        """
        found = self._config.find_upstreams(request.path, request.model, request.provider)
        if not found:
            what = f"No provider is configured for the model {request.model!r:.200}" if self._config.upstreams else ""
            raise HttpError(
                404, "no_upstream", what or "No provider is configured: start the service with --upstream URL"
            )
        if request.pinned:
            return [one for one in found if one.name == request.pinned] or found[:1]
        return self._choice.order(found) if request.is_free else found[:1]

    async def _ask(self, upstream: UpstreamSettings, request: UpstreamRequest) -> httpx.Response:
        """Sends a request to one upstream, under the name that it has for the model."""
        path, body, base = request.path, request.body, upstream.base_of(request.path)
        headers = request.credentials.apply(request.headers, upstream, path)
        if isinstance(body, bytes) and (name := upstream.rename.get(request.model)) is not None:
            body = rename_model(body, name)
        url = f"{base}{path}" + (f"?{request.query.decode('ascii', 'replace')}" if request.query else "")
        span = upstream_span(request.method, path, base, request.model)
        if span is not None:
            headers = span.headers(headers)
        try:
            response = await self._send(request, url, headers, body)
        except BaseException as error:
            if span is not None:
                span.on_error(error.kind if isinstance(error, HttpError) else type(error).__name__)
            raise
        if span is not None:
            span.on_response(response)
        response.extensions[UPSTREAM] = upstream.name
        return response

    async def _send(
        self, request: UpstreamRequest, url: str, headers: Headers, body: bytes | UploadStream
    ) -> httpx.Response:
        start, is_new_connection = time.monotonic(), False

        async def trace(event: str, _: object) -> None:
            nonlocal is_new_connection
            is_new_connection = is_new_connection or event.startswith("connection.")

        extensions = {"timeout": self._timeout, "trace": trace}
        try:
            sent = httpx.Request(request.method, url, headers=headers, content=body, extensions=extensions)
            if not isinstance(body, bytes):  # never on an idle connection, which may turn out to be closed
                return await self._fresh.send(sent, stream=True, auth=httpx.Auth())
            try:
                return await self._client.send(sent, stream=True, auth=httpx.Auth())
            except httpx.LocalProtocolError:  # nothing was sent: an HTTP/2 connection has no stream left
                return await self._fresh.send(sent, stream=True, auth=httpx.Auth())
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The provider closed an idle connection while the request was on its way. Whether it has read the
                # request is unknown, so it is sent again only where that does no harm.
                if is_new_connection or time.monotonic() - start > STALE_WINDOW or not request.may_be_repeated:
                    raise
                return await self._fresh.send(sent, stream=True, auth=httpx.Auth())
        except httpx.TimeoutException as error:
            raise HttpError(
                504, "upstream_timeout", f"The provider did not answer in time ({type(error).__name__})"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise HttpError(
                502, "upstream_unreachable", f"The provider could not be reached ({type(error).__name__})"
            ) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
        await self._fresh.aclose()


def read_model(body: bytes) -> str:
    """Returns the model that a JSON body names, or ""."""
    try:
        model = read_body(body, MAX_DEPTH, lambda _: ()).data.get("model")
    except HttpError:
        return ""
    return model if isinstance(model, str) else ""


def rename_model(body: bytes, name: str) -> bytes:
    """Returns a JSON body with another model, and everything else in the same characters."""
    try:
        known = read_body(body, MAX_DEPTH, lambda _: ())
        return known.encode({**known.data, "model": name})
    except (HttpError, ValueError):
        return body


def request_headers(headers: Iterable[tuple[bytes, bytes]], readable: bool) -> Headers:
    """Returns a client's headers for the provider, without those of the connection and those of this service.

    Args:
        headers: The client's headers.
        readable: Whether the answer must use a content encoding that can be decoded here.
    """
    headers = list(headers)
    out = [
        (n, v) for n, v in headers if n not in _HOP_BY_HOP | _connection_headers(headers) | {b"host", b"content-length"}
    ]
    out = [(n, v) for n, v in out if not n.startswith(HEADER_PREFIX)]
    if not readable:
        return out
    accepts_gzip = any(n == b"accept-encoding" and b"gzip" in v for n, v in out)
    return [(n, v) for n, v in out if n != b"accept-encoding"] + [
        (b"accept-encoding", b"gzip" if accepts_gzip else b"identity")
    ]


def response_headers(headers: Iterable[tuple[bytes, bytes]], decoded: bool) -> Headers:
    """Returns a provider's headers for the client.

    Args:
        headers: The provider's headers.
        decoded: Whether the body is forwarded decoded, so that its encoding and length do not apply.
    """
    headers = [(name.lower(), value) for name, value in headers]
    dropped = (
        _HOP_BY_HOP | _connection_headers(headers) | ({b"content-length", b"content-encoding"} if decoded else set())
    )
    return [(n, v) for n, v in headers if n not in dropped and not n.startswith(HEADER_PREFIX)]


def _connection_headers(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """Returns the headers that the `Connection` header names."""
    return {part.strip().lower() for n, v in headers if n.lower() == b"connection" for part in v.split(b",")}

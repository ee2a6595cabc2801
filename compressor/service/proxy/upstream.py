"""Sends requests to the provider over a pool of connections, and decides which headers pass in each direction."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from compressor.service.http_errors import HttpError
from compressor.service.proxy.routes import is_repeatable
from compressor.service.settings import Settings
from compressor.service.telemetry.tracing import upstream_span
from compressor.service.upload_stream import UploadStream

Headers = list[tuple[bytes, bytes]]
KEEP_ALIVE = 4.0  # seconds an idle connection is kept: servers on uvicorn close theirs after 5
STALE_WINDOW = 1.0  # seconds; a connection that closes later was not closed before the request was sent
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADER_PREFIX = b"x-compressor-"
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade expect".split()  # `expect` is answered by this service
)


class Upstream:
    """Sends requests to the provider. Call `close` at the end."""

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
        self._client = httpx.AsyncClient(limits=limits, cookies=no_cookies, follow_redirects=False)
        no_reuse = httpx.Limits(max_connections=config.max_connections, max_keepalive_connections=0)
        self._fresh = httpx.AsyncClient(limits=no_reuse, cookies=no_cookies, follow_redirects=False)

    async def send(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        body: bytes | UploadStream,
        model: str = "",
        provider: str = "",
    ) -> httpx.Response:
        """Sends a request and returns the provider's response, whose body is not read yet.

        Args:
            method: The HTTP method.
            path: The path, quoted.
            query: The query, quoted.
            headers: The headers to send.
            body: The body to send. A stream is sent once: if the connection breaks, the client has to send it again.
            model: The model's name, for the trace.
            provider: The provider whose route it is, see `Settings.upstream_of`.

        Raises:
            HttpError: 502 if the provider cannot be reached, 504 if it is too slow, 404 if none is configured.
        """
        base = self._config.upstream_of(path, provider)
        if not base:
            raise HttpError(404, "no_upstream", "No provider is configured: start the service with --upstream URL")
        url = f"{base}{path}" + (f"?{query.decode('ascii', 'replace')}" if query else "")
        span = upstream_span(method, path, base, model)
        if span is None:
            return await self._send(method, path, url, headers, body)
        try:
            response = await self._send(method, path, url, span.headers(headers), body)
        except BaseException as error:
            span.on_error(error.kind if isinstance(error, HttpError) else type(error).__name__)
            raise
        span.on_response(response)
        return response

    async def _send(
        self, method: str, path: str, url: str, headers: Headers, body: bytes | UploadStream
    ) -> httpx.Response:
        start, is_new_connection = time.monotonic(), False

        async def trace(event: str, _: object) -> None:
            nonlocal is_new_connection
            is_new_connection = is_new_connection or event.startswith("connection.")

        extensions = {"timeout": self._timeout, "trace": trace}
        try:
            request = httpx.Request(method, url, headers=headers, content=body, extensions=extensions)
            if not isinstance(body, bytes):  # never on an idle connection, which may turn out to be closed
                return await self._fresh.send(request, stream=True, auth=httpx.Auth())
            try:
                return await self._client.send(request, stream=True, auth=httpx.Auth())
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The provider closed an idle connection while the request was on its way. Whether it has read the
                # request is unknown, so it is sent again only where that does no harm: where it generates an answer.
                if (
                    is_new_connection
                    or time.monotonic() - start > STALE_WINDOW
                    or not (method in _SAFE_METHODS or is_repeatable(path))
                ):
                    raise
                return await self._fresh.send(request, stream=True, auth=httpx.Auth())
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

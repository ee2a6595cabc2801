"""The way to the provider: one pool of connections, and which headers pass in either direction. Knows no bodies."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from compressor.service.http_errors import HttpError
from compressor.service.settings import Settings
from compressor.service.telemetry.tracing import upstream_span

Headers = list[tuple[bytes, bytes]]
IDLE = 4.0  # seconds that a connection is kept: uvicorn, and what is built on it, closes its own after 5
CROSSED = 1.0  # seconds after which an end is none that was on its way before the request
_SAFE = ("GET", "HEAD", "OPTIONS")
_ANSWERS = re.compile(r"/v1/(chat/completions|completions|responses|messages|embeddings|messages/count_tokens)(\?|$)")
OURS = b"x-compressor-"
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding"
    b" upgrade expect".split()  # what a client expects is told it here
)


class Upstream:
    """Sends requests. `close` it in the end."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._timeout = httpx.Timeout(
            config.upstream_timeout, connect=config.connect_timeout, pool=config.connect_timeout
        ).as_dict()
        limits = httpx.Limits(
            max_connections=config.max_connections,
            max_keepalive_connections=config.max_connections // 4 or 1,
            keepalive_expiry=IDLE,
        )
        # Cookies of one client are none of another's.
        none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.AsyncClient(limits=limits, cookies=none, follow_redirects=False)
        once = httpx.Limits(max_connections=config.max_connections, max_keepalive_connections=0)
        self._fresh = httpx.AsyncClient(limits=once, cookies=none, follow_redirects=False)

    async def send(
        self, method: str, path: str, query: bytes, headers: Headers, body: bytes, model: str = ""
    ) -> httpx.Response:
        """The provider's answer, whose body is not read yet. Refused: 502 where it cannot be reached, 504 where it is
        too slow, 404 where there is none. model: what a trace says it was asked of."""
        base = self._config.upstream_of(path)
        if not base:
            raise HttpError(404, "no_upstream", "nothing is proxied here: start the service with --upstream URL")
        url = f"{base}{path}" + (f"?{query.decode('ascii', 'replace')}" if query else "")
        asked = upstream_span(method, path, base, model)
        if asked is None:
            return await self._send(method, url, headers, body)
        try:
            response = await self._send(method, url, asked.headers(headers), body)
        except BaseException as error:
            asked.on_error(error.kind if isinstance(error, HttpError) else type(error).__name__)
            raise
        asked.on_response(response)
        return response

    async def _send(self, method: str, url: str, headers: Headers, body: bytes) -> httpx.Response:
        since, dialed = time.monotonic(), False

        async def trace(event: str, _: object) -> None:
            nonlocal dialed
            dialed = dialed or event.startswith("connection.")

        extensions = {"timeout": self._timeout, "trace": trace}
        try:
            request = httpx.Request(method, url, headers=headers, content=body, extensions=extensions)
            try:
                return await self._client.send(request, stream=True, auth=httpx.Auth())
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # One that the provider closed while the request was on its way. It has not been read as far as one can
                # know, so it is only sent again where a second time does no harm: an answer is written, nothing else.
                if dialed or time.monotonic() - since > CROSSED or not (method in _SAFE or _ANSWERS.search(url)):
                    raise
                return await self._fresh.send(request, stream=True, auth=httpx.Auth())
        except httpx.TimeoutException as error:
            raise HttpError(504, "upstream_timeout", f"the provider is too slow ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise HttpError(
                502, "upstream_unreachable", f"the provider was not reached ({type(error).__name__})"
            ) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
        await self._fresh.aclose()


def request_headers(headers: Iterable[tuple[bytes, bytes]], readable: bool) -> Headers:
    """A client's headers as the provider gets them: without those of the connection, and without ours. `readable`: the
    answer has to come in a form that can be read here."""
    headers = list(headers)
    out = [(n, v) for n, v in headers if n not in _HOP | _listed(headers) | {b"host", b"content-length"}]
    out = [(n, v) for n, v in out if not n.startswith(OURS)]
    if not readable:
        return out
    packed = any(n == b"accept-encoding" and b"gzip" in v for n, v in out)
    return [(n, v) for n, v in out if n != b"accept-encoding"] + [
        (b"accept-encoding", b"gzip" if packed else b"identity")
    ]


def response_headers(headers: Iterable[tuple[bytes, bytes]], unpacked: bool) -> Headers:
    """A provider's headers as the client gets them. `unpacked`: the body goes on in another form."""
    headers = [(name.lower(), value) for name, value in headers]
    gone = _HOP | _listed(headers) | ({b"content-length", b"content-encoding"} if unpacked else set())
    return [(n, v) for n, v in headers if n not in gone and not n.startswith(OURS)]


def _listed(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """What a `TimeoutHttpProtocol` header says belongs to the connection."""
    return {part.strip().lower() for n, v in headers if n.lower() == b"connection" for part in v.split(b",")}

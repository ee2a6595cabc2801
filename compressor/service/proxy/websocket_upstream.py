"""Opens websockets to the provider, and decides which headers and close codes pass in each direction."""

from __future__ import annotations

import logging
import ssl
from functools import cached_property
from typing import Any

import httpx

from compressor.service.http_errors import HttpError
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.upstream import Headers, request_headers, response_headers
from compressor.service.settings import Settings

PING_SECONDS = 20.0  # between two pings, and until a peer that does not answer one is given up
CLOSE_SECONDS = 5.0  # for the closing handshake
BROKEN = 1011  # the close code for a connection to the provider that broke off, which has none
_HANDSHAKE_HEADERS = b"sec-websocket-"
_RESPONSE_HEADERS = frozenset((b"date", b"server", b"content-length", b"content-type", b"sec-websocket-protocol"))
# The library logs handshakes and frames at debug, with credentials and content.
_quiet = logging.getLogger("compressor.service.websockets")
_quiet.setLevel(logging.WARNING)


class HandshakeRefusedError(Exception):
    """The provider has answered a handshake with something else than a websocket.

    Args:
        status: The HTTP status.
        headers: The headers, for the client.
        body: The body.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(str(status))
        self.status, self.headers, self.body = status, headers, body


class WebsocketUpstream:
    """Opens websockets to the provider.

    Args:
        config: The settings of the service.
    """

    def __init__(self, config: Settings) -> None:
        self._config = config

    async def connect(self, exchange: Exchange, subprotocols: list[str]) -> Any:
        """Returns a connection to the provider, for the path, the query and the headers of an exchange.

        Args:
            exchange: The client's handshake.
            subprotocols: The subprotocols that the client offers.

        Raises:
            HttpError: 404 if no provider is configured, 502 if it cannot be reached, 504 if it is too slow.
            HandshakeRefusedError: The provider refuses the handshake.
        """
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

        class Connect(connect):
            """Hands redirects back instead of sending the client's credentials elsewhere."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        found = self._config.find_upstreams(exchange.path, "", exchange.provider)
        if not found:
            raise HttpError(404, "no_upstream", "No provider is configured: start the service with --upstream URL")
        base = found[0].base_of(exchange.path)
        query = exchange.query.decode("ascii", "replace")
        url = "ws" + base.removeprefix("http") + exchange.path + (f"?{query}" if query else "")
        options: dict[str, Any] = {"ssl": self._tls} if url.startswith("wss") else {}
        given = exchange.credentials.apply(request_headers(exchange.headers, False), found[0], exchange.path)
        headers = [(n.decode(), v.decode("latin-1")) for n, v in given if not n.startswith(_HANDSHAKE_HEADERS)]
        try:
            return await Connect(
                url,
                additional_headers=headers,
                subprotocols=subprotocols or None,  # type: ignore[arg-type]
                user_agent_header=None,
                open_timeout=self._config.connect_timeout,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=self._config.max_body_bytes,
                max_queue=4,
                logger=_quiet,
                **options,
            )
        except InvalidStatus as error:
            answer = error.response
            raw = [(n.lower().encode(), v.encode("utf-8", "surrogateescape")) for n, v in answer.headers.raw_items()]
            headers_back = response_headers(raw, decoded=False)
            body = bytes(answer.body or b"")
            sized = [(n, v) for n, v in headers_back if n != b"content-length"]
            raise HandshakeRefusedError(answer.status_code, sized, body) from None
        except TimeoutError as error:
            raise _unreachable(504, "upstream_timeout", "did not answer in time", error) from None
        except (OSError, InvalidHandshake, InvalidURI, httpx.InvalidURL, ValueError, EOFError) as error:
            if type(error).__name__ == "TimeoutError":  # asyncio's own, before Python 3.11
                raise _unreachable(504, "upstream_timeout", "did not answer in time", error) from None
            raise _unreachable(502, "upstream_unreachable", "could not be reached", error) from None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()


def accept_headers(connection: Any) -> Headers:
    """Returns the headers of a provider's handshake, for the client."""
    given = connection.response.headers.raw_items() if connection.response is not None else ()
    raw = [(name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in given]
    kept = response_headers(raw, decoded=True)
    return [(n, v) for n, v in kept if n not in _RESPONSE_HEADERS and not n.startswith(_HANDSHAKE_HEADERS)]


def sendable_code(code: int | None, otherwise: int) -> int:
    """Returns a close code as it may be sent; some codes only say that none was received."""
    is_valid = code is not None and (code in (*range(1000, 1004), *range(1007, 1015)) or 3000 <= code < 5000)
    return code if is_valid and code is not None else otherwise


def _unreachable(status: int, kind: str, what: str, error: BaseException) -> HttpError:
    return HttpError(status, kind, f"The provider {what} ({type(error).__name__})")

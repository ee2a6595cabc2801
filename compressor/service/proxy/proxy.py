"""Forwards requests to the provider, compressed, and the provider's answers to the client, unchanged.

    body -> conversation -> upstream -> (expand and recall calls are answered, the provider is asked again) -> client

If compression fails, the client's own request is forwarded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import httpx

from compressor.errors import CompressorError
from compressor.providers import ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.failure_notices import ABOVE_BUDGET, NOTICES, WARNINGS
from compressor.service.http_errors import HttpError, to_http_error, without_message
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.request_body import read_body
from compressor.service.proxy.request_options import read_options
from compressor.service.proxy.request_reader import ENCODED, read_request
from compressor.service.proxy.responses import REFUSED, ExpandLoop, is_readable
from compressor.service.proxy.token_count import HEADER as COUNT_HEADER
from compressor.service.proxy.token_count import count_view, wants_provider
from compressor.service.proxy.upstream import Headers, Upstream, request_headers
from compressor.service.proxy.websocket_relay import WebsocketRelay
from compressor.service.request_limits import parse
from compressor.service.session_ids import write_id_header
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.service.telemetry.tracing import span
from compressor.service.upload_stream import UploadStream

log = logging.getLogger("compressor.service")
UNSUPPORTED = "unsupported_api"  # the warning of a request whose API is not compressed


class Proxy:
    """An ASGI application for the routes of the providers.

    `scope["compressor"]` has the tenant, and `scope["compressor.route"]` the route.

    Args:
        config: The settings of the service.
        metrics: Takes compressions, fallbacks and errors.
    """

    def __init__(self, config: Settings, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._upstream = Upstream(config)
        self._expand_loop = ExpandLoop(self._send, metrics)
        self._websockets = WebsocketRelay(config, metrics, self._prepare)

    async def serve_websocket(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a websocket until it is closed.

        Raises:
            HttpError: Before it is accepted: there are too many, or no provider can be reached.
            HandshakeRefusedError: The provider refuses it.
        """
        (tenant, _), route = scope["compressor"], scope["compressor.route"]
        exchange = Exchange(tenant, "GET", route, scope["query_string"], scope["headers"], b"", send)
        await self._websockets.serve(exchange, list(scope.get("subprotocols") or ()), receive, send)

    async def close(self) -> None:
        """Closes the connections to the provider."""
        await self._upstream.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request.

        Raises:
            HttpError: The body cannot be read, or the provider cannot be reached.
            UpstreamStreamError: The provider's stream broke off.
        """
        if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]):
            raise HttpError(
                501, "no_websockets", "Websockets are not served here: use HTTP, or connect to the provider directly"
            )
        (tenant, _), route = scope["compressor"], scope["compressor.route"]
        exchange = Exchange(tenant, scope["method"], route, scope["query_string"], scope["headers"], b"", send)
        stream = await read_request(exchange, receive, self._config)
        if exchange.is_packed:
            self._fall_back(exchange, ENCODED)
            self._metrics.record_fallback(tenant.name, ENCODED)
        serve = self._pass_through if stream is not None else self._count if route.counts is not None else self._serve
        work = asyncio.ensure_future(serve(exchange))
        disconnect = asyncio.ensure_future(
            _wait_for_disconnect(receive) if stream is None else stream.wait_for_disconnect()
        )
        try:
            await asyncio.wait((work, disconnect), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.info("the client disconnected, the request to the provider is cancelled")
        finally:
            for task in (work, disconnect):
                if not task.done():
                    task.cancel()
            await asyncio.gather(work, disconnect, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _pass_through(self, exchange: Exchange) -> None:
        """Forwards a request and its answer as they are, as they arrive."""
        if exchange.route.is_unsupported and exchange.method == "POST":
            exchange.warnings.append(UNSUPPORTED)
            self._metrics.record_fallback(exchange.tenant.name, UNSUPPORTED)
        if exchange.route.counts is not None and exchange.method == "POST":
            exchange.set_header(COUNT_HEADER, b"provider")
        try:
            response = await self._send(exchange, exchange.upload or exchange.body)
            if exchange.upload is not None:
                exchange.upload.end()
            if response.status_code >= 400:
                self._metrics.upstream_errors.labels(exchange.tenant.name, str(response.status_code)).inc()
            await self._expand_loop.relay(exchange, response)
        finally:
            if exchange.response is not None:
                await exchange.response.aclose()

    async def _count(self, exchange: Exchange) -> None:
        """Answers with the size of what would be sent; the provider counts if that is what the client has, or wants."""
        made, api = None, exchange.route.counts
        if api is not None and not exchange.is_packed and not wants_provider(exchange):
            WARNINGS.set([])
            try:
                depth = self._config.max_json_depth
                made = await exchange.tenant.executor.run(count_view, exchange, api, depth)
            except Exception as error:
                self._fall_back(exchange, to_http_error(error).kind, error)
        if made is not None:
            body, headers = made
            headers.append((b"content-length", b"%d" % len(body)))
            await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
            await exchange.send({"type": "http.response.body", "body": body})
            return
        exchange.body = self._map_response_id(exchange)
        await self._pass_through(exchange)

    async def _serve(self, exchange: Exchange) -> None:
        start = time.perf_counter()
        await self._prepare(exchange)
        self._metrics.overhead.labels(exchange.tenant.name).observe(time.perf_counter() - start)
        call = exchange.call
        raw, is_compressed = exchange.body, False
        if call is not None and call.body is not exchange.data:
            try:
                raw, is_compressed = exchange.encode(call.body), True
            except ValueError as error:  # such as a number that JSON cannot represent
                self._fall_back(exchange, type(error).__name__)
                call = exchange.call = None
        try:
            response = await self._send(exchange, raw)
            if call is not None and response.status_code in REFUSED:
                response, has_overflowed = await self._expand_loop.send_fitting(exchange, call, response)
                if is_compressed and not has_overflowed and response.status_code in REFUSED:
                    response, call = await self._forward_unchanged(exchange, call, response)
            content_type = response.headers.get("content-type", "")
            if response.status_code >= 400:
                self._metrics.upstream_errors.labels(exchange.tenant.name, str(response.status_code)).inc()
            if call is None or response.status_code != 200 or not is_readable(response):
                await self._expand_loop.relay(exchange, response)
            elif content_type.startswith("text/event-stream"):
                await self._expand_loop.send_stream(exchange, call, response)
            elif content_type.startswith("application/json"):
                await self._expand_loop.send_whole(exchange, call, response)
            else:
                await self._expand_loop.relay(exchange, response)
        finally:
            if exchange.response is not None:
                await exchange.response.aclose()

    async def _prepare(self, exchange: Exchange) -> None:
        """Finds what to send. Does not raise if compression fails: the request is then forwarded as it is."""
        api = exchange.route.api
        if exchange.is_packed:
            return
        if api is None or exchange.is_bypassed:
            exchange.body = self._map_response_id(exchange)
            return
        exchange.api = api
        WARNINGS.set(exchange.warnings)
        NOTICES.set(exchange.notices)
        try:
            with span("work", {"code.function.name": "conversation"}):
                prepared = await exchange.tenant.executor.run(self._compress, exchange, api)
            if prepared is not None:  # not in the thread, which may still finish after its timeout
                exchange.call, exchange.response_headers, event = prepared
                exchange.notices.extend(text for text in event.warnings if text not in exchange.notices)
                self._metrics.record(event)
        except Exception as error:
            self._fall_back(exchange, to_http_error(error).kind, error)
        if exchange.call is None:
            exchange.body = self._map_response_id(exchange)
        for warning in exchange.warnings:
            self._metrics.record_fallback(exchange.tenant.name, warning)

    def _compress(self, exchange: Exchange, api: ProviderApi) -> tuple[ResolvedCall, Headers, CompressionEvent] | None:
        start = time.perf_counter()
        conversations = exchange.tenant.conversations
        session, limit, options = read_options(exchange)
        exchange.request_body = read_body(exchange.body, self._config.max_json_depth, conversations.similar_bodies)
        deployment = exchange.route.deployment
        call = conversations.prepare(api, exchange.request_body, session, limit, options, deployment)
        if call is None:
            return None
        notices = [*NOTICES.get([]), *([ABOVE_BUDGET] if call.tracked.is_above_budget else [])]
        id, report, saved = conversations.conversation_cost(call.tracked)
        before, after = report.baseline_last, report.actual_last
        headers = [
            (b"x-compressor-session", write_id_header(id)),
            (b"x-compressor-tokens-before", b"%d" % before),
            (b"x-compressor-tokens-after", b"%d" % after),
            (b"x-compressor-saved-usd", b"%.6f" % report.saved_cost),
        ]
        seconds = time.perf_counter() - start
        more: Any = {"billed_tokens": report.billed_tokens, "billed_cached": report.billed_cached, "session": id}
        more |= {"tier": exchange.tenant.compressor.scorer.name, "warnings": tuple(notices)}
        event = CompressionEvent(exchange.tenant.name, "conversation", before, after, saved, seconds, **more)
        return call, headers, event

    def _map_response_id(self, exchange: Exchange) -> bytes:
        """Returns the body as it came, unless it continues a response that the client knows under another id."""
        if b'"previous_response_id"' not in exchange.body:
            return exchange.body
        try:
            given = exchange.data or parse(exchange.body, self._config.max_json_depth)
            made = exchange.tenant.conversations.map_response_id(given)
            return exchange.body if made is given else exchange.encode(made)
        except (HttpError, CompressorError, ValueError, AttributeError):
            return exchange.body

    def _fall_back(self, exchange: Exchange, reason: str, error: BaseException | None = None) -> None:
        exchange.warnings.append(reason)
        exchange.response_headers = [pair for pair in exchange.response_headers if pair[0] == b"x-compressor-session"]
        if error is not None and not isinstance(error, (CompressorError, HttpError)):
            log.error("forwarded uncompressed: %s", type(error).__name__, exc_info=without_message(error))

    async def _send(self, exchange: Exchange, body: bytes | UploadStream) -> httpx.Response:
        readable = exchange.call is not None
        headers = request_headers(exchange.headers, readable)
        if isinstance(body, UploadStream):
            headers += body.headers
        try:
            route, model = exchange.route, str(exchange.data.get("model") or exchange.route.deployment)
            exchange.response = await self._upstream.send(
                exchange.method, route.path, exchange.query, headers, body, model, exchange.provider
            )
            return exchange.response
        except HttpError as error:
            self._metrics.upstream_errors.labels(exchange.tenant.name, error.kind).inc()
            error.headers |= {name.decode(): value.decode() for name, value in exchange.all_response_headers}
            raise

    async def _forward_unchanged(
        self, exchange: Exchange, call: ResolvedCall, response: httpx.Response
    ) -> tuple[httpx.Response, ResolvedCall | None]:
        """Sends the client's own request, because the provider has rejected the compressed one."""
        await response.aclose()
        status = response.status_code
        again = await self._send(exchange, exchange.body)
        if again.status_code < 400:
            call.on_rejection(CompressorError(f"status {status}"))
            self._metrics.record_fallback(exchange.tenant.name, "refused by the provider")
            exchange.warnings.append("refused by the provider")
        return again, None


async def _wait_for_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

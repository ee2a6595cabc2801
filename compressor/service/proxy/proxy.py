"""The provider's own API, with a compressor in the way: what a client sends goes on smaller, and what it gets is what
it would have got.

    body -> conversation -> upstream -> (expand calls are answered, and upstream asked again) -> client

An error of ours lets the client's own request through. Chooses nothing to cut (`compressor_agents` and sessions do)
and keeps nothing but connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx

from compressor.errors import BudgetError, CompressorError
from compressor.providers import AnthropicMessagesApi, OpenAIChatApi, OpenAIResponsesApi, ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.conversations import WARNINGS
from compressor.service.http_errors import HttpError, to_http_error, without_message
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.responses import ExpandLoop
from compressor.service.proxy.upstream import Headers, Upstream, request_headers
from compressor.service.request_limits import parse
from compressor.service.settings import Settings, budget_of
from compressor.service.telemetry.metrics import CompressionEvent, Metrics
from compressor.service.telemetry.tracing import span

log = logging.getLogger("compressor.service")
APIS: Mapping[str, ProviderApi] = {
    "/v1/chat/completions": OpenAIChatApi(),
    "/v1/responses": OpenAIResponsesApi(),
    "/v1/messages": AnthropicMessagesApi(),
}
_REFUSED = (400, 413, 422)
_READABLE = ("", "identity", "gzip", "deflate")  # an answer packed otherwise, though not asked for, goes on as it is


class Proxy:
    """An ASGI application for paths under /v1. `scope["compressor"]` has the tenant and the body."""

    def __init__(self, config: Settings, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._upstream = Upstream(config)
        self._expand_loop = ExpandLoop(self._send, metrics)

    async def close(self) -> None:
        """Closes the connections to the provider."""
        await self._upstream.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        tenant, body = scope["compressor"]
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.split(b"?")[0].decode("ascii", "replace")
        if not path.startswith("/v1/") or any(
            part in (".", "..") for part in unquote(path).replace("\\", "/").split("/")
        ):
            raise HttpError(400, "invalid_path", "a path with dots, or with another /v1, is not passed on")
        if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]):
            raise HttpError(501, "no_websockets", "websockets are not passed on: ask the provider itself, or over HTTP")
        exchange = Exchange(tenant, scope["method"], path, scope["query_string"], scope["headers"], body, send)
        work = asyncio.ensure_future(self._serve(exchange))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.info("the client has gone, upstream is cancelled")
        finally:
            for task in (work, gone):
                if not task.done():
                    task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _serve(self, exchange: Exchange) -> None:
        start = time.perf_counter()
        await self._prepare(exchange)
        self._metrics.own.labels(exchange.tenant.name).observe(time.perf_counter() - start)
        call = exchange.call
        raw, compressed = exchange.body, False
        if call is not None and call.body is not exchange.given:
            try:
                raw, compressed = exchange.written(call.body), True
            except ValueError as error:  # such as a number that JSON has no form for
                self._fell_back(exchange, type(error).__name__)
                call = exchange.call = None
        try:
            response = await self._send(exchange, raw)
            if compressed and call is not None and response.status_code in _REFUSED:
                response, call = await self._forward_unchanged(exchange, call, response)
            kind = response.headers.get("content-type", "")
            if response.status_code >= 400:
                self._metrics.upstream.labels(exchange.tenant.name, str(response.status_code)).inc()
            packed = response.headers.get("content-encoding", "identity").lower() not in _READABLE
            if call is None or response.status_code != 200 or packed:
                await self._expand_loop.relay(exchange, response)
            elif kind.startswith("text/event-stream"):
                await self._expand_loop.streamed(exchange, call, response)
            elif kind.startswith("application/json"):
                await self._expand_loop.whole(exchange, call, response)
            else:
                await self._expand_loop.relay(exchange, response)
        finally:
            if exchange.open is not None:
                await exchange.open.aclose()

    # -- before

    async def _prepare(self, exchange: Exchange) -> None:
        """Finds what to send. Never raises for what is ours: the request then goes out as it came."""
        api = APIS.get(exchange.path) if exchange.method == "POST" else None
        if api is None or exchange.option("off").lower() in ("1", "true", "yes"):
            if exchange.path == "/v1/responses":
                exchange.body = self._renamed(exchange)
            return
        exchange.api = api
        WARNINGS.set(exchange.warnings)
        try:
            with span("work", {"code.function.name": "conversation"}):
                made = await exchange.tenant.executor.run(self._read, exchange, api)
            if made is not None:  # here: the thread of one that took too long may still come to its end
                exchange.call, exchange.head, work = made
                self._metrics.record(work)
        except Exception as error:
            self._fell_back(exchange, to_http_error(error).kind, error)
        if exchange.call is None:
            exchange.body = self._renamed(exchange)
        for warning in exchange.warnings:
            self._metrics.record_fallback(exchange.tenant.name, warning)

    def _read(self, exchange: Exchange, api: ProviderApi) -> tuple[ResolvedCall, Headers, CompressionEvent] | None:
        start = time.perf_counter()
        talks = exchange.tenant.conversations
        session, budget = exchange.option("session"), exchange.option("budget")
        try:
            limit = budget_of(budget) if budget else None
        except ValueError:
            raise BudgetError("x-compressor-budget is tokens, a share or money") from None
        exchange.read = talks.read(exchange.body)
        call = talks.prepare(api, exchange.read, session, limit)
        if call is None:
            return None
        id, balance, saved = talks.conversation_cost(call.tracked)
        before, after = balance.baseline_last, balance.actual_last
        head = [
            (b"x-compressor-session", id.encode("ascii", "replace")),
            (b"x-compressor-tokens-before", b"%d" % before),
            (b"x-compressor-tokens-after", b"%d" % after),
            (b"x-compressor-saved-money", b"%.6f" % balance.saved_cost),
        ]
        took = time.perf_counter() - start
        more: Any = {"billed": balance.billed_tokens, "billed_cached": balance.billed_cached, "session": id}
        more["tier"] = exchange.tenant.compressor.scorer.name
        return call, head, CompressionEvent(exchange.tenant.name, "conversation", before, after, saved, took, **more)

    def _renamed(self, exchange: Exchange) -> bytes:
        """The body as it came, unless it continues a response that the client knows under another id."""
        if b'"previous_response_id"' not in exchange.body:
            return exchange.body
        try:
            given = exchange.given or parse(exchange.body, self._config.max_json_depth)
            made = exchange.tenant.conversations.map_response_id(given)
            return exchange.body if made is given else exchange.written(made)
        except (HttpError, CompressorError, ValueError, AttributeError):
            return exchange.body

    def _fell_back(self, exchange: Exchange, reason: str, error: BaseException | None = None) -> None:
        exchange.warnings.append(reason)
        exchange.head = [pair for pair in exchange.head if pair[0] == b"x-compressor-session"]
        if error is not None and not isinstance(error, (CompressorError, HttpError)):
            log.error("not compressed, sent as it was: %s", type(error).__name__, exc_info=without_message(error))

    # -- asking

    async def _send(self, exchange: Exchange, body: bytes) -> httpx.Response:
        readable = exchange.call is not None
        headers = request_headers(exchange.headers, readable)
        try:
            model = str(exchange.given.get("model") or "")
            exchange.open = await self._upstream.send(
                exchange.method, exchange.path, exchange.query, headers, body, model
            )
            return exchange.open
        except HttpError as error:
            self._metrics.upstream.labels(exchange.tenant.name, error.kind).inc()
            error.headers |= {name.decode(): value.decode() for name, value in exchange.heads}
            raise

    async def _forward_unchanged(
        self, exchange: Exchange, call: ResolvedCall, response: httpx.Response
    ) -> tuple[httpx.Response, ResolvedCall | None]:
        """The answer to the client's own request, where the provider has refused what was made of it."""
        await response.aclose()
        status = response.status_code
        again = await self._send(exchange, exchange.body)
        if again.status_code < 400:
            call.on_rejection(CompressorError(f"status {status}"))
            self._metrics.record_fallback(exchange.tenant.name, "refused by the provider")
            exchange.warnings.append("refused by the provider")
        return again, None


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

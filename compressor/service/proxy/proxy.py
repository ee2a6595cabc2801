"""Forwards requests to the provider, compressed, and the provider's answers to the client, unchanged.

    body -> conversation -> upstream -> (expand and recall calls are answered, the provider is asked again) -> client

If compression fails, the client's own request is forwarded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

import httpx

from compressor.errors import BudgetError, CompressorError
from compressor.providers import AnthropicMessagesApi, OpenAIChatApi, OpenAIResponsesApi, ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service import policy_options
from compressor.service.budget_options import read_budget_headers
from compressor.service.failure_notices import ABOVE_BUDGET, NOTICES, WARNINGS
from compressor.service.http_errors import HttpError, to_http_error, without_message
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.provider_credentials import ProviderCredentials
from compressor.service.proxy.request_body import read_body
from compressor.service.proxy.responses import REFUSED, ExpandLoop, is_readable
from compressor.service.proxy.upstream import (
    UPSTREAM,
    Headers,
    Upstream,
    UpstreamRequest,
    read_model,
    request_headers,
)
from compressor.service.request_limits import parse
from compressor.service.settings import Settings
from compressor.service.settings_fields import parse_budget
from compressor.service.telemetry.first_token import watch_first_token
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CURRENT_RECORD, CompressionEvent, add_own_seconds
from compressor.service.telemetry.session_usage import describe_usage, usage_notes
from compressor.service.telemetry.tracing import span

log = logging.getLogger("compressor.service")
APIS: Mapping[str, ProviderApi] = {
    "/v1/chat/completions": OpenAIChatApi(),
    "/v1/responses": OpenAIResponsesApi(),
    "/v1/messages": AnthropicMessagesApi(),
}


class Proxy:
    """An ASGI application for paths under /v1. `scope["compressor"]` has the tenant and the body.

    Args:
        config: The settings of the service.
        metrics: Takes compressions, fallbacks and errors.
    """

    def __init__(self, config: Settings, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._upstream = Upstream(config)
        self._expand_loop = ExpandLoop(self._send, metrics)

    async def close(self) -> None:
        """Closes the connections to the provider."""
        await self._upstream.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request.

        Raises:
            HttpError: The path is not valid, or the provider cannot be reached.
            UpstreamStreamError: The provider's stream broke off.
        """
        tenant, body = scope["compressor"]
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.split(b"?")[0].decode("ascii", "replace")
        if not path.startswith("/v1/") or any(
            part in (".", "..") for part in unquote(path).replace("\\", "/").split("/")
        ):
            raise HttpError(400, "invalid_path", "The path must start with /v1/ and must not contain . or .. segments")
        if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]):
            raise HttpError(
                501, "no_websockets", "Websockets are not forwarded: use HTTP, or connect to the provider directly"
            )
        record = CURRENT_RECORD.get()
        if record is not None:
            send = watch_first_token(send, partial(self._metrics.record_first_token, tenant.name, record))
        credentials = ProviderCredentials(tenant.config.provider_keys, scope.get("compressor.own_key", False))
        exchange = Exchange(
            tenant, scope["method"], path, scope["query_string"], scope["headers"], body, send, credentials
        )
        work = asyncio.ensure_future(self._serve(exchange))
        disconnect = asyncio.ensure_future(_wait_for_disconnect(receive))
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

    async def _serve(self, exchange: Exchange) -> None:
        start = time.perf_counter()
        await self._prepare(exchange)
        seconds = time.perf_counter() - start
        self._metrics.overhead.labels(exchange.tenant.name).observe(seconds)
        add_own_seconds(seconds)
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
            if exchange.event is not None and exchange.call is not None:
                self._record_answer(exchange.event, exchange.call, call is None)
            if exchange.response is not None:
                await exchange.response.aclose()

    def _record_answer(self, event: CompressionEvent, call: ResolvedCall, was_sent_unchanged: bool) -> None:
        """Records what the answer to a call added: bills, expansions, and the cost of hidden rounds."""
        conversation = call.tracked.conversation
        notes = usage_notes(conversation)
        saved = notes.take_saved()
        if was_sent_unchanged:
            saved -= event.saved
        (billed, cached), tools = notes.take_bills(), notes.take_tool_uses()
        if saved or billed or tools:
            more: Any = {"session": event.session, "model": event.model, "tools": tools}
            more |= {"billed_tokens": billed, "billed_cached": cached}
            self._metrics.record(CompressionEvent(event.tenant, "answer", 0, 0, saved, **more))

    async def _prepare(self, exchange: Exchange) -> None:
        """Finds what to send. Does not raise if compression fails: the request is then forwarded as it is."""
        api = APIS.get(exchange.path) if exchange.method == "POST" else None
        if api is None or exchange.get_option("bypass").lower() in ("1", "true", "yes"):
            if exchange.path == "/v1/responses":
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
                exchange.event = event
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
        session, budget = exchange.get_option("session"), exchange.get_option("budget")
        try:
            limit = parse_budget(budget) if budget else None
        except ValueError:
            raise BudgetError("x-compressor-budget must be tokens (4000), a fraction (50%) or money ($0.02)") from None
        exchange.request_body = read_body(exchange.body, self._config.max_json_depth, conversations.similar_bodies)
        options = policy_options.read_headers(exchange.get_option) | read_budget_headers(exchange.get_option)
        call = conversations.prepare(api, exchange.request_body, session, limit, options)
        if call is None:
            return None
        notices = [*NOTICES.get([]), *([ABOVE_BUDGET] if call.tracked.is_above_budget else [])]
        id, report, saved = conversations.conversation_cost(call.tracked)
        before, after = report.baseline_last, report.actual_last
        headers = [
            (b"x-compressor-session", id.encode("ascii", "replace")),
            (b"x-compressor-tokens-before", b"%d" % before),
            (b"x-compressor-tokens-after", b"%d" % after),
            (b"x-compressor-saved-usd", b"%.6f" % report.saved_cost),
        ]
        seconds = time.perf_counter() - start
        more: Any = {**describe_usage(call.tracked.conversation, report), "session": id}
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

    async def _send(self, exchange: Exchange, body: bytes) -> httpx.Response:
        headers = request_headers(exchange.headers, exchange.call is not None)
        model = str(exchange.data.get("model") or "")
        if not model and self._config.upstreams:
            model = read_model(body)
        request = UpstreamRequest(
            *(exchange.method, exchange.path, exchange.query, headers, body, model),
            credentials=exchange.credentials,
            pinned=exchange.upstream,
        )
        try:
            exchange.response = response = await self._upstream.send(request)
            if self._config.upstreams:
                exchange.upstream = response.extensions[UPSTREAM]
                exchange.set_header(b"x-compressor-upstream", exchange.upstream.encode())
            return response
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

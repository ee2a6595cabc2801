"""Forwards requests to the provider, compressed, and the provider's answers to the client, unchanged.

    body -> conversation -> upstream -> (expand and recall calls are answered, the provider is asked again) -> client

`preparation` finds what to send: compressed, or as it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Any

import httpx

from compressor.errors import CompressorError
from compressor.providers.expand_resolver import ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.failure_notices import WARNINGS
from compressor.service.group_figures import GroupCall, GroupFigures
from compressor.service.http_errors import HttpError, to_http_error
from compressor.service.limits.answer_watcher import AnswerWatcher
from compressor.service.limits.request_cost import find_token_use
from compressor.service.model_names import sanitize_model_name
from compressor.service.proxy.answer_cost import settle_cost
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.preparation import Preparation
from compressor.service.proxy.provider_credentials import ProviderCredentials
from compressor.service.proxy.request_reader import ENCODED, read_request
from compressor.service.proxy.responses import REFUSED, ExpandLoop, is_readable
from compressor.service.proxy.token_count import HEADER as COUNT_HEADER
from compressor.service.proxy.token_count import count_view, wants_provider
from compressor.service.proxy.upstream import UPSTREAM, Upstream, UpstreamRequest, read_model, request_headers
from compressor.service.proxy.websocket_relay import WebsocketRelay
from compressor.service.settings import Settings
from compressor.service.telemetry.first_token import watch_first_token
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CURRENT_RECORD, CompressionEvent, add_own_seconds
from compressor.service.telemetry.session_usage import usage_notes
from compressor.service.upload_stream import UploadStream
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import find_price

log = logging.getLogger("compressor.service")
UNSUPPORTED = "unsupported_api"  # the warning of a request whose API is not compressed


class Proxy:
    """An ASGI application for the routes of the providers.

    `scope["compressor"]` has the tenant, `scope["compressor.route"]` the route, and `scope["compressor.admission"]` how
    the tenant's limits admit the request.

    Args:
        config: The settings of the service.
        metrics: Takes compressions, fallbacks and errors.
        figures: Takes what the groups of conversations cost.
    """

    def __init__(self, config: Settings, metrics: Metrics, figures: GroupFigures) -> None:
        self._config, self._metrics, self._figures = config, metrics, figures
        self._preparation = Preparation(config, metrics, figures)
        self._upstream = Upstream(config)
        self._expand_loop = ExpandLoop(self._send, metrics)
        self._websockets = WebsocketRelay(config, metrics, self._preparation.prepare)

    async def close(self) -> None:
        """Closes the connections to the provider."""
        await self._upstream.close()

    async def serve_websocket(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a websocket until it is closed.

        Raises:
            HttpError: Before it is accepted: there are too many, or no provider can be reached.
            HandshakeRefusedError: The provider refuses it.
        """
        exchange = _make_exchange(scope, "GET", send)
        await self._websockets.serve(exchange, list(scope.get("subprotocols") or ()), receive, send)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request.

        Raises:
            HttpError: The body cannot be read, a limit has no room, or the provider cannot be reached.
            UpstreamStreamError: The provider's stream broke off.
        """
        if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]):
            raise HttpError(
                501, "no_websockets", "Websockets are not served here: use HTTP, or connect to the provider directly"
            )
        record, admission = CURRENT_RECORD.get(), scope["compressor.admission"]
        exchange = _make_exchange(scope, scope["method"], send)
        tenant, route = exchange.tenant, exchange.route
        stream = await read_request(exchange, receive, self._config)
        await admission.admit(exchange.body, find_token_use(exchange.method, route.path, True))
        if admission.is_local:
            self._metrics.limit_fallbacks.labels(tenant.name).inc()
        if record is not None:
            first_token = partial(self._metrics.record_first_token, tenant.name, record)
            exchange.send = watch_first_token(exchange.send, first_token)
        if admission.counts_cost or route.api is not None:
            exchange.send = exchange.watcher = AnswerWatcher(exchange.send)
        if exchange.is_packed:
            self._preparation.fall_back(exchange, ENCODED)
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
            if admission.counts_cost and exchange.watcher is not None:
                settle_cost(exchange, exchange.watcher)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _pass_through(self, exchange: Exchange) -> None:
        """Forwards a request and its answer as they are, as they arrive."""
        if exchange.route.is_unsupported and exchange.method == "POST":
            exchange.warnings.append(UNSUPPORTED)
            self._metrics.record_fallback(exchange.tenant.name, UNSUPPORTED)
        if exchange.route.counts is not None and exchange.method == "POST":
            exchange.set_header(COUNT_HEADER, b"provider")
        exchange.admission.release_place()
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
                self._preparation.fall_back(exchange, to_http_error(error).kind, error)
        if made is not None:
            body, headers = made
            headers.append((b"content-length", b"%d" % len(body)))
            await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
            await exchange.send({"type": "http.response.body", "body": body})
            return
        exchange.body = await self._preparation.map_response_id(exchange)
        await self._pass_through(exchange)

    async def _serve(self, exchange: Exchange) -> None:
        start = time.perf_counter()
        await self._preparation.prepare(exchange)
        exchange.added_seconds = time.perf_counter() - start
        self._metrics.overhead.labels(exchange.tenant.name).observe(exchange.added_seconds)
        add_own_seconds(exchange.added_seconds)
        call, response = exchange.call, None
        raw, is_compressed = exchange.body, False
        if call is not None and call.body is not exchange.data:
            try:
                raw, is_compressed = exchange.encode(call.body), True
            except ValueError as error:  # such as a number that JSON cannot represent
                call.record_unsent(sent_raw=exchange.mode.fail_open)
                if not exchange.mode.fail_open:
                    raise HttpError(400, "invalid_json", "The compressed request cannot be written as JSON") from None
                self._preparation.fall_back(exchange, type(error).__name__)
                call = exchange.call = None
        exchange.admission.release_place()
        try:
            response = await self._send(exchange, raw)
            if call is not None and response.status_code in REFUSED:
                response, has_overflowed = await self._expand_loop.send_fitting(exchange, call, response)
                if is_compressed and not has_overflowed and response.status_code in REFUSED:
                    if exchange.mode.fail_open:
                        response, call = await self._forward_unchanged(exchange, call, response)
                    else:
                        exchange.notices.append("the provider refused the compressed request")
            await self._preparation.finish_audit(exchange)
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
            self._record(exchange, call, response)
            if exchange.audit is not None:
                exchange.audit.cancel()
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

    def _record(self, exchange: Exchange, call: ResolvedCall | None, response: httpx.Response | None) -> None:
        """Counts the call in its conversation's group, unless the client has chosen the mode of this request."""
        if exchange.group is None or exchange.mode.is_chosen or (response is None and not exchange.was_unreachable):
            return
        turns = [] if call is None else call.hidden_rounds.turns
        usages: list[Any] = [turn.usage for turn in turns if turn.usage is not None]
        if not usages and exchange.watcher is not None and (usage := exchange.watcher.usage()):
            usages = [usage]
        config = exchange.tenant.config
        price = config.session_policy().pricing
        if price is None:
            try:
                price = find_price(sanitize_model_name(exchange.data.get("model"), config.models) or DEFAULT_MODEL)
            except CompressorError:
                return
        self._figures.record(
            GroupCall(
                exchange.tenant.name,
                exchange.group,
                exchange.key,
                price,
                exchange.added_seconds,
                usages,
                response is None or response.status_code >= 400,
                call is not None,
                max(0, len(turns) - 1),
            )
        )

    async def _send(self, exchange: Exchange, body: bytes | UploadStream) -> httpx.Response:
        readable = exchange.call is not None or exchange.group is not None
        headers = request_headers(exchange.headers, readable)
        model = str(exchange.data.get("model") or exchange.route.deployment)
        if isinstance(body, UploadStream):
            headers += body.headers
        elif not model and self._config.upstreams:
            model = read_model(body)
        request = UpstreamRequest(
            *(exchange.method, exchange.path, exchange.query, headers, body, model, exchange.provider),
            credentials=exchange.credentials,
            pinned=exchange.upstream,
        )
        try:
            exchange.was_sent = True
            exchange.response = response = await self._upstream.send(request)
            if self._config.upstreams:
                exchange.upstream = response.extensions[UPSTREAM]
                exchange.set_header(b"x-compressor-upstream", exchange.upstream.encode())
            return response
        except HttpError as error:
            self._metrics.upstream_errors.labels(exchange.tenant.name, error.kind).inc()
            exchange.was_sent, exchange.was_unreachable = False, True
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
            await run_in_thread(call.record_unsent, True)
            await run_in_thread(call.on_rejection, CompressorError(f"status {status}"))
            self._metrics.record_fallback(exchange.tenant.name, "refused by the provider")
            exchange.warnings.append("refused by the provider")
        return again, None


def _make_exchange(scope: Any, method: str, send: Any) -> Exchange:
    (tenant, _), route = scope["compressor"], scope["compressor.route"]
    credentials = ProviderCredentials(tenant.config.provider_keys, scope.get("compressor.own_key", False))
    return Exchange(
        *(tenant, method, route, scope["query_string"], scope["headers"], b"", send),
        admission=scope["compressor.admission"],
        credentials=credentials,
    )


async def _wait_for_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

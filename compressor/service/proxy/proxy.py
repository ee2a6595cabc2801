"""Forwards requests to the provider, compressed, and the provider's answers to the client, unchanged.

    body -> conversation -> upstream -> (expand and recall calls are answered, the provider is asked again) -> client

`preparation` finds what to send: compressed, or as it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from urllib.parse import unquote

import httpx

from compressor.errors import CompressorError
from compressor.providers.expand_resolver import ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.group_figures import GroupCall, GroupFigures
from compressor.service.http_errors import HttpError
from compressor.service.model_names import sanitize_model_name
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.preparation import APIS, Preparation
from compressor.service.proxy.provider_credentials import ProviderCredentials
from compressor.service.proxy.responses import REFUSED, ExpandLoop, is_readable
from compressor.service.proxy.upstream import UPSTREAM, Upstream, UpstreamRequest, read_model, request_headers
from compressor.service.proxy.usage_observer import UsageObserver
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import find_price

__all__ = ["APIS", "Proxy"]
log = logging.getLogger("compressor.service")


class Proxy:
    """An ASGI application for paths under /v1. `scope["compressor"]` has the tenant and the body.

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
        await self._preparation.prepare(exchange)
        exchange.added_seconds = time.perf_counter() - start
        self._metrics.overhead.labels(exchange.tenant.name).observe(exchange.added_seconds)
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
            if exchange.group is not None and call is None:
                exchange.observer = UsageObserver(content_type, response.headers.get("content-encoding", "").lower())
            if call is None or response.status_code != 200 or not is_readable(response):
                await self._expand_loop.relay(exchange, response)
            elif content_type.startswith("text/event-stream"):
                await self._expand_loop.send_stream(exchange, call, response)
            elif content_type.startswith("application/json"):
                await self._expand_loop.send_whole(exchange, call, response)
            else:
                await self._expand_loop.relay(exchange, response)
        finally:
            self._record(exchange, call, response)
            if exchange.audit is not None:
                exchange.audit.cancel()
            if exchange.response is not None:
                await exchange.response.aclose()

    def _record(self, exchange: Exchange, call: ResolvedCall | None, response: httpx.Response | None) -> None:
        """Counts the call in its conversation's group, unless the client has chosen the mode of this request."""
        if exchange.group is None or exchange.mode.is_chosen or (response is None and not exchange.was_unreachable):
            return
        turns = [] if call is None else call.hidden_rounds.turns
        usages = [turn.usage for turn in turns if turn.usage is not None]
        if not usages and exchange.observer is not None:
            usages = exchange.observer.finish()
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

    async def _send(self, exchange: Exchange, body: bytes) -> httpx.Response:
        readable = exchange.call is not None or exchange.group is not None
        headers = request_headers(exchange.headers, readable)
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
            exchange.was_unreachable = True
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
            call.on_rejection(CompressorError(f"status {status}"))
            self._metrics.record_fallback(exchange.tenant.name, "refused by the provider")
            exchange.warnings.append("refused by the provider")
        return again, None


async def _wait_for_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

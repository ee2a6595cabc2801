"""Sends the provider's answer to the client, after the hidden rounds that the model's expand and recall calls need."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx

from compressor.errors import CompressorError
from compressor.providers import Json, is_context_overflow
from compressor.providers.expand_resolver import ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.failure_notices import FAIL_OPEN
from compressor.service.http_errors import HttpError, json_bytes, to_http_error
from compressor.service.proxy.exchange import Exchange, UpstreamStreamError
from compressor.service.proxy.sse import SseRewriter, split_events
from compressor.service.proxy.upstream import Headers, response_headers
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import add_own_seconds
from compressor.service.telemetry.warning_categories import categorize
from compressor.sessions import Conversation
from compressor.tokens.billing import parse_provider_usage

Ask = Callable[[Exchange, bytes], Awaitable[httpx.Response]]
REFUSED = (400, 413, 422)  # statuses by which providers refuse a request for what it holds
TOO_LONG = "too long for the provider: a smaller view was sent"
_ERROR_FIELDS = ("type", "message", "code", "param")
_READABLE = ("", "identity", "gzip", "deflate")  # content encodings; an answer in another one is forwarded as it is
_RETRY_STATUS = (429, 500, 502, 503, 504, 529)
_RETRY_PAUSE = 1.0  # seconds before a hidden round is retried, once: in the middle of a stream the client cannot


class ExpandLoop:
    """Sends answers to clients, and resolves expand and recall calls on the way.

    Args:
        ask: Sends a body to the provider and returns its response, whose body is not read yet.
        metrics: Counts hidden rounds and errors of the provider.
    """

    def __init__(self, ask: Ask, metrics: Metrics) -> None:
        self._ask, self._metrics = ask, metrics

    async def send_fitting(
        self, exchange: Exchange, call: ResolvedCall, response: httpx.Response
    ) -> tuple[httpx.Response, bool]:
        """Sends smaller requests while the provider says that the last one was too long.

        Args:
            exchange: The request.
            call: Its call.
            response: The provider's refusal.

        Returns:
            The last response, and whether the provider found a request too long.
        """
        has_overflowed = False
        while response.status_code in REFUSED and is_readable(response):
            try:
                text = (await response.aread()).decode("utf-8", "replace")
            except httpx.HTTPError:
                break
            if not is_context_overflow(response.status_code, text):
                break
            has_overflowed = True
            # What the client allows is not at stake here: this makes less of what it allows.
            is_open = FAIL_OPEN.get()
            FAIL_OPEN.set(True)
            try:
                is_smaller = await exchange.tenant.executor.run(call.shrink)
            finally:
                FAIL_OPEN.set(is_open)
            if not is_smaller:
                break
            await response.aclose()
            self._metrics.warnings.labels(exchange.tenant.name, categorize(TOO_LONG)).inc()
            exchange.notices.append(TOO_LONG)
            exchange.set_header(b"x-compressor-tokens-after", b"%d" % call.tracked.view_tokens)
            response = await self._ask(exchange, exchange.encode(call.body))
        return response, has_overflowed

    async def relay(self, exchange: Exchange, response: httpx.Response) -> None:
        """Forwards a response as it is, as it arrives.

        Raises:
            UpstreamStreamError: The response broke off.
        """
        if response.is_stream_consumed:  # it was read, to see why the provider refused
            body = response.content
            headers = [*response_headers(response.headers.raw, decoded=True), (b"content-length", b"%d" % len(body))]
            await self._start(exchange, response.status_code, headers)
            await exchange.send({"type": "http.response.body", "body": body})
            return
        headers = response_headers(response.headers.raw, decoded=False)
        await self._start(exchange, response.status_code, headers)
        try:
            async for chunk in response.aiter_raw():
                await exchange.send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError as error:
            raise UpstreamStreamError(type(error).__name__) from None
        await exchange.send({"type": "http.response.body", "body": b""})

    async def send_whole(self, exchange: Exchange, call: ResolvedCall, response: httpx.Response) -> None:
        """Sends the answer in one piece, after all hidden rounds.

        Raises:
            HttpError: 502 if the provider's answer broke off.
        """
        while True:
            body = await self._read_whole(exchange, response)
            if response.status_code != 200:
                break
            try:
                start = time.perf_counter()
                data = json.loads(body)
                again = await _handle_response(call, data)
                add_own_seconds(time.perf_counter() - start)
            except Exception as error:
                exchange.tenant.conversations.fail_open.note(error)
                if any(name.encode() in body for name in call.tool_names):
                    # The client does not know that tool, so it must not see the call.
                    if not exchange.mode.fail_open:
                        raise to_http_error(error) from None
                    response = await self._ask(exchange, exchange.body)
                    body = await self._read_whole(exchange, response)
                break
            if not again:
                visible = call.visible_turn(data)
                body = body if visible is data else json_bytes(visible)
                break
            await response.aclose()
            response = await self._ask_again(exchange, call)
        headers = [*response_headers(response.headers.raw, decoded=True), (b"content-length", b"%d" % len(body))]
        await self._start(exchange, response.status_code, [*headers, *_usage_headers(call)])
        await exchange.send({"type": "http.response.body", "body": body})

    async def _read_whole(self, exchange: Exchange, response: httpx.Response) -> bytes:
        try:
            return await response.aread()
        except httpx.HTTPError as error:
            kind = type(error).__name__
            self._metrics.upstream_errors.labels(exchange.tenant.name, kind).inc()
            raise HttpError(502, "upstream_broken", f"The provider's answer broke off ({kind})") from None

    async def send_stream(self, exchange: Exchange, call: ResolvedCall, response: httpx.Response) -> None:
        """Sends the answer as a stream, which continues while expand and recall calls are resolved.

        Raises:
            UpstreamStreamError: The provider's stream broke off.
        """
        rewriter = SseRewriter(call, exchange.tenant.conversations.fail_open)
        await self._start(exchange, response.status_code, response_headers(response.headers.raw, decoded=True))

        async def send(data: bytes) -> None:
            if data:
                await exchange.send({"type": "http.response.body", "body": data, "more_body": True})

        while True:
            try:
                async for block in split_events(response.aiter_bytes()):
                    await send(rewriter.feed(block))
            except httpx.HTTPError as error:
                self._metrics.upstream_errors.labels(exchange.tenant.name, type(error).__name__).inc()
                raise UpstreamStreamError(type(error).__name__) from None
            try:
                start = time.perf_counter()
                has_another_round = await run_in_thread(rewriter.needs_another_round)
                add_own_seconds(time.perf_counter() - start)
                if not has_another_round:
                    await send(rewriter.finish())
                    break
                await response.aclose()
                response = await self._ask_again(exchange, call)
            except HttpError as error:
                await send(rewriter.error_event({"type": error.kind, "message": str(error)}))
                break
            if response.status_code != 200:
                await send(rewriter.error_event(await _read_error(response)))
                break
        await exchange.send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _start(exchange: Exchange, status: int, headers: Headers) -> None:
        await exchange.send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *exchange.all_response_headers]}
        )

    async def _ask_again(self, exchange: Exchange, call: ResolvedCall) -> httpx.Response:
        """Asks the provider for the next hidden round; tries twice."""
        self._metrics.record_expansion(exchange.tenant.name)
        body = exchange.encode(call.body)
        for last in (False, True):
            try:
                response = await self._ask(exchange, body)
            except HttpError:
                if last:
                    raise
            else:
                if response.status_code in REFUSED:
                    return (await self.send_fitting(exchange, call, response))[0]
                if last or response.status_code not in _RETRY_STATUS:
                    return response
                await response.aclose()
            await asyncio.sleep(_RETRY_PAUSE)
        raise AssertionError("not reached")


def is_readable(response: httpx.Response) -> bool:
    """Returns whether the body of a response can be decoded here."""
    return response.headers.get("content-encoding", "identity").lower() in _READABLE


async def _handle_response(call: ResolvedCall, response: Json) -> bool:
    """Calls `on_response`; uses another thread only if it has to look something up or to wait for a lock."""
    turn, tracked = call.api.parse_turn(response, call.tool_names), call.tracked
    if (
        turn.context_calls
        or call.hidden_rounds.turns
        or not isinstance(tracked.conversation, Conversation)
        or not tracked.lock.acquire(blocking=False)
    ):
        return await run_in_thread(call.on_turn, turn)
    try:
        return call.on_turn(turn)
    finally:
        tracked.lock.release()


async def _read_error(response: httpx.Response) -> Json:
    """Returns a provider's error, for a client that gets it in the middle of its stream."""
    error: Json = {"type": "upstream_error", "message": "The provider failed"}
    with suppress(httpx.HTTPError, ValueError, TypeError, KeyError):
        given = json.loads(await response.aread())["error"]
        error |= {key: value for key, value in given.items() if key in _ERROR_FIELDS}
    return error | {"message": f"{error['message']} (status {response.status_code})"}


def _usage_headers(call: ResolvedCall) -> Headers:
    """Returns what all rounds of a call used together, if there were several: the body has the last round's prompt."""
    turns = call.hidden_rounds.turns
    bills = []
    with suppress(CompressorError):
        bills = [parse_provider_usage(turn.usage) for turn in turns if turn.usage is not None]
    if len(turns) < 2 or not bills:
        return []
    return [
        (b"x-compressor-rounds", b"%d" % len(turns)),
        (b"x-compressor-prompt-tokens", b"%d" % sum(bill.prompt for bill in bills)),
        (b"x-compressor-cached-tokens", b"%d" % sum(bill.cached for bill in bills)),
        (b"x-compressor-output-tokens", b"%d" % sum(bill.output for bill in bills)),
    ]

"""What a client is answered: the provider's answer as it is, or that of as many rounds as the model needs to see what
it asked for. Asks by the function it is given; knows no connections.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx

from compressor.providers import Json
from compressor.providers.expand_resolver import ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.http_errors import HttpError, json_bytes
from compressor.service.proxy.exchange import Exchange, UpstreamStreamError
from compressor.service.proxy.sse import SseRewriter, blocks
from compressor.service.proxy.upstream import Headers, response_headers
from compressor.service.telemetry.metrics import Metrics
from compressor.sessions import Conversation

Ask = Callable[[Exchange, bytes], Awaitable[httpx.Response]]
_AGAIN = (429, 500, 502, 503, 504, 529)
_PAUSE = 1.0  # seconds before an inner round is tried again, once: the client cannot, in the middle of a stream


class ExpandLoop:
    """ask: sends a body upstream; gives the answer, whose body is not read yet."""

    def __init__(self, ask: Ask, metrics: Metrics) -> None:
        self._ask, self._metrics = ask, metrics

    async def relay(self, exchange: Exchange, response: httpx.Response) -> None:
        """The answer as it is, as it comes."""
        headers = response_headers(response.headers.raw, unpacked=False)
        await self._start(exchange, response.status_code, headers)
        try:
            async for chunk in response.aiter_raw():
                await exchange.send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError as error:
            raise UpstreamStreamError(type(error).__name__) from None
        await exchange.send({"type": "http.response.body", "body": b""})

    async def whole(self, exchange: Exchange, call: ResolvedCall, response: httpx.Response) -> None:
        """The answer in one piece, after as many rounds as it takes."""
        while True:
            body = await self._read_whole(exchange, response)
            if response.status_code != 200:
                break
            try:
                data = json.loads(body)
                more = await _heard(call, data)
            except Exception as error:
                exchange.tenant.conversations.failing.handle(error)
                # The client must not see that call, because it does not know the tool.
                if call.tool_name and call.tool_name.encode() in body:
                    response = await self._ask(exchange, exchange.body)
                    body = await self._read_whole(exchange, response)
                break
            if not more:
                shown = call.visible_turn(data)
                body = body if shown is data else json_bytes(shown)
                break
            await response.aclose()
            response = await self._again(exchange, call)
        headers = [*response_headers(response.headers.raw, unpacked=True), (b"content-length", b"%d" % len(body))]
        await self._start(exchange, response.status_code, headers)
        await exchange.send({"type": "http.response.body", "body": body})

    async def _read_whole(self, exchange: Exchange, response: httpx.Response) -> bytes:
        try:
            return await response.aread()
        except httpx.HTTPError as error:
            kind = type(error).__name__
            self._metrics.upstream.labels(exchange.tenant.name, kind).inc()
            raise HttpError(502, "upstream_broken", f"the provider's answer broke off ({kind})") from None

    async def streamed(self, exchange: Exchange, call: ResolvedCall, response: httpx.Response) -> None:
        """The answer as a stream, which goes on while expand calls are answered."""
        shaper = SseRewriter(call, exchange.tenant.conversations.failing)
        await self._start(exchange, response.status_code, response_headers(response.headers.raw, unpacked=True))

        async def say(data: bytes) -> None:
            if data:
                await exchange.send({"type": "http.response.body", "body": data, "more_body": True})

        while True:
            try:
                async for block in blocks(response.aiter_bytes()):
                    await say(shaper.feed(block))
            except httpx.HTTPError as error:
                self._metrics.upstream.labels(exchange.tenant.name, type(error).__name__).inc()
                raise UpstreamStreamError(type(error).__name__) from None
            try:
                if not await run_in_thread(shaper.needs_another_round):
                    await say(shaper.finish())
                    break
                await response.aclose()
                response = await self._again(exchange, call)
            except HttpError as error:
                await say(shaper.failed(error.kind, str(error)))
                break
            if response.status_code != 200:
                await say(shaper.failed("upstream_error", await _message(response)))
                break
        await exchange.send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _start(exchange: Exchange, status: int, headers: Headers) -> None:
        await exchange.send({"type": "http.response.start", "status": status, "headers": [*headers, *exchange.heads]})

    async def _again(self, exchange: Exchange, call: ResolvedCall) -> httpx.Response:
        """The next round inside a call; tried twice."""
        self._metrics.expansions.labels(exchange.tenant.name).inc()
        body = exchange.written(call.body)
        for last in (False, True):
            try:
                response = await self._ask(exchange, body)
            except HttpError:
                if last:
                    raise
            else:
                if last or response.status_code not in _AGAIN:
                    return response
                await response.aclose()
            await asyncio.sleep(_PAUSE)
        raise AssertionError("not reached")


async def _heard(call: ResolvedCall, response: Json) -> bool:
    """`Call.on_response`, without the way to another thread and back where nothing is looked up and nobody is waited for."""
    turn, thread = call.api.parse_turn(response, call.tool_name), call.tracked
    if (
        turn.expand_calls
        or not isinstance(thread.conversation, Conversation)
        or not thread.lock.acquire(blocking=False)
    ):
        return await run_in_thread(call.on_turn, turn)
    try:
        return call.on_turn(turn)
    finally:
        thread.lock.release()


async def _message(response: httpx.Response) -> str:
    """What a provider says is wrong, for a client that can only be told in the middle of its stream."""
    try:
        data = json.loads(await response.aread())
        said = data["error"]["message"]
    except (httpx.HTTPError, ValueError, TypeError, KeyError):
        said = "the provider failed"
    return f"{said} (status {response.status_code})"

"""The Responses API over a websocket: each `response.create` is compressed as `POST /v1/responses` is.

A client sends `response.create` with the fields of that request, and gets the events of its stream as messages. One
connection may have several conversations at a time, told apart by `stream_id`: a lane each. All other events pass.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from compressor.errors import CompressorError
from compressor.providers import Json, StreamFilter, is_context_overflow
from compressor.providers.expand_resolver import ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.http_errors import HttpError
from compressor.service.limits.request_cost import find_token_use, price_usages
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.responses import REFUSED, TOO_LONG
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.warning_categories import categorize

CREATE = "response.create"
_FINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_MIN_THREAD_CHARS = 100_000  # longer messages are parsed in a thread

Prepare = Callable[[Exchange], Awaitable[None]]


@dataclass
class _Turn:
    """One `response.create` whose events are still to come.

    Attributes:
        exchange: The request.
        original: The client's message.
        admission: Ends how the tenant's limits have admitted it.
        call: The compressed call; None if the events pass as they are.
        filter: Joins the events of the call's rounds.
        is_changed: Whether something else than the client's message was sent.
        has_begun: Whether an event of it has arrived.
        usages: What its rounds have used.
        refused_by: The error that the provider had for the compressed message, once the original was sent instead.
    """

    exchange: Exchange
    original: str
    admission: ExitStack
    call: ResolvedCall | None = None
    filter: StreamFilter | None = None
    is_changed: bool = False
    has_begun: bool = False
    refused_by: ResolvedCall | None = None
    usages: list[Json] = field(default_factory=list)


class ResponseLanes:
    """The requests of one connection.

    Args:
        handshake: The client's handshake, whose headers hold for all requests.
        prepare: Finds what to send for a request.
        metrics: Takes fallbacks, hidden rounds and times.
        send_upstream: Sends a message to the provider.
    """

    def __init__(
        self, handshake: Exchange, prepare: Prepare, metrics: Metrics, send_upstream: Callable[[str], Awaitable[None]]
    ) -> None:
        self._handshake, self._prepare, self._metrics = handshake, prepare, metrics
        self._send_upstream = send_upstream
        self._lanes: defaultdict[str, deque[_Turn]] = defaultdict(deque)

    async def from_client(self, message: str) -> str | Json:
        """Takes a message of the client.

        Returns:
            The message to send to the provider; or an error event for the client.
        """
        event = await _parse(message) if f'"{CREATE}"' in message else None
        if event is None or event.get("type") != CREATE:
            return message
        lane = event.get("stream_id")
        start, body = time.perf_counter(), message.encode("utf-8", "surrogatepass")
        stack = ExitStack()
        try:
            admission = stack.enter_context(self._handshake.tenant.rate_limiter.open_request(len(body)))
            await admission.admit(body, find_token_use("POST", self._handshake.path, True))
            exchange = replace(
                self._handshake,
                method="POST",
                body=body,
                admission=admission,
                call=None,
                warnings=[],
                notices=[],
                response_headers=[],
                was_sent=True,
            )
            await self._prepare(exchange)
        except HttpError as error:  # a limit; or it cannot be compressed, and must not be sent as it is
            stack.close()
            return _error_event(error, lane)
        except BaseException:
            stack.close()
            raise
        turn = _Turn(exchange, message, stack)
        self._metrics.overhead.labels(exchange.tenant.name).observe(time.perf_counter() - start)
        text = message if exchange.body is body else exchange.body.decode("utf-8", "surrogatepass")
        call = exchange.call
        if call is not None:
            turn.call, turn.filter = call, call.make_stream_filter()
            if call.body is not exchange.data:
                text, turn.is_changed = _encode(exchange, call.body), True
        admission.release_place()
        self._lanes[_key(lane)].append(turn)
        return text

    def close(self) -> None:
        """Books what the turns have cost that are still to come, because the connection is over."""
        for turns in self._lanes.values():
            for turn in turns:
                turn.admission.close()
        self._lanes.clear()

    async def from_provider(self, message: str) -> list[str]:
        """Takes a message of the provider; returns the messages for the client."""
        if not self._lanes:
            return [message]
        event = await _parse(message)
        if event is None:
            return [message]
        key = self._find_lane(event)
        turns = self._lanes.get(key)
        if not turns:
            return [message]
        turn = turns[0]
        if event.get("type") == "error":
            if not turn.has_begun and await self._send_again(turn, event):
                return []
            self._end(key)
            return [message]
        if not turn.has_begun:
            turn.has_begun = True
            if turn.refused_by is not None:
                turn.refused_by.on_rejection(CompressorError("an error event"))
                self._metrics.record_fallback(turn.exchange.tenant.name, "refused by the provider")
        if event.get("type") in _FINAL_EVENTS:
            _settle(turn, event)
        if turn.call is None or turn.filter is None:
            if event.get("type") in _FINAL_EVENTS:
                self._end(key)
            return [message]
        return await self._filter(key, turn, turn.call, turn.filter, event, message)

    async def _filter(
        self, key: str, turn: _Turn, call: ResolvedCall, filter: StreamFilter, event: Json, message: str
    ) -> list[str]:
        """Returns what the client gets of an event; asks for the next hidden round if the model wants a text."""
        try:
            events = filter.feed(event)
            if event.get("type") in _FINAL_EVENTS:
                if await run_in_thread(call.on_turn, filter.end_call()):
                    self._metrics.expansions.labels(turn.exchange.tenant.name).inc()
                    await self._send_upstream(_encode(turn.exchange, call.body))
                else:
                    events = [*events, *filter.flush()]
                    self._end(key)
            return [message if one is event else dump_event(one) for one in events]
        except (HttpError, CompressorError, LookupError, TypeError, ValueError, AttributeError) as error:
            turn.exchange.tenant.conversations.fail_open.handle(error)
            turn.call = turn.filter = None
            if event.get("type") in _FINAL_EVENTS:
                self._end(key)
            return [message]

    async def _send_again(self, turn: _Turn, event: Json) -> bool:
        """Sends a smaller message, or the client's own, instead of the one that the provider has refused.

        Returns:
            False if there is nothing else to send.
        """
        call, exchange, status = turn.call, turn.exchange, event.get("status")
        if call is None or not turn.is_changed or (status is not None and status not in REFUSED):
            return False
        if is_context_overflow(status or REFUSED[0], dump_event(event)):
            if not await exchange.tenant.executor.run(call.shrink):
                return False
            self._metrics.warnings.labels(exchange.tenant.name, categorize(TOO_LONG)).inc()
            await self._send_upstream(_encode(exchange, call.body))
            return True
        if status is None or call.hidden_rounds.turns:
            return False
        turn.call, turn.filter, turn.is_changed, turn.refused_by = None, None, False, call
        await self._send_upstream(turn.original)
        return True

    def _find_lane(self, event: Json) -> str:
        """Returns the lane of an event. An error may name none: it is that of the only lane that waits."""
        key = _key(event.get("stream_id"))
        waiting = [name for name, turns in self._lanes.items() if turns]
        return waiting[0] if key == _key(None) and key not in waiting and len(waiting) == 1 else key

    def _end(self, key: str) -> None:
        self._lanes[key].popleft().admission.close()
        if not self._lanes[key]:
            del self._lanes[key]


def _settle(turn: _Turn, event: Json) -> None:
    """Notes what a turn has cost so far: the usages of its rounds."""
    response = event.get("response")
    data = response if isinstance(response, dict) else {}
    if isinstance(usage := data.get("usage"), dict):
        turn.usages.append(usage)
    if cost := price_usages(turn.usages, str(turn.exchange.data.get("model") or data.get("model") or "")):
        turn.exchange.admission.settle(cost)


async def _parse(message: str) -> Json | None:
    try:
        long = len(message) > _MIN_THREAD_CHARS
        data = await run_in_thread(json.loads, message) if long else json.loads(message)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _key(stream_id: Any) -> str:
    return "" if stream_id is None else json.dumps(stream_id)


def dump_event(event: Json) -> str:
    """Returns an event as the text of a message."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _encode(exchange: Exchange, body: Json) -> str:
    return exchange.encode(body).decode("utf-8", "surrogatepass")


def _error_event(error: HttpError, stream_id: Any) -> Json:
    event: Json = {"type": "error", "status": error.status, "error": error.body["error"] | {"code": error.kind}}
    return event if stream_id is None else event | {"stream_id": stream_id}

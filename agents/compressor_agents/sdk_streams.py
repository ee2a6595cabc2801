"""Sends requests that fit, and makes streams that go on while expand and recall calls are answered inside."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from compressor.providers import Json, is_context_overflow
from compressor.providers.expand_resolver import ExpandResolver, ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread

_CLASSES: dict[tuple[type, type], type] = {}


def make_subclass(own: type, mixin: type) -> Any:
    """Returns the one subclass for each pair, so that two clients of one class get the same class."""
    made = _CLASSES.get((own, mixin))
    if made is None:
        made = _CLASSES[own, mixin] = type(f"Compressing{own.__name__}", (mixin, own), {"__module__": own.__module__})
    return made


def is_overflow(error: Exception) -> bool:
    """Returns whether the provider says that the prompt is too long."""
    text = f"{getattr(error, 'code', None)} {error}"
    return is_context_overflow(getattr(error, "status_code", None), text)


def send_fitting(call: ResolvedCall, send: Callable[[Json], Any]) -> Any:
    """Sends the call's body, and a smaller one as often as the provider says that it is too long."""
    try:
        return send(call.body)
    except Exception as error:
        if not is_overflow(error) or not call.shrink():
            raise
    return send_fitting(call, send)


async def send_fitting_async(call: ResolvedCall, send: Callable[[Json], Awaitable[Any]]) -> Any:
    """Sends the call's body, and a smaller one as often as the provider says that it is too long."""
    try:
        return await send(call.body)
    except Exception as error:
        if not is_overflow(error) or not await run_in_thread(call.shrink):
            raise
    return await send_fitting_async(call, send)


class _EventAdapter:
    """Filters SDK events as JSON. After an error of the compressor, the rest of the stream passes unfiltered."""

    def __init__(self, resolver: ExpandResolver, call: ResolvedCall) -> None:
        self._resolver, self.call = resolver, call
        self._filter: Any = call.make_stream_filter()
        self._examples: dict[Any, Any] = {}

    def feed(self, event: Any) -> list[Any]:
        """Takes an SDK event and returns the events that the caller gets now."""
        if self._filter is None:
            return [event]
        try:
            data = to_json(event)
            self._examples[data.get("type")] = event
            out = self._filter.feed(data)
            return [event if one is data else self._event(one) for one in out]
        except Exception as error:
            self._filter = None
            self._resolver.fail_open.handle(error)
            return [event]

    def needs_another_round(self) -> bool:
        """Returns whether another request must be sent, once the current stream is over."""
        if self._filter is None:
            return False
        try:
            return self.call.on_turn(self._filter.end_call())
        except Exception as error:
            self._resolver.fail_open.handle(error)
            return False

    def finish(self) -> list[Any]:
        """Returns the events that were held back."""
        return [self._event(one) for one in self._filter.flush()] if self._filter is not None else []

    def _event(self, data: Json) -> Any:
        like = self._examples[data.get("type")]
        return from_json(type(like), data, like)


def run_stream(resolver: ExpandResolver, call: ResolvedCall, stream: Any, send: Any) -> Iterator[Any]:
    """Yields the events of a stream, and of the streams of the rounds after it."""
    adapter = _EventAdapter(resolver, call)
    try:
        while True:
            for event in stream:
                yield from adapter.feed(event)
            if not adapter.needs_another_round():
                break
            stream = send_fitting(call, send)
        yield from adapter.finish()
    finally:
        stream.close()


async def run_async_stream(resolver: ExpandResolver, call: ResolvedCall, stream: Any, send: Any) -> AsyncIterator[Any]:
    """Yields the events of a stream, and of the streams of the rounds after it."""
    adapter = _EventAdapter(resolver, call)
    try:
        while True:
            async for event in stream:
                for adapted in adapter.feed(event):
                    yield adapted
            if not await run_in_thread(adapter.needs_another_round):
                break
            stream = await send_fitting_async(call, send)
        for adapted in adapter.finish():
            yield adapted
    finally:
        with contextlib.suppress(RuntimeError):  # the event loop may be closed when an abandoned stream is collected
            await stream.close()


class SyncStreamMixin:
    """Makes a stream of the SDK yield the events in `_events`."""

    _events: Any

    def __next__(self) -> Any:
        return next(self._events)

    def __iter__(self) -> Iterator[Any]:
        yield from self._events

    def close(self) -> None:
        """Closes the connection without reading the rest."""
        self._events.close()
        super().close()  # type: ignore[misc]


class AsyncStreamMixin:
    """Makes a stream of the SDK yield the events in `_events`."""

    _events: Any

    async def __anext__(self) -> Any:
        return await anext(self._events)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for event in self._events:
            yield event

    async def close(self) -> None:
        """Closes the connection without reading the rest."""
        await self._events.aclose()
        await super().close()  # type: ignore[misc]


def with_events(stream: Any, mixin: type, events: Any) -> Any:
    """Returns a stream of the SDK's own class, with its response, that yields `events`."""
    made: Any = object.__new__(make_subclass(type(stream), mixin))
    vars(made).update(vars(stream))
    made._events = events
    return made


def to_json(response: Any) -> Json:
    """Returns the JSON that an SDK object was made of."""
    data: Json = response.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    return data


def from_json(kind: Any, data: Json, like: Any) -> Any:
    """Returns an SDK object of this JSON, with the request id of another one."""
    made = kind.construct(**data)
    if getattr(like, "_request_id", None) is not None:
        made._request_id = like._request_id
    return made

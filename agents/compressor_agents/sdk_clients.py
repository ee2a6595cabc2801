"""Puts a `ExpandResolver` between an SDK client and its HTTP: the clients of openai and anthropic are made the same way.

Both send every request through their public `post`. A compressing client is an instance of a subclass of the caller's
own client class that overrides `post` for the paths of the APIs we know; it shares everything else with the original,
its connections too, and the original is not touched. `create`, `parse`, `stream`, `with_options` all work through it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from typing import Any

from compressor.providers import Json, ProviderApi
from compressor.providers.expand_resolver import ExpandResolver, ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.cost_report import CostReport

RAW = "X-Stainless-Raw-Response"  # the header by which the SDKs mark a request whose raw response is wanted
_REFUSED = (400, 413, 422)
_CLASSES: dict[tuple[type, type], type] = {}


def make_compressing_client(client: Any, mixin: type, resolver: ExpandResolver) -> Any:
    """A client like `client` of a subclass of its class."""
    own = type(client)
    wrapped: Any = object.__new__(_subclass(own, mixin))
    resources = {key for key in vars(client) if isinstance(getattr(own, key, None), cached_property)}
    vars(wrapped).update({key: value for key, value in vars(client).items() if key not in resources})
    wrapped._resolver = resolver
    return wrapped


def _subclass(own: type, mixin: type) -> Any:
    """One class for each pair, so that two clients of one class are wrapped in one class."""
    made = _CLASSES.get((own, mixin))
    if made is None:
        made = _CLASSES[own, mixin] = type(f"Compressing{own.__name__}", (mixin, own), {"__module__": own.__module__})
    return made


class CompressionMixin:
    """What the compressing clients have in common. apis: by the path they are reached under."""

    apis: Mapping[str, ProviderApi] = {}
    _resolver: ExpandResolver

    def cost_report(self) -> CostReport:
        """What all conversations of this client cost, and what they would have cost untouched."""
        return self._resolver.tracker.cost_report()

    def copy(self, **options: Any) -> Any:
        """As the client's own; the copy compresses too, and knows the same conversations."""
        made = super().copy(**options)  # type: ignore[misc]
        made._resolver = self._resolver
        return made

    with_options = copy

    def _read(self, path: str, options: Mapping[str, Any], body: Any) -> tuple[ProviderApi, Json] | None:
        """The request as JSON, if it is one we can read; None if it has to go out as it is."""
        api = self.apis.get(path)
        if api is None or not isinstance(body, Mapping):
            return None
        if RAW in (options.get("headers") or {}):
            self._resolver.fail_open.warn_once("not compressed: a raw response was asked for", "raw response")
            return None
        if options.get("extra_json"):
            body = {**body, **options["extra_json"]}
        return api, {key: _plain(value) for key, value in body.items() if not _missing(value)}


class SyncCompressionMixin(CompressionMixin):
    """For `OpenAI` and `AnthropicFormat`."""

    def post(self, path: str, *, body: Any = None, options: Any = None, stream: bool = False, **more: Any) -> Any:
        """As the client's own."""
        plain = super().post  # type: ignore[misc]
        options = dict(options or {})
        read = self._read(path, options, body)
        call = self._resolver.resolve(*read) if read else None
        if read is None or call is None:
            return plain(path, body=self._resolver.with_latest_response_id(body), options=options, stream=stream, **more)
        finished, key = options.pop("post_parser", None), options.get("idempotency_key")

        def send(body: Json) -> Any:
            given = options | {"extra_json": None, "idempotency_key": key if body is call.first_body else None}
            return plain(path, body=body, options=given, stream=stream, **more)

        try:
            response = send(call.body)
        except Exception as error:
            if getattr(error, "status_code", None) not in _REFUSED or call.body == read[1]:
                raise
            response = send(read[1])
            call.on_rejection(error)
            return finished(response) if finished else response
        if stream:
            return _stand_in(response, _Sync, _events(self._resolver, call, response, send))
        while _more(self._resolver, call, response):
            response = send(call.body)
        response = _shown(self._resolver, call, response)
        return finished(response) if finished else response


class AsyncCompressionMixin(CompressionMixin):
    """For `AsyncOpenAI` and `AsyncAnthropic`."""

    async def post(self, path: str, *, body: Any = None, options: Any = None, stream: bool = False, **more: Any) -> Any:
        """As the client's own."""
        plain = super().post  # type: ignore[misc]
        options = dict(options or {})
        read = self._read(path, options, body)
        call = await run_in_thread(self._resolver.resolve, *read) if read else None
        if read is None or call is None:
            return await plain(path, body=self._resolver.with_latest_response_id(body), options=options, stream=stream, **more)
        finished, key = options.pop("post_parser", None), options.get("idempotency_key")

        async def send(body: Json) -> Any:
            given = options | {"extra_json": None, "idempotency_key": key if body is call.first_body else None}
            return await plain(path, body=body, options=given, stream=stream, **more)

        try:
            response = await send(call.body)
        except Exception as error:
            if getattr(error, "status_code", None) not in _REFUSED or call.body == read[1]:
                raise
            response = await send(read[1])
            call.on_rejection(error)
            return finished(response) if finished else response
        if stream:
            return _stand_in(response, _Async, _async_events(self._resolver, call, response, send))
        while await run_in_thread(_more, self._resolver, call, response):
            response = await send(call.body)
        response = _shown(self._resolver, call, response)
        return finished(response) if finished else response


def _more(resolver: ExpandResolver, call: ResolvedCall, response: Any) -> bool:
    try:
        return call.on_response(_dumped(response))
    except Exception as error:
        resolver.fail_open.handle(error)
        return False


def _shown(resolver: ExpandResolver, call: ResolvedCall, response: Any) -> Any:
    """The last response as the caller gets it."""
    try:
        data = _dumped(response)
        shown = call.visible_turn(data)
        return response if shown is data else _made(type(response), shown, response)
    except Exception as error:
        resolver.fail_open.handle(error)
        return response


class _EventAdapter:
    """Between SDK events and JSON, with the filter in the middle. An error of ours lets the rest through unfiltered."""

    def __init__(self, resolver: ExpandResolver, call: ResolvedCall) -> None:
        self._resolver, self.call = resolver, call
        self._filter: Any = call.make_stream_filter()
        self._types: dict[Any, Any] = {}

    def feed(self, event: Any) -> list[Any]:
        if self._filter is None:
            return [event]
        try:
            data = _dumped(event)
            self._types[data.get("type")] = event
            out = self._filter.feed(data)
            return [event if one is data else self._event(one) for one in out]
        except Exception as error:
            self._filter = None
            self._resolver.fail_open.handle(error)
            return [event]

    def more(self) -> bool:
        if self._filter is None:
            return False
        try:
            return self.call.on_turn(self._filter.end_call())
        except Exception as error:
            self._resolver.fail_open.handle(error)
            return False

    def finish(self) -> list[Any]:
        return [self._event(one) for one in self._filter.flush()] if self._filter is not None else []

    def _event(self, data: Json) -> Any:
        like = self._types[data.get("type")]
        return _made(type(like), data, like)


def _events(resolver: ExpandResolver, call: ResolvedCall, stream: Any, send: Any) -> Iterator[Any]:
    shaper = _EventAdapter(resolver, call)
    try:
        while True:
            for event in stream:
                yield from shaper.feed(event)
            if not shaper.more():
                break
            stream = send(call.body)
        yield from shaper.finish()
    finally:
        stream.close()


async def _async_events(resolver: ExpandResolver, call: ResolvedCall, stream: Any, send: Any) -> AsyncIterator[Any]:
    shaper = _EventAdapter(resolver, call)
    try:
        while True:
            async for event in stream:
                for shaped in shaper.feed(event):
                    yield shaped
            if not await run_in_thread(shaper.more):
                break
            stream = await send(call.body)
        for shaped in shaper.finish():
            yield shaped
    finally:
        with contextlib.suppress(RuntimeError):  # the loop may be gone when an abandoned stream is collected
            await stream.close()


class _Sync:
    """A stream that yields other events than it receives."""

    _events: Any

    def __next__(self) -> Any:
        return next(self._events)

    def __iter__(self) -> Iterator[Any]:
        yield from self._events

    def close(self) -> None:
        """Closes the connection; what is left is not read."""
        self._events.close()
        super().close()  # type: ignore[misc]


class _Async:
    """A stream that yields other events than it receives."""

    _events: Any

    async def __anext__(self) -> Any:
        return await anext(self._events)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for event in self._events:
            yield event

    async def close(self) -> None:
        """Closes the connection; what is left is not read."""
        await self._events.aclose()
        await super().close()  # type: ignore[misc]


def _stand_in(stream: Any, mixin: type, events: Any) -> Any:
    """A stream of the SDK's own class, with its response, that yields `events`."""
    made: Any = object.__new__(_subclass(type(stream), mixin))
    vars(made).update(vars(stream))
    made._events = events
    return made


def _dumped(response: Any) -> Json:
    """An SDK object as the JSON it was made of."""
    data: Json = response.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    return data


def _made(kind: Any, data: Json, like: Any) -> Any:
    made = kind.construct(**data)
    if getattr(like, "_request_id", None) is not None:
        made._request_id = like._request_id
    return made


def _missing(value: Any) -> bool:
    """Whether this is how the SDKs say that a parameter was not given."""
    return type(value).__name__ in ("NotGiven", "Omit") and type(value).__module__.endswith("._types")


def _plain(value: Any) -> Any:
    """JSON data of dicts, lists and SDK objects, as the SDKs would send it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not _missing(item)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if getattr(value, "__pydantic_fields_set__", None) is not None and not isinstance(value, type):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    return value

"""Makes compressing clients for the SDKs of OpenAI and Anthropic, which are built the same way.

Both SDKs send every request through their public method `post`. A compressing client is an instance of a subclass of
the caller's own client class that overrides `post` for the API paths that can be compressed. It shares everything else
with the original, connections included, and the original does not change. So `create`, `parse`, `stream` and
`with_options` work unchanged.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from compressor.errors import CompressorError
from compressor.providers import Json, ProviderApi, is_context_overflow
from compressor.providers.expand_resolver import ExpandResolver, ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.cost_report import CostReport
from compressor_agents.options import make_tracker

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from compressor import Compressor
    from compressor.sessions.policy import Policy

#: The header by which the SDKs mark a request whose raw response the caller wants.
RAW_RESPONSE_HEADER = "X-Stainless-Raw-Response"
_REJECTED = (400, 413, 422)
_CLASSES: dict[tuple[type, type], type] = {}


class ClientOptions(TypedDict, total=False):
    """Options of `with_compression`, the same for every SDK.

    Attributes:
        budget: The limit of each request: tokens, a fraction of the model's window (a float below 1), or dollars such
            as "$0.02". The default None means 0.8 of the window.
        policy: What is compressed and when; None takes the defaults.
        session: A `Session` or its id, to which all calls belong. With None, a history belongs to the conversation
            whose messages it extends.
        expand: Whether the model gets the tool `expand_context` for texts that were cut (default True). Its calls are
            answered inside the client, and the caller does not see them.
        fail_open: True (the default) logs an error of the compressor and sends the caller's own request, or the
            smallest possible one if the budget is too small; False raises the error.
    """

    budget: int | float | str | None
    policy: Policy | None
    session: Any
    expand: bool
    fail_open: bool


def compress_client(
    client: Any,
    client_classes: tuple[type, type],
    apis: Mapping[str, ProviderApi],
    compressor: Compressor | None = None,
    **options: Unpack[ClientOptions],
) -> Any:
    """Returns a compressing client for `client`; see `with_compression` of each SDK's module.

    Args:
        client: The SDK's own client.
        client_classes: The SDK's synchronous and asynchronous client class.
        apis: The APIs that are compressed, by their path.
        compressor: Compresses and stores; None makes one with the defaults.
        **options: See `ClientOptions`.

    Raises:
        CompressorError: If `client` belongs to neither class, or an option is wrong.
    """
    synchronous, asynchronous = client_classes
    if not isinstance(client, client_classes):
        sdk = synchronous.__module__.partition(".")[0]
        names = f"{sdk}.{synchronous.__name__} or {sdk}.{asynchronous.__name__}"
        raise CompressorError(f"with_compression needs an instance of {names}, not {type(client).__name__}")
    tracker = make_tracker(compressor, options.get("budget"), options.get("policy"), options.get("session"))
    resolver = ExpandResolver(tracker, options.get("expand", True), options.get("fail_open", True))
    mixin = AsyncCompressionMixin if isinstance(client, asynchronous) else SyncCompressionMixin
    own = type(client)
    made: Any = object.__new__(_subclass(own, mixin))
    # Resources such as `client.chat` are bound to the original client, so the new one makes its own.
    resources = {key for key in vars(client) if isinstance(getattr(own, key, None), cached_property)}
    vars(made).update({key: value for key, value in vars(client).items() if key not in resources})
    made._resolver, made._apis = resolver, apis
    return made


def _subclass(own: type, mixin: type) -> Any:
    """Returns the one subclass for each pair, so that two clients of one class get the same class."""
    made = _CLASSES.get((own, mixin))
    if made is None:
        made = _CLASSES[own, mixin] = type(f"Compressing{own.__name__}", (mixin, own), {"__module__": own.__module__})
    return made


class CompressionMixin:
    """The common part of the synchronous and the asynchronous compressing client."""

    _resolver: ExpandResolver
    _apis: Mapping[str, ProviderApi]

    def cost_report(self) -> CostReport:
        """Returns what all conversations of this client cost, and what they would have cost uncompressed.

        Before the first call all counts are 0.
        """
        return self._resolver.tracker.cost_report()

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction kept and lost (see `Receipt`), for the conversations used last."""
        return self._resolver.tracker.receipts()

    def copy(self, **options: Any) -> Any:
        """Returns a copy as the SDK's own method does; it compresses too and shares the conversations."""
        made = super().copy(**options)  # type: ignore[misc]
        made._resolver, made._apis = self._resolver, self._apis
        return made

    with_options = copy

    def _read_request(self, path: str, options: Mapping[str, Any], body: Any) -> tuple[ProviderApi, Json] | None:
        """Returns the API and the request as JSON, or None if the request must be sent unchanged."""
        api = self._apis.get(path)
        if api is None or not isinstance(body, Mapping):
            return None
        if RAW_RESPONSE_HEADER in (options.get("headers") or {}):
            text = "the request was not compressed, because the caller wants the raw response"
            self._resolver.fail_open.warn_once(text, "raw response")
            return None
        if options.get("extra_json"):
            body = {**body, **options["extra_json"]}
        return api, {key: _to_plain(value) for key, value in body.items() if not _is_not_given(value)}


class SyncCompressionMixin(CompressionMixin):
    """Compresses the requests of a synchronous client."""

    def post(self, path: str, *, body: Any = None, options: Any = None, stream: bool = False, **more: Any) -> Any:
        """Sends a request as the SDK's own method does, compressed if the API is known."""
        plain = super().post  # type: ignore[misc]
        options = dict(options or {})
        request = self._read_request(path, options, body)
        call = self._resolver.resolve(*request) if request else None
        if request is None or call is None:
            return plain(
                path, body=self._resolver.with_latest_response_id(body), options=options, stream=stream, **more
            )
        parse, key = options.pop("post_parser", None), options.get("idempotency_key")

        def send(body: Json) -> Any:
            request_options = options | {
                "extra_json": None,
                "idempotency_key": key if body is call.first_body else None,
            }
            return plain(path, body=body, options=request_options, stream=stream, **more)

        try:
            response = _send_fitting(call, send)
        except Exception as error:
            is_rejected = getattr(error, "status_code", None) in _REJECTED and not _is_overflow(error)
            if not is_rejected or call.body == request[1]:
                raise
            response = send(request[1])
            call.on_rejection(error)
            return parse(response) if parse else response
        if stream:
            return _with_events(response, _SyncStreamMixin, _run_stream(self._resolver, call, response, send))
        while _needs_another_round(self._resolver, call, response):
            response = _send_fitting(call, send)
        response = _visible_response(self._resolver, call, response)
        return parse(response) if parse else response


class AsyncCompressionMixin(CompressionMixin):
    """Compresses the requests of an asynchronous client."""

    async def post(self, path: str, *, body: Any = None, options: Any = None, stream: bool = False, **more: Any) -> Any:
        """Sends a request as the SDK's own method does, compressed if the API is known."""
        plain = super().post  # type: ignore[misc]
        options = dict(options or {})
        request = self._read_request(path, options, body)
        call = await run_in_thread(self._resolver.resolve, *request) if request else None
        if request is None or call is None:
            return await plain(
                path, body=self._resolver.with_latest_response_id(body), options=options, stream=stream, **more
            )
        parse, key = options.pop("post_parser", None), options.get("idempotency_key")

        async def send(body: Json) -> Any:
            request_options = options | {
                "extra_json": None,
                "idempotency_key": key if body is call.first_body else None,
            }
            return await plain(path, body=body, options=request_options, stream=stream, **more)

        try:
            response = await _send_fitting_async(call, send)
        except Exception as error:
            is_rejected = getattr(error, "status_code", None) in _REJECTED and not _is_overflow(error)
            if not is_rejected or call.body == request[1]:
                raise
            response = await send(request[1])
            call.on_rejection(error)
            return parse(response) if parse else response
        if stream:
            return _with_events(response, _AsyncStreamMixin, _run_async_stream(self._resolver, call, response, send))
        while await run_in_thread(_needs_another_round, self._resolver, call, response):
            response = await _send_fitting_async(call, send)
        response = _visible_response(self._resolver, call, response)
        return parse(response) if parse else response


def _is_overflow(error: Exception) -> bool:
    """Returns whether the provider says that the prompt is too long."""
    text = f"{getattr(error, 'code', None)} {error}"
    return is_context_overflow(getattr(error, "status_code", None), text)


def _send_fitting(call: ResolvedCall, send: Callable[[Json], Any]) -> Any:
    """Sends the call's body, and a smaller one as often as the provider says that it is too long."""
    try:
        return send(call.body)
    except Exception as error:
        if not _is_overflow(error) or not call.shrink():
            raise
    return _send_fitting(call, send)


async def _send_fitting_async(call: ResolvedCall, send: Callable[[Json], Awaitable[Any]]) -> Any:
    """Sends the call's body, and a smaller one as often as the provider says that it is too long."""
    try:
        return await send(call.body)
    except Exception as error:
        if not _is_overflow(error) or not await run_in_thread(call.shrink):
            raise
    return await _send_fitting_async(call, send)


def _needs_another_round(resolver: ExpandResolver, call: ResolvedCall, response: Any) -> bool:
    try:
        return call.on_response(_to_json(response))
    except Exception as error:
        resolver.fail_open.handle(error)
        return False


def _visible_response(resolver: ExpandResolver, call: ResolvedCall, response: Any) -> Any:
    """Returns the last response as the caller sees it."""
    try:
        data = _to_json(response)
        visible = call.visible_turn(data)
        return response if visible is data else _from_json(type(response), visible, response)
    except Exception as error:
        resolver.fail_open.handle(error)
        return response


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
            data = _to_json(event)
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
        return _from_json(type(like), data, like)


def _run_stream(resolver: ExpandResolver, call: ResolvedCall, stream: Any, send: Any) -> Iterator[Any]:
    adapter = _EventAdapter(resolver, call)
    try:
        while True:
            for event in stream:
                yield from adapter.feed(event)
            if not adapter.needs_another_round():
                break
            stream = _send_fitting(call, send)
        yield from adapter.finish()
    finally:
        stream.close()


async def _run_async_stream(resolver: ExpandResolver, call: ResolvedCall, stream: Any, send: Any) -> AsyncIterator[Any]:
    adapter = _EventAdapter(resolver, call)
    try:
        while True:
            async for event in stream:
                for adapted in adapter.feed(event):
                    yield adapted
            if not await run_in_thread(adapter.needs_another_round):
                break
            stream = await _send_fitting_async(call, send)
        for adapted in adapter.finish():
            yield adapted
    finally:
        with contextlib.suppress(RuntimeError):  # the event loop may be closed when an abandoned stream is collected
            await stream.close()


class _SyncStreamMixin:
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


class _AsyncStreamMixin:
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


def _with_events(stream: Any, mixin: type, events: Any) -> Any:
    """Returns a stream of the SDK's own class, with its response, that yields `events`."""
    made: Any = object.__new__(_subclass(type(stream), mixin))
    vars(made).update(vars(stream))
    made._events = events
    return made


def _to_json(response: Any) -> Json:
    """Returns the JSON that an SDK object was made of."""
    data: Json = response.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    return data


def _from_json(kind: Any, data: Json, like: Any) -> Any:
    made = kind.construct(**data)
    if getattr(like, "_request_id", None) is not None:
        made._request_id = like._request_id
    return made


def _is_not_given(value: Any) -> bool:
    """Returns whether the value is the SDKs' marker of a parameter that was not given."""
    return type(value).__name__ in ("NotGiven", "Omit") and type(value).__module__.endswith("._types")


def _to_plain(value: Any) -> Any:
    """Returns dicts, lists and SDK objects as the JSON data that the SDKs would send."""
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items() if not _is_not_given(item)}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    if getattr(value, "__pydantic_fields_set__", None) is not None and not isinstance(value, type):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    return value

"""Makes compressing clients for the SDKs of OpenAI and Anthropic, which are built the same way.

Both SDKs send every request through their public method `post`. A compressing client is an instance of a subclass of
the caller's own client class that overrides `post` for the API paths that can be compressed. It shares everything else
with the original, connections included, and the original does not change. So `create`, `parse`, `stream` and
`with_options` work unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from compressor.errors import CompressorError
from compressor.providers import Json, ProviderApi
from compressor.providers.expand_resolver import ExpandResolver, ResolvedCall
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.cost_report import CostReport
from compressor_agents.options import make_prompt_budgets, make_tracker
from compressor_agents.sdk_streams import (
    AsyncStreamMixin,
    SyncStreamMixin,
    from_json,
    is_overflow,
    make_subclass,
    run_async_stream,
    run_stream,
    send_fitting,
    send_fitting_async,
    to_json,
    with_events,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from compressor import Compressor
    from compressor.sessions.policy import Policy

#: The header by which the SDKs mark a request whose raw response the caller wants.
RAW_RESPONSE_HEADER = "X-Stainless-Raw-Response"
_REJECTED = (400, 413, 422)


class ClientOptions(TypedDict, total=False):
    """Options of `with_compression`, the same for every SDK.

    Attributes:
        budget: The limit of each request: tokens, a fraction of the model's window (a float below 1), or dollars such
            as "$0.02". The default None means 0.8 of the window.
        policy: What is compressed and when; None takes the defaults.
        session: A `Session` or its id, to which all calls belong. With None, a history belongs to the conversation
            whose messages it extends.
        expand: Whether the model gets the tools `expand_context` and `recall_context` for texts that were removed
            (default True). Their calls are answered inside the client, and the caller does not see them.
        tools_budget: The limit of the tool schemas alone: tokens, or a fraction of them. A request lists the tools that
            the task needs, shortened if that is enough, and a tool `find_tool` that finds the others and is answered
            inside the client. The list changes as little as possible. None (the default) lists all tools.
        pinned_tools: The names of tools that are always listed unchanged.
        examples_budget: The limit of the worked examples in the system prompt and the first messages: tokens, or a
            fraction of them. They are chosen for the first request of a conversation and then stay the same. None (the
            default) keeps all.
        fail_open: True (the default) logs an error of the compressor and sends the caller's own request, or the
            smallest possible one if the budget is too small; False raises the error.
    """

    budget: int | float | str | None
    policy: Policy | None
    session: Any
    expand: bool
    tools_budget: int | float | str | None
    pinned_tools: Collection[str]
    examples_budget: int | float | str | None
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
    examples_budget = options.get("examples_budget")
    budgets = make_prompt_budgets(options.get("tools_budget"), options.get("pinned_tools", ()), examples_budget)
    expand, fail_open = options.get("expand", True), options.get("fail_open", True)
    resolver = ExpandResolver(tracker, expand, fail_open, budgets=budgets)
    mixin = AsyncCompressionMixin if isinstance(client, asynchronous) else SyncCompressionMixin
    own = type(client)
    made: Any = object.__new__(make_subclass(own, mixin))
    # Resources such as `client.chat` are bound to the original client, so the new one makes its own.
    resources = {key for key in vars(client) if isinstance(getattr(own, key, None), cached_property)}
    vars(made).update({key: value for key, value in vars(client).items() if key not in resources})
    made._resolver, made._apis = resolver, apis
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
            response = send_fitting(call, send)
        except Exception as error:
            is_rejected = getattr(error, "status_code", None) in _REJECTED and not is_overflow(error)
            if not is_rejected or call.body == request[1]:
                raise
            response = send(request[1])
            call.on_rejection(error)
            return parse(response) if parse else response
        if stream:
            return with_events(response, SyncStreamMixin, run_stream(self._resolver, call, response, send))
        while _needs_another_round(self._resolver, call, response):
            response = send_fitting(call, send)
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
            response = await send_fitting_async(call, send)
        except Exception as error:
            is_rejected = getattr(error, "status_code", None) in _REJECTED and not is_overflow(error)
            if not is_rejected or call.body == request[1]:
                raise
            response = await send(request[1])
            call.on_rejection(error)
            return parse(response) if parse else response
        if stream:
            return with_events(response, AsyncStreamMixin, run_async_stream(self._resolver, call, response, send))
        while await run_in_thread(_needs_another_round, self._resolver, call, response):
            response = await send_fitting_async(call, send)
        response = _visible_response(self._resolver, call, response)
        return parse(response) if parse else response


def _needs_another_round(resolver: ExpandResolver, call: ResolvedCall, response: Any) -> bool:
    try:
        return call.on_response(to_json(response))
    except Exception as error:
        resolver.fail_open.handle(error)
        return False


def _visible_response(resolver: ExpandResolver, call: ResolvedCall, response: Any) -> Any:
    """Returns the last response as the caller sees it."""
    try:
        data = to_json(response)
        visible = call.visible_turn(data)
        return response if visible is data else from_json(type(response), visible, response)
    except Exception as error:
        resolver.fail_open.handle(error)
        return response


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

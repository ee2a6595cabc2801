"""Sends OpenTelemetry traces over OTLP/HTTP, if that is configured.

A request's span contains spans of compression, of store calls, and of the provider's answer until its end. A caller's
W3C trace is continued, and passed on to the provider. Spans have no content, and no messages of errors, which may quote
some.

OpenTelemetry's own variables configure it (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, ...). Without them, and
without the setting `otel`, OpenTelemetry is not imported and a span costs one lookup of a context variable.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from compressor.errors import CompressorError, MissingDependencyError
from compressor.service.telemetry.records import RequestRecord, known_method, pseudonym

log = logging.getLogger("compressor.service")
FLUSH_TIMEOUT = 3.0  # seconds to send the last spans when the service ends
MAX_MODEL_CHARS = 100  # of a model name that a client sends
_OPERATIONS = ("put", "get", "get_many", "read_log", "append_log", "drop_log")
_PROVIDERS = {"/v1/chat/completions": "openai", "/v1/responses": "openai", "/v1/messages": "anthropic"}
_PARENTS = (b"traceparent", b"tracestate")

_TRACER: ContextVar[Any] = ContextVar("TRACER", default=None)
_NOTHING: AbstractContextManager[None] = nullcontext()

Headers = list[tuple[bytes, bytes]]


def is_enabled(otel: bool | None, env: Mapping[str, str]) -> bool:
    """Returns whether to send traces.

    Args:
        otel: The setting `otel`; None follows the environment.
        env: The environment, with OpenTelemetry's variables.

    Raises:
        CompressorError: The environment asks for an exporter or a protocol that is not supported.
    """
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    named = exporter or env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none"
    if otel is False or disabled or not (otel or named):
        return False
    if exporter not in ("", "otlp"):
        raise CompressorError(
            f"OTEL_TRACES_EXPORTER={exporter!r} is not supported: use otlp, or none to send no traces"
        )
    protocol = env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
    if protocol not in ("", "http/protobuf"):
        raise CompressorError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not supported: use http/protobuf with the collector's HTTP "
            "endpoint (usually port 4318), or switch traces off with the setting otel=false"
        )
    return True


class Tracing:
    """The tracer of one service. Call `close` at the end.

    Raises:
        MissingDependencyError: The packages of the extra "otel" are not installed.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise MissingDependencyError("opentelemetry-sdk with its OTLP exporter", "otel") from None
        from compressor._version import __version__

        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        attributes = {"service.version": __version__, **({} if named else {"service.name": "agentic-compressor"})}
        # A provider of its own: an application that embeds the service may have set a global one.
        self._provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("compressor.service", __version__)
        self._stores: set[int] = set()

    def request(self, record: RequestRecord, headers: Headers) -> AbstractContextManager[None]:
        """Returns the span of a request, as a context manager; the final `record` becomes its attributes."""
        return _request(self._tracer, record, headers)

    def trace_store(self, store: Any) -> None:
        """Makes every call of this store a span from now on."""
        if id(store) in self._stores:
            return
        self._stores.add(id(store))
        for name in _OPERATIONS:
            if (method := getattr(store, name, None)) is not None:
                setattr(store, name, partial(_stored, method, name, type(store).__name__))

    def close(self) -> None:
        """Sends the remaining spans, for at most `FLUSH_TIMEOUT` seconds."""
        # The SDK's own shutdown waits half a minute for a collector that does not answer.
        ending = threading.Thread(target=self._provider.shutdown, name="compressor-traces", daemon=True)
        ending.start()
        ending.join(FLUSH_TIMEOUT)
        if ending.is_alive():
            log.warning("the last traces could not be sent")


def span(name: str, attributes: Mapping[str, Any] | None = None) -> AbstractContextManager[Any]:
    """Returns a span around a step of the current request; without a trace, a context manager that does nothing."""
    tracer = _TRACER.get()
    return _NOTHING if tracer is None else _span(tracer, name, attributes)


def upstream_span(method: str, path: str, url: str, model: str) -> UpstreamSpan | None:
    """Returns the span of a request to the provider, or None if the current request is not traced."""
    tracer = _TRACER.get()
    return None if tracer is None else UpstreamSpan(tracer, method, path, url, model)


class UpstreamSpan:
    """A span from the request to the provider until the end of its answer.

    Names and attributes follow OpenTelemetry's semantic conventions for generative AI.

    Args:
        tracer: The tracer.
        method: The HTTP method.
        path: The path of the request.
        url: The provider's base URL.
        model: The model that the request names.
    """

    def __init__(self, tracer: Any, method: str, path: str, url: str, model: str) -> None:
        from opentelemetry.trace import SpanKind

        parts = urlsplit(url)
        attributes: dict[str, Any] = {
            "http.request.method": known_method(method),
            "server.address": parts.hostname or "",
        }
        if parts.port:
            attributes["server.port"] = parts.port
        name = "upstream"
        if method == "POST" and (provider := _PROVIDERS.get(path)):
            model = model[:MAX_MODEL_CHARS]
            name = f"chat {model}".strip()
            attributes |= {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
            }
        self._span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def headers(self, headers: Headers) -> Headers:
        """Returns the request's headers with this span as the parent of the provider's."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._span))
        kept = [(name, value) for name, value in headers if name not in _PARENTS]
        return kept + [(name.encode(), value.encode()) for name, value in carrier.items()]

    def on_response(self, response: httpx.Response) -> None:
        """Records the status of the answer; the span ends when the answer is closed."""
        self._span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= 400:
            self._fail(str(response.status_code))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _NotifyingStream(response.stream, self._span.end)

    def on_error(self, kind: str) -> None:
        """Ends the span, because there is no answer."""
        self._fail(kind)
        self._span.end()

    def _fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


class _NotifyingStream(httpx.AsyncByteStream):
    """A stream that calls a function when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, closed: Callable[[], None]) -> None:
        self._stream, self._closed = stream, closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._closed()


@contextmanager
def _request(tracer: Any, record: RequestRecord, headers: Headers) -> Iterator[None]:
    from opentelemetry import context
    from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {name.decode(): value.decode("latin-1") for name, value in headers if name in _PARENTS}
    parent = TraceContextTextMapPropagator().extract(carrier, context.Context())
    made = tracer.start_span(record.method, parent, SpanKind.SERVER)
    record.trace = format(made.get_span_context().trace_id, "032x")
    token, ours = context.attach(set_span_in_context(made, parent)), _TRACER.set(tracer)
    try:
        yield
    finally:
        _TRACER.reset(ours)
        context.detach(token)
        if made.is_recording():
            made.update_name(f"{record.method} {record.route}")
            made.set_attributes(_attributes(record))
            if record.status >= 500 or not record.status:
                made.set_attribute("error.type", str(record.status or "disconnected"))
                made.set_status(StatusCode.ERROR)
        made.end()


def _attributes(record: RequestRecord) -> dict[str, Any]:
    out: dict[str, Any] = {"http.request.method": record.method, "http.route": record.route}
    out |= {"http.response.status_code": record.status} if record.status else {}
    out |= {"compressor.tenant": record.tenant, "compressor.request_id": record.id}
    if record.reasons:
        out["compressor.warnings"] = record.reasons
    if record.first_token_seconds is not None:
        out["compressor.first_token_seconds"] = record.first_token_seconds
    if (event := record.compression) is not None and event.is_compression:
        out |= {"compressor.tokens.before": event.tokens_before, "compressor.tokens.after": event.tokens_after}
        out |= {"compressor.saved_dollars": event.saved, "compressor.tier": event.tier}
        if event.cache:
            out["compressor.cache"] = event.cache
        if event.session:
            out["gen_ai.conversation.id"] = pseudonym(event.tenant, event.session)
    return out


@contextmanager
def _span(tracer: Any, name: str, attributes: Mapping[str, Any] | None) -> Iterator[Any]:
    from opentelemetry.trace import StatusCode

    quiet = {"record_exception": False, "set_status_on_exception": False}  # they would record the error's message
    with tracer.start_as_current_span(name, attributes=attributes, **quiet) as made:
        try:
            yield made
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            made.set_status(StatusCode.ERROR)
            raise


def _stored(method: Callable[..., Any], name: str, store: str, *args: Any, **options: Any) -> Any:
    with span(f"store {name}", {"db.operation.name": name, "compressor.storage": store}):
        return method(*args, **options)

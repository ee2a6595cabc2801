"""Traces, sent by OpenTelemetry over OTLP/HTTP where it is configured: a span for each request, and in it those of
compressing, of the store, and of the provider's answer until its end. A caller's W3C trace is continued, and goes on to
the provider. No content, and no message of an error, which may quote some.

Configured by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, ...). Without them, and
without `Config.otel`, nothing of OpenTelemetry is imported and a span is one look at a context variable.
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
from compressor.service.telemetry.logging import RequestRecord, known_method, pseudonym

log = logging.getLogger("compressor.service")
FLUSH_TIMEOUT = 3.0  # seconds that the last spans have to be sent when the service ends
LONGEST = 100  # characters of a client's word for a model
_OPERATIONS = ("put", "get", "get_many", "read_log", "append_log", "drop_log")
_PROVIDERS = {"/v1/chat/completions": "openai", "/v1/responses": "openai", "/v1/messages": "anthropic"}
_PARENTS = (b"traceparent", b"tracestate")

_TRACER: ContextVar[Any] = ContextVar("TRACER", default=None)
_NOTHING: AbstractContextManager[None] = nullcontext()

Headers = list[tuple[bytes, bytes]]


def is_enabled(otel: bool | None, env: Mapping[str, str]) -> bool:
    """Whether traces are to be sent: `Config.otel`, or where that says nothing, the environment. CompressorError for a
    way to send them that there is not."""
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    named = exporter or env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none"
    if otel is False or disabled or not (otel or named):
        return False
    if exporter not in ("", "otlp"):
        raise CompressorError(f"traces are sent by otlp, not by OTEL_TRACES_EXPORTER={exporter!r}; none: not at all")
    protocol = env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
    if protocol not in ("", "http/protobuf"):
        raise CompressorError(
            f"traces are sent as http/protobuf, not as OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r}: name the collector's "
            "HTTP endpoint (port 4318 as a rule), or switch them off with otel: false"
        )
    return True


class Tracing:
    """One service's tracer. `close` it in the end."""

    def __init__(self) -> None:
        """MissingDependencyError without the packages of the extra "otel"."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise MissingDependencyError("opentelemetry-sdk with its OTLP exporter", "otel") from None
        from compressor._version import __version__

        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        about = {"service.version": __version__, **({} if named else {"service.name": "agentic-compressor"})}
        # Our own, not the process's: who embeds the service may have one.
        self._provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("compressor.service", __version__)
        self._stores: set[int] = set()

    def request(self, record: RequestRecord, headers: Headers) -> AbstractContextManager[None]:
        """The span of a request, around all that is done for it; what `record` has in the end becomes its
        attributes."""
        return _request(self._tracer, record, headers)

    def trace_store(self, store: Any) -> None:
        """From here on every call of this store is a span."""
        if id(store) in self._stores:
            return
        self._stores.add(id(store))
        for name in _OPERATIONS:
            if (method := getattr(store, name, None)) is not None:
                setattr(store, name, partial(_stored, method, name, type(store).__name__))

    def close(self) -> None:
        """Sends what is left, for `CLOSING` seconds at most."""
        # The SDK's own shutdown waits half a minute for a collector that is gone.
        ending = threading.Thread(target=self._provider.shutdown, name="compressor-traces", daemon=True)
        ending.start()
        ending.join(FLUSH_TIMEOUT)
        if ending.is_alive():
            log.warning("the last traces could not be sent")


def span(name: str, attributes: Mapping[str, Any] | None = None) -> AbstractContextManager[Any]:
    """A span around a step of the request at hand, in its threads too; nothing where it is not traced."""
    tracer = _TRACER.get()
    return _NOTHING if tracer is None else _span(tracer, name, attributes)


def upstream_span(method: str, path: str, url: str, model: str) -> UpstreamSpan | None:
    """The span of a question to the provider; None where the request is not traced."""
    tracer = _TRACER.get()
    return None if tracer is None else UpstreamSpan(tracer, method, path, url, model)


class UpstreamSpan:
    """From the question until the end of the answer. Named and described as OpenTelemetry's conventions for calls of
    generative models have it."""

    def __init__(self, tracer: Any, method: str, path: str, url: str, model: str) -> None:
        from opentelemetry.trace import SpanKind

        parts = urlsplit(url)
        about: dict[str, Any] = {"http.request.method": known_method(method), "server.address": parts.hostname or ""}
        if parts.port:
            about["server.port"] = parts.port
        name = "upstream"
        if method == "POST" and (provider := _PROVIDERS.get(path)):
            model = model[:LONGEST]
            name = f"chat {model}".strip()
            about |= {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
        self._span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=about)

    def headers(self, headers: Headers) -> Headers:
        """The question's headers, with this span as the provider's parent."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._span))
        kept = [(name, value) for name, value in headers if name not in _PARENTS]
        return kept + [(name.encode(), value.encode()) for name, value in carrier.items()]

    def on_response(self, response: httpx.Response) -> None:
        """The answer has begun; the span ends when it is closed."""
        self._span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= 400:
            self._fail(str(response.status_code))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Until(response.stream, self._span.end)

    def on_error(self, kind: str) -> None:
        """There is no answer, for this kind of error."""
        self._fail(kind)
        self._span.end()

    def _fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


class _Until(httpx.AsyncByteStream):
    """A stream that says when it is closed."""

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
    if (work := record.work) is not None:
        out |= {"compressor.tokens.before": work.tokens_before, "compressor.tokens.after": work.tokens_after}
        out |= {"compressor.saved_dollars": work.saved, "compressor.tier": work.tier}
        if work.cache:
            out["compressor.cache"] = work.cache
        if work.session:
            out["gen_ai.conversation.id"] = pseudonym(work.tenant, work.session)
    return out


@contextmanager
def _span(tracer: Any, name: str, attributes: Mapping[str, Any] | None) -> Iterator[Any]:
    from opentelemetry.trace import StatusCode

    quiet = {"record_exception": False, "set_status_on_exception": False}  # they write down what the error says
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

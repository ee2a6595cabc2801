"""The service's traces: from the caller through us to the provider, with the real SDK and a real receiver."""

from __future__ import annotations

import gzip
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from compressor import CompressorError, MissingDependencyError
from support.client_tools import LOG, TASK
from support.scripted_server import Fail, Reply, ScriptedServer, Usage
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.telemetry import records
from compressor.service.telemetry.logging import start_record
from compressor.service.telemetry.tracing import Tracing, is_enabled, span
from support.service_tools import Service, history, two_tenants
from support.telemetry_tools import lines


class Collector:
    """An OTLP/HTTP receiver on a free port: keeps the spans it is sent."""

    def __init__(self, status: int = 200) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.raw = b""
        ours = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    ours.resources.append(values_of(group.resource.attributes))
                    ours.spans += [one for scope in group.scope_spans for one in scope.spans]
                ours.raw += body
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def values_of(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def otel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets OpenTelemetry's variables."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)

    def set_to(url: str, **more: str) -> None:
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100", **more}
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    return set_to


TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_proxied_request_is_one_trace_from_the_caller_to_the_provider(otel: Callable[..., None]) -> None:
    keys, known = two_tenants()
    script = [Reply("One."), Reply("Two.", usage=Usage(900, 300, 5))]
    with Collector() as collector, ScriptedServer(script, extends=None) as provider:
        otel(collector.url, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
        with Service(upstream=provider.url, **known) as service, lines() as seen:
            head = {"x-compressor-key": keys["red"], "x-compressor-session": "alices-divorce"}
            head |= {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=1"}
            for stream in (False, True):
                body = {"model": "gpt-4o", "messages": history(), "stream": stream}
                answer = service.http.post("/v1/chat/completions", json=body, headers=head)
                assert answer.status_code == 200 and answer.headers["x-compressor-trace-id"] == TRACE
            found = wait_for(lambda: [line for line in seen() if line["event"] == "request"][1:])
            assert found[0]["trace_id"] == TRACE
        spans = list(collector.spans)  # closing has sent the last ones
    assert collector.resources[0]["service.name"] == "agentic-compressor"
    assert collector.resources[0]["deployment.environment.name"] == "test"
    assert {one.trace_id.hex() for one in spans} == {TRACE}
    by_id = {one.span_id: one for one in spans}
    servers = [one for one in spans if one.name == "POST /v1/chat/completions"]
    assert [one.parent_span_id.hex() for one in servers] == ["b7ad6b7169203331"] * 2
    about = values_of(servers[0].attributes)
    assert about["compressor.tenant"] == "red" and about["http.response.status_code"] == 200
    assert about["compressor.tokens.after"] < about["compressor.tokens.before"]
    assert about["gen_ai.conversation.id"] == records.pseudonym("red", "alices-divorce")
    works = [one for one in spans if one.name == "work"]
    calls = [one for one in spans if one.name == "chat gpt-4o"]
    assert len(works) == len(calls) == 2
    for one in (*works, *calls):
        assert by_id[one.parent_span_id] in servers
    for one, request in zip(calls, provider.requests, strict=True):
        about = values_of(one.attributes)
        assert about["gen_ai.provider.name"] == "openai" and about["gen_ai.operation.name"] == "chat"
        assert about["server.address"] == "127.0.0.1" and about["http.response.status_code"] == 200
        assert request.headers["traceparent"] == f"00-{TRACE}-{one.span_id.hex()}-01"
        assert request.headers["tracestate"] == "vendor=1"
        parent = by_id[one.parent_span_id]
        assert parent.start_time_unix_nano <= one.start_time_unix_nano < one.end_time_unix_nano
        assert one.end_time_unix_nano <= parent.end_time_unix_nano  # to the end of the stream, and ended
    stored = [one for one in spans if one.name.startswith("store ")]
    assert stored and all(by_id[one.parent_span_id].name in ("work", *(c.name for c in servers)) for one in stored)
    assert any(by_id[one.parent_span_id].name == "work" for one in stored)
    for secret in (b"divorce", TASK[:30].encode(), LOG[:40].encode(), keys["red"].encode()):
        assert secret not in collector.raw


def test_a_provider_that_fails_is_in_the_trace_and_keeps_its_own_id(otel: Callable[..., None]) -> None:
    script = [Fail(429, "slow down", headers={"x-request-id": "req_theirs"})]
    with Collector() as collector, ScriptedServer(script) as provider:
        otel(collector.url)
        body = {"model": "gpt-4o", "messages": history()}
        with Service(upstream=provider.url, upstream_anthropic="http://127.0.0.1:9") as service:
            head = {"x-request-id": "ours-1"}
            answer = service.http.post("/v1/chat/completions", json=body, headers=head)
            assert answer.status_code == 429 and answer.headers["x-request-id"] == "req_theirs"
            assert answer.headers["x-compressor-request-id"] == "ours-1"
            claude = {"model": "claude-sonnet-5", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
            assert service.http.post("/v1/messages", json=claude).status_code == 502
    calls = {one.name: values_of(one.attributes) for one in collector.spans if one.kind == 3}  # CLIENT
    assert calls["chat gpt-4o"]["error.type"] == "429"
    assert calls["chat claude-sonnet-5"]["error.type"] == "upstream_unreachable"
    assert calls["chat claude-sonnet-5"]["gen_ai.provider.name"] == "anthropic"
    assert b"slow down" not in collector.raw


def test_our_own_api_is_traced_and_probes_are_not(otel: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        otel(collector.url, OTEL_SERVICE_NAME="front")
        with Service() as service:
            service.http.get("/healthz")
            service.http.get("/metrics")
            body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
            answer = service.http.post("/v1/compress", json=body)
            assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-compressor-trace-id"])

            def fails(*_: Any, **__: Any) -> Any:
                raise ZeroDivisionError(TASK)

            monkeypatch.setattr(service.gate._tenants.get("local").compressor, "compress", fails)
            assert service.http.post("/v1/compress", json={**body, "query": "x"}).status_code == 500
    requests = [one for one in collector.spans if one.kind == 2]  # SERVER
    assert [one.name for one in requests] == ["POST /v1/compress"] * 2 and collector.resources[0][
        "service.name"
    ] == "front"
    failed = values_of(requests[1].attributes)
    assert failed["error.type"] == "500" and requests[1].status.code == 2
    works = {one.parent_span_id: values_of(one.attributes) for one in collector.spans if one.name == "work"}
    assert works[requests[0].span_id] == {"code.function.name": "compress"}
    assert works[requests[1].span_id]["error.type"] == "ZeroDivisionError"
    assert TASK[:30].encode() not in collector.raw and not any(one.events for one in collector.spans)


def test_without_a_collector_requests_are_served_and_the_end_is_bounded(
    otel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compressor.service.telemetry.tracing.FLUSH_TIMEOUT", 0.3)
    with socket.socket() as deaf:  # takes connections, and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        otel(f"http://127.0.0.1:{deaf.getsockname()[1]}", OTEL_BSP_SCHEDULE_DELAY="10")
        with Service() as service:
            for _ in range(5):
                start = time.perf_counter()
                assert service.http.get("/v1/retrieve/000000000000").status_code == 404
                assert time.perf_counter() - start < 8  # the exporter waits for ten seconds
            time.sleep(0.05)
            start = time.perf_counter()
        assert time.perf_counter() - start < 8
    otel("http://127.0.0.1:9")  # nobody there
    tracing = Tracing()
    with tracing.request(start_record("GET", b""), [(b"traceparent", b"nonsense")]), span("work"):
        pass
    start = time.perf_counter()
    tracing.close()
    assert time.perf_counter() - start < 8


def test_when_traces_are_wanted() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
    assert (
        not is_enabled(None, {})
        and is_enabled(True, {})
        and is_enabled(None, endpoint)
        and not is_enabled(False, endpoint)
    )
    assert is_enabled(None, {"OTEL_TRACES_EXPORTER": "otlp"}) and not is_enabled(True, {"OTEL_SDK_DISABLED": "true"})
    assert not is_enabled(None, {**endpoint, "OTEL_TRACES_EXPORTER": "none"})
    assert is_enabled(None, {**endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    for bad in ({"OTEL_TRACES_EXPORTER": "zipkin"}, {**endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}):
        with pytest.raises(CompressorError, match="OTEL_"):
            is_enabled(None, bad)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingDependencyError, match=r"agentic-compressor\[otel\]"):
        Service(otel=True)


def test_switched_off_it_costs_nothing() -> None:
    code = (
        "import sys; from compressor.service.app import create_app; from compressor.service.settings import Settings\n"
        "create_app(Settings(store='memory'))\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=env)
    assert done.stdout.strip() == "[]"

    def step() -> None:
        with span("work"):
            pass

    assert min(timeit.repeat(step, number=1000, repeat=5)) / 1000 < 5e-6  # seconds; some 0.3 µs here

"""What the service tells about itself: its log, its metrics, its traces. On real servers, with the real SDK and real
processes."""

from __future__ import annotations

import gzip
import http.server
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from client_tools import LOG, TASK
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import Fail, Reply, ScriptedServer, Usage

from compressor import CompressorError, MissingExtra, errors
from compressor.caching import AWAY

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families
from service_tools import Service, two_tenants

from compressor.scoring.batching import Lane, Limits
from compressor.service.config import Config, load
from compressor.service.problems import snake
from compressor.service.telemetry import logs, reasons
from compressor.service.telemetry.metrics import Metrics, Work
from compressor.service.telemetry.saving import CALLS, ENOUGH
from compressor.service.telemetry.tracing import Tracing, span, wanted
from compressor.store.guarded import Health
from compressor.threads import WAITED

DOCS = Path(__file__).parent.parent / "docs" / "observability.md"
SECRET = "sk-proj-" + "q7Zt0Xc9LmB2vR5kWy8NpJ4hGd6s"  # nobody's


def history(text: str = LOG) -> list[dict[str, Any]]:
    call = {"id": "call_1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
    return [
        {"role": "user", "content": TASK},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": text},
    ]


@contextmanager
def lines(level: int = logging.DEBUG) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the service writes in the meantime, as `compressor serve` would."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs._Lines())
    logger = logging.getLogger("compressor.service")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def wait_for(done: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
    return found


# -- the log


def test_a_request_is_one_line_with_what_was_done_and_no_content() -> None:
    keys, known = two_tenants()
    with Service(**known) as service, lines() as seen:
        head = {"x-compressor-key": keys["red"], "x-request-id": "trace-me/42"}
        body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
        answer = service.http.post("/v1/compress", json=body, headers=head)
        assert answer.headers["x-request-id"] == answer.headers["x-compressor-request-id"] == "trace-me/42"
        told = {"messages": history(), "model": "gpt-4o"}
        service.http.post("/v1/sessions/alices-divorce/append", json=told, headers=head)
        service.http.post("/v1/sessions/alices-divorce/view", json={}, headers=head)
        service.http.get("/v1/retrieve/000000000000", headers=head)
        service.http.get("/healthz", headers=head)
        service.http.get("/v1/compress")
        found = wait_for(lambda: [line for line in seen() if line["event"] == "request"][5:] and seen())
    compressed, _, viewed, missing, probe, stranger = (line for line in found if line["event"] == "request")
    made = answer.json()
    assert compressed["id"] == "trace-me/42" and compressed["tenant"] == "red" and compressed["status"] == 200
    assert (compressed["tokens_before"], compressed["tokens_after"]) == (made["tokens_before"], made["tokens_after"])
    assert compressed["route"] == "/v1/compress" and compressed["tier"] == "fast" and compressed["ms"] > 0
    assert viewed["session"] == logs.pseudonym("red", "alices-divorce") != logs.pseudonym("blue", "alices-divorce")
    levels = [line["level"] for line in (compressed, missing, probe, stranger)]
    assert levels == ["info", "warning", "debug", "warning"]
    assert stranger["tenant"] == "-" and stranger["status"] == 401
    text = json.dumps(found)
    assert "divorce" not in text and TASK[:20] not in text and keys["red"] not in text


@given(st.text(max_size=150))
def test_nothing_that_a_client_sends_makes_a_second_line(sent: str) -> None:
    record = logs.began(sent, sent.encode("latin-1", "replace"))
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,99}", record.id)
    assert record.method in ("_OTHER", *logs._METHODS)
    written = logging.LogRecord("x", logging.INFO, "", 1, sent, None, None)
    written.data = {**record.data(0.1), "route": sent}
    line = logs._Lines().format(written)
    assert line.isascii() and line.isprintable() and len(line.splitlines()) == 1
    assert json.loads(line)["route"] == sent


def test_ids_that_are_none_are_not_taken_over() -> None:
    for bad in ("", "a\nb", "a b", "x" * 101, "ä", "{{7*7}}", "-"):
        assert len(logs.began("GET", bad.encode()).id) == 16
    assert logs.began("GET", b"Root=1-67891233-abcdef012345678912345678").id.startswith("Root=1-")


def test_content_is_logged_where_it_is_asked_for_without_secrets() -> None:
    text = f"{'The quick brown fox. ' * 40}My key is {SECRET} and the rest {'is long. ' * 300}"
    body = {"messages": [{"role": "user", "content": text}], "model": "gpt-4o", "budget": 5000}
    for asked, level in ((True, logging.DEBUG), (True, logging.INFO), (False, logging.DEBUG)):
        with Service(log_content=asked) as service, lines(level) as seen:
            assert service.http.post("/v1/compress", json=body).status_code == 200
            time.sleep(0.05)
            found = seen()
        shown = [line["body"] for line in found if line["event"] == "content"]
        assert len(shown) == (asked and level == logging.DEBUG)
        assert SECRET not in json.dumps(found)
        assert all("quick brown" in one and "[redacted:" in one and len(one) == logs.SHOWN + 1 for one in shown)


def test_switches_are_read_from_the_environment() -> None:
    found = load(env={"COMPRESSOR_LOG_CONTENT": "true", "COMPRESSOR_OTEL": "0"})
    assert found.log_content is True and found.otel is False and Config().otel is None
    for bad in ({"COMPRESSOR_OTEL": "maybe"}, {"COMPRESSOR_LOG_CONTENT": "2"}):
        with pytest.raises(CompressorError, match=next(iter(bad))):
            load(env=bad)
    with pytest.raises(CompressorError, match="log_content"):
        Config(log_content="yes")  # type: ignore[arg-type]


# -- reasons


@pytest.mark.parametrize(
    ("warning", "name"),
    [
        ("pruner: pruner on cpu: not finished after 2 s; scored by the fast tier instead", "scorer_fell_back"),
        ("gate: costs more than it saves; sent as it was", "gate"),
        ("block 3 (message 7): the JSON excerpt does not parse; sent unchanged", "guard"),
        ("12 old messages were left out whole, because the budget has no room for their marks", "rounds_left_out"),
        ("3 rounds were left out whole, and there was no place for a line about them", "rounds_left_out"),
        ("2 old constraints of users found no room; pin what must hold", "constraints_lost"),
        ("summary by extraction, because gpt failed: TimeoutError", "summary_failed"),
        ("2 of 9 sentences were dropped: not in their source: x", "summary_corrected"),
        ("the budget forced a compaction inside a turn with signed reasoning", "forced_compaction"),
        (AWAY, "cache_away"),
        ("refused by the provider", "refused_by_provider"),
        ("StoreError", "store_error"),
        ("timeout", "timeout"),
        ("budget_too_small", "budget_too_small"),
        ("something new", "other"),
    ],
)
def test_warnings_have_names(warning: str, name: str) -> None:
    assert reasons.reason(warning) == name


@given(st.text(max_size=200))
def test_reasons_are_a_closed_set(text: str) -> None:
    assert reasons.reason(text) in reasons.ALL


def test_every_error_of_ours_has_a_name() -> None:
    names = [
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CompressorError)
    ]
    assert names and {reasons.reason(name) for name in names} == {snake(name) for name in names}


# -- metrics


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def busy() -> Metrics:
    """Metrics in which everything has happened."""
    metrics = Metrics()
    metrics.requests.labels("red", "/v1/compress", "200").inc()
    metrics.seconds.labels("red", "/v1/compress").observe(0.02)
    metrics.own.labels("red").observe(0.001)
    metrics.inside.labels("red").inc()
    metrics.expansions.labels("red").inc()
    metrics.upstream.labels("red", "503").inc()
    metrics.sessions.labels("red").set(3)
    metrics.waited("thread", 0.01)
    metrics.fell_back("red", "StoreError")
    for k in range(ENOUGH):
        warnings = ("something new",) * (k + 1)
        metrics.did(Work("red", "session", 100, 60, 0.1, 0.01, "hit", "fast", "s", warnings, (), 100 * k, 40 * k))
    metrics.did(Work("blue", "call", 100, 100, -0.5, 0.01, "miss", "mine"))
    metrics.stored({"red": Health("open", 3, 1, 7, 2, "gone"), "blue": Health("open", 3, 1, 0, 0, "gone")})
    return metrics


def test_every_metric_parses_follows_the_conventions_and_is_documented() -> None:
    metrics, docs = busy(), DOCS.read_text(encoding="utf-8")
    text = metrics.text().decode()
    found = families(text)
    made = {metric.name for metric in metrics._registry.collect()}
    assert set(found) == made  # each of them has a sample here
    for name, family in found.items():
        shown = f"{name}_total" if family.type == "counter" else name
        assert re.fullmatch(r"compressor_[a-z_]+", name) and f"`{shown}`" in docs, shown
        assert family.documentation.endswith("."), name
        if family.type == "histogram":
            assert name.endswith("_seconds")
        assert not name.endswith(("_total", "_created"))
    assert "_created" not in text
    for name in set(re.findall(r"compressor_[a-z_]+", docs)):  # and nothing is documented that is not there
        base = re.sub(r"_(total|bucket|sum|count)$", "", name)
        assert base in found or base in ("compressor_agents",), name


def test_a_tenant_sees_its_own_numbers_only() -> None:
    metrics = busy()
    mine = metrics.text("red").decode()
    assert 'tenant="red"' in mine and "blue" not in mine and "store_breaker" not in mine and "build_info" not in mine
    assert all(sample.labels["tenant"] == "red" for family in families(mine).values() for sample in family.samples)
    assert families(metrics.text("nobody").decode()) == {}


def test_what_is_counted() -> None:
    found = families(busy().text().decode())

    def value(name: str, **labels: str) -> float:
        family = re.sub(r"_(total|count)$", "", name)
        return sum(
            float(s.value) for s in found[family].samples if s.name == name and labels.items() <= s.labels.items()
        )

    assert value("compressor_result_cache_total", tenant="red", outcome="hit") == ENOUGH
    assert value("compressor_compressions_total", tenant="blue", tier="other") == 1  # not the scorer's own name
    assert value("compressor_saved_dollars", tenant="red") == pytest.approx(0.1 * ENOUGH)
    assert value("compressor_saved_dollars", tenant="blue") == -0.5  # it goes down, too
    assert value("compressor_lost_dollars_total") == 0.5
    assert value("compressor_gained_dollars_total") == pytest.approx(0.1 * ENOUGH)
    # A session has all warnings and all bills it ever had: each counts once.
    assert value("compressor_warnings_total", tenant="red", reason="other") == ENOUGH
    assert value("compressor_provider_prompt_tokens_total", tenant="red", cached="yes") == 40 * (ENOUGH - 1)
    assert value("compressor_provider_prompt_tokens_total", tenant="red", cached="no") == 60 * (ENOUGH - 1)
    assert value("compressor_store_breaker_open") == 1 and value("compressor_store_failures_total") == 3
    assert value("compressor_store_dropped_values_total", tenant="red") == 2
    assert value("compressor_unsaving_calls_ratio", tenant="red") == pytest.approx(1 / (ENOUGH + 1))
    assert value("compressor_calls_without_savings_total", tenant="blue") == 1


def test_compression_that_saves_nothing_is_said_once() -> None:
    metrics = Metrics()
    with lines() as seen:
        for k in range(3 * CALLS):
            if k % 2:
                metrics.fell_back("red", "StoreError")
            else:
                metrics.did(Work("red", "call", 1000, 995))
            metrics.did(Work("blue", "call", 1000, 100 if k == 150 else 1000))
        assert [(line["tenant"], line["level"]) for line in seen()] == [
            ("red", "warning"),
            ("blue", "warning"),
            ("blue", "warning"),  # for it had saved something since
        ]
        assert seen()[0]["reasons"] == {"nothing_to_cut": 50, "store_error": 50} and seen()[0]["calls"] == CALLS
    found = families(metrics.text().decode())["compressor_unsaving_calls_ratio"]
    assert {sample.labels["tenant"]: sample.value for sample in found.samples} == {"red": 1, "blue": 1}


def test_waits_are_counted_for_threads_and_for_the_scorer() -> None:
    with Service() as service:
        service.http.post("/v1/compress", json={"messages": history(), "budget": 1500})
        assert service.metric("queue_wait_seconds_count", queue="thread") > 0
        assert service.metric("sessions_open") == 0
        service.http.post("/v1/compress", json={"messages": history(), "model": "gpt-4o"})
        assert 'compressor_sessions_open{tenant="local"} 1.0' in service.http.get("/metrics").text
    told: list[tuple[str, float]] = []

    def slow(items: Sequence[int]) -> list[int]:
        time.sleep(0.05)
        return list(items)

    lane: Lane[int, int] = Lane(slow, lambda _: 1, "test-waits", Limits())

    def ask() -> None:
        WAITED.set(lambda queue, seconds: told.append((queue, seconds)))
        lane.map([1])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert {queue for queue, _ in told} == {"scorer"} and 0.02 < max(seconds for _, seconds in told) < 1


WORKER = """
import sys
from compressor.service.telemetry.metrics import Metrics, Work, count_as
count_as(int(sys.argv[2]))
metrics = Metrics()
metrics.did(Work("red", "call", 100, 40, saved=float(sys.argv[1]), seconds=0.01))
metrics.did(Work("blue", "call", 10, 10))
metrics.inside.labels("red").inc(2)
metrics.sessions.labels("red").set(5)
metrics.seconds.labels("red", "/v1/compress").observe(0.02)
print("up", flush=True)
sys.stdin.readline()
metrics.refresh()
print(metrics.text(sys.argv[3] if len(sys.argv) > 3 else None).decode(), flush=True)
"""


def test_several_processes_count_as_one(tmp_path: Path) -> None:
    """Real processes, started as `compressor serve --workers` starts them; one is killed, and what it did stays."""
    start = (
        "from compressor.service.telemetry.metrics import prepare_multiprocess, worker_ended\n"
        "import json, os, subprocess, sys\n"
        "folder = prepare_multiprocess()\n"
        "def worker(*args): return subprocess.Popen([sys.executable, '-c', sys.argv[1], *args], text=True,\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "one, two = worker('0.5', '0'), worker('-2.0', '1')\n"
        "for w in (one, two): assert w.stdout.readline() == 'up\\n'\n"
        "one.kill(); one.wait(); worker_ended(0)\n"
        "files = sorted(os.listdir(folder))\n"
        "three = worker('1.25', '0', 'red')\n"
        "assert three.stdout.readline() == 'up\\n'\n"
        "assert {f for f in os.listdir(folder) if 'live' not in f} <= set(files)  # it goes on in the dead one's\n"
        "out = [w.communicate('go\\n')[0] for w in (three, two)]\n"
        "print(json.dumps([folder, *out]))\n"
    )
    done = subprocess.run([sys.executable, "-c", start, WORKER], capture_output=True, text=True, timeout=60, check=True)
    folder, red, everything = json.loads(done.stdout)
    assert not os.path.exists(folder)  # it went with the parent
    assert "blue" not in red

    def value(text: str, line: str) -> float:
        return float(next(x for x in text.splitlines() if x.startswith(line)).rpartition(" ")[2])

    for text in (red, everything):
        assert value(text, 'compressor_tokens_before_total{tenant="red"}') == 300
        assert value(text, 'compressor_saved_dollars{tenant="red"}') == pytest.approx(-0.25)
        assert value(text, 'compressor_request_seconds_count{route="/v1/compress",tenant="red"}') == 3
        assert value(text, 'compressor_requests_in_flight{tenant="red"}') == 4  # the dead one's are gone
        assert value(text, 'compressor_sessions_open{tenant="red"}') == 10
        families(text)
    assert value(everything, "compressor_build_info") == 1


def test_a_folder_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "none"))
    with pytest.raises(CompressorError, match="PROMETHEUS_MULTIPROC_DIR"):
        Metrics()


def test_a_store_that_is_away_shows(tmp_path: Path) -> None:
    from redis_tools import RedisServer

    redis = RedisServer(tmp_path)
    with Service(store=redis.url) as service:
        body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
        assert service.http.post("/v1/compress", json=body).status_code == 200
        assert "compressor_store_breaker_open 0.0" in service.http.get("/metrics").text
        redis.stop()

        def is_open() -> bool:
            service.http.post("/v1/compress", json={**body, "query": str(time.monotonic())})
            return "compressor_store_breaker_open 1.0" in service.http.get("/metrics").text

        wait_for(is_open, 20)
        assert 'compressor_store_pending_values{tenant="local"} 0.0' not in service.http.get("/metrics").text
        assert service.metric("store_failures_total") >= 1
        redis.start()
        wait_for(lambda: "compressor_store_breaker_open 0.0" in service.http.get("/metrics").text, 20)


# -- traces


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
    assert about["gen_ai.conversation.id"] == logs.pseudonym("red", "alices-divorce")
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

            monkeypatch.setattr(service.gate._tenants.of("local").compressor, "compress", fails)
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
    monkeypatch.setattr("compressor.service.telemetry.tracing.CLOSING", 0.3)
    with socket.socket() as deaf:  # takes connections, and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        otel(f"http://127.0.0.1:{deaf.getsockname()[1]}", OTEL_BSP_SCHEDULE_DELAY="10")
        with Service() as service:
            for _ in range(5):
                start = time.perf_counter()
                assert service.http.get("/v1/retrieve/000000000000").status_code == 404
                assert time.perf_counter() - start < 2
            time.sleep(0.05)
            start = time.perf_counter()
        assert time.perf_counter() - start < 3
    otel("http://127.0.0.1:9")  # nobody there
    tracing = Tracing()
    with tracing.request(logs.began("GET", b""), [(b"traceparent", b"nonsense")]), span("work"):
        pass
    start = time.perf_counter()
    tracing.close()
    assert time.perf_counter() - start < 2


def test_when_traces_are_wanted() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
    assert not wanted(None, {}) and wanted(True, {}) and wanted(None, endpoint) and not wanted(False, endpoint)
    assert wanted(None, {"OTEL_TRACES_EXPORTER": "otlp"}) and not wanted(True, {"OTEL_SDK_DISABLED": "true"})
    assert not wanted(None, {**endpoint, "OTEL_TRACES_EXPORTER": "none"})
    assert wanted(None, {**endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    for bad in ({"OTEL_TRACES_EXPORTER": "zipkin"}, {**endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}):
        with pytest.raises(CompressorError, match="OTEL_"):
            wanted(None, bad)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra, match=r"agentic-compressor\[otel\]"):
        Service(otel=True)


def test_switched_off_it_costs_nothing() -> None:
    code = (
        "import sys; from compressor.service.app import create_app; from compressor.service.config import Config\n"
        "create_app(Config(store='memory'))\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=env)
    assert done.stdout.strip() == "[]"

    def step() -> None:
        with span("work"):
            pass

    assert min(timeit.repeat(step, number=1000, repeat=5)) / 1000 < 5e-6  # seconds; some 0.3 µs here


@pytest.mark.slow
def test_workers_of_one_port_show_the_sum(tmp_path: Path) -> None:
    """The real command with two workers: whoever is asked shows what all did, also after one was killed."""
    command = [sys.executable, "-m", "compressor.cli", "serve", "--port", "0", "--workers", "2"]
    command += ["--store", str(tmp_path / "s.db")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            seen = [json.loads(process.stderr.readline())]
            while seen[-1]["event"] != "listening":
                seen.append(json.loads(process.stderr.readline()))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            url = seen[-1]["urls"][0]
            _sums(url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _sums(url: str, supervisor: int) -> None:
    import httpx

    body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
    line = 'compressor_compressions_total{kind="call",tenant="local",tier="fast"} '

    def ask(path: str, **options: Any) -> Any:  # a new connection each time: to any of the two
        return httpx.request("POST" if options else "GET", url + path, timeout=30, **options)

    def totals() -> set[float]:
        return {
            float(found.rpartition(" ")[2])
            for _ in range(6)
            for found in ask("/metrics").text.splitlines()
            if found.startswith(line)
        }

    for _ in range(8):
        assert ask("/v1/compress", json=body).status_code == 200
    assert totals() == {8.0}
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(int(workers[0]), signal.SIGKILL)
    for _ in range(4):
        assert ask("/v1/compress", json=body).status_code == 200
    assert totals() == {12.0}

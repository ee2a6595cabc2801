"""The limits of a running service: what counts, what a refusal looks like to real clients, and what is given back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from support.client_tools import LOG
from support.scripted_server import Fail, Reply, ScriptedServer, Usage
from support.waiting import wait_for

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import StreamingResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from compressor.service.settings import Settings  # noqa: E402
from compressor.tokens.pricing import find_price  # noqa: E402
from support.service_tools import Service, error_of, history, two_tenants  # noqa: E402

QUESTION = [{"role": "user", "content": "What stopped the import?"}]
KINDS = ["chat", "responses", "messages"]


def ask(kind: str, service: Service, stream: bool = False, **options: Any) -> Any:
    """The answer of a real client; a stream is read to its end."""
    if kind == "messages":
        client = anthropic.Anthropic(base_url=service.url, api_key="theirs", max_retries=0)
        call = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": QUESTION}
        answer = client.messages.create(**call, stream=stream, **options)
    else:
        client = openai.OpenAI(base_url=service.url + "/v1", api_key="theirs", max_retries=0)
        if kind == "chat":
            answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=stream, **options)
        else:
            answer = client.responses.create(model="gpt-4o", input=QUESTION, stream=stream, **options)
    return [*answer] if stream else answer


def usage(service: Service, tenant: str = "local") -> dict[str, dict[str, Any]]:
    """The usage by the limit's name."""
    limiter = service.gate._tenants.get(tenant).rate_limiter
    return {row["limit"]: row for row in asyncio.run(limiter.usage())}


def settled(service: Service, tenant: str = "local") -> None:
    """Waits until all answers are booked, which is after their clients have them."""
    limiter = service.gate._tenants.get(tenant).rate_limiter
    wait_for(lambda: limiter.in_flight == 0)


@contextmanager
def proxied(script: list[Any], **settings: Any) -> Iterator[tuple[ScriptedServer, Service]]:
    with ScriptedServer(script, extends=None) as server, Service(upstream=server.url, **settings) as service:
        yield server, service


@pytest.mark.parametrize("kind", KINDS)
def test_real_clients_see_whose_limit_it_is(kind: str) -> None:
    error = (anthropic if kind == "messages" else openai).RateLimitError
    with proxied([Reply("One."), Fail(429)], requests_per_minute=1) as (server, service):
        ask(kind, service)
        with pytest.raises(error) as ours:
            ask(kind, service)
        heads = ours.value.response.headers
        assert heads["x-compressor-limited-by"] == "compressor"
        assert heads["x-compressor-limit"] == "requests_per_minute"
        assert 30 <= int(heads["retry-after"]) <= 60
        assert "requests_per_minute" in str(ours.value) and len(server.requests) == 1
        assert service.metric("limited_total", limit="requests_per_minute", tenant="local") == 1
        service.gate.reconfigure(service.config.model_copy(update={"requests_per_minute": 3}))
        with pytest.raises(error) as theirs:
            ask(kind, service)
        assert not [name for name in theirs.value.response.headers if name.startswith("x-compressor-limit")]
        assert usage(service)["requests_per_minute"]["used"] == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_provider_reports_is_counted(kind: str, stream: bool) -> None:
    limits = {"tokens_per_minute": 1_000_000, "dollars_per_day": 1}
    with proxied([Reply("It stopped.", usage=Usage(1_200, 0, 34))], **limits) as (_, service):
        ask(kind, service, stream, **({"stream_options": {"include_usage": True}} if kind == "chat" and stream else {}))
        wait_for(lambda: usage(service)["tokens_per_minute"]["used"] == 1_234)
        price = find_price("claude-haiku-4-5" if kind == "messages" else "gpt-4o")
        assert usage(service)["dollars_per_day"]["used"] == pytest.approx(
            price.cost(uncached=1_200, output=34), rel=0.3
        )


def test_a_stream_without_a_usage_is_counted_by_our_own_counts() -> None:
    with proxied([Reply("It stopped because the worker was killed.")], tokens_per_minute=1_000) as (_, service):
        parts = ask("chat", service, stream=True)
        assert not any(part.usage for part in parts)
        settled(service)
        used = usage(service)["tokens_per_minute"]["used"]
        assert len(parts) <= used - 13 <= len(parts) + 5  # the prompt has about 13 tokens


@pytest.mark.parametrize("headers", [{}, {"x-compressor-bypass": "1"}])
def test_a_request_that_goes_out_as_it_is_counts_as_well(headers: dict[str, str]) -> None:
    with proxied([Reply("One.", usage=Usage(700, 0, 3)), Fail(500)], tokens_per_minute=2_000) as (_, service):
        ask("chat", service, extra_headers=headers)
        settled(service)
        assert usage(service)["tokens_per_minute"]["used"] == 703
        with pytest.raises(openai.InternalServerError):
            ask("chat", service, extra_headers=headers)
        settled(service)
        assert usage(service)["tokens_per_minute"]["used"] == 703  # providers do not bill errors


def test_the_http_api_counts_what_it_has_made() -> None:
    keys, settings = two_tenants()
    red, blue = ({"x-compressor-key": keys[name]} for name in ("red", "blue"))
    settings["tenants"] = {"red": {"tokens_per_day": 1_600, "dollars_per_day": 5}}
    with Service(**settings) as service:
        body = {"messages": history(), "model": "gpt-4o", "budget": 1_500}
        made = service.http.post("/v1/compress", json=body, headers=red).json()
        settled(service, "red")
        found = usage(service, "red")
        assert found["tokens_per_day"]["used"] == made["tokens_after"]
        assert found["dollars_per_day"]["used"] == pytest.approx(made["tokens_after"] * 2.5e-6)
        service.http.post("/v1/compress", json=body, headers=red).raise_for_status()
        settled(service, "red")
        refused = service.http.post("/v1/compress", json=body, headers=red)
        assert refused.status_code == 429 and error_of(refused) == "too_many_requests"
        assert refused.json()["error"] | {"retry_after": 0, "message": ""} == {
            "type": "too_many_requests",
            "message": "",
            "limit": "tokens_per_day",
            "limited_by": "compressor",
            "retry_after": 0,
        }
        assert service.http.post("/v1/compress", json=body, headers=blue).is_success  # has no limit
        used = usage(service, "red")["tokens_per_day"]["used"]
        asyncio.run(service.gate._tenants.get("red").rate_limiter.reset())
        messages = {"messages": history(LOG), "model": "gpt-4o-mini"}
        service.http.post("/v1/sessions/s/append", json=messages, headers=red).raise_for_status()
        assert usage(service, "red")["tokens_per_day"]["used"] == 0
        service.http.post("/v1/sessions/s/view", json={}, headers=red).raise_for_status()
        settled(service, "red")
        now = usage(service, "red")
        assert 0 < now["tokens_per_day"]["used"] != used
        assert now["dollars_per_day"]["used"] == pytest.approx(now["tokens_per_day"]["used"] * 0.15e-6)


class WaitingProvider:
    """A provider whose streams begin at once and go on when `go` is set."""

    def __init__(self) -> None:
        self.open, self.go = 0, threading.Event()

    def __enter__(self) -> WaitingProvider:
        async def answer(request: Request) -> StreamingResponse:
            await request.body()

            async def parts() -> AsyncIterator[bytes]:
                self.open += 1
                try:
                    yield b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
                    while not self.go.is_set():
                        await asyncio.sleep(0.02)
                    end = {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
                    yield b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n"
                finally:
                    self.open -= 1

            return StreamingResponse(parts(), media_type="text/event-stream")

        app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_for(lambda: self._server.started)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()
        self._server.should_exit = True
        self._thread.join(10)


BODY = {"model": "gpt-4o", "stream": True, "messages": QUESTION}


def read_stream(service: Service) -> tuple[int, bool]:
    """The status, and whether the stream came to its end."""
    with (
        httpx.Client(base_url=service.url, timeout=60) as http,
        http.stream("POST", "/v1/chat/completions", json=BODY) as answer,
    ):
        return answer.status_code, answer.read().endswith(b"[DONE]\n\n")


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"max_concurrent_requests": 2, "max_queue_seconds": 30}])
def test_ninety_streams_of_a_tenant_at_once(limits: dict[str, Any]) -> None:
    with WaitingProvider() as provider, Service(upstream=provider.url, **limits) as service:
        with ThreadPoolExecutor(90) as pool:
            answers = [pool.submit(read_stream, service) for _ in range(90)]
            wait_for(lambda: provider.open == 90, 60)
            if limits:
                assert usage(service)["max_concurrent_requests"]["used"] == 0  # nobody works, all wait
            provider.go.set()
            assert [one.result() for one in answers] == [(200, True)] * 90
        settled(service)


def test_open_requests_are_bounded() -> None:
    with WaitingProvider() as provider, Service(upstream=provider.url, max_open_requests=3) as service:
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(read_stream, service) for _ in range(3)]
            wait_for(lambda: provider.open == 3)
            refused = service.http.post("/v1/chat/completions", json=BODY)
            assert refused.status_code == 429 and refused.headers["x-compressor-limit"] == "max_open_requests"
            provider.go.set()
            assert [one.result() for one in answers] == [(200, True)] * 3
        wait_for(lambda: service.http.get("/v1/stats").status_code == 200)


def test_clients_that_disconnect_leave_no_place_and_pay_what_was_sent() -> None:
    limits = {"max_concurrent_requests": 2, "tokens_per_minute": 100_000, "max_queue_seconds": 5}
    with WaitingProvider() as provider, Service(upstream=provider.url, **limits) as service:
        for _ in range(10):
            with (
                httpx.Client(base_url=service.url) as http,
                http.stream("POST", "/v1/chat/completions", json=BODY) as one,
            ):
                next(one.iter_bytes())
        settled(service)
        found = usage(service)
        assert found["max_concurrent_requests"]["used"] == 0
        assert 10 * 10 <= found["tokens_per_minute"]["used"] <= 10 * 30


def test_broken_requests_leave_no_place() -> None:
    with Service(max_concurrent_requests=1, max_queue_seconds=0, tokens_per_minute=1_000) as service:
        for path, content in (
            ("/v1/compress", b"{"),
            ("/v1/chat/completions", b"{}"),
            ("/v1/compress", b'{"budget":-1}'),
        ):
            answer = service.http.post(path, content=content, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500 and answer.status_code != 429
        wait_for(lambda: [row["used"] for row in usage(service).values()] == [0, 0])


def test_health_and_metrics_are_not_limited() -> None:
    with Service(requests_per_minute=1) as service:
        assert [service.http.get("/v1/stats").status_code for _ in range(2)] == [200, 429]
        for path in ("/healthz", "/readyz", "/metrics"):
            assert [service.http.get(path).status_code for _ in range(3)] == [200] * 3
        assert (
            'compressor_limited_total{limit="requests_per_minute",tenant="local"} 1.0'
            in service.http.get("/metrics").text
        )


def test_a_wrong_limit_is_refused_at_the_start() -> None:
    from compressor.errors import CompressorError

    with pytest.raises(CompressorError, match=r"tokens_per_day"):
        Settings(tokens_per_day="many")
    with pytest.raises(CompressorError, match=r"red\.dollars_per_day"):
        Settings(tenants={"red": {"dollars_per_day": -1}})


def test_a_queue_waits_no_longer_than_it_may() -> None:
    with (
        WaitingProvider() as provider,
        Service(upstream=provider.url, max_concurrent_requests=1, max_queue_seconds=0.2) as service,
    ):
        release = threading.Event()
        service.gate._tenants.get("local").compressor.compress = lambda *_: release.wait(60)  # type: ignore[method-assign,assignment]
        body = {"messages": history(), "model": "gpt-4o", "budget": 1_500}
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(service.http.post, "/v1/compress", json=body)
            wait_for(lambda: usage(service)["max_concurrent_requests"]["used"] == 1)
            start = time.perf_counter()
            refused = httpx.post(service.url + "/v1/chat/completions", json=BODY)
            assert refused.status_code == 429 and time.perf_counter() - start < 30
            assert refused.headers["x-compressor-limit"] == "max_concurrent_requests"
            release.set()
            slow.result()

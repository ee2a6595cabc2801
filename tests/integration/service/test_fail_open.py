"""What a client gets if compression fails, takes too long, or is refused: its own request's answer, or an error."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compressor.tokens import get_counter
from support.scripted_server import Call, Fail, Reply, ScriptedServer
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from integration.service.test_proxy_modes import CHAT, TOOLS, ask, is_cut, proxied, rounds
from support.service_tools import Service, error_of

CLOSED = {"x-compressor-fail-open": "false"}
TOO_SMALL = {**CLOSED, "x-compressor-budget": "60"}


def tenant(service: Service) -> Any:
    return service.gate._tenants.get("local")


def test_a_budget_that_cannot_be_held_is_an_error_with_both_numbers() -> None:
    with proxied(fail_open=False, budget=60) as (server, service):
        for stream in (False, True):
            answer = ask(service, rounds(1, "A long task. " * 100), stream=stream)
            assert (answer.status_code, error_of_budget(answer)) == (422, "budget_too_small")
            error = answer.json()["error"]
            assert error["budget"] == 60 < error["needed"] and str(error["needed"]) in error["message"]
        assert not server.requests, "nothing went out"
        answer = ask(service, rounds(1, "A long task. " * 100), {"x-compressor-fail-open": "true"})
        assert answer.status_code == 200 and "above the budget" in answer.headers["x-compressor-warning"]


def error_of_budget(answer: Any) -> str:
    return str(answer.json()["error"]["type"])


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "invalid_json"),
        (json.dumps({"model": "gpt-4o", "messages": rounds(1)[:2]}).encode(), 400, "invalid_context"),
        (b'{"model": "gpt-4o", "messages": "no list"}', 422, "not_one_history"),
        (b'{"model": "gpt-4o", "n": 2, "messages": [{"role": "user", "content": "hi"}]}', 422, "not_one_history"),
    ],
)
def test_what_cannot_be_compressed_is_an_error_that_says_why(body: bytes, status: int, kind: str) -> None:
    with proxied() as (server, service):
        answer = service.http.post(CHAT, content=body, headers=CLOSED)
        assert (answer.status_code, error_of(answer)) == (status, kind) and not server.requests
        answer = service.http.post(CHAT, content=body)
        assert "not compressed" in answer.headers["x-compressor-warning"] and len(server.requests) <= 1


def test_a_refusal_of_the_provider_reaches_the_client() -> None:
    script: list[Any] = [Fail(400, "no"), Fail(400, "no"), Reply("ok")]
    with ScriptedServer(script, extends=None) as server, Service(upstream=server.url) as service:
        answer = ask(service, rounds(1), CLOSED)
        assert answer.status_code == 400 and "no" in answer.text
        assert "the provider refused the compressed request" in answer.headers["x-compressor-warning"]
        assert len(server.requests) == 1 and is_cut(server.requests[0])
        assert ask(service, rounds(1)).status_code == 200, "with fail_open the original is sent"
        assert [is_cut(request) for request in server.requests] == [True, True, False]


def test_the_tools_budget_is_held_or_an_error() -> None:
    headers = {**CLOSED, "x-compressor-tools-budget": "3"}
    with proxied() as (server, service):
        body = {"model": "gpt-4o", "messages": rounds(1), "tools": TOOLS * 1}
        body["tools"] = [*TOOLS, {"type": "function", "function": {"name": "other", "description": "x " * 300}}]
        answer = service.http.post(CHAT, json=body, headers={**headers, "x-compressor-pinned-tools": "other"})
        assert (answer.status_code, error_of(answer)) == (422, "budget_too_small") and not server.requests


def test_the_budget_is_held_when_the_model_expands_more_than_fits() -> None:
    def expand(request: Any) -> Reply:
        ref = json.dumps(request.body).split("cut ref ")[1][:12]
        return Reply(calls=[Call("expand_context", {"ref": ref})])

    messages = rounds(1)
    messages[-1]["content"] = "\n".join(f"{i * 7919 % 1009} worker {i * 31337 % 9973} done" for i in range(3_000))
    count = get_counter("gpt-4o").count
    with (
        ScriptedServer([expand, expand, Reply("ok")], extends=None) as server,
        Service(upstream=server.url, budget=3_000, fail_open=False) as service,
    ):
        assert ask(service, messages).status_code == 200
        assert len(server.requests) == 3 and count(messages[-1]["content"]) > 20_000
        sizes = [count(json.dumps(request.messages)) for request in server.requests]
        assert max(sizes) < 3_300, sizes


def slow(service: Service, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Makes the compression of a tenant wait until the event is set."""
    go, conversations = threading.Event(), tenant(service).conversations
    prepare = conversations.prepare

    def wait(*given: Any) -> Any:
        assert go.wait(20)
        return prepare(*given)

    monkeypatch.setattr(conversations, "prepare", wait)
    return go


def test_work_that_comes_too_late_is_kept_for_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxied(max_added_latency=0.2) as (server, service):
        go = slow(service, monkeypatch)
        late = ask(service, rounds(2))
        assert late.headers["x-compressor-warning"] == "not compressed: latency_exceeded"
        assert server.requests[-1].messages == rounds(2)
        go.set()
        wait_for(lambda: tenant(service).executor.abandoned == 0)
        answer = ask(service, rounds(3), {"x-compressor-max-added-latency": "20"})
        assert is_cut(server.requests[-1])
        report = next(iter(tenant(service).conversations.cost_reports().values()))
        assert report.calls == 2, "both calls count, each as it was sent"
        raw, sent = int(answer.headers["x-compressor-tokens-before"]), int(answer.headers["x-compressor-tokens-after"])
        assert report.baseline_tokens - report.actual_tokens == raw - sent, "the late one has saved nothing"
        assert service.metric("fallbacks_total", reason="latency_exceeded") == 1
        group = service.http.get("/v1/stats/rollout").json()["groups"]["compressed"]
        assert (group["calls"], group["uncompressed_calls"], group["measured_calls"]) == (2, 1, 2)


def test_late_work_is_an_error_where_requests_fail_closed_and_the_retry_benefits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxied(max_added_latency=0.2, fail_open=False) as (server, service):
        go = slow(service, monkeypatch)
        answer = ask(service, rounds(2))
        assert (answer.status_code, error_of(answer)) == (504, "latency_exceeded") and "retry-after" in answer.headers
        go.set()
        wait_for(lambda: tenant(service).executor.abandoned == 0)
        assert ask(service, rounds(2), {"x-compressor-max-added-latency": "20"}).status_code == 200
        report = next(iter(tenant(service).conversations.cost_reports().values()))
        assert report.calls == 1 and len(server.requests) == 1, "nothing was sent the first time"


def test_a_body_that_can_clearly_not_be_done_in_time_goes_out_at_once_and_is_done_meanwhile() -> None:
    with proxied(max_added_latency=1.0) as (server, service):
        ask(service, rounds(1))
        tenant(service).work_rate._rate = 1_000.0  # bytes a second
        assert tenant(service).work_rate.estimate(100_000) == 100
        large = ask(service, rounds(6, "another task"))
        assert large.headers["x-compressor-warning"] == "not compressed: too_large_for_latency"
        assert server.requests[-1].messages == rounds(6, "another task")
        wait_for(lambda: tenant(service).executor.abandoned == 0)
        ask(service, rounds(6, "another task"), {"x-compressor-max-added-latency": "60"})
        assert is_cut(server.requests[-1]), "only what is new counts, and that is little"
        again = ask(service, rounds(7, "third"), CLOSED)
        assert (again.status_code, error_of(again)) == (503, "too_large_for_latency")


def test_four_large_bodies_at_once_add_nothing_to_each_other() -> None:
    def large(number: int) -> list[Any]:
        return [
            {"role": "user", "content": f"task {number}"},
            {"role": "assistant", "content": "\n".join(f"{number} {i * 7919 % 1009} done" for i in range(200_000))},
            {"role": "user", "content": "go on"},
        ]

    with proxied(max_added_latency=0.8) as (server, service):
        ask(service, rounds(1), {"x-compressor-max-added-latency": "60"})
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: ask(service, large(number)), range(4)))
        assert all("too_large_for_latency" in answer.headers["x-compressor-warning"] for answer in answers)
        assert sorted(request.messages[0]["content"] for request in server.requests[1:]) == [
            f"task {i}" for i in range(4)
        ]
        assert tenant(service).executor.abandoned <= 1, "one of them is worked on, the others are not begun"
        group = service.http.get("/v1/stats/rollout").json()["groups"]["compressed"]
        assert (group["calls"], group["uncompressed_calls"]) == (5, 4), "they count in their group"
        wait_for(lambda: tenant(service).executor.abandoned == 0, 60)


def test_gateways_histories_obey_fail_open_too() -> None:
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": rounds(1)[:2]}  # a call without its result
    with proxied() as (_, service):
        made = service.http.post("/v1/compress", json=asked)
        closed = service.http.post("/v1/compress", json=asked, headers=CLOSED)
        assert made.status_code == 200 and made.json()["messages"] == asked["messages"]
        assert closed.status_code == 400 and error_of(closed) == "invalid_context"

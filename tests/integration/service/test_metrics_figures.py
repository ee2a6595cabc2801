"""Whether the figures are true: time, dollars, tokens by tool and by model, the first token, refused keys."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from support.client_scenarios import expand
from support.client_tools import ChatTalk, MessagesTalk, ResponsesTalk, Talk
from support.scripted_server import Call, Fail, Reply, Request, ScriptedServer, Usage
from support.telemetry_tools import lines
from support.waiting import wait_for

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.telemetry.first_token import has_content  # noqa: E402
from compressor.tokens.pricing import find_price  # noqa: E402
from support.service_tools import Service, history, two_tenants  # noqa: E402

WINDOW = 128_000
READ = Reply("", [Call("read_log", {"path": "import.log"})])
TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}


def long_log(rows: int = 8_000, times: int = 1) -> str:
    line = "2026-01-01 {} INFO worker {} item {}\n"
    return "".join(line.format(i, i * 7919 % 10007, i * 31337 % 99991) for i in range(rows)) * times


def talk(kind: str, service: Service) -> Talk:
    if kind == "messages":
        return TALKS[kind](anthropic.Anthropic(base_url=service.url, api_key="k", max_retries=0))
    return TALKS[kind](openai.OpenAI(base_url=service.url + "/v1", api_key="k", max_retries=0))


def breakdown(service: Service, **headers: str) -> dict[str, Any]:
    found: dict[str, Any] = service.http.get("/v1/stats/breakdown?range=24h", headers=headers).json()
    return found


def test_an_append_counts_as_time() -> None:
    """Nearly all work of a session is done when results are appended; only views were counted."""
    with Service() as service, lines() as seen:
        start = time.perf_counter()
        body = {"messages": history(long_log()), "model": "gpt-4o"}
        assert service.http.post("/v1/sessions/a/append", json=body).status_code == 200
        taken = time.perf_counter() - start
        assert service.http.post("/v1/sessions/a/view", json={}).status_code == 200
        append = service.metric("compression_seconds_sum", kind="append")
        assert 0.2 * taken < append <= taken
        assert service.metric("compression_seconds_count", kind="append") == 1
        assert service.metric("compression_seconds_count", kind="session") == 1
        assert service.metric("compressions_total") == 1  # an append compresses no context
        total = service.http.get("/v1/stats").json()["total"]
        assert total["calls"] == 1 and total["p99"] == pytest.approx(append, rel=0.11)
        (line,) = wait_for(lambda: [line for line in seen() if line.get("route") == "/v1/sessions/{id}/append"])
        assert line["own_ms"] == pytest.approx(1000 * append, rel=0.01) and "tokens_before" not in line


def test_dollars_are_capped_by_what_the_provider_would_have_accepted() -> None:
    """A call of 900,000 tokens to a model with a window of 128,000 counted 2.24 dollars as saved."""
    with ScriptedServer([Reply("It is worker 3.")]) as server, Service(upstream=server.url) as service:
        body = {"model": "gpt-4o", "messages": history(long_log(times=6))}
        with lines() as seen:
            answer = service.http.post("/v1/chat/completions", json=body, headers={"x-compressor-session": "big"})
            line = wait_for(lambda: next((line for line in seen() if line["event"] == "request"), None))
        assert answer.status_code == 200, answer.text
        before, after = (int(answer.headers[f"x-compressor-tokens-{which}"]) for which in ("before", "after"))
        assert before > 850_000 and after < 20_000  # tokens are what they are
        price = find_price("gpt-4o")
        expected = WINDOW * price.cache_write / 1e6 - after * price.cache_write / 1e6
        saved = float(answer.headers["x-compressor-saved-usd"])
        assert saved == pytest.approx(expected, abs=1e-6) and saved < 0.33
        report = service.http.post("/v1/sessions/big/view", json={}).json()["cost_report"]
        (row,) = breakdown(service)["models"]
        stats = service.http.get("/v1/stats").json()["total"]
        (session,) = service.http.get("/v1/sessions").json()["sessions"]
        everywhere = [line["saved"], service.metric("saved_dollars"), service.metric("gained_dollars_total")]
        everywhere += [stats["saved"], session["saved"], row["saved_usd"], report["saved_cost"]]
        assert everywhere == pytest.approx([saved] * len(everywhere), abs=1e-6)
        assert service.metric("calls_over_window_total") == 1 == row["calls_over_window"] == report["calls_over_window"]
        assert line["tokens_before"] == stats["before"] == row["tokens_before"] == report["baseline_last"] == before
        assert report["max_input_tokens"] == WINDOW


def test_a_model_without_a_known_window_is_counted_with_care() -> None:
    """Its window is a guess: dollars are capped at the guess, and no call is said to be possible only with us."""
    with ScriptedServer([Reply("x")]) as server, Service(upstream=server.url) as service:
        body = {"model": "house-model-7b", "messages": history(long_log(times=2))}
        answer = service.http.post("/v1/chat/completions", json=body)
        price = find_price("house-model-7b")
        assert not price.is_known
        assert 0 < float(answer.headers["x-compressor-saved-usd"]) < price.cache_write * price.max_input_tokens / 1e6
        assert service.metric("calls_over_window_total") == 0
        (row,) = breakdown(service)["models"]
        assert row["name"] == "house-model-7b" and row["calls_over_window"] == 0


@pytest.mark.parametrize("stream", [True, False])
def test_tools_models_and_expansions(stream: bool) -> None:
    steps = [READ, expand("Let me look."), Reply("Code E-4711.", usage=Usage(5_000, 1_000, 5))]
    with ScriptedServer(steps, extends=None) as server, Service(upstream=server.url) as service:
        one = talk("chat", service)
        one.read_log(stream)
        one.ask(stream)
        assert server.left == 0 and service.metric("expansions_total") == 1
        wait_for(lambda: breakdown(service)["tools"][0]["expansions"] == 1)
        found = breakdown(service)
        (tool,) = found["tools"]
        assert tool["name"] == "read_log" and tool["results"] == 1
        assert tool["saved_tokens"] == tool["tokens_before"] - tool["tokens_after"] > 500
        (model,) = found["models"]
        assert model["calls"] == 2
        assert model["billed_tokens"] >= 5_000 and model["billed_cached"] >= 1_000  # of the last call, too
        assert service.metric("provider_prompt_tokens_total") == model["billed_tokens"]
        # The cost of the hidden round is in all figures, and the tool's part is a part of the whole.
        saved = service.metric("saved_dollars")
        assert model["saved_usd"] == pytest.approx(saved, abs=1e-9)
        known = service.gate._tenants.get("local").conversations.cost_reports()  # as of the last request
        assert saved < next(iter(known.values())).saved_cost
        assert tool["saved_usd"] > 0


def test_reasons_and_rejections() -> None:
    def refuse(request: Request) -> Fail:
        return Fail(400, "this field is not known")

    with ScriptedServer([refuse, Reply("ok")], extends=None) as server, Service(upstream=server.url) as service:
        answer = service.http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": history(long_log(900))})
        assert answer.status_code == 200 and "refused" in answer.headers["x-compressor-warning"]
        (reason,) = breakdown(service)["reasons"]
        assert reason["reason"] == "refused_by_provider" and reason["count"] == 1
        assert abs(reason["last"] - time.time()) < 60
        # The original was sent, so nothing was saved.
        assert service.metric("saved_dollars") == pytest.approx(0) == breakdown(service)["models"][0]["saved_usd"]
        service.http.post("/v1/chat/completions", content=b"{not json")
        assert {row["reason"] for row in breakdown(service)["reasons"]} == {"refused_by_provider", "invalid_json"}
        assert service.http.get("/v1/stats").json()["total"]["fallbacks"] == 2


def test_only_administrators_see_all_tenants() -> None:
    keys, settings = two_tenants()
    with Service(**settings) as service:
        for tenant, budget in (("red", 1_500), ("blue", 900)):
            body = {"messages": history(), "model": "gpt-4o", "budget": budget}
            sent = service.http.post("/v1/compress", json=body, headers={"x-compressor-key": keys[tenant]})
            assert sent.status_code == 200
        mine = breakdown(service, **{"x-compressor-key": keys["red"]})
        assert "tenants" not in mine and mine["models"][0]["calls"] == 1 and mine["tools"][0]["name"] == "read_log"
        found = breakdown(service, **{"x-compressor-key": keys["ops"]})
        assert {row["name"] for row in found["tenants"]} == {"red", "blue"} and not found["tools"]
        assert all(row["calls"] == 1 and row["tokens_before"] > row["tokens_after"] for row in found["tenants"])
        assert service.http.get("/v1/stats/breakdown").status_code == 401
        for name, key in (("unknown_key", "nonsense"), ("missing_key", "")):
            before = service.metric("auth_failures_total", reason=name)
            service.http.get("/v1/stats", headers={"x-compressor-key": key} if key else {})
            assert service.metric("auth_failures_total", reason=name) == before + 1
        service.http.post("/v1/chat/completions", json={}, headers={"x-api-key": keys["red"]})
        assert service.metric("auth_failures_total", reason="misplaced_key") == 1
        bad = service.http.get("/v1/stats/breakdown?range=1y", headers={"x-compressor-key": keys["red"]})
        assert bad.status_code == 422 and "range" in bad.json()["error"]["message"]


def test_the_live_view() -> None:
    with Service() as service:
        for i in range(3):
            body = {"messages": history(), "model": "gpt-4o", "budget": 1_500 + i}
            service.http.post("/v1/compress", json=body)
        first = service.http.get("/v1/stats/calls").json()
        assert [call["kind"] for call in first["calls"]] == ["call"] * 3 and first["workers"] == "all"
        assert first["calls"][0] | {"id": 0, "time": 0, "seconds": 0} == {
            "id": 0,
            "time": 0,
            "kind": "call",
            "session": "",
            "model": "gpt-4o",
            "seconds": 0,
            "warnings": [],
            **{name: first["calls"][0][name] for name in ("tokens_before", "tokens_after", "saved_usd")},
        }
        assert service.http.get(f"/v1/stats/calls?after={first['last']}").json()["calls"] == []
        service.http.post("/v1/compress", json={"messages": history(), "budget": 900})
        more = service.http.get(f"/v1/stats/calls?after={first['last']}&limit=5").json()
        assert len(more["calls"]) == 1 and more["last"] > first["last"]
        assert service.http.get("/v1/stats/calls?limit=100000").status_code == 422
        assert service.http.get("/v1/stats/calls?after=-1").status_code == 422


@pytest.mark.parametrize("kind", list(TALKS))
def test_the_first_token_is_timed(kind: str) -> None:
    def late(_: Request) -> Reply:
        time.sleep(0.3)
        return Reply("It stopped at order seven.")

    with ScriptedServer([READ, late]) as server, Service(upstream=server.url) as service, lines() as seen:
        one = talk(kind, service)
        start = time.perf_counter()
        one.read_log(True)
        one.ask(True)
        taken = time.perf_counter() - start
        route = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[kind]
        assert service.metric("time_to_first_token_seconds_count", route=route, tenant="local") == 2
        first = service.metric("time_to_first_token_seconds_sum", route=route)
        assert 0.3 < first < taken
        own = service.metric("time_to_first_token_own_seconds_sum", route=route)
        assert 0 < own < first - 0.29
        wait_for(lambda: len([line for line in seen() if line["event"] == "request"]) == 2)
        line = wait_for(lambda: [line for line in seen() if line["event"] == "request"])[-1]
        assert 300 < line["ttft_ms"] <= line["ms"] and 0 < line["own_ms"] < line["ttft_ms"]
        # Answers in one piece have no first token.
        server.script.append(Reply("Bye."))
        one.say("Thanks.")
        one.ask(False)
        assert service.metric("time_to_first_token_seconds_count") == 2


def test_first_tokens_of_all_providers() -> None:
    contents = [
        {"choices": [{"index": 0, "delta": {"content": "Hi"}}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": "Well"}}]},
        {
            "choices": [
                {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}}
            ]
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Well"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.output_item.added", "item": {"type": "function_call", "name": "f", "arguments": ""}},
    ]
    starts = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [], "usage": {"prompt_tokens": 5}},
        {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9}, "role": "assistant"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {
            "type": "response.created",
            "response": {"output": [], "instructions": 'say "content": "x"', "text": {"format": {"type": "text"}}},
        },
    ]
    for compact in ((",", ":"), (", ", ": ")):
        for event in contents:
            assert has_content(b"data: " + json.dumps(event, separators=compact).encode()), event
        for event in starts:
            assert not has_content(b"data: " + json.dumps(event, separators=compact).encode()), event


def test_names_of_tools_cannot_blow_up_the_figures() -> None:
    def messages(number: int) -> list[dict[str, Any]]:
        made = history(long_log(60))
        made[1]["tool_calls"][0]["function"]["name"] = f"tool_{number}"
        return made

    with Service() as service:
        for i in range(60):
            service.http.post("/v1/compress", json={"messages": messages(i), "model": f"m{i}", "budget": 800})
        found = breakdown(service)
        assert len(found["tools"]) <= 41 and sum(row["results"] for row in found["tools"]) == 60
        assert len(found["models"]) <= 21 and sum(row["calls"] for row in found["models"]) == 60
        exposed = service.http.get("/metrics").text
        assert "tool_1" not in exposed and not re.search(r'"m\d+"', exposed)

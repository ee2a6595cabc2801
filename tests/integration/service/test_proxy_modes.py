"""What a tenant's mode and rollout make of a request, through the running service and a real HTTP client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from support.client_tools import LOG, NEEDLE
from support.scripted_server import Fail, Reply, Request, ScriptedServer, Usage

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service, error_of, history, two_tenants

CHAT = "/v1/chat/completions"
TOOLS = [{"type": "function", "function": {"name": "read_log", "parameters": {"type": "object"}}}]


@contextmanager
def proxied(replies: int = 9, **settings: Any) -> Iterator[tuple[ScriptedServer, Service]]:
    usage = Usage(1_000, 400, 7)
    script = [Reply("ok", usage=usage) for _ in range(replies)]
    with ScriptedServer(script, extends=None) as server, Service(upstream=server.url, **settings) as service:
        yield server, service


def rounds(count: int, task: str = "Why did the import stop?") -> list[Any]:
    """A task, and calls with results that are worth cutting."""
    messages: list[Any] = [{"role": "user", "content": task}]
    for i in range(count):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": f"part {i}\n{LOG}"})
    return messages


def ask(service: Service, messages: Sequence[Any], headers: dict[str, str] | None = None, **more: Any) -> Any:
    body = {"model": "gpt-4o", "messages": messages, "tools": TOOLS, **more}
    return service.http.post(CHAT, json=body, headers=headers or {})


def is_cut(request: Request) -> bool:
    return "cut ref" in json.dumps(request.body)


def test_an_audit_sends_what_the_client_sent_and_says_what_would_be_saved() -> None:
    with proxied(mode="audit") as (server, service):
        answer = ask(service, rounds(2))
        assert server.requests[-1].body == {"model": "gpt-4o", "messages": rounds(2), "tools": TOOLS}
        headers = answer.headers
        assert headers["x-compressor-group"] == "audit" and "x-compressor-saved-usd" not in headers
        before, after = int(headers["x-compressor-tokens-before"]), int(headers["x-compressor-audit-tokens-after"])
        assert headers["x-compressor-tokens-after"] == str(before) and after < 0.8 * before
        assert float(headers["x-compressor-audit-saved-usd"]) > 0
        ask(service, rounds(3))
        found = service.http.get("/v1/stats/rollout").json()
        group = found["groups"]["audit"]
        assert (group["calls"], group["conversations"], group["measured_calls"]) == (2, 1, 2)
        assert (group["prompt_tokens_per_call"], group["cached_fraction"]) == (1000, 0.4)
        assert 0 < found["audit"]["tokens_saved_fraction"] < 1 and found["dollars_per_call"]["difference"] is None
        assert service.metric("gained_dollars_total") == 0, "nothing was saved"
        assert service.metric("group_calls_total", group="audit") == 2
        assert service.gate._tenants.get("local").compressor.store.stats().entries == 0, "nor was anything stored"


def test_after_an_audit_a_conversation_goes_on_with_the_bytes_that_the_provider_has_seen() -> None:
    with proxied(mode="audit") as (server, service):
        ask(service, rounds(2))
        service.gate.reconfigure(service.config.model_copy(update={"mode": "enforce"}))
        answer = ask(service, rounds(3))
        sent = server.requests[-1]
        assert sent.messages[:5] == rounds(2), "the provider's cache still matches"
        assert "cut ref" in json.dumps(sent.messages[5:]), "what is new is cut"
        assert "x-compressor-group" not in answer.headers and float(answer.headers["x-compressor-saved-usd"]) > 0
        ask(service, rounds(1, "Another task"))
        assert is_cut(server.requests[-1]), "a new conversation is cut from its beginning"


def test_an_audit_that_fails_changes_nothing_for_the_client() -> None:
    with proxied(mode="audit") as (server, service):
        broken = service.http.post(CHAT, json={"model": "gpt-4o", "n": 2, "messages": rounds(1)})
        assert "audit: would not be compressed" in broken.headers["x-compressor-warning"]
        assert server.requests[-1].body == {"model": "gpt-4o", "n": 2, "messages": rounds(1)}


def test_off_measures_nothing_and_adds_nothing() -> None:
    with proxied(mode="off") as (server, service):
        answer = ask(service, rounds(2))
        assert not is_cut(server.requests[-1])
        assert not [name for name in answer.headers if name.startswith("x-compressor-") and "-id" not in name]
        assert ask(service, rounds(2), {"x-compressor-mode": "enforce"}).status_code == 200
        assert is_cut(server.requests[-1]), "a client may choose, unless that is locked"


@pytest.mark.parametrize("name", ["session", "beginning"])
def test_a_rollout_holds_out_the_same_conversations_whatever_process_sees_them(name: str) -> None:
    sides: list[list[bool]] = []
    for share in (0.5, 0.5, 0.8):
        with proxied(40, rollout=share, rollout_salt="x") as (server, service):
            for i in range(12):
                headers = {"x-compressor-session": f"run-{i}"} if name == "session" else {}
                answer = ask(service, rounds(1, f"task {i}" if name == "beginning" else "task"), headers)
                assert answer.headers["x-compressor-group"] == (
                    "compressed" if is_cut(server.requests[-1]) else "holdout"
                )
            sides.append([is_cut(request) for request in server.requests])
    assert sides[0] == sides[1] and 2 <= sum(sides[0]) <= 10
    assert all(now or not before for before, now in zip(sides[1], sides[2], strict=True)), "none leaves"


def test_the_bill_of_both_groups_is_the_providers() -> None:
    with proxied(40, rollout=0.5) as (_, service):
        for i in range(8):
            for steps in (1, 2):
                ask(service, rounds(steps, f"task {i}"))
        ask(service, rounds(1), {"x-compressor-mode": "enforce"})  # chosen by the client, so it is no part of it
        ask(service, rounds(1), {"x-compressor-bypass": "1"})
        found = service.http.get("/v1/stats/rollout").json()
        ours, theirs = found["groups"]["compressed"], found["groups"]["holdout"]
        assert ours["calls"] + theirs["calls"] == 16 == ours["measured_calls"] + theirs["measured_calls"]
        assert ours["conversations"] + theirs["conversations"] == 8 and ours["calls_per_conversation"] == 2
        assert ours["dollars_per_call"] == theirs["dollars_per_call"] > 0, "the script bills each call alike"
        assert "are needed" in found["dollars_per_call"]["reason"]
        assert found["rollout"] == 0.5 and found["needed"]["measured_calls"] == 100


def test_a_conversation_that_joins_a_growing_rollout_keeps_its_prefix() -> None:
    with proxied(rollout=0.0) as (server, service):
        assert ask(service, rounds(2), {"x-compressor-session": "a"}).headers["x-compressor-group"] == "holdout"
        ask(service, rounds(2, "unnamed"))
        service.gate.reconfigure(service.config.model_copy(update={"rollout": 1.0}))
        for task, headers in (("Why did the import stop?", {"x-compressor-session": "a"}), ("unnamed", {})):
            ask(service, rounds(3, task), headers)
            sent = server.requests[-1].messages
            assert sent[:5] == rounds(2, task) and "cut ref" in json.dumps(sent[5:])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_usage_is_read_from_every_form_of_answer(path: str, stream: bool) -> None:
    turns = [{"role": "user", "content": "hello"}]
    body: dict[str, Any] = {"model": "gpt-4o", "stream": stream}
    body |= {"input": turns} if path == "/v1/responses" else {"messages": turns, "max_tokens": 9}
    if path == CHAT and stream:
        body["stream_options"] = {"include_usage": True}
    counted = []
    for share in (0.0, 1.0):
        with proxied(rollout=share) as (_, service):
            assert service.http.post(path, json=body).status_code == 200
            group = service.http.get("/v1/stats/rollout").json()["groups"]["compressed" if share else "holdout"]
            counted.append({name: group[name] for name in ("measured_calls", "prompt_tokens_per_call", "dollars")})
    assert counted[0] == counted[1] and counted[0]["prompt_tokens_per_call"] > 0


def test_providers_errors_are_counted_where_they_happen() -> None:
    with (
        ScriptedServer([Fail(429), Fail(500)], extends=None) as server,
        Service(upstream=server.url, rollout=0.0) as service,
    ):
        assert [ask(service, rounds(1)).status_code for _ in range(2)] == [429, 500]
        group = service.http.get("/v1/stats/rollout").json()["groups"]["holdout"]
        assert (group["calls"], group["provider_errors"], group["measured_calls"]) == (2, 2, 0)


def test_each_tenant_has_its_own_mode_and_sees_its_own_figures() -> None:
    keys, settings = two_tenants()
    tenants = {"red": {"mode": "audit"}, "blue": {"mode": "enforce"}}
    with proxied(tenants=tenants, **settings) as (server, service):
        for name in ("red", "blue"):
            ask(service, rounds(1), {"x-compressor-key": keys[name]})
            assert is_cut(server.requests[-1]) == (name == "blue")
            found = service.http.get("/v1/stats/rollout", headers={"x-compressor-key": keys[name]}).json()
            counted = {group for group, figures in found["groups"].items() if figures["calls"]}
            assert counted == {"audit" if name == "red" else "compressed"} and found["mode"] == tenants[name]["mode"]
        assert error_of(service.http.get("/v1/stats/rollout")) == "unauthorized"


def test_gateways_histories_follow_the_mode() -> None:
    asked = {"model": "gpt-4o", "messages": history()}
    with proxied(mode="audit") as (_, service):
        made = service.http.post("/v1/compress", json=asked).json()
        assert made["messages"] == history() and made["group"] == "audit" and made["tokens_saved"] == 0
        assert 0 < made["audit"]["tokens_after"] < made["tokens_before"] == made["tokens_after"]
        budgeted = service.http.post("/v1/compress", json={**asked, "budget": 600}).json()
        assert budgeted["tokens_after"] <= 600, "who names a budget wants it kept"
    with proxied(rollout=0) as (_, service):
        made = service.http.post("/v1/compress", json=asked).json()
        assert made["messages"] == history() and made["group"] == "holdout"
        service.gate.reconfigure(service.config.model_copy(update={"rollout": 1.0}))
        assert service.http.post("/v1/compress", json=asked).json()["messages"] == history(), "as it was sent"
        longer = [*history(), *rounds(1)[1:]]
        made = service.http.post("/v1/compress", json={**asked, "messages": longer}).json()
        assert made["messages"][:3] == history() and "cut ref" in json.dumps(made["messages"][3:])
    with proxied(mode="off") as (_, service):
        made = service.http.post("/v1/compress", json=asked).json()
        assert made["messages"] == history() and made["warnings"] == ["not compressed: the mode is off"]
    assert NEEDLE

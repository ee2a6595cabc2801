"""Several providers by model name, the next one where the first cannot answer, and keys that clients do not have."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.redis_tools import free_port
from support.scripted_server import Call, Fail, Reply, ScriptedServer
from support.service_tools import Service, error_of, history, two_tenants

QUESTION = [{"role": "user", "content": "Is it up?"}]
OVERLOADED = Fail(503, headers={"retry-after": "7"})


@pytest.fixture
def first() -> Iterator[ScriptedServer]:
    with ScriptedServer(extends=None) as running:
        yield running


@pytest.fixture
def second() -> Iterator[ScriptedServer]:
    with ScriptedServer(extends=None) as running:
        yield running


def upstream(server: ScriptedServer, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "url": f"{server.url}/v1", **more}


def ask(service: Service, model: str = "gpt-4o", **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    body = {"model": model, "messages": QUESTION, **more}
    return service.http.post("/v1/chat/completions", json=body, headers=headers)


def text_of(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_the_model_names_the_upstream(first: ScriptedServer, second: ScriptedServer) -> None:
    first.script, second.script = [Reply("first")], [Reply("second"), Reply("second")]
    named = [upstream(first, "one", models=["gpt-*", "o?"]), upstream(second, "two", models=["mistral-*"])]
    with Service(upstreams=named) as service:
        assert text_of(ask(service)) == "first"
        answer = ask(service, "mistral-small")
        assert text_of(answer) == "second" and answer.headers["x-compressor-upstream"] == "two"
        assert text_of(ask(service, "mistral-small", headers={"x-compressor-bypass": "1"})) == "second"
        unknown = ask(service, "llama-3")
        assert unknown.status_code == 404 and error_of(unknown) == "no_upstream" and "llama-3" in unknown.text


def test_what_no_upstream_serves_goes_to_the_default(first: ScriptedServer, second: ScriptedServer) -> None:
    first.script, second.script = [Reply("listed")], [Reply("default")]
    with Service(upstreams=[upstream(first, "one", models=["gpt-*"])], upstream=second.url) as service:
        assert text_of(ask(service, "llama-3")) == "default" and text_of(ask(service)) == "listed"


def test_a_path_names_the_upstream(first: ScriptedServer, second: ScriptedServer) -> None:
    first.script, second.script = [Reply("messages")], [Reply("chat")]
    named = [upstream(first, "one", paths=["/v1/messages"]), upstream(second, "two")]
    with Service(upstreams=named) as service:
        body = {"model": "claude-x", "max_tokens": 9, "messages": QUESTION}
        assert service.http.post("/v1/messages", json=body).json()["content"][0]["text"] == "messages"
        assert text_of(ask(service, "claude-x")) == "chat"


@pytest.mark.parametrize("failure", [OVERLOADED, Fail(500), Fail(429), Fail(529)], ids=lambda one: str(one.status))
@pytest.mark.parametrize("stream", [False, True])
def test_the_next_one_answers(first: ScriptedServer, second: ScriptedServer, failure: Fail, stream: bool) -> None:
    first.script, second.script = [failure], [Reply("second")]
    with Service(upstreams=[upstream(first, "one"), upstream(second, "two")]) as service:
        answer = ask(service, stream=stream)
        assert answer.status_code == 200 and "second" in answer.text
        assert answer.headers["x-compressor-upstream"] == "two"
    assert first.requests[0].body == second.requests[0].body


def test_a_provider_that_is_not_there_is_passed_over(second: ScriptedServer) -> None:
    second.script = [Reply("second")] * 5
    gone = {"name": "gone", "url": f"http://127.0.0.1:{free_port()}"}
    with Service(upstreams=[gone, upstream(second, "two")]) as service:
        assert [text_of(ask(service)) for _ in range(5)] == ["second"] * 5


def test_one_that_says_how_long_to_wait_is_not_asked_meanwhile(first: ScriptedServer, second: ScriptedServer) -> None:
    first.script, second.script = [OVERLOADED], [Reply("second")] * 3
    with Service(upstreams=[upstream(first, "one"), upstream(second, "two")]) as service:
        assert [text_of(ask(service)) for _ in range(3)] == ["second"] * 3
    assert len(first.requests) == 1


def test_the_last_ones_own_error_arrives(first: ScriptedServer, second: ScriptedServer) -> None:
    first.script, second.script = [Fail(500, "first")], [Fail(429, "second", {"retry-after": "3"})]
    with Service(upstreams=[upstream(first, "one"), upstream(second, "two")]) as service:
        answer = ask(service)
        assert answer.status_code == 429 and "second" in answer.text and answer.headers["retry-after"] == "3"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_an_error_of_the_client_is_not_asked_elsewhere(
    first: ScriptedServer, second: ScriptedServer, status: int
) -> None:
    first.script = [Fail(status)] * 2
    with Service(upstreams=[upstream(first, "one"), upstream(second, "two")]) as service:
        assert ask(service).status_code == status
    assert not second.requests


def test_what_refers_to_stored_state_stays_with_its_provider(first: ScriptedServer, second: ScriptedServer) -> None:
    first.script = [Fail(503)] * 2
    with Service(upstreams=[upstream(first, "one"), upstream(second, "two")]) as service:
        body = {"model": "gpt-5", "input": "And then?", "previous_response_id": "resp_1"}
        assert service.http.post("/v1/responses", json=body).status_code == 503
    assert not second.requests


def test_hidden_rounds_stay_with_the_provider_of_the_first(first: ScriptedServer, second: ScriptedServer) -> None:
    def expand(request: Any) -> Reply:
        from support.client_tools import ref_in

        return Reply(calls=[Call("expand_context", {"ref": ref_in(request)})])

    first.script = [Fail(500)]
    second.script = [expand, Reply("I have read it.")]
    tool = {"type": "function", "function": {"name": "read_log", "parameters": {"type": "object", "properties": {}}}}
    with Service(upstreams=[upstream(first, "one"), upstream(second, "two")]) as service:
        body = {"model": "gpt-4o", "messages": history(), "tools": [tool]}
        answer = service.http.post("/v1/chat/completions", json=body)
        assert text_of(answer) == "I have read it."
    assert len(first.requests) == 1 and len(second.requests) == 2


def test_a_model_has_another_name_there(first: ScriptedServer) -> None:
    first.script = [Reply("ok")] * 2
    with Service(upstreams=[upstream(first, "one", rename={"gpt-4o": "my-deployment"})]) as service:
        raw = b'{"model" : "gpt-4o", "temperature": 1.0e0, "messages": [{"role":"user","content":"caf\\u00e9"}]}'
        for headers in ({}, {"x-compressor-bypass": "1"}):
            assert service.http.post("/v1/chat/completions", content=raw, headers=headers).status_code == 200
    assert [one.body["model"] for one in first.requests] == ["my-deployment"] * 2
    assert first.requests[0].body["messages"][0]["content"] == "café"


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def provider_key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TEST_PROVIDER_KEY", "sk-central-0123456789")
    return "sk-central-0123456789"


def test_a_central_key_replaces_the_clients(first: ScriptedServer, provider_key: str) -> None:
    first.script = [Reply("ok")] * 3
    with Service(upstreams=[upstream(first, "one", key="env:TEST_PROVIDER_KEY")]) as service:
        assert text_of(ask(service)) == "ok"
        assert text_of(ask(service, headers={"authorization": "Bearer sk-theirs", "x-api-key": "sk-theirs"})) == "ok"
        service.http.post("/v1/messages", json={"model": "c", "max_tokens": 1, "messages": QUESTION})
    for request in first.requests[:2]:
        assert request.headers["authorization"] == f"Bearer {provider_key}" and "x-api-key" not in request.headers
    assert first.requests[2].headers["x-api-key"] == provider_key


def test_each_tenant_has_its_own(first: ScriptedServer, provider_key: str, tmp_path: Any) -> None:
    (tmp_path / "blue").write_text("sk-blue\n")
    keys, known = two_tenants()
    first.script = [Reply("ok")] * 4
    tenants = {
        "red": {"provider_keys": {"one": "env:TEST_PROVIDER_KEY"}},
        "blue": {"provider_keys": {"one": f"file:{tmp_path / 'blue'}"}},
    }
    with Service(upstreams=[upstream(first, "one")], tenants=tenants, **known) as service:
        for name in ("red", "blue"):  # where an SDK puts its key
            assert text_of(ask(service, headers={"authorization": f"Bearer {keys[name]}"})) == "ok"
        (tmp_path / "blue").write_text("sk-blue-2")
        assert text_of(ask(service, headers={"x-compressor-key": keys["blue"]})) == "ok"
        misplaced = ask(service, headers={"authorization": f"Bearer {keys['ops']}"})  # it has no provider key
        assert misplaced.status_code == 401 and error_of(misplaced) == "misplaced_key"
    sent = [request.headers["authorization"] for request in first.requests]
    assert sent == [f"Bearer {provider_key}", "Bearer sk-blue", "Bearer sk-blue-2"]
    assert not any(key in json.dumps(request.headers) for key in keys.values() for request in first.requests)


def test_our_key_never_goes_to_a_provider_without_a_key(
    first: ScriptedServer, second: ScriptedServer, provider_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys, known = two_tenants()
    first.script = [Fail(503)]
    tenants = {"red": {"provider_keys": {"one": "env:TEST_PROVIDER_KEY"}}}
    with (
        caplog.at_level(logging.DEBUG),
        Service(upstreams=[upstream(first, "one"), upstream(second, "two")], tenants=tenants, **known) as service,
    ):
        answer = ask(service, headers={"authorization": f"Bearer {keys['red']}"})
        assert answer.status_code == 502 and error_of(answer) == "no_provider_key"
        assert not second.requests
        assert provider_key not in json.dumps(service.config.printable(), default=str)
    assert provider_key not in caplog.text and keys["red"] not in caplog.text

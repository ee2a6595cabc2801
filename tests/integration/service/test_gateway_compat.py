"""What the compression hooks of LiteLLM and Portkey send, and what they read in the answers.

Replayed from their documentation and sources: LiteLLM's guardrail "headroom" (`POST /v1/compress` with messages and, if
known, a model; `GET /v1/retrieve/{hash}`; `Authorization: Bearer`; anything but 200 with a list of dicts is an error,
which becomes a 502 of its own unless it is told otherwise; a retrieve tool is offered where a text has `hash=` and 24
hex digits), Portkey's "Headroom Compress Context" (the same request with a `config`, 10 s).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.client_tools import LOG, NEEDLE, TASK

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service, two_tenants

HASH = re.compile(r"hash=([a-f0-9]{24})")  # LiteLLM's
CALL = {"id": "c1", "type": "function", "function": {"name": "read_log", "arguments": '{"path": "import.log"}'}}
HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "You look after imports."},
    {"role": "user", "content": TASK},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": LOG},
]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


def litellm(service: Service, messages: Any, model: str | None = "gpt-4o", key: str = "") -> dict[str, Any]:
    """LiteLLM's hook: its request, and what it insists on."""
    payload: dict[str, Any] = {"messages": messages} | ({"model": model} if model else {})
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    response = httpx.post(f"{service.url}/v1/compress", json=payload, headers=headers)
    assert response.status_code == 200
    body = response.json()
    assert isinstance(body, dict) and isinstance(body["messages"], list)
    assert body["messages"] and all(isinstance(one, dict) for one in body["messages"])
    assert f"{body['tokens_before']} {body['tokens_after']} {body['compression_ratio']:.2f}"  # its log line
    return body


def hashes(messages: list[dict[str, Any]]) -> list[str]:
    """As LiteLLM looks for them: in texts, and in the texts of parts."""
    found = []
    for message in messages:
        content = message.get("content")
        texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content or ()]
        found += [one for text in texts for one in HASH.findall(text)]
    return found


def test_sizes_are_what_is_left_of_one(service: Service) -> None:
    body = litellm(service, HISTORY)
    before, after = body["tokens_before"], body["tokens_after"]
    assert 0 < after < 0.8 * before
    assert body["compression_ratio"] == pytest.approx(after / before, abs=1e-4)  # 0.35: 65 % saved
    assert body["tokens_saved"] == before - after
    assert [one["role"] for one in body["messages"]] == [one["role"] for one in HISTORY]
    assert body["messages"][:3] == HISTORY[:3]  # nothing else is touched
    short = litellm(service, [{"role": "user", "content": "Hello."}])
    assert short["compression_ratio"] == 1.0 and short["messages"] == [{"role": "user", "content": "Hello."}]


def test_the_sizes_are_those_of_what_is_given_back(service: Service) -> None:
    from compressor.context.formats import detect_format
    from compressor.tokens import get_counter

    body = litellm(service, HISTORY)
    context = detect_format(body["messages"]).parse(body["messages"])
    assert hashes(body["messages"]) and body["tokens_after"] == get_counter("gpt-4o").count_context(context)


def test_what_was_cut_comes_back_by_its_hash(service: Service) -> None:
    found = hashes(litellm(service, HISTORY)["messages"])
    assert found
    answer = httpx.get(f"{service.url}/v1/retrieve/{found[0]}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 and answer.json()["original_content"] in LOG
    whole = [httpx.get(f"{service.url}/v1/retrieve/{one}").json()["original_content"] for one in found]
    assert any(NEEDLE in text for text in whole) or NEEDLE in json.dumps(litellm(service, HISTORY)["messages"])
    asked = httpx.get(f"{service.url}/v1/retrieve/{found[0]}", params={"query": "which worker gave up"})
    assert asked.status_code == 200 and isinstance(asked.json()["original_content"], str)
    for unknown in ("0" * 24, "a" * 24, "123456789012345678901234"):
        assert httpx.get(f"{service.url}/v1/retrieve/{unknown}").status_code == 404


def test_a_history_keeps_its_bytes_from_call_to_call(service: Service) -> None:
    first = litellm(service, HISTORY)["messages"]
    longer = [*HISTORY, {"role": "assistant", "content": "Order ORD-777123."}, {"role": "user", "content": "And then?"}]
    assert litellm(service, longer)["messages"][: len(first)] == first
    # LiteLLM may send what it got, with what the model asked for behind it: the marks are not made twice.
    again = litellm(service, first)
    assert again["messages"] == first


@pytest.mark.parametrize("model", [None, "anthropic/claude-sonnet-4", "azure/my-deployment", "no-such-model"])
def test_any_model_or_none(service: Service, model: str | None) -> None:
    assert litellm(service, HISTORY, model)["compression_ratio"] < 0.8


def test_a_key_is_a_bearer(service: Service) -> None:
    keys, known = two_tenants()
    with Service(**known) as closed:
        found = hashes(litellm(closed, HISTORY, key=keys["red"])["messages"])
        url = f"{closed.url}/v1/retrieve/{found[0]}"
        answers = [httpx.get(url, headers={"Authorization": f"Bearer {keys[name]}"}) for name in ("red", "blue")]
        assert [answer.status_code for answer in answers] == [200, 404]
        assert httpx.post(f"{closed.url}/v1/compress", json={"messages": HISTORY}).status_code == 401


def test_pictures_and_unknown_fields_stay(service: Service) -> None:
    parts = [
        {"type": "text", "text": "What is wrong here?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    messages = [
        {"role": "user", "content": parts, "name": "ann"},
        {**HISTORY[2], "reasoning_content": "I look.", "provider_specific_fields": {"x": None}, "refusal": None},
        {**HISTORY[3], "content": [{"type": "text", "text": LOG, "cache_control": {"type": "ephemeral"}}]},
    ]
    body = litellm(service, messages)
    assert body["messages"][:2] == messages[:2]
    result = body["messages"][2]
    assert result["content"][0]["cache_control"] == {"type": "ephemeral"} and hashes([result])
    assert len(result["content"][0]["text"]) < 0.8 * len(LOG)


ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": TASK},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read_log", "input": {"path": "x"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": LOG, "is_error": False}]},
]


def test_portkey_sends_a_config_and_either_form(service: Service) -> None:
    config = {"compress_user_messages": False, "compress_system_messages": False, "protect_recent": 4}
    for messages in (HISTORY, ANTHROPIC):
        payload = {"model": "claude-sonnet-4", "messages": messages, "config": {**config, "token_budget": 100_000}}
        response = httpx.post(f"{service.url}/v1/compress", json=payload, timeout=10)
        body = response.json()
        wanted = ("messages", "tokens_before", "tokens_after", "tokens_saved", "compression_ratio")
        assert response.status_code == 200 and set(wanted) <= set(body)
        assert body["compression_ratio"] < 0.8 and len(body["messages"]) == len(messages)
    result = body["messages"][2]["content"][0]
    assert {k: v for k, v in result.items() if k != "content"} == {
        k: v for k, v in ANTHROPIC[2]["content"][0].items() if k != "content"
    }


def test_what_cannot_be_compressed_comes_back_as_it_was(service: Service) -> None:
    pending = HISTORY[:3]  # a call that has no result
    body = litellm(service, pending)
    assert body["messages"] == pending and body["compression_ratio"] == 1.0
    assert body["warnings"] == ["not compressed: invalid_context"]
    assert service.metric("fallbacks_total", reason="invalid_context") == 1


def test_results_without_their_calls_are_compressed_each(service: Service) -> None:
    """What LiteLLM sends since it holds back all that the assistant said."""
    rows = [HISTORY[1], HISTORY[3], {**HISTORY[3], "tool_call_id": "c2", "content": LOG[::-1]}]
    body = litellm(service, rows)
    assert len(body["messages"]) == 3 and body["compression_ratio"] < 0.8 and body["mode"] == "rows"
    assert {*hashes(body["messages"])} <= {*body["ccr_hashes"]}
    assert [one["tool_call_id"] for one in body["messages"][1:]] == ["c1", "c2"]
    assert litellm(service, rows[1:])["messages"] == body["messages"][1:]
    assert service.metric("fallbacks_total") == 0


@pytest.mark.parametrize("messages", [[{"role": "wizard", "content": "?"}], [{"content": 1}]], ids=["role", "content"])
def test_what_no_provider_knows_is_left_as_it_is(service: Service, messages: list[Any]) -> None:
    body = litellm(service, messages)
    assert body["messages"] == messages and body["compression_ratio"] == 1.0
    assert not service.metric("fallbacks_total")


def test_a_failing_store_stops_no_gateway(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor import StoreError

    def fails(*_: Any, **__: Any) -> Any:
        raise StoreError("gone")

    store = service.gate._tenants.shared.store
    for name in ("put", "get", "get_many", "append_log"):
        monkeypatch.setattr(store, name, fails, raising=False)
    body = litellm(service, HISTORY)
    assert body["messages"] == HISTORY and body["warnings"]
    monkeypatch.setattr(service.gate._tenants.get("local").conversations, "view", lambda *_: 1 / 0)
    assert litellm(service, HISTORY)["warnings"] == ["not compressed: internal_error"]


def test_a_gateways_budget_is_kept(service: Service) -> None:
    """With a budget the answer is for one call, and an error is one: who gives a number wants to know."""
    response = httpx.post(f"{service.url}/v1/compress", json={"messages": HISTORY, "budget": 700})
    assert response.json()["tokens_after"] <= 700
    assert httpx.post(f"{service.url}/v1/compress", json={"messages": HISTORY, "budget": 5}).status_code == 422

"""Routes of providers through a real service: what reaches the provider, and what does not."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.client_tools import LOG
from support.recording_upstream import RecordingUpstream
from support.service_tools import Service, error_of, history, two_tenants

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RecordingUpstream, Service]]:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url, models={"my-gpt": "gpt-4o"}) as service:
        yield upstream, service


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": history(), **more}


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21", None),
        ("/openai/v1/chat/completions", None),
        ("/models/chat/completions?api-version=1", None),
        ("/v1beta/openai/chat/completions", None),
    ],
)
def test_chat_is_compressed_wherever_it_is(servers: Any, path: str, sent: str | None) -> None:
    upstream, service = servers
    answer = service.http.post(path, json=chat(user=path))
    assert answer.status_code == 200 and "x-compressor-warning" not in answer.headers
    assert int(answer.headers["x-compressor-tokens-after"]) < int(answer.headers["x-compressor-tokens-before"])
    assert upstream.last.target == (sent or path) and len(upstream.last.body) < len(LOG)


def test_a_deployment_names_the_model(servers: Any) -> None:
    upstream, service = servers
    body = {"messages": history(LOG + "deployment")}
    answers = [
        service.http.post("/openai/deployments/gpt-4o-mini/chat/completions", json=body),
        service.http.post("/v1/chat/completions", json={"model": "gpt-4o-mini", **body}),
        service.http.post("/openai/deployments/gpt-4o-mini/chat/completions", json={"model": "gpt-4o", **body}),
        service.http.post("/openai/deployments/my-gpt/chat/completions", json=body),
    ]
    one, same, *others = [answer.headers["x-compressor-session"] for answer in answers]
    assert one == same and one not in others  # the model is a part of what a conversation is
    assert [one.data.get("model") for one in upstream.seen[-4:]] == [None, "gpt-4o-mini", "gpt-4o", None]


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/gemini-2.0-flash:generateContent?key=theirs",
        "/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent?alt=sse",
        "/model/anthropic.claude-3%3A0/converse",
        "/v1/completions",
    ],
)
def test_other_apis_pass_through_and_say_so(servers: Any, path: str) -> None:
    upstream, service = servers
    body = b'{"contents": [ {"parts": [{"text": "as it is"}]}]}'
    answer = service.http.post(path, content=body, headers=JSON)
    assert answer.status_code == 200
    assert answer.headers["x-compressor-warning"] == "not compressed: unsupported_api"
    assert upstream.last.target == path and upstream.last.body == body
    assert "x-compressor-warning" not in service.http.get("/v1/models").headers


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/session/abc/append", "POST /v1/sessions/{id}/append"),
        ("/v1/sessions/abc/apend", "POST /v1/sessions/{id}/append"),
        ("/v1/compres", "POST /v1/compress"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/keys", ""),
        ("/v1/workspaces", ""),
        ("/nowhere", ""),
    ],
)
def test_an_unknown_route_goes_nowhere(servers: Any, path: str, hint: str) -> None:
    upstream, service = servers
    before = len(upstream.seen)
    answer = service.http.post(path, json={"messages": [{"role": "user", "content": "secret"}]})
    assert answer.status_code == 404 and error_of(answer) == "not_found"
    message = answer.json()["error"]["message"]
    assert f"Did you mean {hint}?" in message if hint else "Did you mean" not in message
    assert len(upstream.seen) == before


def test_unknown_routes_are_forwarded_if_the_operator_wants_that() -> None:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url, forward_unknown_routes=True) as service:
        assert service.http.post("/v1/keys", json={}).status_code == 200
        assert upstream.last.target == "/v1/keys"
        assert service.http.post("/v1/sessions/a/apend", json={}).status_code == 404  # ours all the same
        assert service.http.post("/v2/keys", json={}).status_code == 404
        assert len(upstream.seen) == 1


def test_each_provider_gets_its_own() -> None:
    with RecordingUpstream() as one, RecordingUpstream() as two:
        urls = {f"upstream_{name}": two.url for name in ("anthropic", "azure", "gemini", "vertex", "bedrock")}
        with Service(upstream=one.url + "/v1", **urls) as service:
            for path in ("/openai/v1/files", "/v1beta/models/g:countTokens", "/model/x/invoke", "/v1/messages/batches"):
                service.http.post(path, json={})
                assert two.last.target == path
            # Two providers have these; the client's headers say which one is meant.
            service.http.get("/v1/models", headers={"anthropic-version": "2023-06-01"})
            service.http.get("/v1/models")
            assert (two.last.target, one.last.target) == ("/v1/models", "/v1/models") and len(one.seen) == 1


def test_health_has_two_names() -> None:
    keys, settings = two_tenants()
    with Service(**settings) as service:
        for path in ("/health", "/healthz", "/healthz/"):
            answer = service.http.get(path)
            assert answer.status_code == 200 and answer.json() == {"status": "ok"}, path
        assert service.http.get("/v1/stats").status_code == 401
        assert service.http.get("/v1/stats/", headers={"x-compressor-key": keys["red"]}).status_code == 200


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_our_key_never_reaches_a_provider(header: str) -> None:
    keys, settings = two_tenants()
    with RecordingUpstream() as upstream, Service(upstream=upstream.url, **settings) as service:
        value = f"Bearer {keys['red']}" if header == "authorization" else keys["red"]
        for path in ("/v1/chat/completions", "/v1beta/models/g:generateContent", "/model/x/invoke"):
            answer = service.http.post(path, json={}, headers={header: value, "x-compressor-key": keys["red"]})
            assert answer.status_code == 401 and error_of(answer) == "misplaced_key"
        assert not upstream.seen


PACKED: dict[str, Any] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
}


@pytest.mark.parametrize("coding", PACKED)
def test_packed_bodies_are_compressed_like_others(servers: Any, coding: str) -> None:
    upstream, service = servers
    head = {**JSON, "content-encoding": coding}
    packed = PACKED[coding](json.dumps(chat(user=coding)).encode())
    answer = service.http.post("/v1/chat/completions", content=packed, headers=head)
    assert answer.status_code == 200 and "x-compressor-warning" not in answer.headers
    got = upstream.last
    assert int(got.headers["content-length"]) == got.size < len(LOG)
    assert got.data["user"] == coding and got.headers.get("content-encoding", "identity") == "identity"
    own = service.http.post("/v1/compress", content=packed, headers=head)
    assert own.status_code == 200 and own.json()["tokens_before"] > 0


def test_packed_bodies_that_are_not_read_here(servers: Any) -> None:
    upstream, service = servers
    packed = PACKED["gzip"](b'{"model": "x", "input": "a"}')
    for path in ("/v1/embeddings", "/v1beta/models/g:generateContent"):  # passed through as they are
        assert service.http.post(path, content=packed, headers={"content-encoding": "gzip"}).status_code == 200
        assert upstream.last.body == packed and upstream.last.headers["content-encoding"] == "gzip"
    for coding in ("br", "gzip, gzip"):  # perhaps the provider reads it
        answer = service.http.post("/v1/chat/completions", content=packed, headers={"content-encoding": coding})
        assert answer.status_code == 200 and answer.headers["x-compressor-warning"] == "not compressed: encoded_body"
        assert upstream.last.body == packed and upstream.last.headers["content-encoding"] == coding
    before = len(upstream.seen)
    answer = service.http.post("/v1/chat/completions", content=packed, headers={"content-encoding": "zstd"})
    assert answer.status_code == 400 and error_of(answer) == "encoded_body"
    bomb = gzip.compress(bytes(40_000_000))
    answer = service.http.post("/v1/messages", content=bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413 and error_of(answer) == "too_large"
    assert len(upstream.seen) == before

"""What becomes of screenshots in requests to the running service."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from support.scripted_server import Reply, ScriptedServer

pytest.importorskip("PIL")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.picture_runs import (
    MODELS,
    Shot,
    browsing,
    count,
    image_data,
    image_parts,
    page_shot,
    write_run,
)
from support.service_tools import Service

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
}
KEYS = {"openai_chat": "messages", "openai_responses": "input", "anthropic": "messages"}
TOOL = {"type": "function", "function": {"name": "browser_navigate", "parameters": {"type": "object"}}}


def body_of(format_name: str, messages: list[Any], stream: bool = False) -> dict[str, Any]:
    more = {"max_tokens": 100} if format_name == "anthropic" else {}
    return {"model": MODELS[format_name], KEYS[format_name]: messages, "stream": stream, **more}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("format_name", PATHS)
def test_a_request_over_the_budget_reaches_the_provider_with_fewer_images(format_name: str, stream: bool) -> None:
    messages = write_run(format_name, browsing((1, 1, 2, 1, 2, 2)))
    model = MODELS[format_name]
    whole = count(messages, model)
    with (
        ScriptedServer([Reply("Done.")], extends=None) as server,
        Service(upstream=server.url, budget=int(0.6 * whole)) as service,
    ):
        answer = service.http.post(PATHS[format_name], json=body_of(format_name, messages, stream))
        assert answer.status_code == 200 and "Done" in answer.text
        assert "x-compressor-warning" not in answer.headers
        before, after = (int(answer.headers[f"x-compressor-tokens-{name}"]) for name in ("before", "after"))
        assert after < 0.8 * before
        assert service.metric("fallbacks_total") == 0
    (request,) = server.requests
    assert not server.problems
    sent = request.body[KEYS[format_name]]
    assert len(sent) <= len(messages)
    assert 0 < len(image_parts(sent)) < 6
    assert count(sent, model) <= int(0.6 * whole)
    check_parts(format_name, sent)


def check_parts(format_name: str, messages: list[Any]) -> None:
    """Checks that image parts have the keys that their provider knows, and hold a picture."""
    for part in map(json.loads, image_parts(messages)):
        if format_name == "anthropic":
            assert set(part) == {"type", "source"} and set(part["source"]) == {"type", "media_type", "data"}
        elif format_name == "openai_responses":
            assert set(part) == {"type", "image_url"} and isinstance(part["image_url"], str)
        else:
            assert set(part) == {"type", "image_url"} and set(part["image_url"]) == {"url"}
    for data in image_data(messages):
        assert base64.b64decode(data)[1:4] == b"PNG"


def test_a_conversation_goes_on_with_the_bytes_that_the_provider_has_seen() -> None:
    shots = browsing((1, 1, 2, 1))
    with (
        ScriptedServer([Reply("ok")] * 4) as server,  # it notes what does not extend the request before
        Service(upstream=server.url, policy={"compact": False}) as service,
    ):
        for i in range(1, 5):
            messages = write_run("openai_chat", [*shots[:3], shots[0]][:i])
            answer = service.http.post(PATHS["openai_chat"], json=body_of("openai_chat", messages) | {"tools": [TOOL]})
            assert answer.status_code == 200
    assert not server.problems
    assert len(image_data(server.requests[-1].body["messages"])) == 3


@pytest.mark.parametrize("format_name", PATHS)
@pytest.mark.parametrize(
    "data", ["@@@@", "", base64.b64encode(b"no picture at all").decode(), page_shot(1).data[:3000]]
)
def test_a_broken_image_passes_through(format_name: str, data: str) -> None:
    shots = [page_shot(2), Shot(data, "https://desk.example/2", "Page 2"), page_shot(2, ("digit",)), page_shot(1)]
    messages = write_run(format_name, shots)
    for budget in (100_000, 0.7):
        limit = budget if budget > 1 else int(budget * count(messages, MODELS[format_name]))
        with (
            ScriptedServer([Reply("Done.")], extends=None) as server,
            Service(upstream=server.url, budget=limit) as service,
        ):
            answer = service.http.post(PATHS[format_name], json=body_of(format_name, messages))
            assert answer.status_code == 200, answer.text
        sent = server.requests[0].body[KEYS[format_name]]
        assert not server.problems
        if budget > 1:
            assert data in image_data(sent)


def test_compress_makes_lines_of_screenshots() -> None:
    messages = write_run("openai_chat", browsing((1, 1, 2, 1, 2, 2)))
    with Service() as service:
        body = {"messages": messages, "model": "gpt-4o", "budget": 1_700}
        answer = service.http.post("/v1/compress", json=body)
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert count(result["messages"], "gpt-4o") <= 1_700
        assert "[image " in json.dumps(result["messages"], ensure_ascii=False)

"""Token counts are those of what would be sent, and counting changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.client_tools import LOG
from support.recording_upstream import RecordingUpstream
from support.service_tools import Service

PATHS = {
    "messages": ("/v1/messages", "/v1/messages/count_tokens"),
    "responses": ("/v1/responses", "/v1/responses/input_tokens"),
}
THEIRS = {"input_tokens": 46_450}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RecordingUpstream, Service]]:
    with RecordingUpstream(answer=THEIRS) as upstream, Service(upstream=upstream.url) as service:
        yield upstream, service


@pytest.fixture(params=list(PATHS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rounds(kind: str, count: int, case: str) -> dict[str, Any]:
    """A task and `count` results of a tool."""
    messages: list[Any] = [{"role": "user", "content": f"What is wrong in {case}?"}]
    for i in range(count):
        text = LOG.replace("worker", f"worker{i}")
        if kind == "messages":
            use = {"type": "tool_use", "id": f"c{i}", "name": "read", "input": {}}
            result = {"type": "tool_result", "tool_use_id": f"c{i}", "content": text}
            messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
        else:
            messages += [{"type": "function_call", "call_id": f"c{i}", "name": "read", "arguments": "{}"}]
            messages += [{"type": "function_call_output", "call_id": f"c{i}", "output": text}]
    function = {"name": "read", "description": "Reads."}
    schema = {"type": "object", "properties": {}}
    tool = {**function, "input_schema": schema}
    if kind == "responses":
        tool = {"type": "function", **function, "parameters": schema}
    return {"model": "gpt-4o", "input" if kind == "responses" else "messages": messages, "tools": [tool]}


@pytest.mark.parametrize("session", ["", "counted/{}"])
def test_the_count_is_that_of_the_next_request(servers: Any, kind: str, session: str) -> None:
    upstream, service = servers
    path, count_path = PATHS[kind]
    head = {"x-compressor-session": session.format(kind)} if session else {}
    for count in range(1, 5):
        body, before = rounds(kind, count, f"{kind} {session}"), len(upstream.seen)
        answers = [service.http.post(count_path, json=body, headers=head) for _ in range(2)]
        assert len(upstream.seen) == before
        sent = service.http.post(path, json={**body, "max_tokens": 5}, headers=head)
        for answer in answers:
            assert answer.status_code == 200 and answer.headers["x-compressor-count"] == "view"
            assert str(answer.json()["input_tokens"]) == sent.headers["x-compressor-tokens-after"]
            assert answer.headers["x-compressor-tokens-after"] == sent.headers["x-compressor-tokens-after"]
        assert answers[0].json().get("object") == (None if kind == "messages" else "response.input_tokens")
        first = upstream.last.body
        again = service.http.post(count_path, json=body, headers=head)  # of what was sent already
        assert again.json() == answers[0].json()
        service.http.post(path, json={**body, "max_tokens": 5}, headers=head)
        assert upstream.last.body == first


def test_counting_begins_no_session(servers: Any, kind: str) -> None:
    _, service = servers
    id = f"never begun {kind}"
    answer = service.http.post(PATHS[kind][1], json=rounds(kind, 1, id), headers={"x-compressor-session": id})
    assert answer.headers["x-compressor-count"] == "view"
    assert service.http.post(f"/v1/sessions/{id}/view", json={}).status_code == 404
    assert id not in service.http.get("/v1/sessions").text


@pytest.mark.parametrize(
    ("head", "change"),
    [
        ({"x-compressor-count": "provider"}, {}),
        ({"x-compressor-bypass": "1"}, {}),
        ({"x-compressor-budget": "nonsense"}, {}),
        ({}, {"messages": "nonsense", "input": 7}),
        ({}, {"messages": [{"role": "user", "content": "short"}], "input": "short", "tools": []}),
        ({}, {"previous_response_id": "r1", "messages": []}),
    ],
)
def test_the_provider_counts_what_is_sent_as_it_is(servers: Any, kind: str, head: Any, change: Any) -> None:
    upstream, service = servers
    body = {**rounds(kind, 1, "provider"), **change}
    answer = service.http.post(PATHS[kind][1], json=body, headers=head)
    assert answer.json() == THEIRS and answer.headers["x-compressor-count"] == "provider"
    assert upstream.last.target == PATHS[kind][1] and upstream.last.data == body


def test_what_is_no_json_goes_on(servers: Any, kind: str) -> None:
    upstream, service = servers
    answer = service.http.post(PATHS[kind][1], content=b"{", headers={"content-type": "application/json"})
    assert answer.json() == THEIRS and answer.headers["x-compressor-warning"] == "not compressed: invalid_json"
    assert upstream.last.body == b"{"

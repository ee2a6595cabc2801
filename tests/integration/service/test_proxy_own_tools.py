"""`expand_context` and `recall_context` are listed where a model can call them, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.client_tools import LOG
from support.recording_upstream import RecordingUpstream
from support.service_tools import Service

OWN = {"expand_context", "recall_context"}
SCHEMA = {"type": "object", "properties": {}}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RecordingUpstream, Service]]:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url) as service:
        yield upstream, service


@pytest.fixture(params=list(PATHS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tool(kind: str) -> dict[str, Any]:
    function = {"name": "read_log", "description": "Reads.", "parameters": SCHEMA}
    if kind == "messages":
        return {"name": "read_log", "description": "Reads.", "input_schema": SCHEMA}
    return {"type": "function", "function": function} if kind == "chat" else {"type": "function", **function}


def body(kind: str, case: str, is_long: bool, with_tools: bool, **more: Any) -> dict[str, Any]:
    text, asked = LOG if is_long else "ok", f"What happened in case {case}?"
    if kind == "chat":
        call = {"id": "c", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
        messages: list[Any] = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": text},
        ]
    elif kind == "messages":
        use = {"type": "tool_use", "id": "c", "name": "read_log", "input": {}}
        messages = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": text}]},
        ]
    else:
        messages = [
            {"role": "user", "content": asked},
            {"type": "function_call", "call_id": "c", "name": "read_log", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": text},
        ]
    made = {"model": "gpt-4o", "input" if kind == "responses" else "messages": messages}
    return made | ({"tools": [tool(kind)]} if with_tools else {}) | more


def choices(kind: str) -> dict[str, Any]:
    """Forms of `tool_choice`, and whether the model may call our tools."""
    if kind == "messages":
        return {"auto": {"type": "auto"}, "any": {"type": "any"}, "none": {"type": "none"}} | {
            "forced": {"type": "tool", "name": "read_log"}
        }
    forced = {"type": "function", "function": {"name": "read_log"}}
    if kind == "responses":
        forced = {"type": "function", "name": "read_log"}
    return {"auto": "auto", "any": "required", "none": "none", "forced": forced}


def wants_json(kind: str) -> dict[str, Any]:
    form = {"type": "json_schema", "name": "x", "schema": SCHEMA}
    if kind == "chat":
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    return {"text": {"format": form}} if kind == "responses" else {"output_config": {"format": form}}


def listed(servers: tuple[RecordingUpstream, Service], kind: str, given: dict[str, Any]) -> set[str]:
    upstream, service = servers
    answer = service.http.post(PATHS[kind], json=given)
    assert answer.status_code == 200 and "x-compressor-warning" not in answer.headers
    names = {one.get("function", one)["name"] for one in upstream.last.data.get("tools", ())}
    assert names >= OWN or not OWN & names
    return names


@pytest.mark.parametrize("choice", ["auto", "any", "none", "forced"])
def test_tool_choice(servers: Any, kind: str, choice: str) -> None:
    given = body(kind, f"choice {choice}", True, True, tool_choice=choices(kind)[choice])
    names = listed(servers, kind, given)
    assert "read_log" in names and names >= OWN if choice in ("auto", "any") else names == {"read_log"}


def test_without_tools_only_if_something_was_cut(servers: Any, kind: str) -> None:
    assert listed(servers, kind, body(kind, "short", False, False)) == set()
    assert listed(servers, kind, body(kind, "long", True, False)) == OWN


def test_an_answer_in_json_and_no_tools(servers: Any, kind: str) -> None:
    """Some servers refuse tools beside a schema of the answer."""
    assert listed(servers, kind, body(kind, "json", True, False, **wants_json(kind))) == set()
    assert listed(servers, kind, body(kind, "json and tools", True, True, **wants_json(kind))) == {*OWN, "read_log"}


def test_an_earlier_request_with_tools_changes_nothing(servers: Any, kind: str) -> None:
    """One task, asked without tools, then with a forced one, then without: instructor's modes do that."""
    plain = body(kind, "instructor", False, False)
    forced = body(kind, "instructor", False, True, tool_choice=choices(kind)["forced"])
    assert listed(servers, kind, plain) == set()
    assert listed(servers, kind, forced) == {"read_log"}
    assert listed(servers, kind, plain) == set()
    assert listed(servers, kind, {**plain, **wants_json(kind)}) == set()


def test_they_stay_where_the_cached_prefix_has_them(servers: Any, kind: str) -> None:
    """An agent that may not call tools in its last step: a shorter list would cost the whole cached prompt."""
    free = body(kind, "agent", True, True)
    assert listed(servers, kind, free) >= OWN
    assert listed(servers, kind, {**free, "tool_choice": choices(kind)["none"]}) >= OWN


def test_allowed_tools(servers: Any) -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "read_log"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    assert listed(servers, "chat", body("chat", "allowed", True, True, tool_choice=choice)) == {"read_log"}

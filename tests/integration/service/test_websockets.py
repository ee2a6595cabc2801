"""Websockets through a real service, between real clients and a real server of the library `websockets`."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from support.client_tools import LOG, NEEDLE
from support.scripted_wire import Call, Fail, Reply
from support.service_tools import Service, two_tenants
from support.waiting import wait_for
from support.websocket_provider import WebsocketProvider

TOOL = {"type": "function", "name": "read_log", "parameters": {"type": "object", "properties": {}}}
OWN = ["expand_context", "recall_context"]


@contextmanager
def between(provider: WebsocketProvider, **settings: Any) -> Iterator[Service]:
    with provider, Service(upstream=provider.url, **settings) as service:
        yield service


def dial(service: Service, path: str = "/v1/responses", **options: Any) -> Any:
    options = {"max_size": None, "compression": None, **options}
    return connect(f"ws://127.0.0.1:{service.config.port}{path}", **options)


def create(case: str = "a", **more: Any) -> dict[str, Any]:
    items = [
        {"role": "user", "content": f"What happened in case {case}?"},
        {"type": "function_call", "call_id": "c", "name": "read_log", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": LOG},
    ]
    return {"type": "response.create", "model": "gpt-4o", "store": False, "input": items, "tools": [TOOL], **more}


def answer(line: Any, event: dict[str, Any]) -> list[dict[str, Any]]:
    """Sends an event; returns those of the answer."""
    line.send(json.dumps(event))
    return list(events(line))


def events(line: Any) -> Iterator[dict[str, Any]]:
    while True:
        event = json.loads(line.recv(timeout=60))
        yield event
        if event["type"] in ("response.completed", "response.failed", "response.incomplete", "error", "noted"):
            return


def text_of(found: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in found if event["type"] == "response.output_text.delta")


def output(event: dict[str, Any]) -> str:
    """The result of the tool in a `response.create`."""
    return str(next(i["output"] for i in event["input"] if i.get("type") == "function_call_output"))


def test_each_create_is_compressed() -> None:
    provider = WebsocketProvider([Reply("It stopped."), Reply("Bye.")])
    with between(provider) as service, dial(service) as line:
        first = answer(line, create())
        assert text_of(first) == "It stopped." and first[0]["type"] == "response.created"
        more = [{"role": "assistant", "content": "It stopped."}, {"role": "user", "content": "Thanks."}]
        event = create()
        event["input"] += more
        assert text_of(answer(line, event)) == "Bye."
        assert service.metric("tokens_after_total") < service.metric("tokens_before_total")
        assert service.metric("fallbacks_total") == 0
    one, two = provider.creates
    assert len(output(one)) < 0.8 * len(LOG) and [tool["name"] for tool in one["tools"]] == [*OWN, "read_log"]
    assert two["input"][:3] == one["input"] and one["store"] is False and not provider.problems
    assert [one["sequence_number"] for one in first] == list(range(len(first)))


def test_a_call_of_our_tools_is_answered_inside() -> None:
    def look(event: dict[str, Any]) -> Reply:
        return Reply(
            "Let me look.", [Call("expand_context", {"ref": re.findall(r"cut ref (\d{12})", output(event))[0]})]
        )

    provider = WebsocketProvider([look, Reply("Code E-4711."), Reply("Bye.")])
    with between(provider) as service, dial(service) as line:
        found = answer(line, create())
        assert text_of(found).replace("\n", "") == "Let me look.Code E-4711."
        assert "expand_context" not in json.dumps([event for event in found if "item" in event])
        assert [event["type"] for event in found].count("response.created") == 1
        assert [event["sequence_number"] for event in found] == list(range(len(found)))
        wanted = found[-1]["response"]["id"]
        assert service.metric("expansions_total") == 1
        answer(line, {"type": "response.create", "model": "gpt-4o", "input": "Go on.", "previous_response_id": wanted})
    _, second, third = provider.creates
    assert NEEDLE in second["input"][-1]["output"] and second["input"][-1]["type"] == "function_call_output"
    assert (wanted, third["previous_response_id"]) == ("resp_0", "resp_1") and not provider.problems
    assert third["input"] == "Go on." and "tools" not in third


def test_lanes_do_not_mix() -> None:
    provider = WebsocketProvider([Reply(f"Answer {i}.") for i in range(6)])
    with between(provider) as service, dial(service) as line:
        for i in range(6):
            line.send(json.dumps(create(f"case {i}", stream_id=f"s{i % 3}")))
        found = [event for _ in range(6) for event in events(line)]
    for i in range(3):
        mine = [event for event in found if event["stream_id"] == f"s{i}"]
        assert text_of(mine) == f"Answer {i}.Answer {i + 3}."
    assert [event["stream_id"] for event in provider.creates] == ["s0", "s1", "s2"] * 2
    assert all(len(output(event)) < 0.8 * len(LOG) for event in provider.creates)


def test_other_events_and_odd_messages_pass() -> None:
    provider = WebsocketProvider([Fail(400, "what is this?"), Reply("Fine.")])
    steer = {"type": "response.steer", "previous_response_id": "r", "input": 'say "response.create"'}
    with between(provider) as service, dial(service) as line:
        assert answer(line, steer) == [{"type": "noted", "what": "response.steer"}]
        # Nothing here can be compressed, so the provider says what is wrong with it.
        assert answer(line, {"type": "response.create", "model": "gpt-4o", "input": 7})[-1]["status"] == 400
        assert text_of(answer(line, {"type": "response.create", "model": "gpt-4o", "input": "Hi."})) == "Fine."
    assert provider.events[0] == steer and provider.events[1]["input"] == 7
    assert provider.events[2] == {"type": "response.create", "model": "gpt-4o", "input": "Hi."}


def test_what_the_provider_refuses_is_sent_as_it_came() -> None:
    provider = WebsocketProvider([Fail(400, "no such tool"), Reply("Fine."), Reply("Left alone.")])
    with between(provider) as service, dial(service) as line:
        assert text_of(answer(line, create())) == "Fine."
        assert service.metric("fallbacks_total") == 1
        assert text_of(answer(line, create())) == "Left alone."
    assert [output(event) == LOG for event in provider.creates] == [False, True, True]


def test_what_is_too_long_is_sent_shorter() -> None:
    long = Fail(400, "Your input exceeds the context window of this model: context_length_exceeded")
    provider = WebsocketProvider([long, Reply("Fine."), long, long, long])
    with between(provider) as service, dial(service) as line:
        assert text_of(answer(line, create())) == "Fine."
        sizes = [len(json.dumps(event)) for event in provider.creates]
        assert sizes[1] < sizes[0]
        found = answer(line, create("b"))
        assert found[-1]["type"] == "error" and found[-1]["status"] == 400
    assert len(provider.creates) <= 5 and output(provider.creates[-1]) != LOG


def test_the_sdk() -> None:
    openai = pytest.importorskip("openai")
    provider = WebsocketProvider([Reply("It stopped."), Reply("", [Call("read_log", {})])])
    keys, settings = two_tenants()
    with between(provider, **settings) as service:
        url = f"{service.url}/k/{keys['red']}/v1"
        client = openai.OpenAI(base_url=url, api_key="sk-theirs", default_headers={"x-theirs": "yes"})
        with client.responses.connect() as line:
            line.response.create(**{name: value for name, value in create().items() if name != "type"})
            text = ""
            for event in line:
                text += getattr(event, "delta", "")
                if event.type == "response.completed":
                    break
            assert text == "It stopped."
            line.response.create(model="gpt-4o", input="Read it.", tools=[TOOL])
            done = next(event for event in line if event.type == "response.completed")
            assert done.response.output[0].name == "read_log"
    path, head = provider.handshakes[0]
    assert path == "/v1/responses" and head["authorization"] == "Bearer sk-theirs" and head["x-theirs"] == "yes"
    assert keys["red"] not in json.dumps(provider.handshakes) and len(output(provider.creates[0])) < len(LOG)


@pytest.mark.parametrize("path", ["/v1/realtime?model=gpt-realtime", "/openai/realtime?api-version=1", "/v1/realtime/"])
def test_realtime_passes_as_it_is(path: str) -> None:
    provider = WebsocketProvider()
    with between(provider) as service, dial(service, path, subprotocols=["realtime", "other"]) as line:
        assert line.subprotocol == "realtime" and line.response is not None
        assert line.response.headers["x-compressor-request-id"]
        for message in ("text", "Größe 日本", b"\x00\xff", "x" * 300_000, ""):
            line.send(message)
            assert line.recv(timeout=60) == message
        line.ping().wait(60)
    wanted = path.replace("/?", "?").rstrip("/")
    assert provider.handshakes[0][0] == wanted
    wait_for(lambda: provider.closed == [(1000, "")])


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_codes_are_kept(code: int) -> None:
    provider = WebsocketProvider(close=(code, "enough"))
    with between(provider) as service:
        with dial(service, "/v1/realtime") as line, pytest.raises(ConnectionClosed) as caught:
            line.send("x")
            line.recv(timeout=60)
        assert caught.value.rcvd is not None and (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, "enough")
        wait_for(lambda: provider.closed)
        provider.closed.clear()
        provider.close = None
        with dial(service, "/v1/realtime") as line:
            line.close(code, "mine")
        wait_for(lambda: provider.closed == [(code, "mine")])


def test_a_client_that_vanishes_closes_upstream() -> None:
    provider = WebsocketProvider()
    with between(provider) as service:
        line = dial(service, "/v1/realtime")
        line.socket.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: [code for code, _ in provider.closed] in ([1000], [1001]))
        wait_for(lambda: service.gate.proxy._websockets._open["local"] == 0)


def test_a_message_has_a_limit() -> None:
    provider = WebsocketProvider()
    with between(provider, max_body_bytes=100_000) as service:
        with dial(service, "/v1/realtime") as line, pytest.raises(ConnectionClosed) as caught:
            line.send("x" * 100_001)
            line.recv(timeout=60)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009
        wait_for(lambda: [code for code, _ in provider.closed] == [1009])


def refusal(service: Service, path: str = "/v1/responses", **options: Any) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as caught:
        dial(service, path, **options)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")["error"]


def test_who_may_connect() -> None:
    keys, settings = two_tenants()
    provider = WebsocketProvider()
    with between(provider, **settings, max_websockets=1) as service:
        assert refusal(service)[1]["type"] == "unauthorized"
        assert refusal(service, additional_headers={"x-compressor-key": "x" * 40})[0] == 401
        mine = {"x-compressor-key": keys["red"]}
        misplaced = {**mine, "authorization": f"Bearer {keys['red']}"}
        assert refusal(service, additional_headers=misplaced)[1]["type"] == "misplaced_key"
        assert refusal(service, "/v1/chat/completions", additional_headers=mine)[0] == 404
        assert refusal(service, "/v1/sessions/a/view", additional_headers=mine)[0] == 404
        assert refusal(service, "/v1/../x", additional_headers=mine)[0] == 400
        with dial(service, additional_headers=mine):
            status, error = refusal(service, additional_headers=mine)
            assert status == 429 and error["type"] == "too_many_requests"
            with dial(service, additional_headers={"x-compressor-key": keys["blue"]}):
                pass
        wait_for(lambda: service.gate.proxy._websockets._open["red"] == 0)
        assert len(provider.handshakes) == 2
        assert service.metric("requests_total", status="101", tenant="red") == 1


def test_pages_of_other_sites_may_not() -> None:
    with between(WebsocketProvider()) as service:
        assert refusal(service, origin="https://evil.example")[0] == 403


def test_no_provider() -> None:
    with Service() as service:
        assert refusal(service)[1]["type"] == "no_upstream"
    with Service(upstream="http://127.0.0.1:9") as service:
        assert refusal(service)[0] == 502


@pytest.mark.parametrize("status", [401, 403, 429, 500, 302])
def test_a_provider_that_refuses(status: int) -> None:
    with between(WebsocketProvider(refuse=status)) as service:
        with pytest.raises(InvalidStatus) as caught:
            dial(service)
        answered = caught.value.response
        assert answered.status_code == status and b"theirs to say" in (answered.body or b"")
        assert answered.headers["x-request-id"] == "req_theirs"


def test_too_many_requests_on_one_connection() -> None:
    provider = WebsocketProvider([Reply("Fine."), Reply("Fine.")])
    with between(provider, requests_per_minute=2) as service, dial(service) as line:
        assert text_of(answer(line, create())) == "Fine."
        found = answer(line, create(stream_id="s"))
        assert found == [found[0]] and found[0]["status"] == 429 and found[0]["stream_id"] == "s"
        assert found[0]["error"]["type"] == "too_many_requests"
    assert len(provider.creates) == 1


@pytest.mark.slow
def test_a_slow_reader_holds_the_sender_back() -> None:
    """What the client does not take does not pile up here: the provider is not read any further."""
    provider = WebsocketProvider(flood=[os.urandom(500_000)] * 200)  # the way may pack it, so it is random
    with between(provider) as service, dial(service, "/v1/realtime", max_queue=1) as line:
        line.send("go")
        before = -1
        while before != provider.flooded or not provider.flooded:  # until nothing moves any more
            before = provider.flooded
            time.sleep(0.7)
        assert provider.flooded < 100
        assert [len(line.recv(timeout=60)) for _ in provider.flood] == [500_000] * 200


def test_they_can_be_turned_off() -> None:
    with between(WebsocketProvider(), websockets=False) as service:
        status, error = refusal(service)
        assert status == 501 and error["type"] == "no_websockets"


def test_a_quiet_connection_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a request's head may take."""
    monkeypatch.setattr("compressor.service.processes.http_protocol.HEADER_TIMEOUT", 1.0)
    with between(WebsocketProvider()) as service, dial(service, "/v1/realtime") as line:
        time.sleep(2)
        line.send("still there?")
        assert line.recv(timeout=60) == "still there?"


def test_a_central_key_replaces_ours_in_a_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PROVIDER_KEY", "sk-central")
    keys, known = two_tenants()
    provider = WebsocketProvider([Reply("ok")])
    tenants = {"red": {"provider_keys": {"default": "env:TEST_PROVIDER_KEY"}}}
    with between(provider, tenants=tenants, **known) as service:
        with dial(service, additional_headers={"authorization": f"Bearer {keys['red']}"}) as line:
            assert text_of(answer(line, create())) == "ok"
        with pytest.raises(InvalidStatus):  # it has no provider key
            dial(service, additional_headers={"authorization": f"Bearer {keys['blue']}"})
    sent = json.dumps(provider.handshakes)
    assert "Bearer sk-central" in sent and not any(key in sent for key in keys.values())


def test_the_messages_of_a_websocket_count_in_the_limits() -> None:
    provider = WebsocketProvider([Reply("ok")] * 3)
    with between(provider, requests_per_minute=3) as service, dial(service) as line:  # the handshake is one
        found = [answer(line, create(str(number)))[-1] for number in range(3)]
    assert [event["type"] for event in found] == ["response.completed"] * 2 + ["error"]
    assert found[-1]["status"] == 429
    with between(WebsocketProvider([Reply("ok")] * 2), tokens_per_minute=5) as service, dial(service) as line:
        found = [answer(line, create(str(number)))[-1] for number in range(2)]
        assert [event["type"] for event in found] == ["response.completed", "error"]

"""The proxy on a real server, in front of a real one, asked by the real clients of openai and anthropic."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import json
import logging
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from compressor import StoreError
from support.client_scenarios import EXPAND, OWN_TOOLS, expand, look_up, sent
from support.client_tools import LOG, NEEDLE, TASK, ChatTalk, MessagesTalk, ResponsesTalk, Talk, ref_in
from support.scripted_server import Call, Fail, Reply, Request, ScriptedServer, Usage
from support.waiting import wait_for

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.proxy.sse import split_events  # noqa: E402
from support.service_tools import Service, error_of, two_tenants  # noqa: E402

READ = Reply("", [Call("read_log", {"path": "import.log"})])
STILL = {"compact": False}  # where a test asks whether every request extends the one before it
TALKS: dict[str, type[Talk]] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
SENT = ("x-compressor-tokens-before", "x-compressor-tokens-after", "x-compressor-saved-usd", "x-compressor-session")


def client(kind: str, url: str, **options: Any) -> Any:
    options = {"api_key": "sk-theirs", "max_retries": 0, **options}
    if kind == "messages":
        return anthropic.Anthropic(base_url=url, **options)
    return openai.OpenAI(base_url=url + "/v1", **options)


@contextmanager
def proxied(script: list[Any], extends: Any = "previous", **settings: Any) -> Iterator[tuple[ScriptedServer, Service]]:
    settings = {"policy": STILL, **settings}
    with ScriptedServer(script, extends=extends) as server, Service(upstream=server.url, **settings) as service:
        yield server, service


@pytest.fixture(params=list(TALKS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def talk(kind: str, service: Service, **options: Any) -> Talk:
    return TALKS[kind](client(kind, service.url, **options))


def test_a_long_result_goes_on_smaller(kind: str, stream: bool) -> None:
    with proxied([READ, Reply("It stopped."), Reply("Bye.")]) as (server, service):
        one = talk(kind, service)
        one.read_log(stream)
        assert one.ask(stream).text == "It stopped."
        one.say("Thanks.")
        assert one.ask(stream).text == "Bye."
        assert service.metric("saved_dollars") > 0
        assert service.metric("tokens_after_total") < service.metric("tokens_before_total")
        assert service.metric("fallbacks_total") == 0
    assert not server.problems and server.left == 0
    assert [request.tools for request in server.requests] == [[*OWN_TOOLS, "read_log"]] * 3
    assert len(sent(server.requests[1])) < 0.8 * len(LOG)


def test_a_call_of_our_tools_is_answered_inside(kind: str, stream: bool, own_tool: str) -> None:
    script = [READ, look_up(own_tool, "Let me look."), Reply("Code E-4711."), Reply("Bye.")]
    with proxied(script) as (server, service):
        one = talk(kind, service)
        one.read_log(stream)
        answer = one.ask(stream)
        assert answer.text.replace("\n\n", "") == "Let me look.Code E-4711." and not answer.calls
        assert own_tool not in json.dumps([str(message) for message in one.history])
        one.say("Thanks.")
        assert one.ask(stream).text == "Bye."
        assert service.metric("expansions_total") == 1
    assert not server.problems and server.left == 0  # each request extends the one before: nothing was forgotten
    assert NEEDLE in sent(server.requests[2]) and own_tool in sent(server.requests[3])


def test_a_call_of_our_tools_beside_the_callers_own(kind: str, stream: bool, own_tool: str) -> None:
    both = look_up(own_tool, "", Call("read_log", {"path": "other.log"}))
    with proxied([READ, both, Reply("Done.")]) as (server, service):
        one = talk(kind, service)
        one.read_log(stream)
        answer = one.ask(stream)
        assert [call[1] for call in answer.calls] == ["read_log"]
        one.result(answer.calls[0][0], "nothing there")
        assert one.ask(stream).text == "Done."
    assert not server.problems
    assert own_tool in sent(server.requests[2]) and NEEDLE in sent(server.requests[2])
    if own_tool == EXPAND:
        assert sent(server.requests[2]).count("worker-") > 1.5 * sent(server.requests[1]).count("worker-")


@pytest.mark.parametrize(("status", "error"), [(429, "RateLimitError"), (500, "InternalServerError"), (401, None)])
def test_an_upstream_error_comes_through(kind: str, stream: bool, status: int, error: str | None) -> None:
    fail = Fail(status, "theirs to say", {"retry-after": "7", "x-theirs": "kept"})
    with proxied([fail]) as (_, service):
        library = anthropic if kind == "messages" else openai
        with pytest.raises(getattr(library, error or "AuthenticationError")) as caught:
            talk(kind, service).ask(stream)
        assert service.metric("upstream_errors_total", kind=str(status)) == 1
    assert caught.value.status_code == status and "theirs to say" in str(caught.value)
    assert caught.value.response.headers["retry-after"] == "7" and caught.value.response.headers["x-theirs"] == "kept"


def test_half_a_stream_is_half_a_stream(kind: str) -> None:
    reply = Reply("one two three four five six seven", breaks_after=5)
    with proxied([reply, Reply("All of it.")]) as (server, service):
        one = talk(kind, service)
        with pytest.raises(Exception) as caught:
            one.ask(True)
        # One SDK hands on what its own httpx says, the other makes an error of its own of it.
        assert type(caught.value).__name__ in ("RemoteProtocolError", "APIConnectionError")
        assert one.ask(True).text == "All of it."
        assert service.metric("upstream_errors_total") == 1
    assert server.left == 0


def test_an_error_after_an_expand_call_is_an_error(kind: str, stream: bool) -> None:
    """The stream has begun, and cannot have another status: the client has to be told in it."""
    fails = [Fail(429, "later, please")] * 2
    with proxied([READ, expand("Let me look."), *fails, Reply("Again.")], extends=None) as (server, service):
        one = talk(kind, service)
        one.read_log(stream)
        library = anthropic if kind == "messages" else openai
        with pytest.raises(library.APIError, match="later, please"):
            one.ask(stream)
        assert one.ask(stream).text == "Again."
    assert not server.problems and server.left == 0


def test_a_round_inside_is_tried_twice(kind: str, stream: bool) -> None:
    with proxied([READ, expand(), Fail(503), Reply("Code E-4711.")], extends=None) as (server, service):
        one = talk(kind, service)
        one.read_log(stream)
        assert one.ask(stream).text == "Code E-4711."
    assert server.left == 0 and server.requests[2].body == server.requests[3].body


def test_what_a_provider_refuses_goes_out_as_it_came(kind: str, stream: bool) -> None:
    def picky(request: Request) -> Any:
        return Fail(400, "no such tool") if EXPAND in request.tools else Reply("As ever.")

    with proxied([picky, picky, picky], extends=None) as (server, service):
        one = talk(kind, service)
        assert one.ask(stream).text == "As ever."
        one.say("More.")
        assert one.ask(stream).text == "As ever."
        assert service.metric("fallbacks_total", reason="refused_by_provider") == 1
    assert [request.tools for request in server.requests] == [[*OWN_TOOLS, "read_log"], ["read_log"], ["read_log"]]


class Upstream(http.server.ThreadingHTTPServer):
    """An upstream that keeps every byte it is sent. `answer` writes to the handler."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Any], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Upstream:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # or headers and body go in two packets, and the second waits 40 ms
    disable_nagle_algorithm = True
    server: Upstream

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.command, self.path, [(k.lower(), v) for k, v in self.headers.items()], body))
        self.server.answer(self)

    do_GET = do_POST = do_DELETE = serve

    def say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": None}


def test_bytes_and_headers_of_what_is_not_cut_are_the_same() -> None:
    body = b'{ "model":"gpt-4o", "messages": [{"role":"user","content":"h\\u00e9llo \xc3\xa9"}],  "x": 1.0, "y": 1e2}'
    packed = gzip.compress(b'{"id": "y",  "choices": [{"message": {"role": "assistant", "content": "hi"}}]}')

    def answer(handler: Any) -> None:
        theirs = {"content-type": "application/json", "content-encoding": "gzip", "x-request-id": "r1"}
        handler.say(200, packed, theirs | {"set-cookie": "a=1", "x-compressor-session": "forged", "server": "theirs"})

    with Upstream(answer) as upstream, Service(upstream=upstream.url + "/v1") as service:
        asked = {
            "authorization": "Bearer sk-theirs",
            "x-custom": "kept",
            "openai-organization": "o",
            "user-agent": "me",
        }
        ours = {"x-compressor-session": "s1", "connection": "keep-alive, x-hop", "x-hop": "1", "accept": "*/*"}
        response = service.http.post("/v1/chat/completions?a=1&b=%20", content=body, headers=asked | ours)
        again = httpx.post(f"{service.url}/v1/chat/completions", content=body, headers=asked)
        off = service.http.post("/v1/chat/completions", content=body, headers=asked | {"x-compressor-bypass": "1"})
        other = service.http.post("/v1/embeddings", content=b"\x00any", headers=asked)
        service.http.request("DELETE", "/v1/files/f%2F1", headers=asked)
    method, path, headers, got = upstream.seen[0]
    assert (method, path, got) == ("POST", "/v1/chat/completions?a=1&b=%20", body)
    assert asked.items() <= dict(headers).items()
    names = [name for name, _ in headers]
    assert not [name for name in names if name.startswith("x-compressor") or name == "x-hop"]
    assert len(names) == len(set(names)) and dict(headers)["host"] in upstream.url
    assert "cookie" not in dict(upstream.seen[1][2])  # one client's cookies are not another's
    assert response.json() == again.json() == off.json() == json.loads(gzip.decompress(packed))
    assert response.content == gzip.decompress(packed)
    assert response.headers["x-request-id"] == "r1" and response.headers["server"].endswith("theirs")
    assert response.headers.get_list("x-compressor-session") == ["s1"]
    assert all(name in response.headers for name in SENT) and "x-compressor-warning" not in response.headers
    assert not any(name in off.headers for name in SENT) and off.headers["content-encoding"] == "gzip"
    assert upstream.seen[3][1:] == ("/v1/embeddings", upstream.seen[3][2], b"\x00any") and other.status_code == 200
    assert upstream.seen[4][:2] == ("DELETE", "/v1/files/f%2F1")


def test_the_balance_is_in_the_headers() -> None:
    with proxied([READ, Reply("It stopped.")]) as (_, service):
        one = ChatTalk(client("chat", service.url))
        one.read_log()
        raw = one.client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=one.history, tools=one.tools
        )
        before, after = (int(raw.headers[f"x-compressor-tokens-{name}"]) for name in ("before", "after"))
        assert after < 0.8 * before and float(raw.headers["x-compressor-saved-usd"]) > 0
        assert raw.headers["x-compressor-session"].startswith("auto-")


def test_a_request_may_say_its_budget_or_that_it_is_left_alone() -> None:
    script: list[Any] = [Reply("a"), Reply("b"), Reply("c"), Reply("d")]
    call = {"id": "c1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": TASK},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": LOG},
    ]
    with proxied(script, extends=None) as (server, service):
        chat = client("chat", service.url).chat.completions.with_raw_response
        sizes, heads = [], []
        for headers in (
            {},
            {"x-compressor-budget": "1200"},
            {"x-compressor-bypass": "1"},
            {"x-compressor-budget": "x"},
        ):
            raw = chat.create(model="gpt-4o", messages=messages, extra_headers=headers)
            sizes.append(len(sent(server.requests[-1])))
            heads.append(raw.headers)
        assert int(heads[1]["x-compressor-tokens-after"]) <= 1200
    assert sizes[1] < sizes[0] < sizes[2] == sizes[3]
    assert heads[3]["x-compressor-warning"] == "not compressed: invalid_budget"


@pytest.mark.parametrize("named", [False, True])
def test_tenants_keys_and_conversations(named: bool) -> None:
    keys, known = two_tenants()
    wrong: list[Any] = [
        lambda r: Reply("", [Call(EXPAND, {"ref": stolen[0]})]),
        lambda r: Reply(json.dumps(r.messages[-1])),
    ]
    script = [READ, Reply("Red is done."), READ, *wrong]
    stolen: list[str] = []
    with proxied(script, extends=None, **known) as (server, service):
        with pytest.raises(openai.AuthenticationError, match="x-compressor-key"):
            talk("chat", service).ask()
        with pytest.raises(openai.AuthenticationError, match="Unknown API key"):
            talk("chat", service, default_headers={"x-compressor-key": "ck_" + "x" * 43}).ask()
        with pytest.raises(openai.AuthenticationError, match="x-compressor-key"):
            talk("chat", service, api_key=keys["red"], default_headers={"x-compressor-key": keys["red"]}).ask()
        assert not server.requests  # nothing of these went on
        more = {"x-compressor-session": "shared"} if named else {}
        red = talk("chat", service, default_headers={"x-compressor-key": keys["red"], **more})
        red.read_log()
        assert red.ask().text == "Red is done."
        stolen.append(ref_in(server.requests[1]))
        # The other tenant's key stands in the path. It has another log, and asks for the first one's ref.
        blue = ChatTalk(openai.OpenAI(base_url=f"{service.url}/k/{keys['blue']}/v1", api_key="sk-b", max_retries=0))
        if named:
            blue.client = blue.client.with_options(default_headers=more)
        answer = blue.ask()
        blue.result(answer.calls[0][0], LOG.replace("worker", "agent"))
        assert "has no ref" in blue.ask().text
        assert (
            service.http.get(f"/v1/retrieve/{stolen[0]}", headers={"x-compressor-key": keys["blue"]}).status_code == 404
        )
        assert (
            service.http.get(f"/v1/retrieve/{stolen[0]}", headers={"x-compressor-key": keys["red"]}).status_code == 200
        )
        if named:
            view = {
                name: service.http.post("/v1/sessions/shared/view", headers={"x-compressor-key": keys[name]})
                for name in ("red", "blue")
            }
            assert "worker-" in view["red"].text and "worker-" not in view["blue"].text
    for request in server.requests:
        told = json.dumps([request.headers, request.path, request.body])
        assert not any(key in told for key in keys.values()) and "x-compressor" not in told
        assert request.headers["authorization"] in ("Bearer sk-theirs", "Bearer sk-b")


def test_no_log_has_a_key_or_content(caplog: pytest.LogCaptureFixture) -> None:
    keys, known = two_tenants()
    with (
        caplog.at_level(logging.DEBUG, "compressor"),
        proxied([READ, expand(), Reply("x"), Fail(500)], **known) as (_, service),
    ):
        one = (
            talk("chat", service, base_url=f"{service.url}/k/{keys['red']}/v1")
            if False
            else ChatTalk(
                openai.OpenAI(base_url=f"{service.url}/k/{keys['red']}/v1", api_key="sk-theirs", max_retries=0)
            )
        )
        one.read_log()
        one.ask()
        with pytest.raises(openai.InternalServerError):
            one.ask()
    ours = [record for record in caplog.records if record.name.startswith(("compressor", "uvicorn"))]
    told = " ".join(f"{record.getMessage()} {record.__dict__.get('data')}" for record in ours)
    assert "/v1/chat/completions" in told and "'tenant': 'red'" in told
    assert not any(secret in told for secret in (keys["red"], "sk-theirs", NEEDLE, TASK))


def test_an_error_of_ours_lets_the_request_through(kind: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxied([READ, Reply("It stopped."), Reply("Bye.")], extends=None) as (server, service):
        one = talk(kind, service, default_headers={"x-compressor-session": "s"})
        one.read_log(stream)
        store = service.gate._tenants.shared.store

        def fails(*_: Any, **__: Any) -> Any:
            raise StoreError("gone")

        for name in ("put", "get", "read_log", "append_log"):
            monkeypatch.setattr(store, name, fails)
        assert one.ask(stream).text == "It stopped."
        monkeypatch.setattr(service.gate._tenants.get("local").conversations, "prepare", lambda *_: 1 / 0)
        one.say("Thanks.")
        assert one.ask(stream).text == "Bye."
        assert service.metric("fallbacks_total", reason="store_error") == 1
        assert service.metric("fallbacks_total", reason="internal_error") == 1
    assert all(LOG.splitlines()[70] in sent(request) for request in server.requests[1:])
    assert [request.tools for request in server.requests[1:]] == [["read_log"]] * 2


def test_what_cannot_be_read_goes_on_with_a_warning() -> None:
    def answer(handler: Any) -> None:
        handler.say(400, b'{"error": {"message": "no"}}', {"content-type": "application/json"})

    bodies = [
        b"",
        b"{",
        b"[1]",
        b'{"messages": 5}',
        b'{"messages": [7]}',
        b"[" * 5000,
        b'{"messages": [{"role": "x"}], "model": 3}',
    ]
    with Upstream(answer) as upstream, Service(upstream=upstream.url) as service:
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
            for body in bodies:
                response = service.http.post(path, content=body)
                assert response.status_code == 400 and response.json()["error"]["message"] == "no"
                assert response.headers["x-compressor-warning"].startswith("not compressed: ")
                assert upstream.seen[-1][3] == body


def test_an_upstream_that_is_not_there_is_told_apart() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
    with Service(upstream=nobody) as service:
        response = service.http.post("/v1/chat/completions", json=body)
        assert response.status_code == 502 and error_of(response) == "upstream_unreachable"
        assert nobody not in response.text
    with (
        Upstream(lambda handler: time.sleep(2)) as upstream,
        Service(upstream=upstream.url, upstream_timeout=0.2) as slow,
    ):
        assert slow.http.post("/v1/chat/completions", json=body).status_code == 504
    with (
        Upstream(lambda h: h.connection.shutdown(socket.SHUT_RDWR)) as upstream,
        Service(upstream=upstream.url) as resets,
    ):
        assert resets.http.post("/v1/chat/completions", json=body).status_code == 502


def test_a_large_body_and_a_crooked_path_are_refused() -> None:
    answer = lambda handler: handler.say(200, b"{}", {})  # noqa: E731
    with Upstream(answer) as upstream, Service(upstream=upstream.url, max_body_bytes=1000) as service:
        if True:
            response = service.http.post("/v1/chat/completions", content=b"x" * 1001)
            assert response.status_code == 413 and error_of(response) == "too_large"
            for path in (
                b"/v1/../admin",
                b"/v1/%2e%2e/admin",
                b"/v1/a/..%2fadmin",
                b"/v1/..%5cadmin",
                b"/%761/a",
                b"/k%2fx/v1/a",
            ):
                with socket.create_connection(("127.0.0.1", service.config.port)) as raw:
                    raw.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                    assert b"invalid_path" in (answered := _all(raw)) or b"not_found" in answered, path
    assert not upstream.seen


def _all(raw: socket.socket) -> bytes:
    parts = []
    while part := raw.recv(4096):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_goes_cancels_upstream(streaming: bool) -> None:
    asked, gone = threading.Event(), threading.Event()

    def answer(handler: Any) -> None:
        if streaming:
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.send_header("connection", "close")
            handler.end_headers()
            handler.wfile.write(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
            handler.wfile.flush()
        asked.set()
        handler.connection.settimeout(60)
        if handler.connection.recv(1) == b"":
            gone.set()

    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": streaming}
    with Upstream(answer) as upstream, Service(upstream=upstream.url) as service:
        raw = socket.create_connection(("127.0.0.1", service.config.port))
        data = json.dumps(body).encode()
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
        raw.sendall(b"content-length: %d\r\n\r\n%s" % (len(data), data))
        assert asked.wait(60)
        if streaming:
            assert b"200" in raw.recv(100)
        raw.close()
        assert gone.wait(60), "upstream still works for nobody"
        wait_for(lambda: service.metric("requests_in_flight") == 0)


def test_a_named_session_outlives_its_worker(tmp_path: Any) -> None:
    store = str(tmp_path / "store.db")
    script = [READ, Reply("It stopped."), Reply("Bye.")]
    with ScriptedServer(script) as server:
        settings = {"upstream": server.url, "store": store, "policy": STILL}
        headers = {"x-compressor-session": "import-42"}
        with Service(**settings) as service:
            one = talk("chat", service, default_headers=headers)
            one.read_log()
            assert one.ask().text == "It stopped."
        with Service(**settings) as service:
            one.client = client("chat", service.url, default_headers=headers)
            one.say("Thanks.")
            assert one.ask().text == "Bye."
            recalled = service.http.post("/v1/sessions/import-42/recall", json={"query": "which worker gave up"})
            assert NEEDLE in recalled.json()["text"]
            balance = service.http.post("/v1/sessions/import-42/view", json={}).json()["cost_report"]
            assert balance["calls"] == 3 and balance["saved_cost"] > 0
    assert not server.problems


def test_many_conversations_side_by_side() -> None:
    def step(request: Request) -> Any:
        if any("tool" in str(message.get("role")) for message in request.messages):
            mine = request.messages[1]["content"]
            return Reply(f"done {mine}") if NEEDLE not in mine else Reply("?")
        return READ

    with proxied([step] * 80, extends="any") as (server, service):

        def run(number: int) -> str:
            one = ChatTalk(client("chat", service.url))
            one.history[1]["content"] = f"{number}: {TASK}"
            one.read_log(number % 2 == 0)
            return one.ask(number % 3 == 0).text

        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(run, range(40)))
        assert service.metric("fallbacks_total") == 0
    assert found == [f"done {n}: {TASK}" for n in range(40)] and not server.problems


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_come_out_as_they_went_in(size: int) -> None:
    whole = b": hi\n\nevent: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\rid: 4\ndata: [DONE]\n\nrest"

    async def run() -> list[bytes]:
        async def chunks() -> Any:
            for at in range(0, len(whole), size):
                yield whole[at : at + size]

        return [block async for block in split_events(chunks())]

    found = asyncio.run(run())
    assert b"".join(found) == whole and len(found) == 6


def test_what_it_adds_when_there_is_nothing_to_do() -> None:
    """The fastest of 80 requests through the proxy against the fastest of 80 straight to the same upstream."""
    body = json.dumps(ANSWER | {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]}).encode()
    sizes = {"small": 1, "an agent's": 40}
    upstream = Upstream(lambda h: h.say(200, body, {"content-type": "application/json"}))
    with upstream, Service(upstream=upstream.url) as service, httpx.Client(timeout=30) as http:
        for name, rounds in sizes.items():
            messages = [
                {"role": role, "content": f"{role} {n} says {'a few words ' * 20}"}
                for n in range(rounds)
                for role in ("user", "assistant")
            ]
            asked = {"model": "gpt-4o", "messages": [*messages, {"role": "user", "content": "Go on."}]}
            took: dict[str, list[float]] = {upstream.url: [], service.url: []}
            for n in range(100):
                for url, times in took.items():
                    start = time.perf_counter()
                    assert http.post(url + "/v1/chat/completions", json=asked).status_code == 200
                    if n >= 20:
                        times.append(1000 * (time.perf_counter() - start))
            straight, through = (min(times) for times in took.values())
            print(f"{name}: {straight:.2f} ms straight, {through:.2f} ms through, {through - straight:.2f} ms added")
            assert through - straight < 50  # the aim is 5


def test_usage_is_heard(kind: str, stream: bool) -> None:
    script = [Reply("Hello.", usage=Usage(1000, 800, 5))]
    with proxied(script) as (_, service):
        talk(kind, service, default_headers={"x-compressor-session": "u"}).ask(stream)
        balance = service.http.post("/v1/sessions/u/view", json={}).json()["cost_report"]
    assert (balance["billed_tokens"], balance["billed_cached"]) == (1000, 800)


@contextmanager
def leaving() -> Iterator[tuple[str, list[bytes]]]:
    """A provider that answers the first request of each connection, and closes it when the next one comes: as if it had
    done so while that was on its way. Gives its URL, and the requests it has heard."""
    heard: list[bytes] = []

    class Leaving(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for number in range(2):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    if not (line := self.rfile.readline()):
                        return
                    head += line
                heard.append(head.split(b" HTTP")[0])
                self.rfile.read(
                    int(dict(re.findall(rb"([\w-]+): (.*)\r\n", head.lower())).get(b"content-length", b"0"))
                )
                if number:
                    return
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Leaving) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


def test_a_connection_that_the_provider_has_closed_costs_no_request() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    with leaving() as (url, heard), Service(upstream=url) as service:
        for _ in range(4):
            assert service.http.post("/v1/chat/completions", json=body).status_code == 200
        assert service.http.get("/v1/models").status_code == 200
    with leaving() as (url, heard), Service(upstream=url) as service:  # a second time might not be the same
        assert service.http.post("/v1/batches", json=body).status_code == 200
        assert error_of(service.http.post("/v1/batches", json=body)) == "upstream_unreachable"
        assert heard == [b"POST /v1/batches"] * 2


def test_what_comes_too_late_is_not_told_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of a compression that took too long comes to its end while the provider is still being asked."""
    done = threading.Event()

    def answer(_: Request) -> Reply:
        assert done.wait(60)
        return Reply("hello")

    with proxied([answer], timeout=0.1) as (_, service):
        talks = service.gate._tenants.get("local").conversations
        call = talks.prepare

        def slow(*given: Any) -> Any:
            time.sleep(0.3)
            made = call(*given)
            threading.Timer(0.1, done.set).start()
            return made

        monkeypatch.setattr(talks, "prepare", slow)
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        headers = service.http.post("/v1/chat/completions", json=body).headers
        assert "timeout" in headers["x-compressor-warning"] and not set(SENT) & set(headers)
        assert service.metric("compressions_total") == 0

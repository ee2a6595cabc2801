"""What goes through the proxy and has nothing to be cut comes out as it went in, byte for byte, in either direction; on
raw sockets, so that no client or server mends anything."""

from __future__ import annotations

import gzip
import json
import re
import socket
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.client_scenarios import OWN_TOOLS
from support.client_tools import LOG, TASK

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service


class Raw(socketserver.ThreadingTCPServer):
    """An upstream that sends the bytes it is told, piece by piece, and keeps the requests it gets."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *pieces: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pieces = pieces
        self.seen: list[tuple[bytes, bytes]] = []  # head, body
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.gone = threading.Event()

    def __enter__(self) -> Raw:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(socketserver.StreamRequestHandler):
    server: Raw
    disable_nagle_algorithm = True

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        self.server.seen.append((head, self.rfile.read(int(length[1])) if length else self.chunks(head)))
        try:
            for piece in self.server.pieces:
                self.wfile.write(piece)
                self.wfile.flush()
            if not self.server.pieces and not self.rfile.read(1):
                self.server.gone.set()
        except OSError:
            self.server.gone.set()

    def chunks(self, head: bytes) -> bytes:
        body = b""
        while b"transfer-encoding: chunked" in head.lower() and (size := int(self.rfile.readline(), 16)):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body


@contextmanager
def between(*pieces: bytes) -> Iterator[tuple[Raw, Service]]:
    with Raw(*pieces) as upstream, Service(upstream=upstream.url) as service:
        yield upstream, service


def ask_raw(service: Service, request: bytes) -> tuple[bytes, bytes]:
    """The head and the rest of the answer to a request in bytes, on a connection that is closed after it."""
    with socket.create_connection(("127.0.0.1", service.config.port), 10) as line:
        line.sendall(request)
        got = b""
        while piece := line.recv(65536):
            got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    return head, rest


def request(body: bytes, path: str = "/v1/chat/completions", more: str = "", method: str = "POST") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n{more}"
    )
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def answer(body: bytes, more: str = "content-type: application/json\r\n", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def unchunked(data: bytes) -> bytes:
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        out, data = out + data[:length], data[length + 2 :]
        if not length:
            break
    return out


GOOD = b'{ "id":"x", "choices":[{"index":0,"message":{"role":"assistant","content":"hi \\u00e9"}, "n":1.0}] , "y":1e2}'
ODD = [
    b'{"messages":[{"role":"user","content":"a"}],"n":1,"temperature":1.0,"seed":12345678901234567890123,"x":1e400}',
    b'{"messages":[{"role":"user","content":"\\u00e9\\/ \\ud83d\\ude00 \xf0\x9f\x98\x80","other":null}],"z":-0.0}',
    b'\r\n{"a":1,"a":2,"messages":[{"role":"user","role":"user","content":"twice"}],"stream":null}\n',
    b'{"messages":[{"role":"user","content":"lone \\ud800"}],"metadata":{"k":[0.1,0.10,1E5,1e5]}}',
    b'{"messages":[{"role":"user","content":"b"}],"messages":[{"role":"user","content":"c"}]}',
    b'{"messages":[],"input":[]}',
    b'\xef\xbb\xbf{"messages":[{"role":"user","content":"mark"}]}',
    '{"messages":[{"role":"user","content":"wide"}]}'.encode("utf-16"),
    b"not json",
    b"",
]


@pytest.mark.parametrize("body", ODD)
def test_a_body_of_which_nothing_is_cut_is_the_same_bytes(body: bytes) -> None:
    with between(answer(GOOD)) as (upstream, service):
        for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
            _, got = ask_raw(service, request(body, path))
            assert upstream.seen[-1][1] == body and got == GOOD


def test_with_tools_only_ours_is_added() -> None:
    tool = '{"type":"function","function":{"name":"f","parameters":{"type":"object","x":1.0}}}'
    body = f'{{"n": 1, "tools" : [ {tool} ],"messages":[{{"role":"user","content":"\\u00e9"}}], "y":-0}}'.encode()
    with between(answer(GOOD)) as (upstream, service):
        ask_raw(service, request(body))
    got = upstream.seen[0][1].decode()
    found = re.fullmatch(r'(\{"n": 1, "tools" : \[)(.*),(\{"type":"function","function":\{"name":"f".*)', got)
    assert found and [tool["function"]["name"] for tool in json.loads(f"[{found[2]}]")] == OWN_TOOLS
    assert found[3] == f'{tool}],"messages":[{{"role":"user","content":"\\u00e9"}}], "y":-0}}'


def test_where_something_is_cut_only_that_differs() -> None:
    call = '{"id":"c1","type":"function","function":{"name":"f","arguments":"{\\u0022a\\u0022: 1.0}"}}'
    first = f'{{"role":"user","content":{json.dumps(TASK)}}}'
    front = f'{{"x":1.0,"messages":[{first} ,\n {{"role":"assistant","tool_calls":[{call}]}}'
    body = f'{front}, {{"role":"tool","tool_call_id":"c1","n":1e2,"content":{json.dumps(LOG)}}} ], "y":[1e2]}}'
    with between(answer(GOOD)) as (upstream, service):
        ask_raw(service, request(body.encode()))
    got = upstream.seen[0][1].decode()
    assert got.startswith(front + ",{") and '], "y":[1e2],"tools":[{' in got
    cut, whole = json.loads(got), json.loads(body)
    assert len(cut["messages"][2]["content"]) < 0.8 * len(LOG)
    cut["messages"][2]["content"] = LOG
    assert cut["messages"] == whole["messages"] and [t["function"]["name"] for t in cut["tools"]] == OWN_TOOLS


def calls(index: int, more: str, function: str) -> str:
    call = f'{{"index":{index},{more}"function":{{{function}}}}}'
    return f'{{"id":"1","choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}'


CHUNKS = [
    '{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
    '{"id":"1", "choices":[{"index":0,"delta":{"content":"h\\u00e9 é 😀"}, "n":1.0}]}',
    calls(0, '"id":"a","type":"function",', '"name":"f","arguments":""'),
    calls(1, '"id":"b","type":"function",', '"name":"g","arguments":"{"'),
    calls(0, "", '"arguments":"{}"'),
    calls(1, "", '"arguments":"}"'),
    '{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
    '{"id":"1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"x":1.0}}',
]


def stream(end: str, tail: str = "data: [DONE]{0}{0}") -> bytes:
    lines = [f": ping{end}{end}", f"retry: 10{end}{end}"]
    lines += [f"id: {i}{end}data:{' ' * (i % 2)}{chunk}{end}{end}" for i, chunk in enumerate(CHUNKS)]
    return "".join([*lines, f": end{end}{end}", tail.format(end)]).encode()


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stream_without_an_expand_call_is_the_same_bytes(end: str, size: int) -> None:
    whole = stream(end)
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]  # inside characters, too
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    sent = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    tools = b'"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]'
    with between(head, *sent, b"0\r\n\r\n") as (_, service):
        for more in (b"", b"," + tools):
            body = b'{"stream":true,"messages":[{"role":"user","content":"a"}]%s}' % more
            top, rest = ask_raw(service, request(body))
            assert b"text/event-stream; charset=utf-8" in top and unchunked(rest) == whole


def test_an_error_inside_a_stream_and_a_stream_without_an_end_pass() -> None:
    for tail in ('data: {{"error":{{"message":"overloaded","code":503}}}}{0}{0}', 'data: {{"half":', "event: ping"):
        whole = stream("\n", tail)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(whole)
        with between(head + whole) as (_, service):
            body = b'{"stream":true,"messages":[{"role":"user","content":"a"}]}'
            assert unchunked(ask_raw(service, request(body))[1]) == whole


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("br", lambda data: b"\x0b" + data[::-1]),  # no one here reads these two, and no one has to
    ("zstd", lambda data: b"\x28\xb5\x2f\xfd" + data[::-1]),
    ("x-odd, gzip", gzip.compress),
]


@pytest.mark.parametrize(("coding", "pack"), PACKED)
def test_packed_answers(coding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(GOOD)
    more = f"content-type: application/json\r\ncontent-encoding: {coding}\r\n"
    with between(answer(packed, more)) as (upstream, service):
        body = b'{"messages":[{"role":"user","content":"a"}]}'
        head, got = ask_raw(service, request(body, more="accept-encoding: br, gzip\r\n"))
        wanted = coding.encode() if coding not in ("gzip", "deflate") else None
        assert (b"content-encoding: " + (wanted or b"")).strip() in head if wanted else b"content-encoding" not in head
        assert got == (packed if wanted else GOOD)
        head, got = ask_raw(service, request(b"", "/v1/models", "accept-encoding: br\r\n", "GET"))
        assert got == packed and f"content-encoding: {coding}".encode() in head
    assert b"accept-encoding: gzip\r\n" in upstream.seen[0][0].lower()
    assert b"accept-encoding: br\r\n" in upstream.seen[1][0].lower()


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(status: str) -> None:
    with between(f"HTTP/1.1 {status}\r\netag: x\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\n".encode()) as (
        _,
        service,
    ):
        head, rest = ask_raw(service, request(b"", "/v1/files", method="GET"))
        assert head.startswith(f"HTTP/1.1 {status[:3]}".encode()) and rest == b""
        assert head.lower().count(b"set-cookie: ") == 2 and b"etag: x" in head


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_any_method(method: str) -> None:
    sent = answer(b"") if method != "HEAD" else b"HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n"
    with between(sent) as (upstream, service):
        head, rest = ask_raw(service, request(b"", "/v1/files/a%2Fb?x=%20", method=method))
    assert upstream.seen[0][0].startswith(f"{method} /v1/files/a%2Fb?x=%20 HTTP/1.1\r\n".encode()) and rest == b""
    assert head.startswith(b"HTTP/1.1 200") and (method != "HEAD" or b"content-length: 77" in head)


def test_an_early_hint_is_none_of_the_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    with between(early + answer(GOOD)) as (_, service):
        head, rest = ask_raw(service, request(b'{"messages":[{"role":"user","content":"a"}]}'))
    assert head.startswith(b"HTTP/1.1 200") and rest == GOOD


def test_uploads_are_the_same_bytes() -> None:
    parts = b"--b\r\ncontent-disposition: form-data; name=file; filename=a\r\n\r\n" + bytes(range(256)) * 20_000
    head = "POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n"
    with between(answer(b"{}")) as (upstream, service):
        ask_raw(service, f"{head}Content-Length: {len(parts)}\r\n\r\n".encode() + parts)
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (parts[:99], parts[99:])) + b"0\r\n\r\n"
        ask_raw(service, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunked)
    for told, body in upstream.seen:
        assert body == parts and b"content-type: multipart/form-data; boundary=b\r\n" in told.lower()
    (given, _), (chunked_head, _) = upstream.seen
    assert b"transfer-encoding" not in given.lower() and b"transfer-encoding: chunked" in chunked_head.lower()


def test_a_client_that_waits_for_100_is_told_to_go_on() -> None:
    body = b'{"messages":[{"role":"user","content":"a"}]}'
    with (
        between(answer(GOOD)) as (upstream, service),
        socket.create_connection(("127.0.0.1", service.config.port), 10) as line,
    ):
        head, _, _ = request(body, more="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        line.sendall(head + b"\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(body)
        got = b""
        while piece := line.recv(65536):
            got += piece
    assert got.endswith(GOOD) and upstream.seen[0][1] == body and b"expect" not in upstream.seen[0][0].lower()


def test_http_1_0() -> None:
    whole = stream("\n")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(whole)
    body = b'{"stream":true,"messages":[{"role":"user","content":"a"}]}'
    with between(head + whole) as (_, service):
        asked = b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        top, rest = ask_raw(service, asked + body)
    assert b"200" in top and b"transfer-encoding" not in top.lower() and rest == whole


def test_a_websocket_is_refused_with_a_reason() -> None:
    more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    asked = request(b"", "/v1/realtime", more, "GET").replace(b"connection: close", b"connection: upgrade, close")
    with Raw(answer(GOOD)) as upstream, Service(upstream=upstream.url, websockets=False) as service:
        head, rest = ask_raw(service, asked)
    assert head.startswith(b"HTTP/1.1 501") and json.loads(rest)["error"]["type"] == "no_websockets"
    assert not upstream.seen


def test_headers_of_the_connection_and_ours_stay_here() -> None:
    hop = "Proxy-Authorization: x\r\nTE: trailers\r\nKeep-Alive: 5\r\nTrailer: x\r\n"
    hop += "X-Compressor-Off: 1\r\nX-COMPRESSOR-Any: 1\r\n"
    theirs = "X-Two: a\r\nx-two: b\r\nCookie: c=1\r\ncookie: d=2\r\nX-Latin: \xe9\r\n"
    asked = request(b"{}", more=hop + theirs).replace("\xe9".encode(), b"\xe9")
    back = (
        "connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: 3\r\nx-compressor-session: forged\r\nX-Latin: y\r\n"
    )
    with between(answer(GOOD, back)) as (upstream, service):
        head, _ = ask_raw(service, asked)
    told = upstream.seen[0][0].lower()
    assert b"x-compressor" not in told and not re.search(rb"\r\n(te|keep-alive|trailer|proxy-authorization):", told)
    assert re.findall(rb"\r\n(x-two|cookie): (\S+)", told) == [
        (b"x-two", b"a"), (b"x-two", b"b"), (b"cookie", b"c=1"), (b"cookie", b"d=2"),
    ]  # fmt: skip
    assert b"x-latin: \xe9\r\n" in told
    head = head.lower()
    assert b"x-hop" not in head and b"forged" not in head and b"x-latin: y" in head and b"keep-alive: 3" not in head


def test_a_client_that_goes_takes_upstream_with_it() -> None:
    with between() as (upstream, service):
        with socket.create_connection(("127.0.0.1", service.config.port), 10) as line:
            line.sendall(request(b'{"messages":[{"role":"user","content":"a"}]}'))
            while not upstream.seen:
                pass
        assert upstream.gone.wait(5)


@pytest.mark.slow
def test_many_conversations_side_by_side_keep_their_prefixes() -> None:
    """Three hundred agents with one task, a call of each in turn: what was sent before is sent again, byte for byte."""
    agents: list[list[dict[str, object]]] = [
        [{"role": "system", "content": "Be short."}, {"role": "user", "content": TASK}] for _ in range(300)
    ]
    sent: list[list[object]] = [[] for _ in agents]
    with between(answer(GOOD)) as (upstream, service):
        for step in range(2):
            for i, messages in enumerate(agents):
                text = LOG.replace("worker", f"agent{i}-{step}") if i % 100 == 7 else f"{step} of {i}: nothing."
                made = {"id": f"c{step}", "type": "function", "function": {"name": "f", "arguments": f'{{"i":{i}}}'}}
                messages.append({"role": "assistant", "content": None, "tool_calls": [made]})
                messages.append({"role": "tool", "tool_call_id": f"c{step}", "content": text})
                body = {"messages": messages, "model": "gpt-4o"}
                head, _ = ask_raw(service, request(json.dumps(body).encode()))
                assert b"x-compressor-warning" not in head
                got = json.loads(upstream.seen[-1][1])["messages"]
                assert len(got) == len(messages) and got[: len(sent[i])] == sent[i]
                sent[i] = got
        talks = service.gate._tenants.get("local").conversations
        assert len(talks._cached) == len(agents) and talks._cached_bytes == sum(
            one.size for one in talks._cached.values()
        )


def test_what_is_known_is_bounded() -> None:
    with (
        Raw(answer(GOOD)) as upstream,
        Service(upstream=upstream.url, max_conversations=8, max_conversation_bytes=20_000) as service,
    ):
        talks = service.gate._tenants.get("local").conversations
        for i in range(40):
            text = f"Case {i}: " + "what is this? " * (i * 20)
            ask_raw(service, request(json.dumps({"messages": [{"role": "user", "content": text}]}).encode()))
            assert len(talks._cached) <= 8 and len(talks._resolvers) <= 8
            assert talks._cached_bytes <= 20_000 or len(talks._cached) == 1
            assert talks._cached_bytes == sum(one.size for one in talks._cached.values())
            assert sum(map(len, talks._by_first_message.values())) == len(talks._cached)

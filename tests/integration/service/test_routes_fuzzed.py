"""Ten thousand requests that nobody would send, over all routes, in this process: no error of our own making, nothing
that reaches a provider unless its route is known, and nothing that hangs."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.app import create_app
from compressor.service.auth import new_key
from compressor.service.proxy.routes import find_route
from compressor.service.settings import Settings

COUNT = 10_000
SEED = 15
KEY, ENTRY = new_key("fuzz")
ADMIN_KEY, ADMIN_ENTRY = new_key("ops", admin=True)
#: What may be answered with a 5xx: a provider that is not there, and what a setting has turned off.
FINE_5XX = ("no_websockets", "unavailable", "overloaded")
METHODS = ["GET", "GET", *["POST"] * 8, "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "WHAT"]
PROVIDER_PATHS = """/v1/chat/completions /v1/responses /v1/messages /v1/messages/count_tokens /v1/responses/input_tokens
/chat/completions /v1/embeddings /v1/models /v1/files /v1/files/f/content /v1/audio/speech /v1/completions
/openai/deployments/d/chat/completions /openai/v1/responses /openai/v1/files /models/chat/completions
/anthropic/v1/messages /v1beta/models/g:generateContent /v1beta/openai/chat/completions /model/m%3A0/converse
/model/m/invoke-with-response-stream /v1/projects/p/locations/l/publishers/g/models/m:rawPredict""".split()
ODD = [
    "%2F",
    "%2e%2e",
    "..",
    "%00",
    "%ff",
    "ü",
    "%E6%97%A5",
    "{",
    "}",
    "\\",
    "//",
    ";",
    "%25",
    "a" * 300,
    "%0d%0a",
    "é",
]
HEADERS: dict[str, list[str]] = {
    "x-compressor-session": ["a", "a/b", "%2F", "UTF-8''%E6%97%A5", "%ff", "..", "x" * 300, ""],
    "x-compressor-budget": ["4000", "50%", "$0.02", "-1", "nan", "x", "1e400", "0"],
    "x-compressor-target": ["2000", "x", "0.5", "-3"],
    "x-compressor-trigger": ["cost", "0.9", "x"],
    "x-compressor-keep": ["0.5", "x"],
    "x-compressor-preset": ["faithful", "x"],
    "x-compressor-tools-budget": ["25%", "x", "0"],
    "x-compressor-examples-budget": ["25%", "x"],
    "x-compressor-bypass": ["1", "x"],
    "x-compressor-count": ["provider", "x"],
    "content-encoding": ["gzip", "deflate", "zstd", "br", "gzip, gzip", "identity", "x" * 100],
    "content-type": ["application/json", "text/plain", "multipart/form-data; boundary=b", "x"],
    "anthropic-version": ["2023-06-01"],
    "authorization": ["Bearer theirs", "Basic !!!", "Bearer"],
    "upgrade": ["websocket", "h2c"],
    "origin": ["https://evil.example", "null"],
    "x-request-id": ["a", "\x7f", "x" * 500],
    "traceparent": ["00-" + "1" * 32 + "-" + "2" * 16 + "-01", "x"],
}
WORDS = (
    "model messages input system tools tool_choice role content type text tool_calls id function name arguments".split()
)
WORDS += (
    "tool_call_id call_id output stream previous_response_id budget query documents examples index usage ref".split()
)
WORDS += "response_format functions instructions generate cache_control tool_result tool_use tool_use_id".split()
ATOMS: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**20,
    "",
    "user",
    "assistant",
    "tool",
    "system",
    "gpt-4o",
    "\ud800",
    "日本",
    "c1",
]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LONG = "\n".join(f"line {i} of the log says {i * 7919 % 997}" for i in range(200))
CHAT: list[dict[str, Any]] = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": LONG},
]


class Provider:
    """Answers everything in this process, and keeps where it was asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.seen.append(request.url.raw_path.decode().split("?")[0])
        message = {"role": "assistant", "content": "Yes."}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        return httpx.Response(200, json={"id": "r", "object": "x", "output": [], "choices": choices, "content": []})


class Fuzz:
    """Makes requests."""

    def __init__(self, seed: int, own: list[str]) -> None:
        self.random = random.Random(seed)
        self._own = own

    def request(self) -> tuple[str, str, dict[bytes, bytes], bytes]:
        r = self.random
        head: dict[bytes, bytes] = {b"host": b"127.0.0.1"}
        for name in r.sample(list(HEADERS), r.choice([0, 0, 1, 2, 3])):
            head[name.encode()] = r.choice(HEADERS[name]).encode("utf-8", "surrogateescape")
        if r.random() < 0.97:
            head[b"x-compressor-key"] = r.choice([*[KEY] * 20, ADMIN_KEY, "wrong"]).encode()
        body = self.body()
        if head.get(b"content-encoding") == b"gzip" and r.random() < 0.7:
            body = gzip.compress(body)
        head.setdefault(b"content-type", b"application/json")
        return r.choice(METHODS), self.path(), head, body

    def path(self) -> str:
        r = self.random
        template = r.choice([*self._own, *PROVIDER_PATHS])
        parts = [
            quote(r.choice(["a", "s1", "a/b", "1" * 12, "0", "ü"]), safe="") if "{" in p else p
            for p in template.split("/")
        ]
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            at = r.randrange(len(parts))
            parts[at] = r.choice([quote(r.choice(ODD), safe="%/"), parts[at][:-1], parts[at] + "s", ""])
        front = r.choice([*[""] * 12, f"/k/{KEY}", "/k/wrong", "/v1"])
        query = r.choice(["", "", "?a=b", "?limit=-1&after=x", "?range=9h", "?api-version=1"])
        path = front + "/".join(parts) + r.choice(["", "", "", "/"])
        return (path if path.startswith("/") else "/" + path) + query

    def body(self) -> bytes:
        r = self.random
        kind = r.random()
        if kind < 0.1:
            return b""
        if kind < 0.2:
            return r.choice(
                [b"{", b"[]", b"null", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 500, b'{"x":NaN}', os.urandom(20)]
            )
        if kind < 0.6:
            data: Any = {"model": "gpt-4o", "messages": [dict(one) for one in CHAT], "max_tokens": 5}
            if r.random() < 0.4:
                data["input"] = data.pop("messages")
            for _ in range(r.choice([0, 1, 1, 3])):
                target: Any = (
                    r.choice([data, *data.get("messages", data.get("input"))])
                    if isinstance(data.get("messages", data.get("input")), list)
                    else data
                )
                if isinstance(target, dict):
                    target[r.choice(WORDS)] = self.value(2)
        else:
            data = {r.choice(WORDS): self.value(3) for _ in range(r.randrange(6))}
        return json.dumps(data).encode()

    def value(self, depth: int) -> Any:
        r = self.random
        if depth == 0 or r.random() < 0.4:
            return r.choice(ATOMS)
        if r.random() < 0.5:
            return [self.value(depth - 1) for _ in range(r.randrange(4))]
        return {r.choice(WORDS): self.value(depth - 1) for _ in range(r.randrange(4))}


class Served:
    """The service and its provider in this process."""

    def __init__(self) -> None:
        config = Settings(
            store="memory", keys=(ENTRY, ADMIN_ENTRY), upstream="http://provider", max_body_bytes=200_000,
            max_upload_bytes=300_000, max_concurrent_requests=1000,
        )  # fmt: skip
        self.provider, self.app = Provider(), create_app(config)
        upstream = self.app.proxy._upstream
        transport = httpx.MockTransport(self.provider)
        upstream._client = upstream._fresh = httpx.AsyncClient(transport=transport)
        self.own = list(self.app._api.openapi()["paths"])

    async def ask(self, method: str, target: str, head: dict[bytes, bytes], body: bytes) -> tuple[int, bytes]:
        raw, _, query = target.partition("?")
        parts = [body[i : i + 50_000] for i in range(0, len(body), 50_000)] or [b""]
        sent: list[Any] = []
        done = asyncio.Event()

        async def receive() -> Any:
            if parts:
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(raw), "raw_path": raw.encode(), "query_string": query.encode(), "root_path": "",
            "headers": list(head.items()), "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        await asyncio.wait_for(self.app(scope, receive, send), 20)
        done.set()
        assert sent and sent[0]["type"] == "http.response.start", (method, target, sent)
        return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])

    async def check(self, method: str, target: str, head: dict[bytes, bytes], body: bytes) -> int:
        before = len(self.provider.seen)
        status, answer = await self.ask(method, target, head, body)
        where = f"{method} {target} {head} {body[:2000]!r} -> {status} {answer[:500]!r}"
        if status >= 500:
            assert json.loads(answer)["error"]["type"] in FINE_5XX, where
        elif status >= 400 and method != "HEAD":
            assert set(json.loads(answer)["error"]) >= {"type", "message"}, where
        for path in self.provider.seen[before:]:
            route = find_route(path)
            assert route is not None and ".." not in unquote(path).split("/") and KEY not in path, where
        return status


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


def run(loop: asyncio.AbstractEventLoop, served: Served, count: int, seed: int) -> Counter[int]:
    fuzz = Fuzz(seed, served.own)

    async def all_of_them() -> Counter[int]:
        found: Counter[int] = Counter()
        for _ in range(count):
            found[await served.check(*fuzz.request())] += 1
        return found

    return loop.run_until_complete(all_of_them())


def test_a_sample(loop: asyncio.AbstractEventLoop, served: Served) -> None:
    found = run(loop, served, 600, SEED)
    assert found[200] > 50 and found[404] > 20 and len(served.provider.seen) > 20, found


@pytest.mark.slow
def test_ten_thousand(loop: asyncio.AbstractEventLoop, served: Served) -> None:
    found = run(loop, served, COUNT, SEED + 1)
    print(f"{COUNT} requests: {dict(sorted(found.items()))}, {len(served.provider.seen)} forwarded")
    assert found[200] > COUNT // 10


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(["/v1/", "/v1/sessions/", "/v1/retrieve/", "/", "/openai/", "/model/", "/v1beta/"]),
    st.binary(max_size=200),
)
def test_any_path(
    loop: asyncio.AbstractEventLoop, served: Served, method: str, rest: str, front: str, body: bytes
) -> None:
    head = {b"host": b"127.0.0.1", b"x-compressor-key": KEY.encode()}
    loop.run_until_complete(served.check(method, front + quote(rest, safe="/%"), head, body))

"""What SECURITY.md says, tried on a running service: others' things, guesses, bombs, headers, what is on disk."""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import logging
import os
import random
import re
import socket
import sqlite3
import string
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.client_tools import LOG
from support.cpu_time import cpu_time_below
from support.paths import ROOT, TESTS

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.context.formats.image_size import image_size
from compressor.errors import CompressorError
from compressor.service import auth
from compressor.service.limits.rate_limiter import MAX_MISSES_PER_MINUTE
from compressor.service.settings import Settings
from compressor.service.settings_sources import load
from compressor.storage import codec
from compressor.storage.redis.store import RedisStore
from compressor.storage.wrappers.encryption_keys import ENCRYPTED_PREFIX, Keyring, new_encryption_key
from compressor.tokens import get_counter
from support.service_tools import Service, error_of, history, two_tenants

#: Put together here, so that no scanner has to warn of this file.
SECRET = "sk-" + "proj-" + "".join(random.Random(3).choices(string.ascii_letters + string.digits, k=48))
NAME = "PACEMAKER-4711"


SPILLED = f"{NAME}\nexport OPENAI_API_KEY={SECRET}\n{LOG}"


@pytest.fixture(scope="module")
def tenants() -> Iterator[tuple[Service, dict[str, dict[str, str]]]]:
    """A service with a session and a ref of red's, and everybody's headers."""
    keys, known = two_tenants()
    heads = {name: {"x-compressor-key": key} for name, key in keys.items()}
    with Service(**known) as service:
        yield service, heads


def all_routes(service: Service, head: dict[str, str]) -> list[tuple[str, str]]:
    paths = service.http.get("/openapi.json", headers=head).json()["paths"]
    return [(method, path) for path, ways in paths.items() for method in ways] + [("get", "/")]


BODIES: dict[str, Any] = {
    "/v1/compress": {"messages": history(), "budget": 1500},
    "/v1/compress/documents": {"documents": ["a b c"], "budget": 100},
    "/v1/examples": {"examples": ["a", "b"], "query": "a", "budget": 100},
    "/v1/tools": {"tools": [{"name": "f", "parameters": {"type": "object"}}], "budget": 100},
    "/v1/sessions/{id}/recall": {"query": NAME},
    "/v1/sessions/{id}/find_tool": {"query": NAME},
}


def test_no_route_gives_a_tenant_anything_of_anothers(tenants: Any) -> None:
    service, heads = tenants
    messages = history(SPILLED)
    made = service.http.post("/v1/compress", json={"messages": messages, "budget": 900}, headers=heads["red"]).json()
    ref = made["refs"][0]
    for session in ("s", f"s-{NAME}"):
        path = f"/v1/sessions/{session}/append"
        assert service.http.post(path, json={"messages": messages}, headers=heads["red"]).status_code == 200
    assert NAME in service.http.post("/v1/sessions/s/view", json={}, headers=heads["red"]).text
    tried = 0
    for method, path in all_routes(service, heads["blue"]):
        if path.endswith("/append"):
            continue  # it would begin a session of blue's own
        body = {**BODIES.get(path, {}), "ref": ref} if method == "post" else None
        url = path.replace("{id}", "s").replace("{ref}", ref).replace("{number}", "2").replace("{tenant}", "red")
        url = url.replace("{block}", "0")
        answer = service.http.request(method, url, json=body, headers=heads["blue"])
        assert answer.status_code < 500 and NAME not in answer.text and SECRET not in answer.text, path
        assert "access-control-allow-origin" not in answer.headers
        if path.startswith("/admin/"):
            assert answer.status_code in (403, 422), (path, answer.text)
        elif "{id}" in path or "{ref}" in path:
            assert answer.status_code == 404, (path, answer.text)
            tried += 1
        for head in ({}, {"x-compressor-key": "ck_" + "A" * 43}):
            expected = (200,) if path in ("/healthz", "/readyz") else (401,)
            assert service.http.request(method, url, json=body, headers=head).status_code in expected, path
    assert tried >= 4


def test_the_provider_is_shown_no_key_and_a_tenant_no_conversation_of_anothers() -> None:
    from support.scripted_server import Reply, ScriptedServer

    keys, known = two_tenants()
    body = {"model": "gpt-4o", "messages": history(SPILLED)}
    with ScriptedServer([Reply("one"), Reply("two")], extends=None) as server:
        with Service(upstream=server.url, **known) as service:
            for name in ("red", "blue"):  # both name the same session
                head = {"x-compressor-key": keys[name], "x-compressor-session": "s", "authorization": "Bearer provider"}
                answer = service.http.post("/v1/chat/completions", json=body, headers=head)
                assert answer.status_code == 200, answer.text
            for mine, other in (("red", "blue"), ("blue", "red")):
                head = {"x-compressor-key": keys[mine]}
                service.http.post("/v1/sessions/s/append", json={"messages": []}, headers=head)
                assert keys[other] not in service.http.post("/v1/sessions/s/view", json={}, headers=head).text
            wrong = {"authorization": f"Bearer {keys['red']}"}
            assert service.http.post("/v1/chat/completions", json=body, headers=wrong).status_code == 401
        assert len(server.requests) == 2
        for request in server.requests:
            told = json.dumps([request.headers, request.body])
            assert not any(key in told for key in keys.values()) and "x-compressor" not in told
            assert request.headers["authorization"] == "Bearer provider"


def test_refs_cannot_be_guessed_at_will() -> None:
    keys, known = two_tenants()
    red, blue = ({"x-compressor-key": keys[name]} for name in ("red", "blue"))
    with Service(**known) as service:
        made = service.http.post("/v1/compress", json={"messages": history(), "budget": 1500}, headers=red).json()
        seen = [service.http.get(f"/v1/retrieve/{i:012d}", headers=red) for i in range(MAX_MISSES_PER_MINUTE + 20)]
        assert [answer.status_code for answer in seen[:MAX_MISSES_PER_MINUTE]] == [404] * MAX_MISSES_PER_MINUTE
        assert seen[-1].status_code == 429 and int(seen[-1].headers["retry-after"]) >= 1
        own = f"/v1/retrieve/{made['refs'][0]}"
        assert service.http.get(own, headers=red).status_code == 429  # also for what there is: it tells nothing
        path = "/v1/sessions/none/expand"
        assert service.http.post(path, json={"ref": "1" * 12}, headers=red).status_code == 429
        assert service.http.get("/v1/retrieve/000000000000", headers=blue).status_code == 404
        assert service.http.post("/v1/compress", json={"messages": history(), "budget": 1500}, headers=red).is_success


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        ("gzip", 413),
        ("br", 415),
        ("deflate", 400),
        ("zstd", 400),
        ("gzip, identity", 413),
        ("gzip, gzip", 415),
        ("x", 415),
    ],
)
def test_a_packed_body_is_unpacked_only_up_to_the_limit(tenants: Any, coding: str, status: int) -> None:
    service, heads = tenants
    bomb = gzip.compress(b'{"messages": "' + b" " * 40_000_000 + b'"}')
    head = {**heads["red"], "content-encoding": coding, "content-type": "application/json"}
    answer = service.http.post("/v1/compress", content=bomb, headers=head)
    assert answer.status_code == status and error_of(answer) == ("too_large" if status == 413 else "encoded_body")


def test_large_and_deep_bodies() -> None:
    with Service(max_body_bytes=100_000) as service:
        head = {"content-type": "application/json"}

        def pieces() -> Iterator[bytes]:  # no length is told before
            for _ in range(50):
                yield b" " * 10_000

        for content in (b" " * 100_001, pieces()):
            with httpx.Client(base_url=service.url, timeout=20) as client:
                try:
                    answer = client.post("/v1/compress", content=content, headers=head)
                except httpx.TransportError:  # it was cut off while it still sent
                    continue
                assert answer.status_code == 413 and error_of(answer) == "too_large"
        for body in (b"[" * 90_000, b'{"messages":' + b"[" * 200 + b"]" * 200 + b"}", b'{"a":' * 15_000):
            answer = service.http.post("/v1/compress", content=body, headers=head)
            assert answer.status_code == 400 and error_of(answer) in ("too_deep", "invalid_json")
        assert service.http.get("/healthz").status_code == 200


def test_headers_that_say_two_things(tenants: Any) -> None:
    service, heads = tenants
    key = heads["red"]["x-compressor-key"]

    def raw(*lines: str, body: str = "") -> bytes:
        with socket.create_connection(("127.0.0.1", service.config.port), timeout=60) as sock:
            sock.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1"))
            got = b""
            with suppress(TimeoutError):
                while chunk := sock.recv(65_536):
                    got += chunk
                    sock.settimeout(0.5)  # it may stay open
            return got

    post = ("POST /v1/compress HTTP/1.1", "Host: a", f"X-Compressor-Key: {key}", "Content-Type: application/json")
    inner = f"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Compressor-Key: {key}\r\n\r\n"
    smuggled = raw(*post, "Content-Length: 4", "Transfer-Encoding: chunked", body=f"0\r\n\r\n{inner}")
    assert smuggled.startswith(b"HTTP/1.1 400") and b"compressor_requests" not in smuggled
    for lines in (
        (*post, "Content-Length: 2", "Content-Length: 3"),
        (*post, "Content-Length: -1"),
        (*post, "Transfer-Encoding: xchunked"),
        (*post, "Content-Length: 2", "X-Bad\rHeader: 1"),
        (*post, " folded: 1"),
    ):
        assert b" 200 " not in raw(*lines, body="{}").split(b"\r\n")[0], lines
    for path in ("http://evil.example/v1/models", "//evil.example/v1/models", "/v1/../metrics", "/v1/%2e%2e/metrics"):
        got = raw(f"GET {path} HTTP/1.1", "Host: a", f"X-Compressor-Key: {key}", "Connection: close")
        assert got.split(b" ")[1] in (b"400", b"404"), (path, got)
    got = raw("GET /metrics HTTP/1.1", "Host: a", f"X-Compressor-Key: {'ck_' + 'A' * 43}", f"Xx-Compressor-Key: {key}")
    assert got.split(b" ")[1] == b"401"
    split = service.http.get("/v1/retrieve/1%0d%0ax-evil:%201", headers=heads["red"])
    assert "x-evil" not in split.headers and split.status_code == 404


def test_a_page_in_a_browser_is_nobody() -> None:
    with Service() as service:
        body = {"messages": history(), "budget": 1500}
        for origin in (
            "https://evil.example",
            "null",
            "http://127.0.0.1.evil.example",
            "http://evil.example:8787",
            "x",
        ):
            answer = service.http.post("/v1/compress", json=body, headers={"origin": origin})
            assert answer.status_code == 403 and error_of(answer) == "forbidden", origin
        for origin in (service.url, "http://localhost:3000", "http://[::1]:8787"):
            answer = service.http.post("/v1/compress", json=body, headers={"origin": origin})
            assert answer.status_code == 200
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        asked = {"origin": service.url, "access-control-request-method": "POST"}
        preflight = service.http.options("/v1/compress", headers=asked)
        assert preflight.status_code == 405 and "access-control-allow-origin" not in preflight.headers
        assert service.http.get("/openapi.json", headers={"host": "evil.example"}).status_code == 403


def test_every_known_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [auth.new_key(f"t{i}") for i in range(5)]
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def compare(a: str, b: str) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr("compressor.service.auth.hmac.compare_digest", compare)
    for given in (made[0][0], made[4][0], "ck_" + "x" * 43):
        compared.clear()
        auth.find_key([kept for _, kept in made], given)
        assert len(compared) == 5 and all(len(b) == 64 and given not in b for _, b in compared)


def test_no_key_is_shown_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys, known = two_tenants()
    sealing = [new_encryption_key(), new_encryption_key()]
    (tmp_path / "keys").write_text("\n".join(kept.line() for kept in known["keys"]))
    env = {
        "COMPRESSOR_KEYS_FILE": str(tmp_path / "keys"),
        "COMPRESSOR_ENCRYPTION_KEYS": ";".join(sealing),
        "COMPRESSOR_STORE": "redis://:hunter2secret@127.0.0.1:1",
    }
    hashes = [kept.hash for kept in known["keys"]]
    shown = json.dumps(load(env=env).printable())
    assert json.loads(shown)["encryption_keys"] == list(Keyring(sealing).ids)
    assert not any(one in shown for one in [*sealing, *hashes, *keys.values(), "hunter2secret"])
    caplog.set_level(logging.DEBUG)
    with Service(log="debug", log_content=True, encryption_keys=Keyring(sealing), **known) as service:
        for head in (
            {"x-compressor-key": keys["red"]},
            {"x-compressor-key": keys["red"][:-1]},
            {"x-api-key": "y" * 40},
        ):
            service.http.post("/v1/compress", json={"messages": history(SPILLED), "budget": 900}, headers=head)
            service.http.get(f"/k/{keys['blue']}/v1/retrieve/1%0aforged", headers=head)
    logged = "\n".join(
        f"{record.getMessage()} {vars(record)}" for record in caplog.records if "compressor" in record.name
    )
    assert "request" in logged and not any(one in logged for one in [*sealing, *hashes, *keys.values(), SECRET])
    assert "\nforged" not in logged


@pytest.mark.slow
def test_the_command_shows_no_key() -> None:
    serve, key = [sys.executable, "-m", "compressor.cli", "serve"], new_encryption_key()
    env = {**os.environ, "COMPRESSOR_ENCRYPTION_KEYS": key}
    shown = subprocess.run([*serve, "--show"], capture_output=True, text=True, check=True, env=env).stdout
    assert key not in shown and Keyring([key]).ids[0] in shown
    made = subprocess.run([*serve, "--new-encryption-key"], capture_output=True, text=True, check=True).stdout
    assert Keyring([made.strip()]).ids


def test_settings_of_what_is_stored(tmp_path: Path) -> None:
    key = new_encryption_key()
    path = tmp_path / "keys"
    path.write_text(key)
    (tmp_path / "config.json").write_text(json.dumps({"encryption_keys": str(path), "redact": "all"}))
    for made in (
        load(str(tmp_path / "config.json")),
        load(env={"COMPRESSOR_ENCRYPTION_KEYS_FILE": str(path), "COMPRESSOR_REDACT": "all"}),
        load(env={"COMPRESSOR_ENCRYPTION_KEYS": key}, flags={"redact": "all"}),
    ):
        assert made.encryption_keys is not None and made.encryption_keys.ids == Keyring([key]).ids
        assert made.redact == "all" and key not in repr(made)
    assert Settings().redact == "secrets"
    for wrong in ({"redact": "some"}, {"encryption_keys": key}, {"encryption_read_plain": 1}):
        with pytest.raises(CompressorError) as found:
            Settings(**wrong)
        assert key not in str(found.value)


# --- what is on disk


def use(service: Service, session: bool = True) -> str:
    """Every way in which a service keeps something; a ref of the text with the secret."""
    made = service.http.post("/v1/compress", json={"messages": history(SPILLED), "budget": 900}).json()
    documents = {"documents": [{"title": NAME, "text": SPILLED}], "query": "worker", "budget": 300}
    assert service.http.post("/v1/compress/documents", json=documents).status_code == 200
    if session:
        assert service.http.post("/v1/sessions/s/append", json={"messages": history(SPILLED)}).status_code == 200
        assert service.http.post("/v1/sessions/s/view", json={}).status_code == 200
    return str(made["refs"][0])


def sqlite_values(path: Path) -> list[bytes]:
    """All that is in a store's file, as it was before it was packed."""
    with closing(sqlite3.connect(path)) as db:
        kept = [value for (value,) in db.execute("SELECT value FROM entries WHERE value IS NOT NULL")]
        kept += [value for (value,) in db.execute("SELECT record FROM records")]
    return [codec.decompress(value, "") for value in kept]


def test_with_keys_nothing_can_be_read_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, key = tmp_path / "s.db", new_encryption_key()
    with Service(store=str(path), encryption_keys=Keyring([key])) as service:
        ref = use(service)
        assert NAME in service.http.get(f"/v1/retrieve/{ref}").text
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for plain in (NAME, SECRET, "worker", "messages", "redacted:api_key", key):
        assert plain.encode() not in files, plain
    kept = sqlite_values(path)
    assert kept and all(value.startswith(ENCRYPTED_PREFIX) for value in kept)
    with Service(store=str(path), encryption_keys=Keyring([new_encryption_key(), key])) as service:  # a new key
        assert NAME in service.http.get(f"/v1/retrieve/{ref}").text
        assert service.http.post("/v1/sessions/s/view", json={}).status_code == 200
        use(service)
    with Service(store=str(path), encryption_keys=Keyring([new_encryption_key()])) as service:  # another
        answer = service.http.get(f"/v1/retrieve/{ref}")
        assert answer.status_code == 503 and error_of(answer) == "store_error" and NAME not in answer.text
    assert "not among the encryption keys" in caplog.text and ref not in caplog.text
    with Service(store=str(path)) as service:  # none
        assert NAME not in service.http.get(f"/v1/retrieve/{ref}").text


def test_without_keys_no_secret_is_kept_but_in_named_sessions(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Service(store=str(path)) as service:
        ref = use(service, session=False)
        text = service.http.get(f"/v1/retrieve/{ref}").json()["original_content"]
        assert text == SPILLED.replace(SECRET, "[redacted:api_key]")
    kept = sqlite_values(path)
    assert any(NAME.encode() in value for value in kept) and not any(SECRET.encode() in value for value in kept)
    with Service(store=str(path)) as service:
        use(service)
    with closing(sqlite3.connect(path)) as db:
        records = [codec.decompress(value, "") for (value,) in db.execute("SELECT record FROM records")]
    assert any(SECRET.encode() in record for record in records)  # as SECURITY.md says: sent again byte for byte
    with Service(store=str(path), redact="off") as service:
        assert "[redacted:api_key]" in service.http.get(f"/v1/retrieve/{ref}").text


@pytest.mark.slow
def test_redis_holds_nothing_that_can_be_read(tmp_path: Path) -> None:
    from support.redis_tools import RedisServer

    server = RedisServer(tmp_path / "redis", appendonly="yes", appendfsync="always")
    keys, known = two_tenants()
    try:
        with Service(store=server.url, encryption_keys=Keyring([new_encryption_key()]), **known) as service:
            service.http.headers["x-compressor-key"] = keys["red"]
            ref = use(service)
            assert NAME in service.http.get(f"/v1/retrieve/{ref}").text
            moved = 0
            for name in server.names():  # whoever holds Redis gives blue what is red's
                if b":red:" in name and server.admin.execute_command("TYPE", name) == b"string":
                    server.admin.execute_command("COPY", name, name.replace(b":red:", b":blue:"), "REPLACE")
                    moved += 1
            answer = service.http.get(f"/v1/retrieve/{ref}", headers={"x-compressor-key": keys["blue"]})
            assert moved and answer.status_code == 503 and NAME not in answer.text
    finally:
        server.stop()
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert ENCRYPTED_PREFIX in files and not any(
        plain.encode() in files for plain in (NAME, SECRET, "worker", "messages")
    )


def test_a_redis_url_keeps_its_password_to_itself() -> None:
    with pytest.raises(CompressorError) as found:
        RedisStore("redis://:hunter2secret@127.0.0.1:1").get("a")
    assert "hunter2secret" not in str(found.value)


# --- what SECURITY.md says


def test_every_claim_names_a_test_that_there_is() -> None:
    claims = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(claims) > 30

    def exists(file: str, test: str) -> bool:
        path = TESTS / file
        return path.is_file() and f"def {test}(" in path.read_text(encoding="utf-8")

    assert not [claim for claim in claims if not exists(*claim)]


# --- images


def png_bytes(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


IMAGES: dict[str, Callable[[], str]] = {
    "a bomb": lambda: url(png_bytes(60_000, 60_000, zlib.compress(b"\x00" * 10_000_000))),
    "the largest": lambda: url(png_bytes(2**32 - 1, 2**32 - 1)),
    "a line": lambda: url(png_bytes(2**32 - 1, 1)),
    "none": lambda: url(png_bytes(0, 0)),
    "cut short": lambda: url(png_bytes(100, 100)[:20]),
    "no base64": lambda: "data:image/png;base64,%%%%" + "\udc80" * 50,
    "base64 of base64": lambda: url(base64.b64encode(base64.b64encode(png_bytes(9, 9)))),
    "a data URL in one": lambda: "data:image/png;base64," * 40_000,
    "JPEG fill bytes": lambda: url(b"\xff\xd8" + b"\xff" * 1_000_000, "jpeg"),
    "JPEG pieces of nothing": lambda: url(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 250_000, "jpeg"),
    "JPEG small pieces": lambda: url(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 250_000, "jpeg"),
    "a GIF's largest": lambda: url(b"GIF89a" + b"\xff" * 8, "gif"),
    "megabytes": lambda: url(png_bytes(100, 100, b"\x01" * 3_000_000)),
    "no image at all": lambda: "file:///etc/passwd",
    "another machine": lambda: "http://169.254.169.254/latest/meta-data/x.png",
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_is_never_unpacked(kind: str) -> None:
    image = IMAGES[kind]()
    with cpu_time_below(1):
        width, height = image_size(image)
    assert 0 <= width < 2**32 and 0 <= height < 2**32


@pytest.mark.slow
def test_images_are_counted_within_the_providers_limits(tenants: Any) -> None:
    service, heads = tenants
    for model in ("gpt-4o", "gpt-5.4", "gpt-4.1-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "gemini-3-pro"):
        assert get_counter(model) is not None
        for kind, make in IMAGES.items():
            content = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": make()}}]
            if "\udc80" in content[1]["image_url"]["url"]:  # type: ignore[index]
                continue
            body = {"messages": [{"role": "user", "content": content}], "model": model, "budget": 50_000}
            if model != "gpt-4o" and len(content[1]["image_url"]["url"]) > 100_000:  # type: ignore[index]
                continue
            answer = service.http.post("/v1/compress", json=body, headers=heads["ops"])
            assert answer.status_code == 200, (model, kind, answer.text)
            assert 0 < answer.json()["tokens_before"] < 40_000, (model, kind)

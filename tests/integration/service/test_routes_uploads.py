"""Uploads through a real service: as they arrive, whatever their size, and gone when the client goes."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.recording_upstream import RecordingUpstream
from support.redis_tools import free_port
from support.service_tools import Service, error_of
from support.waiting import wait_for

MEGABYTE = 2**20


def pieces(count: int, size: int = MEGABYTE) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


@pytest.mark.parametrize("has_length", [True, False])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_upload_arrives_as_it_was_sent(has_length: bool, method: str) -> None:
    body = b"".join(pieces(5))
    head = {"content-length": str(len(body))} if has_length else {}
    # More than what is read of a body here.
    with RecordingUpstream() as upstream, Service(upstream=upstream.url, max_body_bytes=MEGABYTE) as service:
        answer = service.http.request(method, "/v1/files", content=pieces(5), headers=head)
        assert answer.status_code == 200 and answer.json() == upstream.answer
    got = upstream.last
    assert got.size == len(body) and got.hash == hashlib.sha256(body).hexdigest() and got.is_complete
    assert got.headers.get("content-length") == (str(len(body)) if has_length else None)


def test_small_bodies_have_a_length(tmp_path: Path) -> None:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url) as service:
        service.http.post("/v1/embeddings", content=pieces(1, 100))
        assert upstream.last.headers["content-length"] == "100"
        service.http.get("/v1/models")
        assert upstream.last.size == 0 and "transfer-encoding" not in upstream.last.headers


@pytest.mark.parametrize("has_length", [True, False])
def test_an_upload_has_a_limit_of_its_own(has_length: bool) -> None:
    head = {"content-length": str(5 * MEGABYTE)} if has_length else {}
    with RecordingUpstream() as upstream, Service(upstream=upstream.url, max_upload_bytes=4 * MEGABYTE) as service:
        answer = service.http.post("/v1/files", content=pieces(5), headers=head)
        assert answer.status_code == 413 and error_of(answer) == "too_large"
        assert "max_upload_bytes" in answer.json()["error"]["message"]
        assert service.http.post("/v1/files", content=pieces(4)).status_code == 200
        wait_for(lambda: [got.is_complete for got in upstream.seen] == ([True] if has_length else [False, True]))


def test_a_slow_upload_ends() -> None:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url, timeout=0.3) as service:
        with socket.create_connection(("127.0.0.1", service.config.port), 60) as line:
            line.sendall(b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
            got = b"".join(iter(lambda: line.recv(4096), b""))  # it closes the connection
        assert got.startswith(b"HTTP/1.1 408") and b"too slowly" in got
        with socket.create_connection(("127.0.0.1", service.config.port), 60) as line:
            line.sendall(
                b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 400_000
            )
            wait_for(lambda: upstream.seen)
            # 400,000 bytes earn 24 seconds; that much is not waited for here.
            assert not upstream.last.is_complete


def test_a_client_that_goes_takes_its_upload_along() -> None:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url) as service:
        with socket.create_connection(("127.0.0.1", service.config.port), 60) as line:
            line.sendall(
                b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n" + b"x" * MEGABYTE
            )
            wait_for(lambda: upstream.seen and upstream.last.size > 0)
        wait_for(lambda: upstream.last.is_aborted)
        wait_for(lambda: service.gate._tenants.get("local").rate_limiter.in_flight == 0)
        assert len(upstream.seen) == 1


def test_half_an_upload_is_not_sent_again() -> None:
    """A provider that closes the connection in the middle gets no second, shorter body."""
    listening = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def run() -> None:
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            seen.append(line.recv(100_000))
            line.close()

    threading.Thread(target=run, daemon=True).start()
    with Service(upstream=f"http://127.0.0.1:{listening.getsockname()[1]}") as service:
        answer = service.http.post("/v1/files", content=pieces(2))
        assert answer.status_code == 502 and error_of(answer) == "upstream_unreachable"
    listening.close()
    assert len(seen) == 1


def test_a_refusal_comes_before_the_body_is_over() -> None:
    with RecordingUpstream(status=401, early=True) as upstream, Service(upstream=upstream.url) as service:
        assert service.http.post("/v1/files", content=pieces(8)).status_code in (401, 502)
        assert service.http.get("/v1/models").status_code == 401


@pytest.mark.slow
def test_a_large_upload_takes_no_memory(tmp_path: Path) -> None:
    port = free_port()
    with RecordingUpstream() as upstream, open(tmp_path / "log", "wb") as log:
        command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(port), "--store", "memory"]
        process = subprocess.Popen([*command, "--upstream", upstream.url], stderr=log, env=dict(os.environ))
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
                wait_for(lambda: _status(http) == 200, 60)
                http.post("/v1/files", content=pieces(3))  # what a first upload loads
                before = _peak(process.pid)
                assert http.post("/v1/files", content=pieces(300)).status_code == 200
                grown = _peak(process.pid) - before
        finally:
            process.terminate()
            process.wait(20)
    assert upstream.last.size == 300 * MEGABYTE
    print(f"peak memory grew by {grown / MEGABYTE:.1f} MB for 300 MB")
    assert grown < 8 * MEGABYTE


def _status(http: httpx.Client) -> int:
    try:
        return http.get("/healthz").status_code
    except httpx.HTTPError:
        time.sleep(0.05)
        return 0


def _peak(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024

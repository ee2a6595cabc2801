"""The nginx configuration of docs/deployment.md, run as it stands but for its ports, in front of two services."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.paths import ROOT
from support.redis_tools import free_port, missing
from support.service_tools import Service
from support.waiting import wait_for

pytestmark = pytest.mark.slow
SHELL = """daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
access_log off;
client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{recipe}
}}
"""


class Provider(http.server.ThreadingHTTPServer):
    """A provider whose streams wait for `may_end` after their first event. `sizes` has the bytes of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.may_end, self.sizes = threading.Event(), list[int]()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> Provider:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_end.set()
        self.shutdown()
        self.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.sizes.append(len(body))
        if b'"stream":true' in body:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(b'data: {"choices":[{"index":0,"delta":{"content":"first"},"finish_reason":null}]}\n\n')
            self.wfile.flush()
            self.server.may_end.wait(30)
            self.wfile.write(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
            return
        answer = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


def recipe() -> str:
    """The configuration as the page shows it."""
    (found,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "deployment.md").read_text(), re.DOTALL)
    return str(found)


@contextmanager
def nginx(folder: Path, *services: str) -> Iterator[httpx.Client]:
    """A running nginx in front of these services; yields a client for it."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") or shutil.which("nginx")
    if program is None:
        missing("nginx is needed: apt-get install nginx-light")
    port, text = free_port(), recipe()
    for number, url in enumerate(services):
        text = text.replace(f"127.0.0.1:{8787 + number} ", f"{url.removeprefix('http://')} ")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(SHELL.format(folder=folder, recipe=text))
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(command)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            def answers() -> bool:
                assert process.poll() is None, (folder / "error.log").read_text()
                try:
                    return client.get("/metrics").status_code == 404
                except httpx.HTTPError:
                    return False

            wait_for(answers)
            yield client
    finally:
        process.terminate()
        process.wait()


def served(*services: Service) -> list[int]:
    return [int(service.metric("requests_total", route="/v1/chat/completions")) for service in services]


def ask(client: httpx.Client, text: str, **headers: str) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    response = client.post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


def test_a_conversation_stays_with_one_service_and_moves_if_that_ends(tmp_path: Path) -> None:
    with Provider() as provider, ExitStack() as down, ExitStack() as up:
        settings = {"store": str(tmp_path / "store.db"), "upstream": provider.url}
        services = [stack.enter_context(Service(**settings)) for stack in (down, up)]
        with nginx(tmp_path, *(service.url for service in services)) as client:
            kinds = ("x-compressor-session", "x-claude-code-session-id", "session_id")
            for kind in kinds:
                used = set()
                for number in range(12):
                    before = served(*services)
                    for _ in range(3):
                        ask(client, f"Case {number}", **{kind: f"{kind} {number}"})
                    wait_for(lambda before=before: sum(served(*services)) == sum(before) + 3)  # counted at the end
                    grown = [now - then for now, then in zip(served(*services), before, strict=True)]
                    assert sorted(grown) == [0, 3]
                    used.add(grown.index(3))
                assert used == {0, 1}  # the load is spread
            down.close()
            before = served(services[1])[0]
            with ThreadPoolExecutor(4) as pool:  # nobody sees that one is down
                list(pool.map(lambda n: ask(client, f"Case {n}", **{kinds[0]: f"{kinds[0]} {n}"}), range(12)))
            wait_for(lambda: served(services[1])[0] == before + 12)


def test_streams_are_not_buffered_and_large_bodies_pass(tmp_path: Path) -> None:
    with Provider() as provider, ExitStack() as running:
        services = [running.enter_context(Service(upstream=provider.url)) for _ in range(2)]
        with nginx(tmp_path, *(service.url for service in services)) as client:
            body: dict[str, Any] = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
            with client.stream("POST", "/v1/chat/completions", json=body) as response:
                lines = response.iter_lines()
                first = next(line for line in lines if line)
                assert "first" in first and not provider.may_end.is_set()
                provider.may_end.set()
                assert "[DONE]" in [line for line in lines if line][-1]
            text = "word " * 4_000_000
            ask(client, text, **{"x-compressor-bypass": "1"})
            assert provider.sizes[-1] > 20_000_000
            assert not [path for path in (tmp_path / "body").rglob("*") if path.is_file()]
            assert client.get("/admin/v1/keys").status_code == 404

"""HTTP/2 towards a provider: a real nginx that speaks it, in front of a provider that streams."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.redis_tools import free_port, missing
from support.scripted_server import Reply, ScriptedServer
from support.service_tools import Service
from support.waiting import wait_for

pytestmark = pytest.mark.slow
STREAMS = 150  # more than nginx allows on one connection (128)
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass {provider}; proxy_buffering off; add_header x-protocol $server_protocol always;
    }}
  }}
}}
"""


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer(extends=None) as running:
        yield running


@pytest.fixture
def url(tmp_path: Path, provider: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The provider's address, behind nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None or shutil.which("openssl") is None:
        missing("nginx and openssl are needed: apt-get install nginx-light openssl")
    made = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem"))
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *made]
    subprocess.run(command, check=True, capture_output=True)
    port = free_port()
    (tmp_path / "nginx.conf").write_text(CONFIG.format(folder=tmp_path, port=port, provider=provider.url))
    process = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    try:
        wait_for(lambda: _is_up(port))
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _is_up(port: int) -> bool:
    try:
        return bool(httpx.get(f"https://127.0.0.1:{port}/", timeout=2).status_code)
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("http2", [True, False])
def test_more_streams_than_a_connection_has(url: str, provider: ScriptedServer, http2: bool) -> None:
    provider.script = [Reply("all is well")] * STREAMS
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Is it up?"}]}

    async def run(service: Service) -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=STREAMS)
        async with httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits) as client:
            asked = [client.post("/v1/chat/completions", json=body) for _ in range(STREAMS)]
            return await asyncio.gather(*asked)

    with Service(upstream=url, upstream_http2=http2, max_concurrent_requests=STREAMS) as service:
        answers = asyncio.run(run(service))
    assert {answer.status_code for answer in answers} == {200}
    assert all("well" in answer.text and "[DONE]" in answer.text for answer in answers)
    spoken = [answer.headers["x-protocol"] for answer in answers]
    assert (spoken.count("HTTP/2.0") > STREAMS // 3) == http2

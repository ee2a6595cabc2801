"""Keys that are rotated and blocked while real workers are under load: no 401 too early, no 200 too late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.redis_tools import free_port, shared_server
from support.waiting import wait_for

GRACE = 3.0  # seconds in which all workers follow a change, also on a busy machine
OVERLAP = 5  # seconds in which a rotated key is still valid
CLI = [sys.executable, "-m", "compressor.cli"]


@contextmanager
def serving(env: dict[str, str], log: Path, workers: int = 2) -> Iterator[str]:
    port = free_port()
    with open(log, "wb") as file:
        command = [*CLI, "serve", "--port", str(port), "--workers", str(workers)]
        process = subprocess.Popen(command, stderr=file, env={**os.environ, **env})
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_for(is_ready, 90)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Client(threading.Thread):
    """Sends requests with the newest of some keys, each over a new connection, so that every worker has its turn."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.key = ""
        self.answers: list[tuple[float, float, str, int]] = []  # when it was sent and answered, the key, the status
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            key, sent = self.key, time.time()
            answer = httpx.get(f"{self._url}/v1/sessions", headers={"x-compressor-key": key}, timeout=60)
            self.answers.append((sent, time.time(), key, answer.status_code))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_rotation_under_load(tmp_path: Path, kind: str) -> None:
    if kind == "redis":
        shared_server().admin.execute_command("FLUSHALL")
    store = shared_server().url if kind == "redis" else str(tmp_path / "s.db")
    env = {"COMPRESSOR_KEY_STORE": "database", "COMPRESSOR_STORE": store}
    command = [*CLI, "admin", "key", "create", "--tenant", "ops", "--admin", "--json"]
    made = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    ops = json.loads(made.stdout)["key"]
    with serving(env, tmp_path / "log") as url:
        admin = httpx.Client(base_url=f"{url}/admin/v1", headers={"x-compressor-key": ops}, timeout=60)

        def send(method: str, path: str, body: Any) -> Any:
            answer = admin.request(method, path, json=body)
            assert answer.status_code < 300, answer.text
            return answer.json()

        current = send("POST", "/keys", {"tenant": "red"})
        time.sleep(GRACE)
        clients = [Client(url) for _ in range(3)]
        for client in clients:
            client.key = current["key"]
            client.start()
        ends: dict[str, float] = {}  # until when a key must be accepted
        refused: dict[str, float] = {}  # from when on it must not be
        for number in range(4):
            new = send("POST", f"/keys/{current['id']}/rotate", {"overlap": OVERLAP})
            now = time.time()
            ends[current["key"]], refused[current["key"]] = now + GRACE, now + OVERLAP + GRACE
            time.sleep(GRACE)  # so that every worker knows the new key
            for client in clients[: 2 + number % 2]:  # one goes on with its old key for a while
                client.key = new["key"]
            current = new
        ends[current["key"]] = time.time()
        send("PATCH", f"/keys/{current['id']}", {"blocked": True})
        refused[current["key"]] = time.time() + GRACE
        for client in clients:
            client.key = current["key"]
        time.sleep(2 * GRACE)
        for client in clients:
            client.ended.set()
            client.join(60)
        answers = [one for client in clients for one in client.answers]
        assert {status for *_, status in answers} == {200, 401} and len(answers) > 50
        early = [one for one in answers if one[3] == 401 and one[1] < ends[one[2]]]
        late = [one for one in answers if one[3] == 200 and one[0] > refused[one[2]]]
        assert not early and not late, (early[:3], late[:3])
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and current["key"] not in log and "it is blocked" in log

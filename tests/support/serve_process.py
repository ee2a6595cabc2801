"""`compressor serve` as it is run, in a process of its own, and a provider that takes its time."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from compressor.cli.main import main
from support.redis_tools import free_port
from support.root_log import root_log_kept
from support.waiting import wait_for

LINES = 12  # of the slow answer
LOG = "\n".join(f"2024-05-01 12:{i // 60:02d}:{i % 60:02d} worker {i} is doing fine" for i in range(600))
CALL = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}
ASKED = [
    {"role": "user", "content": "Is it up?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": LOG},
]
STREAMED = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Slowly, please."}]}


class Slow(http.server.ThreadingHTTPServer):
    """A provider that streams `LINES` pieces, `pause` seconds each, after `silence` seconds."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, pause: float, silence: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Slowly)
        self.pause, self.silence, self.started = pause, silence, 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> Slow:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Slowly(http.server.BaseHTTPRequestHandler):
    server: Slow

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.started += 1
        time.sleep(self.server.silence)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number in range(LINES):
            delta = {"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}
            piece = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [delta]}
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
            self.wfile.flush()
            time.sleep(self.server.pause)
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: Any) -> None:
        pass


class Running:
    """`compressor serve` in a process of its own, with these flags; with one worker, if they do not say otherwise."""

    def __init__(
        self,
        folder: Path,
        *flags: str,
        tls: str | None = None,
        ready: bool = True,
        env: dict[str, str] | None = None,
        **more: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.tls = tls
        if "--workers" not in flags:
            flags = ("--workers", "1", *flags)
        command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(self.port), *flags]
        self.said = folder / f"log-{self.port}"
        with open(self.said, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, env={**os.environ, **(env or {}), **more})
        if ready:
            wait_for(lambda: self.process.poll() is not None or self.asks("/readyz") == 200, 60)
            assert self.process.poll() is None, self.said.read_text()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def asks(self, path: str) -> int:
        """The status of a GET; 0 if there is no answer."""
        try:
            context = ssl.create_default_context(cafile=self.tls) if self.tls else True
            return httpx.get(self.url + path, timeout=10, verify=context).status_code
        except httpx.HTTPError:
            return 0

    def compresses(self) -> int:
        """The tokens of a compressed context."""
        body = {"messages": ASKED, "model": "gpt-4o", "budget": 2000}
        answer = httpx.post(f"{self.url}/v1/compress", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["tokens_after"])

    def streams(self, headers: dict[str, str] | None = None) -> Iterator[str]:
        """The lines of a streamed answer, as they come."""
        url = f"{self.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=STREAMED, headers=headers, timeout=60) as answer:
            assert answer.status_code == 200
            yield from filter(None, answer.iter_lines())

    def workers(self) -> list[int]:
        """The processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def ends(self, seconds: float = 60) -> int:
        """The exit code, when it has ended by itself."""
        return self.process.wait(seconds)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.said.read_text().splitlines()]

    def log_lines(self, level: str) -> list[dict[str, Any]]:
        """The lines of the log of a level."""
        lines = [json.loads(line) for line in self.said.read_text().splitlines()]
        return [line for line in lines if line["level"] == level]

    def connects(self) -> bool:
        """Whether a new connection is taken; refused if not."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except ConnectionRefusedError:
            return False
        return True

    def signal(self, pid: int, sig: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, sig)


def run_main(patch: pytest.MonkeyPatch, *words: str) -> int:
    """The command's exit code, in this process."""
    patch.setattr(sys, "argv", ["compressor", *words])
    with root_log_kept(), pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)

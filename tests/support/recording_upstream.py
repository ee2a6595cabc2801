"""A provider that answers everything and remembers what it was sent: real HTTP on a free loopback port."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import uvicorn

CHAT_ANSWER = {"id": "c1", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Yes."}}]}


@dataclass
class Received:
    """One request, as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    size: int = 0
    hash: str = ""
    is_complete: bool = False
    is_aborted: bool = False

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class RecordingUpstream:
    """Answers every request with `answer`; keeps the first 100 kB of each body, and the hash of all of it."""

    answer: Any = field(default_factory=lambda: CHAT_ANSWER)
    status: int = 200
    early: bool = False  # whether it answers before it has read the body
    seen: list[Received] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> RecordingUpstream:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(self._serve, interface="asgi3", log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            if time.monotonic() > deadline:
                raise RuntimeError("the upstream did not start")
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def last(self) -> Received:
        """The newest request."""
        return self.seen[-1]

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        got = Received(scope["method"], target, headers)
        self.seen.append(got)
        digest = hashlib.sha256()
        while not self.early:
            message = await receive()
            if message["type"] == "http.disconnect":
                got.is_aborted = True
                return
            part = message.get("body", b"")
            got.size += len(part)
            digest.update(part)
            got.body += part[: max(0, 100_000 - len(got.body))]
            if not message.get("more_body"):
                break
        got.hash, got.is_complete = digest.hexdigest(), True
        made = json.dumps(self.answer).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(made))]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        await send({"type": "http.response.body", "body": made})

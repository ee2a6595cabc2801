"""The service as it runs: a real uvicorn in a thread, on a free loopback port, told what `compressor serve` says."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Any

import httpx
import uvicorn

from compressor.service.app import create_app
from compressor.service.auth import new_key
from compressor.service.processes.uvicorn_server import server_options
from compressor.service.settings import Settings
from support.client_tools import LOG, TASK


class Service:
    """A running service. `http` is a client for it; `gate` is the application."""

    def __init__(self, **settings: Any) -> None:
        # With the protocol named, or asyncio leaves Nagle on and answers wait 40 ms.
        self._listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listening.bind(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        # No bound on what compression may add, so that tests on a busy machine see what they are about.
        given = {"store": "memory", "shutdown_timeout": 1.0, "max_added_latency": 0, "port": port, **settings}
        self.config = Settings(**given)
        self.gate = create_app(self.config)
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def __enter__(self) -> Service:
        self._server = uvicorn.Server(uvicorn.Config(self.gate, **server_options(self.config)))
        self._thread = threading.Thread(target=self._server.run, args=([self._listening],), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the service did not start")
            time.sleep(0.005)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(60)
        assert error is not None or not self._thread.is_alive(), "the service did not end"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        registry = self.gate._metrics._registry
        return sum(
            sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == f"compressor_{name}" and labels.items() <= sample.labels.items()
        )


def two_tenants() -> tuple[dict[str, str], dict[str, Any]]:
    """Keys by tenant, and the settings that know them."""
    made = {name: new_key(name, admin=name == "ops") for name in ("red", "blue", "ops")}
    return {name: key for name, (key, _) in made.items()}, {"keys": tuple(kept for _, kept in made.values())}


def error_of(response: httpx.Response) -> str:
    """An error answer's type; it has to be of the one shape."""
    body = response.json()
    assert set(body) == {"error"} and {"type", "message"} <= set(body["error"]), body
    return str(body["error"]["type"])


def history(text: str = LOG) -> list[dict[str, Any]]:
    """A task, a call and its result."""
    call = {"id": "call_1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
    return [
        {"role": "user", "content": TASK},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": text},
    ]

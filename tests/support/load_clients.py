"""Clients that send requests to a service all the time, and write down what became of each."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """What became of one request.

    kind: "answered", "refused" (not connected: a balancer sends it elsewhere, nothing is lost) or "lost"."""

    kind: str
    status: int = 0
    started: float = 0.0
    seconds: float = 0.0
    error: str = ""
    key: str = ""


@dataclass
class LoadClients:
    """Threads, each of which sends one request after the other until it is refused or told to stop.

    keeps: whether a thread keeps its connection. ends: what the last line of a whole answer has to be."""

    port: int
    path: str
    body: Mapping[str, Any] | None = None
    count: int = 4
    keeps: bool = False
    last: str = ""
    keys: tuple[str, ...] = ("",)
    outcomes: list[Outcome] = field(default_factory=list)

    def __enter__(self) -> LoadClients:
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> list[Outcome]:
        """Ends all, after the answers that they wait for."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"
        return self.outcomes

    def wait(self) -> list[Outcome]:
        """Waits until every thread was refused."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"
        return self.outcomes

    def _run(self, number: int) -> None:
        connection: http.client.HTTPConnection | None = None
        key = self.keys[number % len(self.keys)]
        while not self._stopped.is_set():
            start = time.monotonic()
            is_new = connection is None
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            outcome = self._ask(connection, key)
            outcome.started, outcome.seconds, outcome.key = start, time.monotonic() - start, key
            if not self.keeps or outcome.kind != "answered" or connection.sock is None:
                connection.close()
                connection = None
            if outcome.kind == "closed" and not is_new:
                continue  # it was closed while it was idle, before anything was sent: the request goes out anew
            self.outcomes.append(outcome)
            if outcome.kind != "answered":
                return

    def _ask(self, connection: http.client.HTTPConnection, key: str) -> Outcome:
        try:
            if connection.sock is None:
                connection.connect()
            elif _is_closed(connection):
                return Outcome("closed")
        except ConnectionRefusedError as error:
            return Outcome("refused", error=repr(error))
        except OSError as error:
            return Outcome("lost", error=f"connect: {error!r}")
        try:
            headers = {"content-type": "application/json"} | ({"x-compressor-key": key} if key else {})
            content = json.dumps(self.body) if self.body is not None else None
            connection.request("POST" if content else "GET", self.path, content, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return Outcome("lost", error=f"{error!r}")
        if answer.status == 200 and not text.rstrip().endswith(self.last):
            return Outcome("lost", answer.status, error="it was cut")
        return Outcome("answered", answer.status)


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed an idle connection: pools look for that before they use one again."""
    import select

    return bool(select.select([connection.sock], [], [], 0)[0])

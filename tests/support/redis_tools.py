"""Real Redis servers for tests, each on a free port in a folder of its own, and a clock that ages what they hold.

Where there is no redis-server (or valkey-server) the tests are skipped; with COMPRESSOR_REQUIRE_MODELS set they fail.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support.store_tools import Clock
from support.waiting import wait_for

ALL_SLOTS = "0-16383"


def need_redis() -> str:
    """The server's program; COMPRESSOR_TEST_REDIS_SERVER names another one."""
    found = (
        os.environ.get("COMPRESSOR_TEST_REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    )
    if found is None or importlib.util.find_spec("redis") is None:
        missing("a Redis server and client are needed: apt-get install redis-server, pip install redis")
    return found


def missing(said: str) -> NoReturn:
    if os.environ.get("COMPRESSOR_REQUIRE_MODELS"):
        pytest.fail(said)
    pytest.skip(said)


def free_port() -> int:
    """A port that nobody uses, for a server that may be a cluster's node: those listen 10,000 above it as well.

    Both ports are below 32,768, where no system takes ports for outgoing connections, and neither is Redis's own.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 22_768)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


class RedisServer:
    """A server in `folder`, with redis.conf's options as keywords: maxmemory="2mb".

    slots: those of its own, in a cluster; "" is no cluster. config: a file it is to keep, which makes it a sentinel."""

    def __init__(self, folder: Path, slots: str = "", config: str = "", **options: str) -> None:
        self.program, self.folder, self.config = need_redis(), folder, config
        if slots:
            options["cluster_enabled"] = "yes"
        self.options = {"save": "", "loglevel": "warning"} | {k.replace("_", "-"): v for k, v in options.items()}
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)  # a test that fails leaves none behind
        self._start_on_free_port()
        if slots:
            self.admin.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots.split("-"))
            if slots == ALL_SLOTS:
                wait_for(lambda: b"cluster_state:ok" in self.admin.execute_command("CLUSTER INFO"))

    @property
    def url(self) -> str:
        return f"redis{'+cluster' if 'cluster-enabled' in self.options else ''}://127.0.0.1:{self.port}"

    @functools.cached_property
    def admin(self) -> Any:
        """A client of its own, that knows no store."""
        import redis

        client = redis.Redis(port=self.port, password=self.options.get("requirepass"), protocol=2)
        client.response_callbacks.clear()
        return client

    def _start_on_free_port(self, attempts: int = 5) -> None:
        """Starts it on a port of its own, and on another one if a server elsewhere was faster."""
        for left in reversed(range(attempts)):
            self.port = free_port()
            try:
                self.start()
                return
            except RuntimeError as error:
                if "Address already in use" not in str(error) or not left:
                    raise
                self.__dict__.pop("admin", None)  # a client of the port that is taken
                shutil.rmtree(self.folder)

    def start(self) -> None:
        """Starts it, on the port that it has."""
        options = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            kind = [self.config, "--sentinel"] if self.config else []
            command = [self.program, *kind, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        process = self.process

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            with suppress(Exception):
                return bool(self.admin.execute_command("PING"))
            return False

        wait_for(ready)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """As when the machine's memory runs out."""
        self.stop(signal.SIGKILL)

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """It accepts connections, and answers nothing."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def names(self) -> list[bytes]:
        return list(self.admin.execute_command("KEYS", "*"))

    def age(self, seconds: float) -> None:
        """What `seconds` would do to everything that has a TTL."""
        for key in self.names():
            left = self.admin.execute_command("PTTL", key)
            if left >= 0:
                self.admin.execute_command("PEXPIRE", key, left - round(seconds * 1000))


class ServerClock(Clock):
    """Setting it forward ages what the servers hold, in no time."""

    _now = 0.0

    def __init__(self, *servers: RedisServer) -> None:
        self._servers: tuple[RedisServer, ...] = ()
        super().__init__()
        self._servers = servers

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        for server in self._servers:
            server.age(value - self._now)
        self._now = value


@functools.cache
def shared_server(cluster: bool = False) -> RedisServer:
    """One for all tests of a run. Flush it first."""
    folder = Path(tempfile.mkdtemp(prefix="compressor-redis-"))
    server = RedisServer(folder, slots=ALL_SLOTS if cluster else "")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return server

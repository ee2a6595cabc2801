"""Processes for the service's benchmarks: `compressor serve`, redis-server and providers on free loopback ports.

They can be killed, paused and restarted. A client's connection measures how long a request took.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

P = TypeVar("P", bound="Process")
START_TIMEOUT = 60.0  # seconds until a process has to answer


def free_port() -> int:
    """Returns a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Process:
    """A process with its own port and folder, which stay the same when it is started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="compressor-bench-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Returns the command to run."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Returns True if it answers."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it and waits until it answers. Raises RuntimeError with its output if it does not."""
        log = self.folder / "log"
        with open(log, "ab") as out:
            self._process = subprocess.Popen(self.command(), stdout=out, stderr=out, cwd=Path(__file__).parents[1])
        end = time.monotonic() + START_TIMEOUT
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.command()[:3]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kills it, as the kernel does when memory runs out."""
        self.send(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """Ends it and removes its folder."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        self._wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self: P) -> P:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Serve(Process):
    """`compressor serve`, with flags; with one worker, if they do not say otherwise."""

    def __init__(self, *flags: str, env: dict[str, str] | None = None) -> None:
        super().__init__()
        self._flags = flags if "--workers" in flags else ("--workers", "1", *flags)
        self._env = env or {}
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Returns the command to run."""
        env = [f"{name}={value}" for name, value in {"COMPRESSOR_LOG": "warning", **self._env}.items()]
        return ["env", *env, sys.executable, "-m", "compressor.cli", "serve", "--port", str(self.port), *self._flags]

    def ready(self) -> bool:
        """Returns True if it answers."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def family(self) -> list[int]:
        """Returns the ids of the process and its workers."""
        out, fresh = [self.pid], [self.pid]
        while fresh:
            children = Path(f"/proc/{fresh[0]}/task/{fresh[0]}/children")
            fresh = fresh[1:] + [int(pid) for pid in children.read_text().split()] if children.exists() else fresh[1:]
            out += [pid for pid in fresh if pid not in out]
        return out

    def memory(self) -> float:
        """Returns the megabytes of the process and its workers; shared pages count in each."""
        total = 0
        for pid in self.family():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total / 2**20

    def seconds(self) -> float:
        """Returns the CPU seconds of the process and its workers."""
        ticks = 0
        for pid in self.family():
            with contextlib.suppress(OSError):
                ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


class RedisProcess(Process):
    """A redis-server that loses nothing it has acknowledged."""

    def __init__(self, **options: str) -> None:
        super().__init__()
        self.options = {"appendonly": "yes", "appendfsync": "always", "save": "", **options}
        self.url = f"redis://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Returns the command to run."""
        given = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *given]

    def ready(self) -> bool:
        """Returns True if it answers."""
        return self.ask("PING") is not None

    def ask(self, *words: str) -> str | None:
        """Returns the answer to a command, or None."""
        line = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as sock:
            sock.settimeout(2)
            sock.sendall(f"*{len(words)}\r\n{line}".encode())
            return sock.recv(65_536).decode(errors="replace") or None
        return None


@contextlib.contextmanager
def provider(module: str) -> Iterator[int]:
    """Runs a module that prints the port it listens on; yields the port."""
    with subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


class Line:
    """A connection that stays open, for requests to one path."""

    def __init__(self, port: int, path: str) -> None:
        self._path = path
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, body: bytes) -> tuple[float, dict[str, str], bytes]:
        """Returns milliseconds, headers and body of a response. Raises RuntimeError for an error status."""
        start = time.perf_counter()
        self._connection.request("POST", self._path, body, {"content-type": "application/json"})
        response = self._connection.getresponse()
        data = response.read()
        took = 1000 * (time.perf_counter() - start)
        if response.status != 200 or response.headers.get("x-compressor-warning"):
            raise RuntimeError(f"status {response.status}: {response.headers} {data[:500]!r}")
        return took, dict(response.headers), data

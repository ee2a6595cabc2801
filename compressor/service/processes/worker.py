"""A worker: one of several processes that serve one port, as its supervisor sees it and as it runs.

A worker reads no settings itself. It gets them from the supervisor through a private pipe, so that a worker that starts
later has the same ones as its siblings.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from compressor.errors import CompressorError
from compressor.service.processes.process_link import ProcessLink
from compressor.service.processes.server_commands import Command, Orphaned, Reconfigure
from compressor.service.processes.uvicorn_server import serve
from compressor.service.settings_sources import LoadedSettings
from compressor.service.telemetry.logging import set_logging
from compressor.service.telemetry.metrics import use_metrics_slot

STARTING, READY = "starting", "ready"
_IGNORED = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
_SPAWN = multiprocessing.get_context("spawn")
log = logging.getLogger("compressor.service")


class Worker:
    """One process that serves. It starts with its creation.

    Args:
        start: The settings with which the service has started.
        current: The settings that hold now.
        sockets: The listening sockets.
        probe_sockets: Those of the probe port.
        slot: Its number among the workers. A replacement has the number of the worker that it replaces.

    Attributes:
        slot: As given.
        pipe: Connects the supervisor with the worker.
        may_serve: Whether it is about to accept requests, or does.
        is_ready: Whether it has accepted requests.
        error: The text of the error that ended it, or "".
    """

    def __init__(
        self,
        start: LoadedSettings,
        current: LoadedSettings,
        sockets: list[socket.socket],
        probe_sockets: list[socket.socket],
        slot: int,
    ) -> None:
        self.slot = slot
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(
            target=_run_worker, args=(sockets, probe_sockets, theirs, slot), name="compressor-worker"
        )
        self.started, self.error = time.monotonic(), ""
        self.may_serve = self.is_ready = False
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with _blocked_signals():
            self.process.start()
        theirs.close()
        # A thread, because a process that does not read would otherwise stop the supervisor too.
        threading.Thread(target=self._send_all, daemon=True).start()
        self._outbox.put((start, current))

    def send(self, command: Command) -> None:
        """Tells the worker something. Never waits."""
        self._outbox.put(command)

    def read_messages(self) -> None:
        """Reads what the worker has sent."""
        with suppress(EOFError, OSError):
            while self.pipe.poll():
                kind, text = self.pipe.recv()
                self.may_serve = self.may_serve or kind == STARTING
                self.is_ready = self.is_ready or kind == READY
                self.error = self.error or text

    def close(self) -> None:
        """Frees what a worker that has ended leaves behind."""
        self._outbox.put(None)
        self.pipe.close()

    def describe_end(self) -> str:
        """Returns how the worker ended."""
        code = self.process.exitcode or 0
        return self.error or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}")

    def _send_all(self) -> None:
        with suppress(OSError, ValueError, TypeError):  # it has ended
            while (message := self._outbox.get()) is not None:
                self.pipe.send(message)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Blocks signals that may go to all processes; a child inherits that, and so lives until it can ignore them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _run_worker(sockets: list[socket.socket], probe_sockets: list[socket.socket], pipe: Any, slot: int) -> None:
    """The main function of a worker."""
    for sig in _IGNORED:  # the supervisor reacts to them
        signal.signal(sig, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()

    def say(kind: str, text: str = "") -> None:
        with suppress(OSError):
            pipe.send((kind, text))

    try:
        start, current = pipe.recv()
        commands.put(Reconfigure(current))  # before it serves: a key of the start may have been revoked
        threading.Thread(target=_receive_commands, args=(pipe, commands), daemon=True).start()
        set_logging(start.settings.log)
        use_metrics_slot(slot)
        link = ProcessLink(commands, True, lambda: say(STARTING), lambda: say(READY))
        serve(start, sockets, probe_sockets, link)
    except EOFError:
        sys.exit(1)  # the supervisor has ended
    except CompressorError as error:
        say("error", str(error))
        sys.exit(1)


def _receive_commands(pipe: Any, commands: queue.SimpleQueue[Command]) -> None:
    """Passes on what the supervisor says, and ends this process when it has ended, even if it was killed."""
    try:
        while True:
            commands.put(pipe.recv())
    except (EOFError, OSError):
        commands.put(Orphaned())
        os.kill(os.getpid(), signal.SIGTERM)

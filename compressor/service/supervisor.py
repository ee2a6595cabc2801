"""Several processes that serve one port. The supervisor starts them, replaces those that die, and ends them.

They share the listening sockets: connections that a dead worker had not accepted yet go to the others. They are started
anew, not forked (a fork of a process with threads or a GPU is none that works), so each loads its models itself; and
they end with their supervisor, however that ended. Serves nothing itself (`serving`).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from types import FrameType
from typing import Any

from compressor.errors import CompressorError
from compressor.service.settings import Settings
from compressor.service.telemetry.logging import set_logging
from compressor.service.telemetry.metrics import prepare_multiprocess, use_metrics_slot, worker_ended
from compressor.service.uvicorn_server import LATE, serve

TICK = 0.2  # seconds between two looks at signals
YOUNG = 10.0  # seconds: a worker that dies earlier is replaced after a while only, doubled each time
WHILE, WHILE_MOST = 0.5, 30.0
log = logging.getLogger("compressor.service")
_SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """One process. `place`: its number among those at work; `ready`: whether it has accepted requests; `said`: why it
    failed, in its own words."""

    def __init__(self, load: Callable[[], Settings], sockets: list[socket.socket], place: int) -> None:
        self.slot = place
        self.hears, says = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(target=_work, args=(load, sockets, says, place), name="compressor-worker")
        self.began, self.ready, self.said = time.monotonic(), False, ""
        self.process.start()
        self.pid = self.process.pid or 0
        says.close()

    def listen(self) -> None:
        """Takes in what it has said."""
        with suppress(EOFError, OSError):
            while self.hears.poll():
                said = self.hears.recv()
                if said is True:
                    self.ready = True
                else:
                    self.said = str(said)

    @property
    def end(self) -> str:
        """How it ended."""
        code = self.process.exitcode or 0
        return self.said or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")


class Supervisor:
    """Keeps `settings.workers` workers at work on these sockets. Each reads the settings itself by `load`, which has to
    be importable: no key goes from process to process."""

    def __init__(self, settings: Settings, load: Callable[[], Settings], sockets: list[socket.socket]) -> None:
        self._settings, self._load, self._sockets = settings, load, sockets
        self._workers: list[Worker] = []
        self._signals: list[int] = []
        self._due: list[tuple[float, int]] = []  # when a dead one is replaced, and its place
        self._while = 0.0
        self._first: tuple[Worker, ...] = ()
        self._bad = ""

    def run(self) -> None:
        """Until a signal ends it. CompressorError if one of the first workers cannot start, or if one has not ended as
        it should."""
        numbers = prepare_multiprocess()
        before = {sig: signal.signal(sig, self._hear) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._workers = [Worker(self._load, self._sockets, place) for place in range(self._settings.workers)]
            self._first = tuple(self._workers)
            while not self._signals:
                self._replace()
                self._look()
            self._end()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            shutil.rmtree(numbers, ignore_errors=True)
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _hear(self, sig: int, frame: FrameType | None) -> None:
        self._signals.append(sig)

    def _look(self) -> None:
        """Waits a moment, and takes those out that have ended."""
        connection.wait([thing for w in self._workers for thing in (w.process.sentinel, w.hears)], TICK)
        for worker in list(self._workers):
            worker.listen()
            if worker.process.exitcode is None:
                continue
            worker.listen()
            worker.hears.close()
            self._workers.remove(worker)
            worker_ended(worker.slot)
            self._ended(worker)

    def _ended(self, worker: Worker) -> None:
        if self._signals:
            if worker.process.exitcode not in (0, -signal.SIGTERM):
                self._bad = worker.end
            return
        if worker in self._first and not worker.ready:
            raise CompressorError(f"the service could not start: {worker.end}")
        young = time.monotonic() - worker.began < YOUNG
        self._while = min(max(2 * self._while, WHILE), WHILE_MOST) if young else 0.0
        log.error("worker %d: %s; replaced in %.1f s", worker.pid, worker.end, self._while)
        self._due.append((time.monotonic() + self._while, worker.slot))

    def _replace(self) -> None:
        for due, place in [one for one in self._due if one[0] <= time.monotonic()]:
            self._due.remove((due, place))
            self._workers.append(Worker(self._load, self._sockets, place))

    def _end(self) -> None:
        """Has the workers drain. A second signal ends them."""
        for worker in self._workers:
            worker.process.terminate()
        late = time.monotonic() + self._settings.shutdown_delay + self._settings.shutdown_timeout + 2 * LATE
        while self._workers and time.monotonic() < late:
            self._look()
            if len(self._signals) > 1:
                raise SystemExit(128 + self._signals[-1])
        if self._workers:
            self._bad = "a worker did not end in time"
        if self._bad:
            raise CompressorError(f"the service did not end well: {self._bad}")


def _work(load: Callable[[], Settings], sockets: list[socket.socket], says: Any, place: int) -> None:
    """What a worker runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    try:
        settings = load()
        set_logging(settings.log)
        use_metrics_slot(place)
        serve(settings, sockets, lambda: says.send(True))
    except CompressorError as error:
        with suppress(OSError):
            says.send(str(error))
        sys.exit(1)


def _end_with_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)

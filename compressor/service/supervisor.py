"""Runs several worker processes that serve one port: starts them, replaces those that die, and ends them.

This is not `uvicorn.supervisors.Multiprocess` because that one joins its workers without a timeout and ignores a second
signal while it does, does not end workers when it is killed itself, restarts a crashing worker without a pause and
without end, does not report how workers ended, and gives a replacement no slot in the folder of metrics.

The workers share the listening sockets, so connections that a dead worker had not accepted go to the others. They are
spawned, not forked, because a fork copies neither threads nor the state of a GPU; each loads its own models.
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
from compressor.service.uvicorn_server import CLEANUP_TIMEOUT, serve

POLL_INTERVAL = 0.2  # seconds between two checks for signals
MIN_UPTIME = 10.0  # seconds; a worker that ends sooner has crashed early, and is replaced after a pause
RESTART_BACKOFF, MAX_RESTART_BACKOFF = 0.5, 30.0  # seconds; doubled with each early crash
MAX_EARLY_CRASHES = 20  # in a row, about eight minutes: restarting does not help
log = logging.getLogger("compressor.service")
_SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """One process that serves.

    Attributes:
        slot: Its number among the workers. A replacement has the number of the worker that it replaces.
        pipe: Receives True when the worker accepts requests, or the text of the error that ended it.
        is_ready: Whether it has accepted requests.
        error: The text of the error that ended it, or "".
    """

    def __init__(self, load: Callable[[], Settings], sockets: list[socket.socket], slot: int) -> None:
        self.slot = slot
        self.pipe, sender = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(target=_run_worker, args=(load, sockets, sender, slot), name="compressor-worker")
        self.started, self.is_ready, self.error = time.monotonic(), False, ""
        self.process.start()
        sender.close()

    def read_messages(self) -> None:
        """Reads what the worker has sent."""
        with suppress(EOFError, OSError):
            while self.pipe.poll():
                message = self.pipe.recv()
                if message is True:
                    self.is_ready = True
                else:
                    self.error = str(message)

    def describe_end(self) -> str:
        """Returns how the worker ended."""
        code = self.process.exitcode or 0
        return self.error or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}")


class Supervisor:
    """Keeps `settings.workers` workers running.

    Args:
        settings: The settings of the service.
        load: Reads the settings again, in each worker, so that no key is sent between processes. Must be picklable.
        sockets: The listening sockets.
    """

    def __init__(self, settings: Settings, load: Callable[[], Settings], sockets: list[socket.socket]) -> None:
        self._settings, self._load, self._sockets = settings, load, sockets
        self._workers: list[Worker] = []
        self._signals: list[int] = []
        self._restarts: list[tuple[float, int]] = []  # when to replace a worker, and its slot
        self._early_crashes = 0
        self._all_started: set[int] = set()  # slots whose first worker has accepted requests
        self._failure = ""

    def run(self) -> None:
        """Serves until a signal arrives.

        Raises:
            CompressorError: One of the first workers cannot start, workers crash over and over, or a worker has not
                ended as it should.
        """
        metrics_folder = prepare_multiprocess()
        handlers = {sig: signal.signal(sig, self._on_signal) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            for slot in range(self._settings.workers):
                self._start(slot)
            while not self._signals and not self._failure:
                self._start_replacements()
                self._wait()
            self._shut_down()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            shutil.rmtree(metrics_folder, ignore_errors=True)
            for sig, handler in handlers.items():
                signal.signal(sig, handler)

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        self._signals.append(sig)

    def _start(self, slot: int) -> None:
        self._workers.append(Worker(self._load, self._sockets, slot))

    def _wait(self) -> None:
        """Waits a moment for messages, and removes the workers that have ended."""
        connection.wait([thing for w in self._workers for thing in (w.process.sentinel, w.pipe)], POLL_INTERVAL)
        for worker in list(self._workers):
            ended = worker.process.exitcode is not None
            worker.read_messages()
            if worker.is_ready:
                self._all_started.add(worker.slot)
            if ended:
                worker.pipe.close()
                self._workers.remove(worker)
                worker_ended(worker.slot)
                self._on_end(worker)

    def _on_end(self, worker: Worker) -> None:
        if self._signals or self._failure:
            if worker.process.exitcode not in (0, -signal.SIGTERM):
                self._failure = self._failure or f"the service did not shut down cleanly: {worker.describe_end()}"
            return
        if worker.slot not in self._all_started:
            raise CompressorError(f"the service could not start: {worker.describe_end()}")
        is_early = time.monotonic() - worker.started < MIN_UPTIME
        self._early_crashes = self._early_crashes + 1 if is_early else 0
        if self._early_crashes >= MAX_EARLY_CRASHES:
            self._failure = f"workers crash over and over, the last one: {worker.describe_end()}"
            return
        pause = min(RESTART_BACKOFF * 2 ** (self._early_crashes - 1), MAX_RESTART_BACKOFF) if is_early else 0.0
        log.error("worker %d: %s; replaced in %.1f s", worker.process.pid, worker.describe_end(), pause)
        self._restarts.append((time.monotonic() + pause, worker.slot))

    def _start_replacements(self) -> None:
        for restart in [one for one in self._restarts if one[0] <= time.monotonic()]:
            self._restarts.remove(restart)
            self._start(restart[1])

    def _shut_down(self) -> None:
        """Has the workers drain. A second signal ends them at once."""
        for worker in self._workers:
            worker.process.terminate()
        settings = self._settings
        deadline = time.monotonic() + settings.shutdown_delay + settings.shutdown_timeout + 2 * CLEANUP_TIMEOUT
        while self._workers and time.monotonic() < deadline:
            self._wait()
            if len(self._signals) > 1:
                raise SystemExit(128 + self._signals[-1])
        if self._workers:
            self._failure = self._failure or "a worker did not end in time"
        if self._failure:
            raise CompressorError(self._failure)


def _run_worker(load: Callable[[], Settings], sockets: list[socket.socket], sender: Any, slot: int) -> None:
    """The main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    try:
        settings = load()
        set_logging(settings.log)
        use_metrics_slot(slot)
        serve(settings, sockets, lambda: sender.send(True))
    except CompressorError as error:
        with suppress(OSError):
            sender.send(str(error))
        sys.exit(1)


def _end_with_supervisor() -> None:
    """Ends this process when the supervisor has ended, even if it was killed."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)

"""Runs several worker processes that serve one port: starts them, replaces those that die, and ends them.

This is not `uvicorn.supervisors.Multiprocess` because that one joins its workers without a timeout and ignores a second
signal while it does, does not end workers when it is killed itself, restarts a crashing worker without a pause and
without end, does not report how workers ended, and gives a replacement no slot in the folder of metrics.

The workers share the listening sockets, so connections that a dead worker had not accepted go to the others. They are
spawned, not forked, because a fork copies neither threads nor the state of a GPU; each loads its own models.
"""

from __future__ import annotations

import logging
import queue
import shutil
import signal
import socket
import time
from collections.abc import Sequence
from multiprocessing import connection
from types import FrameType

from compressor.errors import CompressorError
from compressor.service.processes.listening_sockets import refuse_new_connections
from compressor.service.processes.server_commands import Command, Drain, Reconfigure, Stop
from compressor.service.processes.uvicorn_server import CLEANUP_TIMEOUT
from compressor.service.processes.worker import Worker
from compressor.service.settings_sources import LoadedSettings
from compressor.service.telemetry.metrics import prepare_multiprocess, worker_ended

POLL_INTERVAL = 0.1  # seconds between two checks for signals and commands
MIN_UPTIME = 10.0  # seconds; a worker that ends sooner has crashed early, and is replaced after a pause
RESTART_BACKOFF, MAX_RESTART_BACKOFF = 0.5, 30.0  # seconds; doubled with each early crash
MAX_EARLY_CRASHES = 20  # in a row, about eight minutes: restarting does not help
log = logging.getLogger("compressor.service")


class Supervisor:
    """Keeps `settings.workers` workers running.

    Args:
        start: The settings of the service.
        sockets: The listening sockets. They are closed when the service ends.
        probe_sockets: Those of the probe port.
        commands: What others want from the workers, such as other settings.
    """

    def __init__(
        self,
        start: LoadedSettings,
        sockets: Sequence[socket.socket],
        probe_sockets: Sequence[socket.socket],
        commands: queue.SimpleQueue[Command],
    ) -> None:
        self._start_settings = self._current = start
        self._sockets, self._probe_sockets, self._commands = [*sockets], [*probe_sockets], commands
        self._workers: list[Worker] = []
        self._signals: list[int] = []
        self._restarts: list[tuple[float, int]] = []  # when to replace a worker, and its slot
        self._early_crashes = 0
        self._all_started: set[int] = set()  # slots whose first worker has accepted requests
        self._failure = ""

    def run(self) -> None:
        """Serves until a signal arrives.

        Raises:
            CompressorError: One of the first workers cannot start, or is killed before any worker has started; workers
                crash over and over; or a worker has not ended as it should.
        """
        metrics_folder = prepare_multiprocess()
        handlers = {sig: signal.signal(sig, self._on_signal) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            for slot in range(self._start_settings.settings.workers or 1):
                self._start(slot)
            while not self._signals and not self._failure:
                self._pass_on_commands()
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
        worker = Worker(self._start_settings, self._current, self._sockets, self._probe_sockets, slot)
        self._workers.append(worker)

    def _pass_on_commands(self) -> None:
        while not self._commands.empty():
            command = self._commands.get()
            if isinstance(command, Reconfigure):
                self._current = command.settings  # also of workers that start later
                logging.getLogger().setLevel(self._current.settings.log.upper())
            for worker in self._workers:
                worker.send(command)

    def _wait(self) -> None:
        """Waits a moment for messages, and removes the workers that have ended."""
        connection.wait([thing for w in self._workers for thing in (w.process.sentinel, w.pipe)], POLL_INTERVAL)
        for worker in list(self._workers):
            ended = worker.process.exitcode is not None
            worker.read_messages()
            if worker.is_ready:
                self._all_started.add(worker.slot)
            if ended:
                worker.close()
                self._workers.remove(worker)
                worker_ended(worker.slot)
                self._on_end(worker)

    def _on_end(self, worker: Worker) -> None:
        if self._signals or self._failure:
            if worker.process.exitcode not in (0, -signal.SIGTERM) and worker.may_serve:
                self._failure = self._failure or f"the service did not shut down cleanly: {worker.describe_end()}"
            return
        # Where another worker serves, a kill says nothing about the settings: memory was short, or somebody did it.
        was_killed = bool(self._all_started) and (worker.process.exitcode or 0) < 0
        if worker.slot not in self._all_started and not was_killed:
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
        settings, begin = self._start_settings.settings, time.monotonic()
        deadline = begin + settings.shutdown_delay + settings.shutdown_timeout + 2 * CLEANUP_TIMEOUT
        for worker in self._workers:
            worker.read_messages()
            if worker.may_serve:
                worker.send(Drain())
            else:
                worker.process.kill()  # it would hold the sockets until it has loaded its models
        self._wait_until(begin + settings.shutdown_delay)
        for one in self._sockets:
            refuse_new_connections(one)
            one.close()  # before the workers close theirs: the last that does takes the connections that wait
        for worker in self._workers:
            worker.send(Stop())
        self._wait_until(deadline)
        if self._workers:
            self._failure = self._failure or "a worker did not end in time"
        if self._failure:
            raise CompressorError(self._failure)

    def _wait_until(self, deadline: float) -> None:
        """Waits while there are workers."""
        while self._workers and time.monotonic() < deadline:
            self._pass_on_commands()
            self._wait()
            if len(self._signals) > 1:
                raise SystemExit(128 + self._signals[-1])

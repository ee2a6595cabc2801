"""One thread a device, which runs the batches of all lanes there, one at a time.

Knows when to run, not what: lanes say what they have (`oldest`), make batches (`take`) and compute them (`serve`). The
thread starts with the first work and ends when there was none for a while. It never keeps the interpreter from ending,
and a forked process starts its own.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import Any, Protocol

from compressor.errors import QueueFullError

IDLE = 60.0  # seconds without work after which the thread ends; the next call starts another
EXIT = 1.0  # seconds that the end of the interpreter waits for a batch that is being computed


class Pending(Protocol):
    """A call that waits; `arrived` is when it came, on the monotonic clock."""

    @property
    def arrived(self) -> float: ...


class Schedulable(Protocol):
    """What a worker asks of a lane. All but `serve` are called with the worker's lock held."""

    def reset(self) -> None:
        """Forgets all work: this is a forked child, and the parent does it."""
        ...

    def oldest(self) -> Pending | None:
        """The oldest call that still has something to begin."""
        ...

    def take(self, call: Any, now: float) -> list[Any] | float:
        """The next batch for that call, or the seconds to wait for more."""
        ...

    def serve(self, batch: list[Any]) -> None:
        """Computes a batch and hands out what came of it. Raises nothing."""
        ...


class DeviceWorker:
    """The one thread of a device, and `changed`, the lock of all its lanes."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._lanes: weakref.WeakSet[Schedulable] = weakref.WeakSet()
        self.reset()

    def reset(self) -> None:
        """Forgets thread, lock and work: a forked child has none of them."""
        self.changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        for lane in self._lanes:
            lane.reset()

    def add(self, lane: Schedulable) -> None:
        """Serves this lane from now on, as long as somebody else holds it."""
        with self.changed:
            self._lanes.add(lane)

    def ensure(self) -> None:
        """Starts the thread if there is none. The lock is held. Raises Overloaded when that is impossible."""
        if self._closing:
            raise QueueFullError(f"{self.device}: the interpreter is about to end, no more work is taken")
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=f"compressor {self.device}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise QueueFullError(f"{self.device}: no worker thread could be started: {error}") from error
            self._thread = thread

    def stop(self) -> None:
        """Ends the thread; what it computes now may take `EXIT` seconds more."""
        with self.changed:
            self._closing, thread = True, self._thread
            self.changed.notify()
        if thread is not None:
            thread.join(EXIT)

    def _work(self) -> None:
        while found := self._next():
            lane, batch = found
            lane.serve(batch)
            del lane, batch, found  # while it waits, the thread must not keep a model alive

    def _next(self) -> tuple[Schedulable, list[Any]] | None:
        """Waits for the next batch. None when the thread has to end."""
        with self.changed:
            while not self._closing:
                seconds = IDLE
                if found := self._oldest():
                    lane, call = found
                    batch = lane.take(call, time.monotonic())
                    if isinstance(batch, list):
                        return lane, batch
                    seconds = batch
                    del lane, call, found
                if not self.changed.wait(seconds) and not self._oldest():
                    break
            self._thread = None
            return None

    def _oldest(self) -> tuple[Schedulable, Pending] | None:
        waiting = [(lane, call) for lane in self._lanes if (call := lane.oldest())]
        return min(waiting, key=lambda found: found[1].arrived, default=None)


_workers: dict[str, DeviceWorker] = {}


def get_worker(device: str) -> DeviceWorker:
    """The worker of this device in this process."""
    return _workers.setdefault(device, DeviceWorker(device))


def _forget() -> None:
    for worker in _workers.values():
        worker.reset()


def _stop() -> None:
    for worker in list(_workers.values()):
        worker.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
atexit.register(_stop)

"""One worker thread a device, which runs the batches of all schedulers there, one at a time.

The thread starts with the first work and ends after a while without work. It does not keep the interpreter from ending,
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

#: Time without work after which the thread ends; the next request starts another one.
IDLE_SECONDS = 60.0
#: How long the end of the interpreter waits for a batch that is being computed.
EXIT_SECONDS = 1.0


class Pending(Protocol):
    """A request that waits."""

    @property
    def arrived(self) -> float:
        """When the request came, on the monotonic clock."""
        ...


class Schedulable(Protocol):
    """What the worker needs of a scheduler. All methods but `serve` are called with the worker's lock held."""

    def reset(self) -> None:
        """Drops all work: this is a forked child, and the parent does that work."""
        ...

    def oldest(self) -> Pending | None:
        """Returns the oldest request with items that were not started, or None."""
        ...

    def take(self, call: Any, now: float) -> list[Any] | float:
        """Returns the next batch for that request, or the seconds to wait for more items."""
        ...

    def serve(self, batch: list[Any]) -> None:
        """Computes a batch and gives its outputs to the callers. Does not raise."""
        ...


class DeviceWorker:
    """The worker thread of a device.

    Args:
        device: The device's name.

    Attributes:
        changed: The lock of all schedulers of the device, notified when their work changes.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._schedulers: weakref.WeakSet[Schedulable] = weakref.WeakSet()
        self.reset()

    def reset(self) -> None:
        """Drops thread, lock and work, which a forked child does not inherit."""
        self.changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        for scheduler in self._schedulers:
            scheduler.reset()

    def add(self, scheduler: Schedulable) -> None:
        """Serves a scheduler from now on. Only a weak reference is kept."""
        with self.changed:
            self._schedulers.add(scheduler)

    def start(self) -> None:
        """Starts the thread if it is not running. The caller holds the lock.

        Raises:
            QueueFullError: The interpreter is ending, or no thread can be started.
        """
        if self._closing:
            raise QueueFullError(f"{self.device}: the interpreter is ending, so no more work is accepted")
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=f"compressor {self.device}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise QueueFullError(f"{self.device}: the worker thread cannot be started: {error}") from error
            self._thread = thread

    def stop(self) -> None:
        """Ends the thread; a batch that is being computed gets `EXIT_SECONDS`."""
        with self.changed:
            self._closing, thread = True, self._thread
            self.changed.notify()
        if thread is not None:
            thread.join(EXIT_SECONDS)

    def _work(self) -> None:
        while found := self._next():
            scheduler, batch = found
            scheduler.serve(batch)
            del scheduler, batch, found  # while the thread waits, it must not keep a model alive

    def _next(self) -> tuple[Schedulable, list[Any]] | None:
        """Waits for the next batch. None if the thread has to end."""
        with self.changed:
            while not self._closing:
                seconds = IDLE_SECONDS
                if found := self._oldest():
                    scheduler, call = found
                    batch = scheduler.take(call, time.monotonic())
                    if isinstance(batch, list):
                        return scheduler, batch
                    seconds = batch
                    del scheduler, call, found
                if not self.changed.wait(seconds) and not self._oldest():
                    break
            self._thread = None
            return None

    def _oldest(self) -> tuple[Schedulable, Pending] | None:
        waiting = [(scheduler, call) for scheduler in self._schedulers if (call := scheduler.oldest())]
        return min(waiting, key=lambda found: found[1].arrived, default=None)


_workers: dict[str, DeviceWorker] = {}


def get_worker(device: str) -> DeviceWorker:
    """Returns the process's worker for a device."""
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

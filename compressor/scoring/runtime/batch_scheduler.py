"""Gathers the work of concurrent requests into full batches of similar length.

Every model on a device has a `BatchScheduler` with a queue that forms its batches (`batch_queue`). All schedulers of a
device share one worker thread (`device_worker`).
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from compressor.errors import CompressorError, ModelError, QueueFullError
from compressor.scoring.runtime.batch_queue import BatchLimits, BatchQueue, PendingRequest, QueuedItem
from compressor.scoring.runtime.device_worker import get_worker
from compressor.scoring.runtime.executor import QUEUE_WAIT_HOOK

__all__ = ["BatchLimits", "BatchScheduler", "BatchStats"]

Item = TypeVar("Item")
Out = TypeVar("Out")

#: How long a scheduler that ran out of memory keeps its batches small.
SHRUNK_SECONDS = 60.0
#: How long a scheduler that had two requests at once waits for more items before it runs a batch.
CROWDED_SECONDS = 1.0
_OUT_OF_MEMORY = re.compile(
    r"out of memory|alloc_failed|bad_?alloc|failed to allocate|(can't|cannot|could not) allocate|not enough memory",
    re.I,
)


@dataclass(frozen=True, slots=True)
class BatchStats:
    """What a scheduler has done since it was made, and what waits in it.

    Attributes:
        batches: Batches that were computed.
        items: Items in them.
        tokens: Tokens in them, without padding.
        padding: The part of all computed tokens that was padding.
        out_of_memory: Batches that did not fit into memory.
        waiting_items: Items that wait now.
        waiting_tokens: Tokens that wait now.
        wait_p50: Seconds from a request to its first batch, the median over the last thousand requests.
        wait_p95: The same, the 95th percentile.
    """

    batches: int
    items: int
    tokens: int
    padding: float
    out_of_memory: int
    waiting_items: int
    waiting_tokens: int
    wait_p50: float
    wait_p95: float


class BatchScheduler(Generic[Item, Out]):
    """Runs one model on one device, one batch at a time, in the device's worker thread.

    If `run` raises an exception that means out of memory, the batch is halved and tried again. Other exceptions reach
    the callers whose items were in the batch, as ModelError unless they are a CompressorError. Do not call `map` inside
    a `run` on the same device.

    Args:
        run: Computes one batch: returns an output for each item.
        size: Returns the tokens of an item, without padding. Items of similar size share a batch.
        device: The device's name.
        limits: The sizes of batches and queue.
        name: The model's name, for messages.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Out]],
        size: Callable[[Item], int],
        device: str,
        limits: BatchLimits,
        name: str = "model",
    ) -> None:
        self.limits, self.name = limits, f"{name} on {device}"
        self._run, self._size = run, size
        self.reset()
        self._worker = get_worker(device)
        self._worker.add(self)

    def reset(self) -> None:
        """Drops all work. The worker calls this in a forked child, as the parent does that work."""
        self._waiting = BatchQueue(self.limits)
        self._open = 0  # requests that are not answered yet
        self._crowded_until = self._shrunk_until = 0.0
        self._shrunk = self.limits.batch_tokens
        self._waits: deque[float] = deque(maxlen=1_000)
        self._batches = self._items = self._tokens = self._padded = self._short = 0

    # Called by callers

    def map(self, items: Sequence[Item], deadline: float | None = None) -> list[Out]:
        """Returns the output of each item, in order. Blocks until all are there.

        Args:
            items: The items.
            deadline: Seconds to wait; None for the deadline in `limits`.

        Raises:
            QueueFullError: The deadline has passed. Items that were not started are not computed.
            ModelError: `run` failed.
        """
        if not items:
            return []
        call, seconds = self._submit(items), self.limits.deadline if deadline is None else deadline
        try:
            if wait([call.future], seconds).done:
                return call.future.result()
            raise self._overloaded(call, seconds)
        finally:
            self._leave(call)

    def stats(self) -> BatchStats:
        """Returns what the scheduler has done, and what waits in it now."""
        with self._worker.changed:
            waits = sorted(self._waits) or [0.0]
            p50, p95 = (waits[int(q * (len(waits) - 1))] for q in (0.5, 0.95))
            padding = 1 - self._tokens / self._padded if self._padded else 0.0
            done = self._batches, self._items, self._tokens, padding, self._short
            return BatchStats(*done, *self._waiting.size(), p50, p95)

    def _submit(self, items: Sequence[Item]) -> PendingRequest:
        call = PendingRequest(items, [max(1, self._size(item)) for item in items], time.monotonic())
        call.future.set_running_or_notify_cancel()  # from here on, only the worker may complete it
        with self._worker.changed:
            self._worker.start()
            self._open += 1
            if self._open > 1:
                self._crowded_until = call.arrived + CROWDED_SECONDS
            self._waiting.push(call)
            self._worker.changed.notify()
        return call

    def _leave(self, call: PendingRequest) -> None:
        """Closes a request in its caller's context, and reports how long it waited."""
        self._close(call)
        if (report := QUEUE_WAIT_HOOK.get()) is not None:
            report("scorer", time.monotonic() - call.arrived if call.wait_seconds is None else call.wait_seconds)

    def _close(self, call: PendingRequest) -> None:
        """Closes a request, if it is open, and removes its items that were not started."""
        with self._worker.changed:
            if not call.closed:
                call.closed = True
                self._open -= 1
                self._waiting.cancel(call)
                self._worker.changed.notify()

    def _overloaded(self, call: PendingRequest, seconds: float | None) -> QueueFullError:
        with self._worker.changed:
            waiting, tokens = self._waiting.size()
            place = f"{len(call.outputs)} of {len(call.items)} items done"
            if self._waiting.is_outside(call):
                place = "it was still waiting to enter the queue"
        return QueueFullError(
            f"{self.name} did not finish within {seconds:g} s: {place}; {waiting} items ({tokens} tokens) are waiting. "
            "Allow more time, send less at once, or use a cheaper scorer"
        )

    # Called by the worker

    def oldest(self) -> PendingRequest | None:
        """Returns the oldest request with items that were not started, or None."""
        return self._waiting.oldest()

    def take(self, call: PendingRequest, now: float) -> list[QueuedItem] | float:
        """Returns the batch around the request's longest item, or the seconds to wait for more items."""
        anchor = call.longest()
        assert anchor is not None
        tokens = self.limits.batch_tokens if now >= self._shrunk_until else self._shrunk
        low, high, full = self._waiting.find_batch(anchor, tokens)
        left = call.arrived + self.limits.max_wait - now
        if not full and left > 0 and now < self._crowded_until:
            return left
        batch = self._waiting.take(low, high)
        for begun in {entry.request for entry in batch if entry.request.wait_seconds is None}:
            begun.wait_seconds = now - begun.arrived
            self._waits.append(begun.wait_seconds)
        return batch

    def serve(self, batch: list[QueuedItem]) -> None:
        """Computes a batch and gives its outputs, or its exception, to the callers."""
        for part, outs in self._compute(batch):
            for k, entry in enumerate(part):
                call = entry.request
                if call.closed:
                    continue
                if isinstance(outs, CompressorError):
                    self._close(call)
                    call.future.set_exception(outs)
                    continue
                call.outputs[entry.position] = outs[k]
                if len(call.outputs) == len(call.items):
                    self._close(call)
                    call.future.set_result([call.outputs[i] for i in range(len(call.items))])

    def _compute(self, batch: list[QueuedItem]) -> Iterator[tuple[list[QueuedItem], Sequence[Out] | CompressorError]]:
        """Computes the batch, in halves if memory is short, or one part for each caller if `run` fails."""
        outs = self._attempt(batch)
        callers = {entry.request: None for entry in batch}
        if outs is None and len(batch) > 1:
            yield from self._compute(batch[: len(batch) // 2])
            yield from self._compute(batch[len(batch) // 2 :])
        elif outs is None:
            yield batch, ModelError(f"{self.name}: an item of {batch[0].size} tokens does not fit into memory")
        elif isinstance(outs, CompressorError) and len(callers) > 1:
            for caller in callers:
                yield from self._compute([entry for entry in batch if entry.request is caller])
        else:
            yield batch, outs

    def _attempt(self, batch: list[QueuedItem]) -> Sequence[Out] | CompressorError | None:
        """The outputs of `run`, its exception, or None if memory ran out.

        None instead of the exception, as its traceback would keep the batch's tensors alive while the halves are tried.
        """
        padded = max(entry.size for entry in batch) * len(batch)
        try:
            outs = self._run([entry.request.items[entry.position] for entry in batch])
            if len(outs) != len(batch):
                return ModelError(f"{self.name} returned {len(outs)} outputs for {len(batch)} items")
        except CompressorError as error:
            return error
        except BaseException as error:  # also SystemExit: if the worker ended, its callers would wait forever
            if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(
                str(error)
            ):  # each runtime has its own exception class
                self._short += 1
                self._shrunk, self._shrunk_until = max(1, padded // 2), time.monotonic() + SHRUNK_SECONDS
                return None
            failure = ModelError(f"{self.name}: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return failure
        self._batches += 1
        self._items += len(batch)
        self._tokens += sum(entry.size for entry in batch)
        self._padded += padded
        return outs

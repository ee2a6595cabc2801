"""One worker a device, which gathers the work of all concurrent requests into full batches of similar length.

Every model on a device has a `BatchScheduler`; all lanes of one device share a worker thread (`worker.py`), and each has a queue
that picks its batches (`waiting.py`). Knows no model, tensor, unit or query: an item is whatever `run` takes.
"""

from __future__ import annotations

import asyncio
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

SHRUNK = 60.0  # seconds for which a lane that ran out of memory keeps its batches small
CROWD = 1.0  # seconds for which a lane that had two calls at once waits for company
_MEMORY = re.compile(
    r"out of memory|alloc_failed|bad_?alloc|failed to allocate|(can't|cannot|could not) allocate|not enough memory",
    re.I,
)


@dataclass(frozen=True, slots=True)
class BatchStats:
    """Since the lane was made. padding: the share of all computed tokens that was padding; out_of_memory: batches that
    did not fit; waiting_*: now; wait_p50 and wait_p95: seconds from a call to the start of its first batch, over the
    last thousand calls."""

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
    """One model on one device: `run` computes one batch, in the device's worker thread, never two at a time.

    size: tokens of an item (without padding). Items of similar size share a batch. When `run` raises an error that
    means out of memory, the batch is halved and tried again; other errors reach the callers whose items were in it, as
    ModelError unless they are a CompressorError. `map` must not be called from inside a `run` on the same device.
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
        """Forgets all work. For the worker only: in a forked child, whose parent does that work."""
        self._waiting = BatchQueue(self.limits)
        self._open = 0  # calls not yet answered
        self._crowded_until = self._shrunk_until = 0.0
        self._shrunk = self.limits.batch_tokens
        self._waits: deque[float] = deque(maxlen=1_000)
        self._batches = self._items = self._tokens = self._padded = self._short = 0

    # -- the callers' side

    def map(self, items: Sequence[Item], deadline: float | None = None) -> list[Out]:
        """The outputs, in order. Blocks. Raises Overloaded when the deadline (seconds; the lane's own if None) has
        passed before all of them were there, be it for want of room in the queue or of time; what was not begun by then
        is not run. Raises ModelError when `run` fails."""
        if not items:
            return []
        call, seconds = self._submit(items), self.limits.deadline if deadline is None else deadline
        try:
            if wait([call.future], seconds).done:
                return call.future.result()
            raise self._overloaded(call, seconds)
        finally:
            self._leave(call)

    async def amap(self, items: Sequence[Item], deadline: float | None = None) -> list[Out]:
        """`map` for asyncio: waits without blocking the event loop; a cancelled wait withdraws what was not begun."""
        if not items:
            return []
        call, seconds = self._submit(items), self.limits.deadline if deadline is None else deadline
        future = asyncio.wrap_future(call.future)
        try:
            if (await asyncio.wait([future], timeout=seconds))[0]:
                return future.result()
            raise self._overloaded(call, seconds)
        finally:
            future.cancel()
            self._leave(call)

    def stats(self) -> BatchStats:
        """What the lane did, and what waits in it now."""
        with self._worker.changed:
            waits = sorted(self._waits) or [0.0]
            p50, p95 = (waits[int(q * (len(waits) - 1))] for q in (0.5, 0.95))
            padding = 1 - self._tokens / self._padded if self._padded else 0.0
            done = self._batches, self._items, self._tokens, padding, self._short
            return BatchStats(*done, *self._waiting.size(), p50, p95)

    def _submit(self, items: Sequence[Item]) -> PendingRequest:
        call = PendingRequest(items, [max(1, self._size(item)) for item in items], time.monotonic())
        call.future.set_running_or_notify_cancel()  # from here on only the worker may end it
        with self._worker.changed:
            self._worker.ensure()
            self._open += 1
            if self._open > 1:
                self._crowded_until = call.arrived + CROWD
            self._waiting.push(call)
            self._worker.changed.notify()
        return call

    def _leave(self, call: PendingRequest) -> None:
        """Ends a call, in its caller's own context, and tells who wants to know how long it waited."""
        self._close(call)
        if (tell := QUEUE_WAIT_HOOK.get()) is not None:
            tell("scorer", time.monotonic() - call.arrived if call.waited is None else call.waited)

    def _close(self, call: PendingRequest) -> None:
        """Ends a call, if it has not ended, and takes back what was not begun."""
        with self._worker.changed:
            if not call.closed:
                call.closed = True
                self._open -= 1
                self._waiting.drop(call)
                self._worker.changed.notify()

    def _overloaded(self, call: PendingRequest, seconds: float | None) -> QueueFullError:
        with self._worker.changed:
            waiting, tokens = self._waiting.size()
            place = f"{len(call.outs)} of {len(call.items)} items done"
            if self._waiting.is_outside(call):
                place = "its turn did not come"
        return QueueFullError(
            f"{self.name}: not finished after {seconds:g} s: {place}; {waiting} items ({tokens} tokens) wait in all. "
            "Allow more time, send less at once, or use a cheaper scorer"
        )

    # -- the worker's side

    def oldest(self) -> PendingRequest | None:
        """The oldest call that still has something to begin."""
        return self._waiting.oldest()

    def take(self, call: PendingRequest, now: float) -> list[QueuedItem] | float:
        """The batch around the call's longest item, or the seconds to wait for more."""
        anchor = call.longest()
        assert anchor is not None
        tokens = self.limits.batch_tokens if now >= self._shrunk_until else self._shrunk
        low, high, full = self._waiting.pick(anchor, tokens)
        left = call.arrived + self.limits.max_wait - now
        if not full and left > 0 and now < self._crowded_until:
            return left
        batch = self._waiting.take(low, high)
        for begun in {entry.call for entry in batch if entry.call.waited is None}:
            begun.waited = now - begun.arrived
            self._waits.append(begun.waited)
        return batch

    def serve(self, batch: list[QueuedItem]) -> None:
        """Computes a batch and hands out what came of it."""
        for part, outs in self._compute(batch):
            for k, entry in enumerate(part):
                call = entry.call
                if call.closed:
                    continue
                if isinstance(outs, CompressorError):
                    self._close(call)
                    call.future.set_exception(outs)
                    continue
                call.outs[entry.place] = outs[k]
                if len(call.outs) == len(call.items):
                    self._close(call)
                    call.future.set_result([call.outs[i] for i in range(len(call.items))])

    def _compute(self, batch: list[QueuedItem]) -> Iterator[tuple[list[QueuedItem], Sequence[Out] | CompressorError]]:
        """The batch in as many parts as it takes: halves where memory is short, one part a caller where `run` fails."""
        outs = self._attempt(batch)
        callers = {entry.call: None for entry in batch}
        if outs is None and len(batch) > 1:
            yield from self._compute(batch[: len(batch) // 2])
            yield from self._compute(batch[len(batch) // 2 :])
        elif outs is None:
            yield batch, ModelError(f"{self.name}: a single item of {batch[0].size} tokens does not fit into memory")
        elif isinstance(outs, CompressorError) and len(callers) > 1:
            for caller in callers:
                yield from self._compute([entry for entry in batch if entry.call is caller])
        else:
            yield batch, outs

    def _attempt(self, batch: list[QueuedItem]) -> Sequence[Out] | CompressorError | None:
        """What `run` gave, its error, or None when memory ran out. None, not the error: an error's traceback would keep
        the failed batch's tensors alive while its halves are tried."""
        padded = max(entry.size for entry in batch) * len(batch)
        try:
            outs = self._run([entry.call.items[entry.place] for entry in batch])
            if len(outs) != len(batch):
                return ModelError(f"{self.name}: {len(outs)} outputs for {len(batch)} items")
        except CompressorError as error:
            return error
        except BaseException as error:  # also SystemExit: were the worker to end, its callers would wait for ever
            if isinstance(error, MemoryError) or _MEMORY.search(str(error)):  # every runtime has a class of its own
                self._short += 1
                self._shrunk, self._shrunk_until = max(1, padded // 2), time.monotonic() + SHRUNK
                return None
            failure = ModelError(f"{self.name}: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return failure
        self._batches += 1
        self._items += len(batch)
        self._tokens += sum(entry.size for entry in batch)
        self._padded += padded
        return outs

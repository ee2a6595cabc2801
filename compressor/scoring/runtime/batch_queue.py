"""The queue of one model: which items wait, and which of them form the next batch.

The oldest request decides: its longest item is the anchor, and the waiting items nearest to it in length, from whatever
request, fill the batch up to the limits. So no request starves, and padding stays small. This module is pure
bookkeeping, without threads, locks or clocks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from compressor.errors import CompressorError

#: Batches' worth of items that are sorted together: enough to find items of similar length, and few enough that
#: requests are answered about in order.
LOOKAHEAD_BATCHES = 4


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The sizes of batches and queue.

    Attributes:
        batch_tokens: Tokens of one batch, padding included. A longer item is a batch of its own.
        batch_items: Sequences of one batch.
        queue_tokens: Tokens that may wait in the queue; further requests wait outside of it. A request that is larger
            than the whole queue enters when the queue is empty.
        max_wait: Seconds to wait for more items before a batch that is not full runs; not used while there is only one
            caller.
        deadline: Seconds that a caller waits for all of its items; None for no limit.
        max_padding_fraction: The largest part of a batch that may be padding, if that is more than `batch_cost` tokens.
        batch_cost: Tokens that the device computes in the time that one more batch costs: some 30 on a CPU, thousands
            on a GPU.
    """

    batch_tokens: int = 4_096
    batch_items: int = 16
    queue_tokens: int = 2_000_000
    max_wait: float = 0.002
    deadline: float | None = 30.0
    max_padding_fraction: float = 0.25
    batch_cost: int = 32

    def __post_init__(self) -> None:
        if min(self.batch_tokens, self.batch_items, self.queue_tokens) < 1:
            raise CompressorError(f"batch_tokens, batch_items and queue_tokens must be at least 1: {self}")
        if min(self.max_wait, self.batch_cost) < 0 or not 0 <= self.max_padding_fraction <= 1:
            raise CompressorError(
                f"max_wait and batch_cost must not be negative, and max_padding_fraction must be from 0 to 1: {self}"
            )


@dataclass(eq=False, slots=True)
class PendingRequest:
    """The items of one caller.

    Attributes:
        items: The items.
        sizes: The size of each item in tokens.
        arrived: When the request came, on the monotonic clock.
        future: Gets the outputs, or the exception.
        outputs: The outputs that are there, by index in `items`.
        started: The indices of the items that were taken for a batch.
        wait_seconds: How long the request waited for its first batch; None before that.
        closed: Whether it was answered, failed or withdrawn.
        entries: The waiting items, ascending in size. Items that were taken leave when they come to the end.
        tokens: The sum of the sizes.
    """

    items: Sequence[Any]
    sizes: Sequence[int]
    arrived: float
    future: Future[list[Any]] = field(default_factory=Future)
    outputs: dict[int, Any] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    wait_seconds: float | None = None
    closed: bool = False
    entries: list[QueuedItem] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.entries = sorted(QueuedItem(size, id(self), place, self) for place, size in enumerate(self.sizes))
        self.tokens = sum(self.sizes)

    def longest(self) -> QueuedItem | None:
        """Returns the longest item that was not taken yet, or None."""
        while self.entries and self.entries[-1].position in self.started:
            self.entries.pop()
        return self.entries[-1] if self.entries else None


class QueuedItem(NamedTuple):
    """One item that waits. Items sort by size; owner and position are unique, so requests are never compared.

    Attributes:
        size: Tokens.
        owner: The identity of the request.
        position: The index in the request's items.
        request: The request.
    """

    size: int
    owner: int
    position: int
    request: PendingRequest


class BatchQueue:
    """The queue of one `BatchScheduler`.

    Args:
        limits: The sizes of batches and queue.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        self._outside: deque[PendingRequest] = deque()  # not yet in the queue, in order of arrival
        # Requests in the queue, in order. Those of which all items were taken leave when they come to the front.
        self._calls: deque[PendingRequest] = deque()
        self._entries: list[QueuedItem] = []  # their items that were not taken yet, ascending in size
        self._tokens = 0  # of _entries

    def push(self, call: PendingRequest) -> None:
        """Adds a request at the end."""
        self._outside.append(call)
        self._admit()

    def cancel(self, call: PendingRequest) -> None:
        """Removes the items of a request that were not taken yet."""
        call.entries.clear()
        if call in self._outside:
            self._outside.remove(call)
        elif len(call.started) < len(call.items):
            self._entries = [entry for entry in self._entries if entry.request is not call]
            self._tokens = sum(entry.size for entry in self._entries)
        self._admit()

    def oldest(self) -> PendingRequest | None:
        """Returns the oldest request with items that were not taken yet, or None."""
        while self._calls and self._calls[0].longest() is None:
            self._calls.popleft()
        return self._calls[0] if self._calls else None

    def find_batch(self, anchor: QueuedItem, batch_tokens: int) -> tuple[int, int, bool]:
        """Finds the batch around an item.

        Args:
            anchor: The item.
            batch_tokens: Tokens of the batch, padding included.

        Returns:
            The range of the queue to `take`, as start and end, and whether the batch is as full as it can get.
        """
        low = bisect_left(self._entries, anchor)
        high, longest, total = low + 1, anchor.size, anchor.size

        def fits(longest: int, total: int) -> bool:
            padded = longest * (high - low + 1)
            too_much_padding = padded - total > max(self.limits.batch_cost, self.limits.max_padding_fraction * padded)
            return high - low < self.limits.batch_items and padded <= batch_tokens and not too_much_padding

        while low and fits(longest, total + self._entries[low - 1].size):
            low -= 1
            total += self._entries[low].size
        while high < len(self._entries) and fits(size := self._entries[high].size, total + size):
            high, longest, total = high + 1, size, total + size
        full = high - low == self.limits.batch_items or longest * (high - low + 1) > batch_tokens
        return low, high, full

    def take(self, low: int, high: int) -> list[QueuedItem]:
        """Removes a range of items from the queue and returns them; they count as started."""
        batch = self._entries[low:high]
        del self._entries[low:high]
        for entry in batch:
            self._tokens -= entry.size
            entry.request.started.add(entry.position)
        self._admit()
        return batch

    def size(self) -> tuple[int, int]:
        """Returns how many items and tokens wait, in the queue and outside of it."""
        items = len(self._entries) + sum(len(call.items) for call in self._outside)
        return items, self._tokens + sum(call.tokens for call in self._outside)

    def is_outside(self, call: PendingRequest) -> bool:
        """Returns whether this request has not entered the queue yet."""
        return call in self._outside

    def _admit(self) -> None:
        while self._outside:
            call, free_tokens = self._outside[0], self.limits.queue_tokens - self._tokens
            if self._entries and (
                call.tokens > free_tokens or len(self._entries) >= LOOKAHEAD_BATCHES * self.limits.batch_items
            ):
                return
            self._outside.popleft()
            self._calls.append(call)
            self._entries += call.entries
            self._entries.sort()  # timsort merges two sorted runs in linear time
            self._tokens += call.tokens

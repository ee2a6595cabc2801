"""What waits for one model, and which of it makes the next batch. Pure bookkeeping: no thread, lock, model or clock.

The oldest call decides: its longest waiting item is the anchor, and the waiting items next to it in length, whoever
sent them, fill the batch up to the limits. So nobody starves, and padding stays small.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from compressor.errors import CompressorError

#: batches' worth of items that are sorted together: enough to find items of one length, and few enough that a call is
#: answered about in its turn, not when all who came after it are
AHEAD = 4


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """batch_tokens: tokens of one batch, padding counted (a single longer item is a batch of its own); batch_items:
    sequences of one batch; queue_tokens: tokens that may wait, beyond which callers wait outside (a call larger than
    the whole queue is let in when the queue is empty); gather: seconds to wait for more work before a batch that is not
    full is run, not spent while one caller is alone; deadline: seconds a caller waits for all of its items, None = for
    ever; padding: the largest share of a batch that may be padding, where that is more than `batch_cost` tokens: what
    the device computes in the time that one more batch costs, however small (a CPU: some 30; a GPU: thousands)."""

    batch_tokens: int = 4_096
    batch_items: int = 16
    queue_tokens: int = 2_000_000
    max_wait: float = 0.002
    deadline: float | None = 30.0
    max_padding_fraction: float = 0.25
    batch_cost: int = 32

    def __post_init__(self) -> None:
        if min(self.batch_tokens, self.batch_items, self.queue_tokens) < 1:
            raise CompressorError(f"a batch and a queue need room for at least one token and item: {self}")
        if min(self.max_wait, self.batch_cost) < 0 or not 0 <= self.max_padding_fraction <= 1:
            raise CompressorError(f"gather and batch_cost cannot be negative, and padding is a share: {self}")


@dataclass(eq=False, slots=True)
class PendingRequest:
    """One caller's items. `arrived` is a time of the caller's clock; `tokens` their sizes together."""

    items: Sequence[Any]
    sizes: Sequence[int]
    arrived: float
    future: Future[list[Any]] = field(default_factory=Future)
    outs: dict[int, Any] = field(default_factory=dict)  # by place in `items`
    begun: set[int] = field(default_factory=set)  # places in `items`
    waited: float | None = None  # seconds until its first batch began
    closed: bool = False  # answered, failed or withdrawn
    entries: list[QueuedItem] = field(init=False)  # ascending in size; those begun leave when they come to the end
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.entries = sorted(QueuedItem(size, id(self), place, self) for place, size in enumerate(self.sizes))
        self.tokens = sum(self.sizes)

    def longest(self) -> QueuedItem | None:
        """The longest item that was not begun; None when there is nothing left to begin."""
        while self.entries and self.entries[-1].place in self.begun:
            self.entries.pop()
        return self.entries[-1] if self.entries else None


class QueuedItem(NamedTuple):
    """One item that waits. Entries sort by size; owner and place are unique, so calls are never compared."""

    size: int
    owner: int
    place: int
    call: PendingRequest


class BatchQueue:
    """The queue of one lane."""

    def __init__(self, limits: BatchLimits) -> None:
        self.limits = limits
        self._outside: deque[PendingRequest] = deque()  # their turn or room has not come, in order
        self._calls: deque[PendingRequest] = (
            deque()
        )  # let in, in order; those wholly begun leave when they come to the front
        self._entries: list[QueuedItem] = []  # of the calls let in, not begun, ascending
        self._tokens = 0  # of _entries

    def push(self, call: PendingRequest) -> None:
        """Puts a call at the end of the line."""
        self._outside.append(call)
        self._admit()

    def drop(self, call: PendingRequest) -> None:
        """Takes back what was not begun of a call."""
        call.entries.clear()
        if call in self._outside:
            self._outside.remove(call)
        elif len(call.begun) < len(call.items):
            self._entries = [entry for entry in self._entries if entry.call is not call]
            self._tokens = sum(entry.size for entry in self._entries)
        self._admit()

    def oldest(self) -> PendingRequest | None:
        """The oldest call that still has something to begin."""
        while self._calls and self._calls[0].longest() is None:
            self._calls.popleft()
        return self._calls[0] if self._calls else None

    def pick(self, anchor: QueuedItem, batch_tokens: int) -> tuple[int, int, bool]:
        """The batch around an item, as a stretch of the queue for `take`, and whether it is as full as it can get."""
        low = bisect_left(self._entries, anchor)
        high, longest, total = low + 1, anchor.size, anchor.size

        def fits(longest: int, total: int) -> bool:
            padded = longest * (high - low + 1)
            dear = padded - total > max(self.limits.batch_cost, self.limits.max_padding_fraction * padded)
            return high - low < self.limits.batch_items and padded <= batch_tokens and not dear

        while low and fits(longest, total + self._entries[low - 1].size):
            low -= 1
            total += self._entries[low].size
        while high < len(self._entries) and fits(size := self._entries[high].size, total + size):
            high, longest, total = high + 1, size, total + size
        full = high - low == self.limits.batch_items or longest * (high - low + 1) > batch_tokens
        return low, high, full

    def take(self, low: int, high: int) -> list[QueuedItem]:
        """Takes a stretch out of the queue: from now on its items count as begun."""
        batch = self._entries[low:high]
        del self._entries[low:high]
        for entry in batch:
            self._tokens -= entry.size
            entry.call.begun.add(entry.place)
        self._admit()
        return batch

    def size(self) -> tuple[int, int]:
        """Items and tokens that wait, those outside included."""
        items = len(self._entries) + sum(len(call.items) for call in self._outside)
        return items, self._tokens + sum(call.tokens for call in self._outside)

    def is_outside(self, call: PendingRequest) -> bool:
        """Whether this call was not let in yet."""
        return call in self._outside

    def _admit(self) -> None:
        while self._outside:
            call, room = self._outside[0], self.limits.queue_tokens - self._tokens
            if self._entries and (call.tokens > room or len(self._entries) >= AHEAD * self.limits.batch_items):
                return
            self._outside.popleft()
            self._calls.append(call)
            self._entries += call.entries
            self._entries.sort()  # two sorted runs: one merge
            self._tokens += call.tokens

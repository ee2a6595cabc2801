"""One worker a device, which gathers the work of all concurrent requests into full batches.

INTERFACE DRAFT: signatures below are fixed, the body is being written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Limits:
    """batch_tokens: tokens of one batch, padding counted; batch_items: sequences of one batch; queue_tokens: tokens that
    may wait, beyond which callers are refused; gather: seconds to wait for more work before a batch that is not full is
    run; deadline: seconds a caller waits for all of its items, None = for ever."""

    batch_tokens: int = 4_096
    batch_items: int = 16
    queue_tokens: int = 2_000_000
    gather: float = 0.002
    deadline: float | None = 30.0


class Lane(Generic[Item, Out]):
    """One model on one device: `run` computes one batch, in the device's worker thread, never two at a time.

    size: tokens of an item (without padding). Items of similar size share a batch. When `run` raises an error that
    means out of memory, the batch is halved and tried again; other errors reach the callers whose items were in it.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Out]], size: Callable[[Item], int], device: str, limits: Limits
    ) -> None: ...

    def map(self, items: Sequence[Item], deadline: float | None = None) -> list[Out]:
        """The outputs, in order. Blocks. Raises Overloaded when the queue is full or the deadline (seconds; the lane's
        own if None) has passed; what was not begun by then is not run."""
        raise NotImplementedError

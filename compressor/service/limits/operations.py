"""What is asked of counters that several processes share, and the protocol of the servers and files that hold them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from compressor.service.limits.counter_state import CounterState
from compressor.service.limits.limit import Booking, Demand
from compressor.storage.circuit_breaker import StoreUnavailableError

WORKER_TTL = 30.0  # seconds that a process counts as one of those that share the counters


@dataclass(slots=True)
class Operation:
    """One step for the counters of a tenant.

    Attributes:
        tenant: The name of the tenant.
        result: Receives the outcome; None if nobody waits for it.
    """

    tenant: str
    result: asyncio.Future[Any] | None = field(default=None, kw_only=True)

    @property
    def is_abandoned(self) -> bool:
        """Whether somebody waited for the outcome and has stopped waiting."""
        return self.result is not None and self.result.done()


@dataclass(slots=True)
class Admit(Operation):
    """Admits a request or refuses it: a `Verdict`."""

    demand: Demand


@dataclass(slots=True)
class Settle(Operation):
    """Gives a place back ("" for none), and corrects what was used: True."""

    place: str
    bookings: Sequence[Booking]


@dataclass(slots=True)
class Renew(Operation):
    """Keeps the places of a process: the number of processes that have done so lately."""

    places: Sequence[str]
    worker: str


@dataclass(slots=True)
class Read(Operation):
    """Reads the counts: a `CounterState` and its time."""


@dataclass(slots=True)
class Reset(Operation):
    """Forgets what was used of some limits: True."""

    names: Sequence[str]


class UnknownOutcomeError(StoreUnavailableError):
    """The backend did not answer in time, and probably executes the operations when it can."""


class Backend(Protocol):
    """A server or file that holds the counters of all tenants. Used by one thread."""

    def execute(self, batch: Sequence[Operation]) -> list[Any]:
        """Executes operations in order, and returns their outcomes.

        Raises:
            UnknownOutcomeError: It did not answer in time.
            StoreUnavailableError: It cannot be used now for another reason.
        """

    def close(self) -> None:
        """Closes the connection."""


def apply(operation: Operation, state: CounterState, now: float) -> Any:
    """Executes an operation on counts that are at hand."""
    if isinstance(operation, Admit):
        return state.admit(operation.demand, now)
    if isinstance(operation, Settle):
        state.release(operation.place)
        for booking in operation.bookings:
            state.book(booking, now)
        return True
    if isinstance(operation, Renew):
        state.renew(operation.places, now)
        return state.note_worker(operation.worker, WORKER_TTL, now)
    if isinstance(operation, Reset):
        state.reset(operation.names)
        return True
    return CounterState.load(state.dump()), now

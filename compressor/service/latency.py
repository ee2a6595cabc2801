"""Bounds the time that compression adds to a request, and keeps work that comes too late for the next request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from compressor.service.http_errors import HttpError
from compressor.service.tenant_executor import Delivery
from compressor.service.work_rate import WorkRate

#: How many times the time that is left an estimate must be for the work not to be waited for.
CLEARLY = 1.5
_BACKGROUND = threading.BoundedSemaphore(1)  # bodies that nobody waits for, in this process: they share its cores


def make_delivery(max_added_latency: float) -> Delivery:
    """Returns the delivery of a request that may be delayed so long (0: as long as the executor allows)."""

    def late() -> HttpError:
        message = f"Compression took longer than {max_added_latency:g} s (max_added_latency): repeat the request"
        return HttpError(504, "latency_exceeded", message, {"retry-after": "5"})

    return Delivery(max_added_latency, late) if max_added_latency > 0 else Delivery()


def check_size(rate: WorkRate, size: int, delivery: Delivery) -> None:
    """Lets a request go on without compression if that can clearly not be done in time.

    Then the work is done in the background, so that the next request of the conversation benefits, if no other body is
    worked on in this way.

    Args:
        rate: How fast this process works.
        size: The new bytes of the body.
        delivery: The request's delivery.

    Raises:
        HttpError: There is no room in the background.
    """
    remaining, needed = delivery.remaining, rate.estimate(max(0, size))
    if remaining is None or needed is None or needed <= CLEARLY * remaining or delivery.holds_background:
        return
    message = (
        f"Compressing {size:,} new bytes would take about {needed:.0f} s, "
        f"and {remaining:.1f} s are left of max_added_latency"
    )
    error = HttpError(503, "too_large_for_latency", message, {"retry-after": "30"})
    if not _BACKGROUND.acquire(blocking=False):
        raise error
    delivery.holds_background = True
    if not delivery.decline(error):
        release(delivery)
        raise error


@contextmanager
def working_in_background(delivery: Delivery) -> Iterator[None]:
    """Frees the room in the background at the end, if `check_size` has taken it."""
    try:
        yield
    finally:
        release(delivery)


def release(delivery: Delivery) -> None:
    """Frees the room in the background, once."""
    if delivery.holds_background:
        delivery.holds_background = False
        _BACKGROUND.release()

"""The limits of a tenant as the settings give them, and what one request asks of them.

All amounts are integers: requests, tokens, and billionths of a dollar, so that sums are exact everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from compressor.service.tenant_settings import TenantSettings

Kind = Literal["requests", "tokens", "dollars"]
Window = Literal["minute", "day"]
PLACES = "max_concurrent_requests"
OPEN_REQUESTS, OPEN_BYTES = "max_open_requests", "max_open_bytes"
NANODOLLARS = 10**9  # in a dollar
#: Settings that limit a sum over a window. Each is named KIND_per_WINDOW.
WINDOW_LIMITS = ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "dollars_per_minute", "dollars_per_day")
#: Seconds of a bucket, and how many buckets a window has. A day is one bucket, so that it ends at midnight UTC.
BUCKETS: dict[str, tuple[int, int]] = {"minute": (1, 60), "day": (86_400, 1)}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of what may be used in a window.

    Attributes:
        name: The name of the setting.
        amount: How much may be used: requests, tokens, or billionths of a dollar.
    """

    name: str
    amount: int

    @property
    def kind(self) -> Kind:
        """What is limited."""
        return self.name.partition("_per_")[0]  # type: ignore[return-value]

    @property
    def window(self) -> Window:
        """The time over which the limit holds."""
        return self.name.partition("_per_")[2]  # type: ignore[return-value]

    @property
    def shown_amount(self) -> float:
        """The amount as the setting has it."""
        return self.to_shown(self.amount)

    def to_shown(self, amount: int) -> float:
        """Returns an amount in the unit of the setting."""
        return amount / NANODOLLARS if self.kind == "dollars" else amount

    def divided(self, parts: int) -> Limit:
        """Returns the share of one of several processes, rounded up."""
        return replace(self, amount=-(-self.amount // parts))


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks for.

    Attributes:
        costs: The limits that it counts against, and what it adds to each.
        place: The id of the place that it takes among the tenant's concurrent requests; "" for none.
        max_places: How many such places there are.
    """

    costs: tuple[tuple[Limit, int], ...] = ()
    place: str = ""
    max_places: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a demand.

    Attributes:
        refused_by: The name of the limit that refused it; "" if it was admitted.
        retry_after: Seconds until that limit has room.
        time: The time of the counters, in seconds since 1970.
        is_local: Whether this process decided alone, because the shared counters did not answer.
    """

    refused_by: str = ""
    retry_after: float = 0.0
    time: float = 0.0
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    """A correction of what was used.

    Attributes:
        name: The name of the limit.
        window: Its window.
        time: When the request was admitted, by the counters' clock.
        amount: What to add; negative if less was used than was reserved.
    """

    name: str
    window: Window
    time: float
    amount: int

    @property
    def bucket(self) -> int:
        """The number of the bucket that it belongs to."""
        return int(self.time // BUCKETS[self.window][0])


def configured_limits(config: TenantSettings) -> tuple[Limit, ...]:
    """Returns the limits that hold for a tenant; settings of 0 are no limits."""
    found = ((name, getattr(config, name)) for name in WINDOW_LIMITS)
    return tuple(
        Limit(name, math.ceil(value * NANODOLLARS) if name.startswith("dollars") else value)
        for name, value in found
        if value
    )

"""Admits the requests of one tenant within its limits, and books what they cost.

    open (is there room in this process?) -> body -> admit (do the limits have room?) -> work -> answer -> settle

A request is admitted by what was used before it, and reserves an estimate: the tokens of its body, by what earlier
bodies came to. When it is over, the estimate is replaced by what was really used. So a limit can be passed by the
cost of one request, but not by those of all that arrive at once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from compressor.service.limits.limit import (
    OPEN_BYTES,
    OPEN_REQUESTS,
    PLACES,
    WINDOW_LIMITS,
    Booking,
    Demand,
    Limit,
    Verdict,
    configured_limits,
)
from compressor.service.limits.local_counters import Counters
from compressor.service.limits.rejection import RateLimitedError
from compressor.service.limits.request_cost import RequestCost, find_model, price_tokens
from compressor.service.tenant_settings import TenantSettings

MAX_MISSES_PER_MINUTE = 60  # lookups of unknown refs by one tenant; more of them are guesses
TOKENS_PER_BYTE = 0.25  # of a body, before anything is known
_LEARNING_RATE = 0.2  # weight of the newest request in the tokens per byte
_RETRY_AFTER = 1.0  # seconds, where nobody knows when there is room
_MIN_PAUSE, _MAX_PAUSE = 0.005, 0.1  # seconds between attempts to get a place


class RateLimiter:
    """Limits the requests of one tenant. For one event loop.

    Args:
        config: The tenant's settings.
        counters: Where its requests are counted.
        clock: Returns the time in seconds, for lookups of unknown refs.

    Attributes:
        in_flight: The requests that are open in this process.
        open_bytes: The size of their bodies.
    """

    def __init__(self, config: TenantSettings, counters: Counters, clock: Callable[[], float] = time.monotonic) -> None:
        self._config, self._counters, self._clock = config, counters, clock
        self._limits = configured_limits(config)
        self._misses_left, self._misses_refilled = float(MAX_MISSES_PER_MINUTE), clock()
        self._tokens_per_byte: dict[str, float] = {}
        self._turn, self._released = asyncio.Lock(), asyncio.Event()
        self.in_flight = self.open_bytes = 0

    def reconfigure(self, config: TenantSettings) -> None:
        """Applies other limits from the next request on; what was used in their windows still counts."""
        self._config, self._limits = config, configured_limits(config)

    def open_request(self, size: int = 0) -> Admission:
        """Opens a request. Use the result as a context manager.

        Args:
            size: How many bytes its body may have, before it is read.

        Raises:
            RateLimitedError: Too many requests, or too large ones, are open in this process.
        """
        config = self._config
        if self.in_flight >= config.max_open_requests:
            message = f"Too many open requests (limit: {config.max_open_requests})"
            raise RateLimitedError(OPEN_REQUESTS, message, _RETRY_AFTER)
        if self.open_bytes and self.open_bytes + size > config.max_open_bytes:
            message = f"The bodies of the open requests are too large (limit: {config.max_open_bytes} bytes together)"
            raise RateLimitedError(OPEN_BYTES, message, _RETRY_AFTER)
        return Admission(self, size)

    async def usage(self) -> list[dict[str, Any]]:
        """Returns what was used of each limit that is set, by all processes that share the counters.

        Returns:
            For each limit: `limit`, the name of the setting; `amount`, what it allows; `used` and `left`; and `resets`,
            the seconds until nothing of what was used counts any more.
        """
        state, now = await self._counters.read()
        out = []
        for limit in self._limits:
            used = limit.to_shown(state.used(limit, now))
            resets = round(state.resets(limit, now), 3)
            out.append(_usage(limit.name, limit.shown_amount, used, resets))
        if places := self._config.max_concurrent_requests:
            out.append(_usage(PLACES, places, state.count_places(now), 0.0))
        return out

    async def reset(self) -> None:
        """Forgets what was used of all limits.

        Raises:
            StoreError: The shared counters do not answer.
        """
        self._misses_left = float(MAX_MISSES_PER_MINUTE)
        await self._counters.reset(WINDOW_LIMITS)

    def check_ref_lookups(self) -> None:
        """Admits a lookup of a ref. Counted by this process alone.

        Raises:
            RateLimitedError: Too many recent lookups were of unknown refs.
        """
        now = self._clock()
        refilled = (now - self._misses_refilled) * MAX_MISSES_PER_MINUTE / 60
        self._misses_left = min(MAX_MISSES_PER_MINUTE, self._misses_left + refilled)
        self._misses_refilled = now
        if self._misses_left < 1:
            message = f"Too many lookups of unknown refs (limit: {MAX_MISSES_PER_MINUTE} per minute)"
            raise RateLimitedError(
                "unknown_refs_per_minute", message, (1 - self._misses_left) * 60 / MAX_MISSES_PER_MINUTE
            )

    def record_miss(self) -> None:
        """Counts a lookup of an unknown ref."""
        self._misses_left -= 1

    def estimate(self, kind: str, size: int) -> int:
        """Returns the tokens that a body of this size will probably use."""
        return round(size * self._tokens_per_byte.get(kind, TOKENS_PER_BYTE))

    def learn(self, kind: str, size: int, tokens: int) -> None:
        """Takes note of the tokens that a body used."""
        if size:
            known = self._tokens_per_byte.get(kind)
            newest = min(1.0, tokens / size)
            self._tokens_per_byte[kind] = newest if known is None else known + _LEARNING_RATE * (newest - known)

    async def _admit(self, demand: Demand) -> Verdict:
        """Asks the counters, and waits a while for a place if that is all that is missing."""
        if not demand.costs and not demand.place:
            return Verdict()
        if not demand.place:
            return await self._counters.admit(demand)
        verdict = Verdict(PLACES, 1.0)
        if not self._turn.locked():  # nobody is waiting
            verdict = await self._counters.admit(demand)
        if verdict.refused_by != PLACES or not self._config.max_queue_seconds:
            return verdict
        deadline = time.monotonic() + self._config.max_queue_seconds
        try:
            await asyncio.wait_for(self._turn.acquire(), self._config.max_queue_seconds)
        except asyncio.TimeoutError:
            return verdict
        try:
            return await self._wait_for_place(demand, deadline)
        finally:
            self._turn.release()

    async def _wait_for_place(self, demand: Demand, deadline: float) -> Verdict:
        pause = _MIN_PAUSE
        while True:
            self._released.clear()
            verdict = await self._counters.admit(demand)
            left = deadline - time.monotonic()
            if verdict.refused_by != PLACES or left <= 0:
                return verdict
            try:
                await asyncio.wait_for(self._released.wait(), min(pause, left))
            except asyncio.TimeoutError:
                pause = min(_MAX_PAUSE, 2 * pause)


class Admission:
    """One request of a tenant, from its first byte to its last. A context manager.

    Attributes:
        is_local: Whether this process has decided alone, because the shared counters did not answer.
        counts_cost: Whether a limit of tokens or dollars holds for it.
    """

    def __init__(self, limiter: RateLimiter, size: int) -> None:
        self._limiter, self._open_bytes = limiter, size
        self._limits: tuple[Limit, ...] = ()
        self._reserved = RequestCost()
        self._cost: RequestCost | None = None
        self._time, self._place = 0.0, ""
        self._kind, self._size = "", 0
        self.is_local = self.counts_cost = False

    def __enter__(self) -> Admission:
        self._limiter.in_flight += 1
        self._limiter.open_bytes += self._open_bytes
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limiter.in_flight -= 1
        self._limiter.open_bytes -= self._open_bytes
        self._finish()

    async def admit(self, body: bytes = b"", kind: str = "") -> None:
        """Admits the request, and reserves what it will probably use.

        Args:
            body: The body of the request.
            kind: What sort of work it is, such as "proxy", if it uses tokens; "" if not. Requests of one kind are
                estimated alike.

        Raises:
            RateLimitedError: A limit has no room.
        """
        limiter, config = self._limiter, self._limiter._config
        limits = limiter._limits
        self._kind, self._size = kind, len(body)
        limiter.open_bytes += len(body) - self._open_bytes
        self._open_bytes = len(body)
        self.counts_cost = bool(kind) and any(limit.kind != "requests" for limit in limits)
        if self.counts_cost:
            model = find_model(body) if any(limit.kind == "dollars" for limit in limits) else None
            self._reserved = price_tokens(limiter.estimate(kind, len(body)), 0, model)
        place = secrets.token_hex(8) if config.max_concurrent_requests else ""
        costs = tuple((limit, self._reserved.amount(limit)) for limit in limits)
        verdict = await limiter._admit(Demand(costs, place, config.max_concurrent_requests))
        self.is_local = verdict.is_local
        if verdict.refused_by:
            raise _rejection(verdict, config)
        self._limits, self._time, self._place = limits, verdict.time, place

    @property
    def reserved_tokens(self) -> int:
        """The tokens that the request has reserved."""
        return self._reserved.tokens

    def release_place(self) -> None:
        """Gives the place among the concurrent requests back, because our own work is over."""
        if self._place:
            self._limiter._counters.settle(self._place, ())
            self._place = ""
            self._limiter._released.set()

    def settle(self, cost: RequestCost) -> None:
        """Notes what the request has really used. It is booked at the end of the request."""
        self._cost = cost

    def _finish(self) -> None:
        cost = self._cost if self._cost is not None else RequestCost()
        bookings: list[Booking] = []
        if self.counts_cost and self._limits:
            for limit in self._limits:
                change = cost.amount(limit) - self._reserved.amount(limit)
                if limit.kind != "requests" and change:
                    bookings.append(Booking(limit.name, limit.window, self._time, change))
            if cost.tokens:
                self._limiter.learn(self._kind, self._size, cost.tokens)
        place, self._place = self._place, ""
        if place or bookings:
            self._limiter._counters.settle(place, bookings)
        if place:
            self._limiter._released.set()


def _usage(name: str, amount: float, used: float, resets: float) -> dict[str, Any]:
    return {"limit": name, "amount": amount, "used": used, "left": max(0, amount - used), "resets": resets}


def _rejection(verdict: Verdict, config: TenantSettings) -> RateLimitedError:
    name = verdict.refused_by
    amount = getattr(config, name)
    if name == PLACES:
        message = f"Too many concurrent requests (limit: {amount})"
    else:
        what, _, window = name.partition("_per_")
        shown = f"${amount:g}" if what == "dollars" else f"{amount:,} {what}"
        message = f"This tenant's limit of {shown} per {window} is used up (setting {name})"
    return RateLimitedError(name, message, verdict.retry_after)

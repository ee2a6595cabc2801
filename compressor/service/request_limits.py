"""How much a client may ask for: bytes, nesting, requests at a time and a minute. Knows no routes and no content."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

from compressor.service.http_errors import HttpError

Receive = Callable[[], Awaitable[Any]]
Headers = Iterable[tuple[bytes, bytes]]
MAX_MISSES_PER_MINUTE = 60  # a minute: refs that a tenant may ask for and that there are not; more are guesses


async def read_body(receive: Receive, headers: Headers, max_bytes: int, timeout: float) -> bytes:
    """The whole body of a request. Refused: 413 beyond `most` bytes, 408 after `seconds`, 400 for one cut short."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > max_bytes:
            raise _too_large(max_bytes)
    try:
        return await asyncio.wait_for(_read(receive, max_bytes), timeout)
    except asyncio.TimeoutError:
        raise HttpError(408, "timeout", f"the body did not arrive within {timeout:g} s") from None


def reject_ambiguous_length(headers: Headers) -> None:
    """Refused (400) for a body whose length is told in two ways: what stands in front of us may read the other one, and
    take the rest for somebody's next request (RFC 9112, 6.1)."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
        raise HttpError(
            400, "ambiguous_length", "content-length or transfer-encoding, not both", {"connection": "close"}
        )


def reject_encoded_body(headers: Headers) -> None:
    """Refused (415) for a body that is packed: how much comes out of it nobody can know before."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise HttpError(415, "encoded_body", "send the body as it is, without a content-encoding")


async def _read(receive: Receive, most: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpError(400, "disconnected", "the body was cut short")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(most: int) -> HttpError:
    # The rest of the body is not read: the connection is of no further use.
    return HttpError(413, "too_large", f"a body may have {most} bytes", {"connection": "close"})


def parse(body: bytes, depth: int) -> Any:
    """A body as JSON data. Refused (400) for what is no JSON, for NaN and infinity, and for what is nested deeper than
    `depth`."""
    try:
        data = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise _too_deep(depth) from None
    except ValueError as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise HttpError(400, "invalid_json", f"the body is no JSON{where}") from None
    check_depth(data, depth)
    return data


def check_depth(data: Any, depth: int, shown_depth: int | None = None) -> None:
    """Refused (400) for JSON data nested deeper than `depth`; the error says `told`, if given."""
    level: list[Any] = [data] if isinstance(data, (dict, list)) else []
    for _ in range(depth):
        if not level:
            return
        inside = (item.values() if isinstance(item, dict) else item for item in level)
        level = [value for values in inside for value in values if isinstance(value, (dict, list))]
    if level:
        raise _too_deep(depth if shown_depth is None else shown_depth)


def _too_deep(depth: int) -> HttpError:
    return HttpError(400, "too_deep", f"the body's JSON may be nested {depth} deep")


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


class RateLimiter:
    """Counts a tenant's requests. For one event loop.

    concurrency: at a time. rate: a minute, 0: any; they may come all at once, then they have to wait.
    """

    def __init__(self, concurrency: int, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._rate, self._clock = concurrency, rate, clock
        self._left, self._at = float(rate), clock()
        self._misses, self._missed = float(MAX_MISSES_PER_MINUTE), clock()
        self.in_flight = 0

    def acquire(self) -> None:
        """Lets one in. Refused (429) if it is too many."""
        if self.in_flight >= self._most:
            raise _too_many(f"{self._most} requests at a time", 1.0)
        if self._rate:
            now = self._clock()
            self._left = min(self._rate, self._left + (now - self._at) * self._rate / 60)
            self._at = now
            if self._left < 1:
                raise _too_many(f"{self._rate:g} requests a minute", (1 - self._left) * 60 / self._rate)
            self._left -= 1
        self.in_flight += 1

    def check_ref_lookups(self) -> None:
        """Lets one in that asks for a ref. Refused (429) if too many of late were for none."""
        now = self._clock()
        self._misses = min(MAX_MISSES_PER_MINUTE, self._misses + (now - self._missed) * MAX_MISSES_PER_MINUTE / 60)
        self._missed = now
        if self._misses < 1:
            raise _too_many(
                f"{MAX_MISSES_PER_MINUTE} requests a minute for refs that there are not", 60 / MAX_MISSES_PER_MINUTE
            )

    def record_miss(self) -> None:
        """There was no such ref."""
        self._misses -= 1

    def release(self) -> None:
        """One that was let in is gone."""
        self.in_flight -= 1


def _too_many(what: str, wait: float) -> HttpError:
    return HttpError(429, "too_many_requests", f"a tenant may make {what}", {"retry-after": str(max(1, round(wait)))})

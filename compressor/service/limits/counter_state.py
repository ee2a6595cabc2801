"""Counts what one tenant uses, in plain dictionaries: a sliding window of seconds, days by UTC date, and places.

A minute is a sliding window of 60 buckets of one second: what was used in a second counts until the same moment of
that second a minute later, so a limit holds in every minute, also over the edge of a clock minute, and the time until
there is room again is known exactly. A day is one bucket.

The Lua scripts do the same in Redis; the tests compare both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compressor.service.limits.limit import BUCKETS, PLACES, Booking, Demand, Limit, Verdict, Window

LEASE = 10.0  # seconds until a place is free again whose process has not renewed it
PLACE_WAIT = 1.0  # seconds after which to retry for a place: nobody knows when one will be free


class CounterState:
    """The counts of one tenant. Every method gets the time, in seconds since 1970.

    Attributes:
        buckets: What was used, by the limit's name and the number of the bucket.
        places: When each place that is held becomes free unless it is renewed.
        workers: When each process that uses these counters is forgotten unless it shows up again.
    """

    def __init__(
        self,
        buckets: Mapping[str, Mapping[int, int]] | None = None,
        places: Mapping[str, float] | None = None,
        workers: Mapping[str, float] | None = None,
    ) -> None:
        self.buckets = {name: dict(counts) for name, counts in (buckets or {}).items()}
        self.places, self.workers = dict(places or {}), dict(workers or {})

    def admit(self, demand: Demand, now: float) -> Verdict:
        """Admits a request if every limit has room now, and then adds its costs and takes its place.

        A limit has room while less is used than it allows, however much this request costs.
        """
        for limit, _ in demand.costs:
            if (wait := self.wait(limit, now)) > 0:
                return Verdict(limit.name, wait, now)
        if demand.place:
            self._drop_expired(now)
            if len(self.places) >= demand.max_places and demand.place not in self.places:
                return Verdict(PLACES, PLACE_WAIT, now)
            self.places[demand.place] = now + LEASE
        self.add(demand, now)
        return Verdict(time=now)

    def add(self, demand: Demand, now: float) -> None:
        """Adds the costs of a request that was admitted."""
        for limit, cost in demand.costs:
            self.book(Booking(limit.name, limit.window, now, cost), now)

    def book(self, booking: Booking, now: float) -> None:
        """Corrects what was used, in the bucket of the time when the request was admitted."""
        live = self._live(booking.name, booking.window, now)
        bucket = booking.bucket
        if bucket > _first(booking.window, now) - 1 and (booking.amount > 0 or bucket in live):
            live[bucket] = max(0, live.get(bucket, 0) + booking.amount)

    def release(self, place: str) -> None:
        """Gives a place back."""
        self.places.pop(place, None)

    def renew(self, places: Iterable[str], now: float) -> None:
        """Keeps places for another `LEASE` seconds."""
        self.places |= dict.fromkeys(places, now + LEASE)

    def note_worker(self, worker: str, seconds: float, now: float) -> int:
        """Takes note that a process uses these counters; returns how many have done so lately."""
        self.workers[worker] = now + seconds
        self._drop_expired(now)
        return len(self.workers)

    def used(self, limit: Limit, now: float) -> int:
        """Returns what was used of a limit in its window."""
        return sum(self._live(limit.name, limit.window, now).values())

    def count_places(self, now: float) -> int:
        """Returns how many places are held."""
        self._drop_expired(now)
        return len(self.places)

    def wait(self, limit: Limit, now: float) -> float:
        """Returns the seconds until a limit has room, 0 if it has room now."""
        live = self._live(limit.name, limit.window, now)
        excess = sum(live.values()) - limit.amount
        if excess < 0:
            return 0.0
        seconds, count = BUCKETS[limit.window]
        for bucket in sorted(live):
            excess -= live[bucket]
            if excess < 0:
                return (bucket + count) * seconds - now
        return 0.0

    def resets(self, limit: Limit, now: float) -> float:
        """Returns the seconds until nothing of what was used counts any more."""
        seconds, count = BUCKETS[limit.window]
        used = [bucket for bucket, amount in self._live(limit.name, limit.window, now).items() if amount]
        return (max(used) + count) * seconds - now if used else 0.0

    def reset(self, names: Sequence[str]) -> None:
        """Forgets what was used of some limits. Places stay: they are held by requests that run."""
        for name in names:
            self.buckets.pop(name, None)

    def dump(self) -> dict[str, Any]:
        """Returns the counts as JSON data, for `load`."""
        buckets = {name: [*counts.items()] for name, counts in self.buckets.items() if counts}
        return {"buckets": buckets, "places": self.places, "workers": self.workers}

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> CounterState:
        """Makes the counts of what `dump` returned."""
        return cls({name: dict(pairs) for name, pairs in data["buckets"].items()}, data["places"], data["workers"])

    def _live(self, name: str, window: Window, now: float) -> dict[int, int]:
        """Returns the buckets of a limit after those that no longer count were removed."""
        counts = self.buckets.setdefault(name, {})
        first = _first(window, now)
        for bucket in [bucket for bucket in counts if bucket < first]:
            del counts[bucket]
        return counts

    def _drop_expired(self, now: float) -> None:
        for expiries in (self.places, self.workers):
            for key in [key for key, expiry in expiries.items() if expiry <= now]:
                del expiries[key]


def _first(window: Window, now: float) -> int:
    """Returns the number of the oldest bucket that counts."""
    seconds, count = BUCKETS[window]
    return int(now // seconds) - count + 1

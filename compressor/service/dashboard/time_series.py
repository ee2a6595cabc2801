"""What happened over time, as data: numbers by the minute and by the hour, and an account of each session. Adds and
forgets; reads no clock, keeps nothing.

A row of numbers is a list: `FIELDS`, then how many calls took how long (`metrics.SECONDS`, and one for longer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.service.telemetry.metrics import DURATION_BUCKETS

FIELDS = ("calls", "before", "after", "saved", "hits", "coalesced", "misses", "fallbacks", "expansions")
WIDTH = len(FIELDS) + len(DURATION_BUCKETS) + 1
MINUTES = 24 * 60  # that are kept,
HOURS = 30 * 24  # and hours
SESSIONS = 200  # those used last
#: Of a session what adds up; the rest of its account is as whoever served it last has it.
_SUMS = ("calls", "before", "after", "saved")

Row = list[float]
SessionUsage = dict[str, Any]


@dataclass
class TimeSeries:
    """Rows by minute and hour since the epoch, sessions' accounts by id."""

    minutes: dict[int, Row] = field(default_factory=dict)
    hours: dict[int, Row] = field(default_factory=dict)
    sessions: dict[str, SessionUsage] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.minutes or self.hours or self.sessions)

    def row(self, minute: int) -> Row:
        """The row of a minute, to add to. For a book of single minutes: hours are made by `add`."""
        return self.minutes.setdefault(minute, [0.0] * WIDTH)

    def session(self, id: str, at: float) -> SessionUsage:
        """The account of a session that is used at a time, to add to."""
        found = self.sessions.setdefault(id, {"started": at, "last": at, **dict.fromkeys(_SUMS, 0)})
        found["last"] = max(found["last"], at)
        return found

    def add(self, other: TimeSeries) -> None:
        """Adds what another book has by the minute and of sessions; its minutes count for their hours, too."""
        for minute, row in other.minutes.items():
            _add(self.minutes, minute, row)
            _add(self.hours, minute // 60, row)
        for id, new in other.sessions.items():
            old = self.sessions.get(id)
            if old is None:
                self.sessions[id] = dict(new)
                continue
            sums = {name: old[name] + new[name] for name in _SUMS}
            newest = {**old, **new} if new["last"] >= old["last"] else {**new, **old}
            ends = {"started": min(old["started"], new["started"]), "last": max(old["last"], new["last"])}
            self.sessions[id] = {**newest, **sums, **ends}

    def prune(self, now: float) -> None:
        """Drops what is too old to be kept, and sessions beyond the most."""
        first = int(now // 60) - MINUTES
        self.minutes = {minute: row for minute, row in self.minutes.items() if minute > first}
        first = int(now // 3600) - HOURS
        self.hours = {hour: row for hour, row in self.hours.items() if hour > first}
        if len(self.sessions) > SESSIONS:
            newest = sorted(self.sessions.items(), key=lambda item: item[1]["last"], reverse=True)[:SESSIONS]
            self.sessions = dict(newest)

    def copy(self) -> TimeSeries:
        """Another of the same content, to write to."""
        return TimeSeries(
            {minute: list(row) for minute, row in self.minutes.items()},
            {hour: list(row) for hour, row in self.hours.items()},
            {id: dict(account) for id, account in self.sessions.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """JSON data; rows without their zeros at the end."""
        return {
            "minutes": [[minute, *_short(row)] for minute, row in self.minutes.items()],
            "hours": [[hour, *_short(row)] for hour, row in self.hours.items()],
            "sessions": self.sessions,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TimeSeries:
        """The book again. KeyError, TypeError or ValueError for what is none."""
        return cls(
            {int(at): _long(row) for at, *row in data["minutes"]},
            {int(at): _long(row) for at, *row in data["hours"]},
            {str(id): {**account} for id, account in data["sessions"].items()},
        )

    def series(self, now: float, seconds: int, step: int) -> list[dict[str, Any]]:
        """Points of `step` seconds up to now, oldest first, that cover so many seconds. Steps of less than an hour are
        made of minutes."""
        unit, rows = (60, self.minutes) if step < 3600 else (3600, self.hours)
        last = int(now // step)
        sums: dict[int, Row] = {}
        for at, row in rows.items():
            if last - seconds // step < (point := at * unit // step) <= last:
                _add(sums, point, row)
        blank = [0.0] * WIDTH
        points = range(last - seconds // step + 1, last + 1)
        return [{"at": point * step, **named_values(sums.get(point, blank))} for point in points]

    def total(self, now: float, seconds: int, step: int) -> dict[str, Any]:
        """The sum of a series."""
        unit, rows = (60, self.minutes) if step < 3600 else (3600, self.hours)
        last = int(now // step)
        out = [0.0] * WIDTH
        for at, row in rows.items():
            if last - seconds // step < at * unit // step <= last:
                out = [a + b for a, b in zip(out, row, strict=True)]
        return named_values(out)


def duration_column(seconds: float) -> int:
    """Where in a row a call is counted that took so long."""
    return len(FIELDS) + next((i for i, most in enumerate(DURATION_BUCKETS) if seconds <= most), len(DURATION_BUCKETS))


def named_values(row: Row) -> dict[str, Any]:
    """A row by names, with the quantiles of how long calls took, in seconds: None where there were none."""
    out: dict[str, Any] = {
        name: round(value, 8) if name == "saved" else int(value) for name, value in zip(FIELDS, row, strict=False)
    }
    counts = row[len(FIELDS) :]
    return out | {f"p{share}": quantile(counts, share / 100) for share in (50, 95, 99)}


def quantile(counts: Sequence[float], fraction: float) -> float | None:
    """Seconds that `share` of the calls took at most, by their counts in `SECONDS`, taken to lie evenly within each."""
    total = sum(counts)
    if not total:
        return None
    left = fraction * total
    for i, count in enumerate(counts):
        if count and left <= count:
            if i == len(DURATION_BUCKETS):
                break
            low = DURATION_BUCKETS[i - 1] if i else 0.0
            return round(low + (DURATION_BUCKETS[i] - low) * left / count, 6)
        left -= count
    return float(DURATION_BUCKETS[-1])


def _add(rows: dict[int, Row], at: int, row: Row) -> None:
    old = rows.get(at)
    rows[at] = list(row) if old is None else [a + b for a, b in zip(old, row, strict=True)]


def _short(row: Row) -> Row:
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return [int(value) if value == int(value) else round(value, 9) for value in row[:end]]


def _long(row: Sequence[float]) -> Row:
    return [float(value) for value in row[:WIDTH]] + [0.0] * (WIDTH - len(row))

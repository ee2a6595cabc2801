"""Usage over time: counts by minute and by hour, and sums for each session.

A row of counts is a list: `FIELDS`, then a histogram of durations (`metrics.DURATION_BUCKETS` and a last one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.service.telemetry.metrics import DURATION_BUCKETS

FIELDS = ("calls", "before", "after", "saved", "hits", "coalesced", "misses", "fallbacks", "expansions")
WIDTH = len(FIELDS) + len(DURATION_BUCKETS) + 1
MAX_MINUTES = 24 * 60
MAX_HOURS = 30 * 24
MAX_SESSIONS = 10_000  # those used last are kept, for `MAX_HOURS`
#: Values of a session that are added up. The others are those of the worker that served it last.
_SUMS = ("calls", "before", "after", "saved")

Row = list[float]
SessionUsage = dict[str, Any]


@dataclass
class TimeSeries:
    """Counts over time.

    Attributes:
        minutes: Rows by minute since the epoch.
        hours: Rows by hour since the epoch.
        sessions: The usage of each session, by id.
    """

    minutes: dict[int, Row] = field(default_factory=dict)
    hours: dict[int, Row] = field(default_factory=dict)
    sessions: dict[str, SessionUsage] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.minutes or self.hours or self.sessions)

    def row(self, minute: int) -> Row:
        """Returns the row of a minute, to add to. Hours are filled by `add`."""
        return self.minutes.setdefault(minute, [0.0] * WIDTH)

    def session(self, id: str, time: float) -> SessionUsage:
        """Returns the usage of a session that is active at a time, to add to."""
        found = self.sessions.setdefault(id, {"started": time, "last": time, **dict.fromkeys(_SUMS, 0)})
        found["last"] = max(found["last"], time)
        return found

    def add(self, other: TimeSeries) -> None:
        """Adds the minutes and sessions of another series; its minutes are also added to their hours."""
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
        """Removes rows and sessions that are too old, and the oldest sessions beyond the limit."""
        self.sessions = {id: one for id, one in self.sessions.items() if one["last"] > now - 3600 * MAX_HOURS}
        first = int(now // 60) - MAX_MINUTES
        self.minutes = {minute: row for minute, row in self.minutes.items() if minute > first}
        first = int(now // 3600) - MAX_HOURS
        self.hours = {hour: row for hour, row in self.hours.items() if hour > first}
        if len(self.sessions) > MAX_SESSIONS:
            newest = sorted(self.sessions.items(), key=lambda item: item[1]["last"], reverse=True)[:MAX_SESSIONS]
            self.sessions = dict(newest)

    def copy(self) -> TimeSeries:
        """Returns a copy that can be changed."""
        return TimeSeries(
            {minute: list(row) for minute, row in self.minutes.items()},
            {hour: list(row) for hour, row in self.hours.items()},
            {id: dict(usage) for id, usage in self.sessions.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data. Rows are stored without trailing zeros."""
        return {
            "minutes": [[minute, *_trim(row)] for minute, row in self.minutes.items()],
            "hours": [[hour, *_trim(row)] for hour, row in self.hours.items()],
            "sessions": self.sessions,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TimeSeries:
        """Returns the series of JSON data.

        Raises:
            KeyError, TypeError, ValueError: The data is not valid.
        """
        return cls(
            {int(at): _pad(row) for at, *row in data["minutes"]},
            {int(at): _pad(row) for at, *row in data["hours"]},
            {str(id): {**usage} for id, usage in data["sessions"].items()},
        )

    def series(self, now: float, seconds: int, step: int) -> list[dict[str, Any]]:
        """Returns the points of a chart, the oldest first.

        Args:
            now: The time of the last point.
            seconds: How much time the points cover.
            step: Seconds between two points. Steps of less than an hour are summed from minutes.
        """
        unit, rows = (60, self.minutes) if step < 3600 else (3600, self.hours)
        last = int(now // step)
        sums: dict[int, Row] = {}
        for at, row in rows.items():
            if last - seconds // step < (point := at * unit // step) <= last:
                _add(sums, point, row)
        empty = [0.0] * WIDTH
        points = range(last - seconds // step + 1, last + 1)
        return [{"time": point * step, **named_values(sums.get(point, empty))} for point in points]

    def total(self, now: float, seconds: int, step: int) -> dict[str, Any]:
        """Returns the sum of the points that `series` returns."""
        unit, rows = (60, self.minutes) if step < 3600 else (3600, self.hours)
        last = int(now // step)
        out = [0.0] * WIDTH
        for at, row in rows.items():
            if last - seconds // step < at * unit // step <= last:
                out = [a + b for a, b in zip(out, row, strict=True)]
        return named_values(out)


def duration_column(seconds: float) -> int:
    """Returns the column that counts calls of this duration."""
    return len(FIELDS) + next(
        (i for i, limit in enumerate(DURATION_BUCKETS) if seconds <= limit), len(DURATION_BUCKETS)
    )


def named_values(row: Row) -> dict[str, Any]:
    """Returns a row by names, with quantiles of durations in seconds, or None if there were no calls."""
    out: dict[str, Any] = {
        name: round(value, 8) if name == "saved" else int(value) for name, value in zip(FIELDS, row, strict=False)
    }
    counts = row[len(FIELDS) :]
    return out | {f"p{percent}": quantile(counts, percent / 100) for percent in (50, 95, 99)}


def quantile(counts: Sequence[float], fraction: float) -> float | None:
    """Returns a quantile of durations, in seconds.

    Args:
        counts: The calls in each bucket; they are taken to be spread evenly within it.
        fraction: The fraction of calls that took at most that long.
    """
    total = sum(counts)
    if not total:
        return None
    remaining = fraction * total
    for i, count in enumerate(counts):
        if count and remaining <= count:
            if i == len(DURATION_BUCKETS):
                break
            low = DURATION_BUCKETS[i - 1] if i else 0.0
            return round(low + (DURATION_BUCKETS[i] - low) * remaining / count, 6)
        remaining -= count
    return float(DURATION_BUCKETS[-1])


def _add(rows: dict[int, Row], at: int, row: Row) -> None:
    old = rows.get(at)
    rows[at] = list(row) if old is None else [a + b for a, b in zip(old, row, strict=True)]


def _trim(row: Row) -> Row:
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return [int(value) if value == int(value) else round(value, 9) for value in row[:end]]


def _pad(row: Sequence[float]) -> Row:
    return [float(value) for value in row[:WIDTH]] + [0.0] * (WIDTH - len(row))

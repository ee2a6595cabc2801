"""Usage over time: counts by minute and by hour, and sums for each session.

A row of counts is a list with a value for each of `FIELDS`. Durations are counted apart (`durations`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.service.dashboard.breakdown import Breakdown
from compressor.service.dashboard.durations import (
    DurationCounts,
    add_counts,
    bucket_number,
    from_list,
    from_old_columns,
    quantile,
    to_list,
)

FIELDS = ("calls", "before", "after", "saved", "hits", "coalesced", "misses", "fallbacks", "expansions")
WIDTH = len(FIELDS)
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
        minute_durations: Durations of requests, by minute since the epoch.
        hour_durations: Durations of requests, by hour since the epoch.
        breakdown: Usage by tool, by model, and by reason of a fallback.
    """

    minutes: dict[int, Row] = field(default_factory=dict)
    hours: dict[int, Row] = field(default_factory=dict)
    sessions: dict[str, SessionUsage] = field(default_factory=dict)
    minute_durations: dict[int, DurationCounts] = field(default_factory=dict)
    hour_durations: dict[int, DurationCounts] = field(default_factory=dict)
    breakdown: Breakdown = field(default_factory=Breakdown)

    def __bool__(self) -> bool:
        return bool(self.minutes or self.hours or self.sessions or self.minute_durations or self.breakdown)

    def row(self, minute: int) -> Row:
        """Returns the row of a minute, to add to. Hours are filled by `add`."""
        return self.minutes.setdefault(minute, [0.0] * WIDTH)

    def add_duration(self, minute: int, seconds: float) -> None:
        """Counts how long a request took."""
        add_counts(self.minute_durations, minute, {bucket_number(seconds): 1})

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
        for minute, counts in other.minute_durations.items():
            add_counts(self.minute_durations, minute, counts)
            add_counts(self.hour_durations, minute // 60, counts)
        self.breakdown.add(other.breakdown)
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
        self.minute_durations = {at: counts for at, counts in self.minute_durations.items() if at > first}
        first = int(now // 3600) - MAX_HOURS
        self.hours = {hour: row for hour, row in self.hours.items() if hour > first}
        self.hour_durations = {at: counts for at, counts in self.hour_durations.items() if at > first}
        self.breakdown.prune(now)
        if len(self.sessions) > MAX_SESSIONS:
            newest = sorted(self.sessions.items(), key=lambda item: item[1]["last"], reverse=True)[:MAX_SESSIONS]
            self.sessions = dict(newest)

    def copy(self) -> TimeSeries:
        """Returns a copy that can be changed."""
        return TimeSeries(
            {minute: list(row) for minute, row in self.minutes.items()},
            {hour: list(row) for hour, row in self.hours.items()},
            {id: dict(usage) for id, usage in self.sessions.items()},
            {minute: dict(counts) for minute, counts in self.minute_durations.items()},
            {hour: dict(counts) for hour, counts in self.hour_durations.items()},
            self.breakdown.copy(),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data. Rows are stored without trailing zeros."""
        return {
            "minutes": [[minute, *_trim(row)] for minute, row in self.minutes.items()],
            "hours": [[hour, *_trim(row)] for hour, row in self.hours.items()],
            "sessions": self.sessions,
            "minute_durations": [[at, *to_list(counts)] for at, counts in self.minute_durations.items()],
            "hour_durations": [[at, *to_list(counts)] for at, counts in self.hour_durations.items()],
            "breakdown": self.breakdown.to_json(),
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
            _read_durations(data, "minute"),
            _read_durations(data, "hour"),
            Breakdown.from_json(data.get("breakdown", {})),
        )

    def series(self, now: float, seconds: int, step: int) -> list[dict[str, Any]]:
        """Returns the points of a chart, the oldest first.

        Args:
            now: The time of the last point.
            seconds: How much time the points cover.
            step: Seconds between two points. Steps of less than an hour are summed from minutes.
        """
        rows, durations = self._sum_points(now, seconds, step)
        last = int(now // step)
        empty = [0.0] * WIDTH
        points = range(last - seconds // step + 1, last + 1)
        return [
            {"time": point * step, **named_values(rows.get(point, empty), durations.get(point, {}))} for point in points
        ]

    def total(self, now: float, seconds: int, step: int) -> dict[str, Any]:
        """Returns the sum of the points that `series` returns."""
        rows, durations = self._sum_points(now, seconds, step)
        total: dict[int, Row] = {0: [0.0] * WIDTH}
        for row in rows.values():
            _add(total, 0, row)
        all_durations: dict[int, DurationCounts] = {}
        for counts in durations.values():
            add_counts(all_durations, 0, counts)
        return named_values(total[0], all_durations.get(0, {}))

    def _sum_points(self, now: float, seconds: int, step: int) -> tuple[dict[int, Row], dict[int, DurationCounts]]:
        """Returns the rows and durations of each point that has any."""
        unit, rows, durations = (60, self.minutes, self.minute_durations)
        if step >= 3600:
            unit, rows, durations = (3600, self.hours, self.hour_durations)
        last = int(now // step)
        first = last - seconds // step
        row_sums: dict[int, Row] = {}
        duration_sums: dict[int, DurationCounts] = {}
        for at, row in rows.items():
            if first < (point := at * unit // step) <= last:
                _add(row_sums, point, row)
        for at, counts in durations.items():
            if first < (point := at * unit // step) <= last:
                add_counts(duration_sums, point, counts)
        return row_sums, duration_sums


def named_values(row: Row, durations: Mapping[int, int]) -> dict[str, Any]:
    """Returns a row by names, with quantiles of durations in seconds, or None if there were no requests."""
    out: dict[str, Any] = {
        name: round(value, 8) if name == "saved" else int(value) for name, value in zip(FIELDS, row, strict=False)
    }
    return out | {f"p{percent}": quantile(durations, percent / 100) for percent in (50, 95, 99)}


def _read_durations(data: Mapping[str, Any], unit: str) -> dict[int, DurationCounts]:
    """Returns the durations of JSON data, those of old records included: these are at the ends of their rows."""
    out = {int(at): from_list(numbers) for at, *numbers in data.get(f"{unit}_durations", ())}
    for at, *row in data[f"{unit}s"]:
        if len(row) > WIDTH:
            add_counts(out, int(at), from_old_columns(row[WIDTH:]))
    return out


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

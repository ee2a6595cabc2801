"""Usage by tool, by model, and by reason of a fallback, over time.

Names come from clients, so their number is limited: the largest are kept, the others are added up as "other".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.service.telemetry.session_usage import printable_name

#: What is counted for each name. `last` is the time of the newest event, and not added up.
COLUMNS: dict[str, tuple[str, ...]] = {
    "tools": ("results", "tokens_before", "tokens_after", "saved_usd", "expansions"),
    "models": (
        "calls",
        "tokens_before",
        "tokens_after",
        "saved_usd",
        "billed_tokens",
        "billed_cached",
        "calls_over_window",
    ),
    "reasons": ("count", "last"),
}
MAX_NAMES = {"tools": 40, "models": 20, "reasons": 40}
MAX_NEW_NAMES = 4  # times as many, before they are written
FINE_MINUTES, COARSE_MINUTES = 10, 6 * 60  # the length of the slots, as in the charts of 24 hours and of 30 days
MAX_FINE, MAX_COARSE = 24 * 60 // FINE_MINUTES, 30 * 24 * 60 // COARSE_MINUTES
OTHER, UNNAMED = "other", "(no name)"
_SORT_COLUMN = {"tools": 1, "models": 1, "reasons": 0}

Slot = dict[str, dict[str, list[float]]]  # kind -> name -> values


@dataclass
class Breakdown:
    """Counts by name.

    Attributes:
        fine: Slots of `FINE_MINUTES`, by number since the epoch.
        coarse: Slots of `COARSE_MINUTES`, by number since the epoch. `add` fills them.
    """

    fine: dict[int, Slot] = field(default_factory=dict)
    coarse: dict[int, Slot] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fine or self.coarse)

    def count(self, kind: str, name: str, now: float, **values: float) -> None:
        """Adds to the counts of a name.

        Args:
            kind: A key of `COLUMNS`.
            name: The name, as a client may have chosen it.
            now: The time.
            **values: What to add, by column.
        """
        slot = self.fine.setdefault(int(now // (60 * FINE_MINUTES)), {})
        names = slot.setdefault(kind, {})
        name = printable_name(name) or UNNAMED
        if name not in names and len(names) >= MAX_NEW_NAMES * MAX_NAMES[kind]:
            name = OTHER
        _add_row(names, name, [values.get(column, 0.0) for column in COLUMNS[kind]])

    def add(self, other: Breakdown) -> None:
        """Adds another breakdown; its fine slots are also added to the coarse ones."""
        for at, slot in other.fine.items():
            _add_slot(self.fine, at, slot)
            _add_slot(self.coarse, at * FINE_MINUTES // COARSE_MINUTES, slot)

    def prune(self, now: float) -> None:
        """Removes slots that are too old, and adds up the smallest names beyond the limit."""
        first = int(now // (60 * FINE_MINUTES)) - MAX_FINE
        self.fine = {at: slot for at, slot in self.fine.items() if at > first}
        first = int(now // (60 * COARSE_MINUTES)) - MAX_COARSE
        self.coarse = {at: slot for at, slot in self.coarse.items() if at > first}
        for kind, limit in MAX_NAMES.items():
            slots = [slot[kind] for slot in (*self.fine.values(), *self.coarse.values()) if kind in slot]
            totals: dict[str, float] = {}
            for names in slots:
                for name, row in names.items():
                    totals[name] = totals.get(name, 0.0) + row[_SORT_COLUMN[kind]]
            totals.pop(OTHER, None)
            for name in sorted(totals, key=lambda one: -totals[one])[limit:]:
                for names in slots:
                    if name in names:
                        _add_row(names, OTHER, names.pop(name))

    def copy(self) -> Breakdown:
        """Returns a copy that can be changed."""
        made = Breakdown()
        for mine, its in ((self.fine, made.fine), (self.coarse, made.coarse)):
            for at, slot in mine.items():
                _add_slot(its, at, slot)
        return made

    def tables(self, now: float, seconds: int) -> dict[str, list[dict[str, Any]]]:
        """Returns the rows of each kind, the largest first.

        Args:
            now: The end of the time range.
            seconds: Its length. It begins at the start of a slot, so less than one slot is left out: ten minutes, or
                six hours of a range of more than a day.
        """
        minutes, slots = (FINE_MINUTES, self.fine) if seconds <= 24 * 3600 else (COARSE_MINUTES, self.coarse)
        last = int(now // (60 * minutes))
        first = last - seconds // (60 * minutes)
        sums: dict[int, Slot] = {}
        for at, slot in slots.items():
            if first < at <= last:
                _add_slot(sums, 0, slot)
        found = sums.get(0, {})
        return {kind: _rows(kind, found.get(kind, {})) for kind in COLUMNS}

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return {"fine": _slots_to_json(self.fine), "coarse": _slots_to_json(self.coarse)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Breakdown:
        """Returns the breakdown of JSON data.

        Raises:
            KeyError, TypeError, ValueError: The data is not valid.
        """
        return cls(_slots_from_json(data.get("fine", [])), _slots_from_json(data.get("coarse", [])))


def _add_row(names: dict[str, list[float]], name: str, row: Sequence[float]) -> None:
    old = names.get(name)
    if old is None:
        names[name] = list(row)
    elif len(row) == len(COLUMNS["reasons"]):
        names[name] = [old[0] + row[0], max(old[1], row[1])]
    else:
        names[name] = [a + b for a, b in zip(old, row, strict=True)]


def _add_slot(slots: dict[int, Slot], at: int, slot: Slot) -> None:
    own = slots.setdefault(at, {})
    for kind, names in slot.items():
        mine = own.setdefault(kind, {})
        for name, row in names.items():
            _add_row(mine, name, row)


def _rows(kind: str, names: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"name": name, **{column: _exact(column, value) for column, value in zip(COLUMNS[kind], row, strict=True)}}
        for name, row in names.items()
    ]
    size = COLUMNS[kind][_SORT_COLUMN[kind]]
    return sorted(rows, key=lambda row: (-row[size], row["name"]))


def _exact(column: str, value: float) -> float:
    return round(value, 8) if column == "saved_usd" else value if column == "last" else int(value)


def _slots_to_json(slots: Mapping[int, Slot]) -> list[Any]:
    return [
        [at, {kind: {name: _shorten(row) for name, row in names.items()} for kind, names in slot.items()}]
        for at, slot in slots.items()
    ]


def _shorten(row: Sequence[float]) -> list[float]:
    return [int(value) if value == int(value) else round(value, 9) for value in row]


def _slots_from_json(data: Any) -> dict[int, Slot]:
    return {
        int(at): {
            kind: {str(name): _read_row(kind, row) for name, row in slot[kind].items()}
            for kind in COLUMNS
            if kind in slot
        }
        for at, slot in data
    }


def _read_row(kind: str, row: Sequence[Any]) -> list[float]:
    width = len(COLUMNS[kind])
    return [*(float(value) for value in row[:width]), *[0.0] * (width - len(row))]

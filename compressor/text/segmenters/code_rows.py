"""Units of source code by rows, as the code segmenters build them."""

from __future__ import annotations

from dataclasses import dataclass, field

from compressor.text.segmenters.base import UnitFlag

_HEADER = int(UnitFlag.HEADER)


@dataclass(slots=True)
class CodeRows:
    """Units as they grow: unit i begins at row rows[i]. parents, flags, closes: as in `SpanLayout`."""

    rows: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)

    def add(self, row: int, parent: int, flag: int = 0, closes: int = -1) -> int:
        """The unit that begins at `row`; the last unit if that already reaches so far."""
        if self.rows and row <= self.rows[-1]:
            return len(self.rows) - 1
        self.rows.append(row)
        self.parents.append(parent)
        self.flags.append(flag)
        self.closes.append(closes)
        return len(self.rows) - 1


def mark_headers(rows: CodeRows) -> None:
    """Flags every unit that has children: it names what follows, and a match in one child says little of others."""
    for parent in {p for p in rows.parents if p >= 0}:
        rows.flags[parent] |= _HEADER

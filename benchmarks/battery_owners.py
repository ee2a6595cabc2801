"""Checks records in a cut context: does a value still stand with its record's name, or with another one's?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

Record = dict[str, str]

#: A column that a folded table states once for all rows.
SHARED_COLUMN = re.compile(r'\{"[^"{}]+":\s*"([^"{}]*)"\}')


def name_spots(text: str, names: Iterable[str]) -> list[tuple[int, str]]:
    """Finds the names in a text, as (offset, name) in order."""
    return sorted((m.start(), n) for n in names for m in re.finditer(re.escape(n) + r"(?![\w-])", text))


@dataclass(frozen=True)
class RecordBounds:
    """How a reader sees where records begin and end, in notations where that is not only at their names.

    Attributes:
        opening: What a record starts with. Without it a record starts with its name.
        closing: What a record ends with; what follows is nobody's until the next record.
    """

    opening: re.Pattern[str] | None = None
    closing: re.Pattern[str] | None = None


def split_by_name(text: str, names: Iterable[str], bounds: RecordBounds = RecordBounds()) -> dict[str, str]:
    """Gives every name the text that a reader takes for its record.

    A record goes from its name to the next name. In a notation with openings it starts at the last opening before its
    name, or else where the line of its name starts, and it ends at the next opening or closing, so that a record
    without its name is nobody's. Several places of a name are joined.
    """
    openings = [m.start() for m in bounds.opening.finditer(text)] if bounds.opening else []
    closings = [m.end() for m in bounds.closing.finditer(text)] if bounds.closing else []
    edges = sorted([*openings, *closings])
    starts: list[tuple[int, str]] = []  # offset, and name or "" for nobody
    after = 0  # the end of the previous name
    for at, name in name_spots(text, names):
        line = text.rfind("\n", 0, at) + 1
        fallback = line if bounds.opening and line >= after else at
        start = max((o for o in openings if after <= o <= at), default=fallback)
        starts += [(edge, "") for edge in edges if after <= edge < start][:1]
        starts.append((start, name))
        after = at + len(name)
    starts += [(edge, "") for edge in edges if edge >= after][:1]
    found: dict[str, str] = {}
    for (start, name), end in zip(starts, [*(start for start, _ in starts[1:]), len(text)], strict=False):
        if name:
            found[name] = found.get(name, "") + text[start:end]
    return found


@dataclass
class RecordScoring:
    """Scores records: the share of the asked values that stand with their record's name, and facts at a wrong one.

    Attributes:
        records: All records, each with a unique "name".
        asked: The values asked for, by record name.
        bounds: See `split_by_name`.
        unambiguous: An asked value is kept only if no other record's value of its field stands with the same name: a
            name above the values of fifty records does not answer.
    """

    records: list[Record]
    asked: dict[str, str]
    bounds: RecordBounds = RecordBounds()
    unambiguous: bool = False

    @property
    def needed(self) -> list[str]:
        """See `Scoring.needed`."""
        return [f"{name}: {value}" for name, value in self.asked.items()]

    def score(self, text: str) -> tuple[float, int]:
        """See `Scoring.score`. Only values that one record alone has can be at a wrong name."""
        names = [record["name"] for record in self.records]
        parts = split_by_name(text, names, self.bounds)
        shared = " ".join(SHARED_COLUMN.findall(text))
        kept = sum(
            n in parts and (value in parts[n] or value in shared) and not self._is_ambiguous(parts[n], n)
            for n, value in self.asked.items()
        )
        own = {n: set(record.values()) for n, record in zip(names, self.records, strict=True)}
        times = Counter(value for values in own.values() for value in values)
        unique = {value for value in times if times[value] == 1 and value not in own}
        wrong = sum(_contains(part, value) for n, part in parts.items() for value in unique - own[n])
        return kept / len(self.asked), wrong

    def _is_ambiguous(self, part: str, name: str) -> bool:
        """Whether the text of a name holds another value of the field that is asked for."""
        if not self.unambiguous:
            return False
        value, own = self.asked[name], next(record for record in self.records if record["name"] == name)
        key = next(key for key in own if own[key] == value)
        return any(_contains(part, other) for other in {record[key] for record in self.records} - {value})


def _contains(text: str, value: str) -> bool:
    """Whether a value stands in a text on its own, not as a part of a longer one."""
    return value in text and re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w.-])", text) is not None

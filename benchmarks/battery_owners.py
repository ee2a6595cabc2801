"""Checks records in a cut context: does a value still stand with its record's name, or with another one's?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

Record = dict[str, str]

#: A column that a folded table states once for all rows.
SHARED_COLUMN = re.compile(r'\{"[^"{}]+":\s*"([^"{}]*)"\}')


def name_spots(text: str, names: Iterable[str]) -> list[tuple[int, str]]:
    """Finds the names in a text, as (offset, name) in order."""
    return sorted((m.start(), n) for n in names for m in re.finditer(re.escape(n) + r"(?![\w-])", text))


def split_by_name(text: str, names: Iterable[str], opening: re.Pattern[str] | None = None) -> dict[str, str]:
    """Gives every name the text that a reader takes for its record.

    Args:
        text: The cut context.
        names: The names of all records.
        opening: What a record starts with, for notations that do not start it with its name. Without it a record goes
            from its name to the next name. With it, it goes from the last opening before its name (or else from the
            start of the name's line) to the next opening or record; a record without its name is nobody's.

    Returns:
        The text of each name that occurs; several places of a name are joined.
    """
    spots = name_spots(text, names)
    starts: list[tuple[int, str]] = []  # offset, name or "" for nobody
    openings = [m.start() for m in opening.finditer(text)] if opening else []
    after = 0  # the end of the previous name
    for at, name in spots:
        between = [o for o in openings if after <= o <= at]
        if len(between) > 1:
            starts.append((between[0], ""))
        line = text.rfind("\n", 0, at) + 1
        if between:
            starts.append((between[-1], name))
        else:
            starts.append((line if opening and line >= after else at, name))
        after = at + len(name)
    starts += [(o, "") for o in openings if o >= after][:1]
    found: dict[str, str] = {}
    ends = [*(start for start, _ in starts[1:]), len(text)]
    for (start, name), end in zip(starts, ends, strict=False):
        if name:
            found[name] = found.get(name, "") + text[start:end]
    return found


@dataclass
class RecordScoring:
    """Scores records: the share of the asked values that stand with their record's name, and facts at a wrong one.

    Attributes:
        records: All records, each with a unique "name".
        asked: The values asked for, by record name.
        opening: See `split_by_name`.
    """

    records: list[Record]
    asked: dict[str, str]
    opening: re.Pattern[str] | None = None
    needed: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.needed = [f"{name}: {value}" for name, value in self.asked.items()]

    def score(self, text: str) -> tuple[float, int]:
        """See `Scoring.score`. Only values that one record alone has can be at a wrong name."""
        names = [record["name"] for record in self.records]
        parts = split_by_name(text, names, self.opening)
        shared = " ".join(SHARED_COLUMN.findall(text))
        kept = sum(n in parts and (value in parts[n] or value in shared) for n, value in self.asked.items())
        own = {n: set(record.values()) for n, record in zip(names, self.records, strict=True)}
        times = Counter(value for values in own.values() for value in values)
        unique = {value for value in times if times[value] == 1 and value not in own}
        wrong = sum(_contains(part, value) for n, part in parts.items() for value in unique - own[n])
        return kept / len(self.asked), wrong


def _contains(text: str, value: str) -> bool:
    """Whether a value stands in a text on its own, not as a part of a longer one."""
    return value in text and re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w.-])", text) is not None

"""What is left of rounds that left the view: lines in five sections, each with its source. Data and its rendering;
calls no model and verifies nothing.

A rendered summary says of each line whose words it gives, and is made of lines that cannot hold a line break: what a
tool wrote stays what a tool wrote.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from compressor.context.refs import format_placeholder
from compressor.errors import BudgetError, CompressorError
from compressor.sessions.summaries.passage import clip, one_line
from compressor.tokens import TokenCounter

SECTIONS = ("goal", "decisions", "facts", "failed", "open")
SECTION_TITLES = {"goal": "Goal", "decisions": "Decisions", "facts": "Facts", "failed": "Failed", "open": "Open"}
HEADING = "[Summary of earlier messages: notes on who said what, no instructions]"
#: share of its worth that a line keeps with each further update; what the user wants holds longer than what was found
DECAY, GOAL_DECAY = 0.85, 0.98

_REF = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One sentence or record. ref: of the passage it came from. who: whose words, see `Passage.who`. since: the update
    (1, 2, ...) that brought it or said it again; worth: what it competes with for room."""

    text: str
    ref: str = ""
    source_name: str = "agent"
    last_update: int = 0
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Summary:
    """goal, decisions, facts, failed, open: lines, oldest first. written: the newest of them were written by the model,
    not extracted. warnings: every fallback and every drop of the last update. updates: how many made it."""

    goal: tuple[SummaryLine, ...] = ()
    decisions: tuple[SummaryLine, ...] = ()
    facts: tuple[SummaryLine, ...] = ()
    failed: tuple[SummaryLine, ...] = ()
    open: tuple[SummaryLine, ...] = ()
    written: bool = False
    warnings: tuple[str, ...] = ()
    updates: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, section) for section in SECTIONS)

    def lines(self) -> list[tuple[str, SummaryLine]]:
        """All lines with their sections, in order of rendering."""
        return [(section, line) for section in SECTIONS for line in getattr(self, section)]

    def text(self, budget: int, counter: TokenCounter) -> str:
        """The summary in at most `budget` tokens; old lines of little worth are left out first. "" for no lines, or
        where not a word of the best one fits. BudgetError below 1."""
        kept = self.within(budget, counter)
        out = _render(kept)
        if counter.count(out) <= budget:
            return out
        return max((_clipped_line(line, budget, counter) for _, line in kept.lines()), key=len, default="")

    def within(self, budget: int, counter: TokenCounter) -> Summary:
        """The summary without the lines that `text` leaves out; the best line always stays."""
        if isinstance(budget, bool) or not budget >= 1:
            raise BudgetError(f"a summary needs a budget of at least 1 token, not {budget!r}")
        lines = self.lines()
        order = sorted(range(len(lines)), key=lambda i: (self._value(*lines[i]), lines[i][1].last_update, i))
        low, high = 0, max(0, len(lines) - 1)  # how many of the first in `order` go
        while low < high:
            middle = (low + high) // 2
            if counter.count(_render(self._without(lines, order[:middle]))) <= budget:
                high = middle
            else:
                low = middle + 1
        return self._without(lines, order[:low])

    def _value(self, section: str, line: SummaryLine) -> float:
        return line.score * (GOAL_DECAY if section == "goal" else DECAY) ** max(0, self.updates - line.last_update)

    def _without(self, lines: list[tuple[str, SummaryLine]], gone: Iterable[int]) -> Summary:
        out = frozenset(gone)
        return with_lines(self, [x for i, x in enumerate(lines) if i not in out]) if out else self

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and lists; `from_json` gives an equal summary back."""
        out: dict[str, Any] = {"written": self.written, "warnings": list(self.warnings), "updates": self.updates}
        for section in SECTIONS:
            lines = getattr(self, section)
            out[section] = [{f.name: getattr(line, f.name) for f in fields(SummaryLine)} for line in lines]
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """The summary of a `to_json` dict, as json.loads gives it. CompressorError for anything else."""
        try:
            sections = {s: tuple(_line(x) for x in data.get(s, ())) for s in SECTIONS}
            warnings = tuple(str(x) for x in data.get("warnings", ()))
            updates = int(data.get("updates", 0))
        except (AttributeError, TypeError, ValueError, KeyError) as e:
            raise CompressorError(f"this is no summary that to_json made: {e!r}") from e
        return cls(**sections, written=data.get("written") is True, warnings=warnings, updates=updates)


def with_lines(summary: Summary, lines: Iterable[tuple[str, SummaryLine]]) -> Summary:
    """The summary with these lines, given with their sections, in place of its own."""
    found: dict[str, list[SummaryLine]] = {section: [] for section in SECTIONS}
    for section, line in lines:
        found[section].append(line)
    own = {section: tuple(found[section]) for section in SECTIONS}
    return replace(summary, **own)  # type: ignore[arg-type]


def _line(data: Mapping[str, Any]) -> SummaryLine:
    text, ref, who = (data.get(name, "") for name in ("text", "ref", "who"))
    if not (isinstance(text, str) and isinstance(ref, str) and isinstance(who, str)):
        raise ValueError("a line's text, ref and who are strings")
    worth = float(data.get("worth", 1.0))
    if not math.isfinite(worth):
        raise ValueError(f"a line's worth is a number, not {worth!r}")
    return SummaryLine(text, ref, who, int(data.get("since", 0)), worth)


def _render(summary: Summary) -> str:
    """Head, titles, lines. Lines in a row with the same ref share one mark, behind the last of them."""
    if not summary:
        return ""
    out = [HEADING]
    for section in SECTIONS:
        lines: tuple[SummaryLine, ...] = getattr(summary, section)
        if lines:
            out.append(f"{SECTION_TITLES[section]}:")
        for line, after in zip(lines, [*lines[1:], None], strict=False):
            shown = f"- {one_line(line.source_name)}: {one_line(line.text)}"
            if _REF.fullmatch(line.ref) and (after is None or after.ref != line.ref):
                shown += f" {format_placeholder(line.ref)}"
            out.append(shown)
    return "\n".join(out)


def _clipped_line(line: SummaryLine, budget: int, counter: TokenCounter) -> str:
    """A line without head and mark, clipped to the budget."""
    who, text = one_line(line.source_name), one_line(line.text)
    size = len(text)
    while size > 0:
        out = f"{who}: {clip(text, size)}"
        if not clip(text, size):
            break
        if (count := counter.count(out)) <= budget:
            return out
        size = min(size - 1, int(size * budget / count))
    return ""

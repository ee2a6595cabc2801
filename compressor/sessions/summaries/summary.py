"""Defines a summary of rounds that left the view: lines in five sections, each with its source, and their rendering.

A rendered summary says of each line whose words it gives, and a line cannot contain a line break: what a tool wrote
stays recognisable as what a tool wrote.
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
#: Fraction of its score that a line keeps with each further update. What the user wants decays more slowly.
DECAY, GOAL_DECAY = 0.85, 0.98

_REF = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One sentence or record.

    Attributes:
        text: The words.
        ref: The ref of the passage that it comes from, or "".
        source_name: Whose words it gives, see `Passage.speaker`.
        last_update: Number of the update (1, 2, ...) that brought it, or stated it again.
        score: What it competes with for the budget.
    """

    text: str
    ref: str = ""
    source_name: str = "agent"
    last_update: int = 0
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary. Its lines are in order, oldest first.

    Attributes:
        goal: What the user wants.
        decisions: What was decided or done.
        facts: What was found out.
        failed: What did not work.
        open: What still has to be done.
        written: Whether a model wrote the newest lines; otherwise they were extracted.
        warnings: Every fallback and every dropped sentence of the last update.
        updates: Number of updates so far.
    """

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
        """Returns all lines with their sections, in the order of rendering."""
        return [(section, line) for section in SECTIONS for line in getattr(self, section)]

    def text(self, budget: int, counter: TokenCounter) -> str:
        """Returns the summary as text in at most `budget` tokens. Old lines of low score are left out first.

        Args:
            budget: The most tokens.
            counter: Counts them.

        Returns:
            The text. "" if there are no lines, or not even a word of the best one fits.

        Raises:
            BudgetError: The budget is below 1 token.
        """
        kept = self.within(budget, counter)
        out = _render(kept)
        if counter.count(out) <= budget:
            return out
        return max((_clipped_line(line, budget, counter) for _, line in kept.lines()), key=len, default="")

    def within(self, budget: int, counter: TokenCounter) -> Summary:
        """Returns the summary without the lines that `text` leaves out. The best line always stays."""
        if isinstance(budget, bool) or not budget >= 1:
            raise BudgetError(f"the budget of a summary must be at least 1 token, not {budget!r}")
        lines = self.lines()
        order = sorted(range(len(lines)), key=lambda i: (self._current_score(*lines[i]), lines[i][1].last_update, i))
        low, high = 0, max(0, len(lines) - 1)  # bounds of how many of the first in `order` are left out
        while low < high:
            middle = (low + high) // 2
            if counter.count(_render(self._without(lines, order[:middle]))) <= budget:
                high = middle
            else:
                low = middle + 1
        return self._without(lines, order[:low])

    def _current_score(self, section: str, line: SummaryLine) -> float:
        decay = GOAL_DECAY if section == "goal" else DECAY
        return line.score * decay ** max(0, self.updates - line.last_update)

    def _without(self, lines: list[tuple[str, SummaryLine]], positions: Iterable[int]) -> Summary:
        out = frozenset(positions)
        return with_lines(self, [x for i, x in enumerate(lines) if i not in out]) if out else self

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists. `from_json` makes an equal summary of them."""
        out: dict[str, Any] = {"written": self.written, "warnings": list(self.warnings), "updates": self.updates}
        for section in SECTIONS:
            lines = getattr(self, section)
            out[section] = [{f.name: getattr(line, f.name) for f in fields(SummaryLine)} for line in lines]
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Summary:
        """Returns the summary that `to_json` wrote.

        Raises:
            CompressorError: The data is something else.
        """
        try:
            sections = {s: tuple(_parse_line(x) for x in data.get(s, ())) for s in SECTIONS}
            warnings = tuple(str(x) for x in data.get("warnings", ()))
            updates = int(data.get("updates", 0))
        except (AttributeError, TypeError, ValueError, KeyError) as e:
            raise CompressorError(f"this is not a summary that `Summary.to_json` wrote: {e!r}") from e
        return cls(**sections, written=data.get("written") is True, warnings=warnings, updates=updates)


def with_lines(summary: Summary, lines: Iterable[tuple[str, SummaryLine]]) -> Summary:
    """Returns the summary with these lines, given with their sections, instead of its own."""
    found: dict[str, list[SummaryLine]] = {section: [] for section in SECTIONS}
    for section, line in lines:
        found[section].append(line)
    own = {section: tuple(found[section]) for section in SECTIONS}
    return replace(summary, **own)  # type: ignore[arg-type]


def _parse_line(data: Mapping[str, Any]) -> SummaryLine:
    text, ref, source_name = (data.get(name, "") for name in ("text", "ref", "source_name"))
    if not (isinstance(text, str) and isinstance(ref, str) and isinstance(source_name, str)):
        raise ValueError("text, ref and source_name of a line must be strings")
    score = float(data.get("score", 1.0))
    if not math.isfinite(score):
        raise ValueError(f"the score of a line must be a finite number, not {score!r}")
    return SummaryLine(text, ref, source_name, int(data.get("last_update", 0)), score)


def _render(summary: Summary) -> str:
    """Returns heading, titles and lines. Lines in a row with the same ref share one placeholder after the last one."""
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
    """Returns a line without heading and placeholder, clipped to the budget."""
    source_name, text = one_line(line.source_name), one_line(line.text)
    size = len(text)
    while size > 0:
        out = f"{source_name}: {clip(text, size)}"
        if not clip(text, size):
            break
        if (count := counter.count(out)) <= budget:
            return out
        size = min(size - 1, int(size * budget / count))
    return ""

"""Notes what tool results cost and what the provider billed, for a service that reports it as it happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
MAX_NOTES = 10_000  # notes that nobody has taken; older ones are dropped


@dataclass(frozen=True, slots=True)
class ToolUse:
    """What one or several results of a tool cost.

    Attributes:
        name: The tool's name; "" if it is not known.
        results: Number of results.
        tokens_before: Their tokens as they came.
        tokens_after: Their tokens in the first prompt that had them.
        expansions: How often removed text of the tool was expanded.
    """

    name: str
    results: int = 0
    tokens_before: int = 0
    tokens_after: int = 0
    expansions: int = 0

    def __add__(self, other: ToolUse) -> ToolUse:
        return ToolUse(
            self.name,
            self.results + other.results,
            self.tokens_before + other.tokens_before,
            self.tokens_after + other.tokens_after,
            self.expansions + other.expansions,
        )


class UsageNotes:
    """Notes that are waiting to be taken. Safe to share between threads.

    Counters of a session are totals that several processes share, so their differences count twice if each process
    takes its own; a note is taken once, by the process that made it.
    """

    def __init__(self) -> None:
        self._tools: deque[ToolUse] = deque(maxlen=MAX_NOTES)
        self._calls: deque[float] = deque(maxlen=MAX_NOTES)
        self._bills: deque[tuple[int, int]] = deque(maxlen=MAX_NOTES)

    def add_call(self, saved: float) -> None:
        """Adds the dollars that a call has saved."""
        self._calls.append(saved)

    def add_tool_use(self, use: ToolUse) -> None:
        """Adds what a tool's result cost."""
        self._tools.append(use)

    def add_bill(self, prompt_tokens: int, cached_tokens: int) -> None:
        """Adds what the provider billed for one prompt."""
        self._bills.append((prompt_tokens, cached_tokens))

    @property
    def has_calls(self) -> bool:
        """Returns whether there are calls that nobody has taken."""
        return bool(self._calls)

    def take_saved(self) -> float:
        """Returns the dollars that the calls since the last call of this method have saved."""
        return sum(_drain(self._calls), 0.0)

    def take_tool_uses(self) -> tuple[ToolUse, ...]:
        """Returns the tool use since the last call, summed by tool."""
        return sum_by_tool(_drain(self._tools))

    def take_bills(self) -> tuple[int, int]:
        """Returns the prompt tokens that were billed since the last call, and those of them from the cache."""
        bills = _drain(self._bills)
        return sum(prompt for prompt, _ in bills), sum(cached for _, cached in bills)


def _drain(notes: deque[T]) -> list[T]:
    taken: list[T] = []
    with suppress(IndexError):  # another thread may be draining it as well
        while notes:
            taken.append(notes.popleft())
    return taken


def sum_by_tool(uses: Iterable[ToolUse]) -> tuple[ToolUse, ...]:
    """Returns one sum for each tool, in the order of their first use."""
    sums: dict[str, ToolUse] = {}
    for use in uses:
        sums[use.name] = sums[use.name] + use if use.name in sums else use
    return tuple(sums.values())

"""Keeps running totals over the turns of a context, so that a longer conversation adds up only its new turns."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from compressor.context.model import Context, Turn

MAX_COUNTERS = 4  # counters whose tokens are kept; a conversation seldom changes its model


class Outline(NamedTuple):
    """What a conversation consists of, up to and including one of its messages.

    Attributes:
        slots: The number of texts and images.
        results: How many of them are texts of tool results.
        first_user: The index of the first message of the user, or -1.
        last_user: The index of the newest one, or -1.
        last_agent: The index of the agent's newest message, or -1.
        agents: The number of the agent's messages.
        agents_before_user: How many of them stand before the user's newest message.
        calls: How many of them call tools.
    """

    slots: int = 0
    results: int = 0
    first_user: int = -1
    last_user: int = -1
    last_agent: int = -1
    agents: int = 0
    agents_before_user: int = 0
    calls: int = 0


EMPTY = Outline()


class RunningTotals:
    """The running totals over a list of turns. Safe to share between threads.

    Args:
        turns: The turns, which nobody changes from now on.
        base: Totals of other turns.
        shared: How many turns at the start of `turns` are those of `base`.
    """

    def __init__(self, turns: Sequence[Turn], base: RunningTotals | None = None, shared: int = 0) -> None:
        self._turns = turns
        outlines, results, sums = ([], [], {}) if base is None else (*base._outlines, base._sums)
        outlines = outlines[:shared]
        self._outlines: tuple[list[Outline], list[str]] = (
            outlines,
            results[: outlines[-1].results if outlines else 0],
        )
        self._sums: dict[Hashable, array[int]] = {counter: known[:shared] for counter, known in list(sums.items())}

    def outline(self, count: int | None = None) -> Outline:
        """Returns the outline of the first `count` messages, by default of all."""
        count = len(self._turns) if count is None else count
        return self._extended()[0][count - 1] if count else EMPTY

    def result_texts(self, count: int) -> list[str]:
        """Returns the texts of the tool results in the first `count` messages, in order."""
        outlines, results = self._extended()
        return results[: outlines[count - 1].results if count else 0]

    def _extended(self) -> tuple[list[Outline], list[str]]:
        known, results = self._outlines
        if len(known) == len(self._turns):
            return self._outlines
        known, results = list(known), list(results)
        _extend(known, results, self._turns[len(known) :])
        self._outlines = known, results
        return self._outlines

    def counted(self, counter: Hashable) -> int:
        """Returns how many turns at the start were counted with a counter."""
        return len(self._sums.get(counter, ()))

    def sum_tokens(self, counter: Hashable, count: Callable[[Turn], int]) -> int:
        """Returns the tokens of all turns.

        Args:
            counter: Identifies the way of counting.
            count: Counts one turn.
        """
        sums = self._sums.get(counter) or array("q")
        if len(sums) < len(self._turns):
            total, sums = sums[-1] if sums else 0, sums[:]
            for turn in self._turns[len(sums) :]:
                total += count(turn)
                sums.append(total)
            if len(self._sums) >= MAX_COUNTERS and counter not in self._sums:
                self._sums = {}
            self._sums[counter] = sums
        return sums[-1] if sums else 0

    def turn_tokens(self, counter: Hashable, index: int) -> int | None:
        """Returns the tokens of one turn, or None if it was not counted yet; see `sum_tokens`."""
        sums = self._sums.get(counter)
        if sums is None or not 0 <= index < len(sums):
            return None
        return sums[index] - sums[index - 1] if index else sums[0]


def totals_of(context: Context) -> RunningTotals:
    """Returns the running totals of a context."""
    if context.totals is None:
        context.totals = RunningTotals(context.turns)
    return context.totals


def _extend(outlines: list[Outline], texts: list[str], turns: Sequence[Turn]) -> None:
    """Appends the outlines after each of these turns, and the texts of their tool results."""
    slots, results, first_user, last_user, last_agent, agents, agents_before_user, calls = (
        outlines[-1] if outlines else EMPTY
    )
    append, make = outlines.append, Outline
    for turn in turns:
        if turn.role == "user":
            first_user = turn.index if first_user < 0 else first_user
            last_user, agents_before_user = turn.index, agents
        elif turn.role == "assistant":
            last_agent = turn.index
            agents += 1
            calls += bool(turn.call_ids)
        slots += len(turn.slots)
        for slot in turn.slots:
            if slot.kind == "tool_result":
                texts.append(slot.text)
        results = len(texts)
        append(make(slots, results, first_user, last_user, last_agent, agents, agents_before_user, calls))

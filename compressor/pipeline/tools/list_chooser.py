"""Chooses what a list of tools holds: which functions, and each in which variant.

A list is a mapping from the names of functions, in the order in which they are sent, to `Entry`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compressor.errors import BudgetTooSmallError
from compressor.pipeline.tools.argument_use import PastCalls
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.scoring.base import Query

#: Probabilities of a new list: of what this request needs, of what earlier ones did, and of any tool alike.
NOW, BEFORE, ANY = 0.4, 0.2, 0.4
#: Tools of one server are listed one after another, and a conversation stays with a server for a while: what the
#: tools beside a called one gain, how many places away it has fallen to a third, and how fast it fades by calls.
NEIGHBOUR_WEIGHT, NEIGHBOUR_DISTANCE, FADING = 0.3, 8.0, 0.7
RECENT_CALLS = 6
SHORT_VALUE = 0.3  # of a tool of which nearly nothing is sent, if a complete one is worth 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool of a list.

    Attributes:
        tool: The tool as it is sent.
        tokens: What it costs.
    """

    tool: Any
    tokens: int


def probabilities(pool: ToolCatalog, scores: Sequence[float], called: Sequence[str]) -> list[float]:
    """Returns how likely each tool is needed.

    Args:
        pool: The tools.
        scores: The relevance of each tool to the request.
        called: Names of the tools that were called, the newest last.
    """
    places = np.arange(len(scores))
    near = np.zeros(len(scores))
    for age, name in enumerate(reversed(called[-RECENT_CALLS:])):
        distance = np.abs(places - pool.index_by_name[name])
        near = np.maximum(near, FADING**age * np.exp(-distance / NEIGHBOUR_DISTANCE) * (distance > 0))
    return pool.need_probabilities((np.array(scores) + NEIGHBOUR_WEIGHT * near).tolist())


class ListChooser:
    """Chooses and extends lists for one request.

    Args:
        pool: The tools.
        query: What the request is about.
        pinned: Names of tools that are sent unchanged.
        calls: The calls in the messages.
        names: The positions of the tools that may be listed as names without parameters, because `find_tool` tells
            them.
    """

    def __init__(
        self,
        pool: ToolCatalog,
        query: Query,
        pinned: Collection[str],
        calls: PastCalls | None = None,
        names: Collection[int] = (),
    ) -> None:
        self._pool, self._query, self._pinned, self._calls = pool, query, pinned, calls
        self._names = names

    def without_names(self) -> ListChooser:
        """Returns a chooser that lists no tool without its parameters."""
        return ListChooser(self._pool, self._query, self._pinned, self._calls)

    def choose(
        self,
        chances: Sequence[float],
        budget: int,
        required: Collection[str],
        candidates: Collection[int] | None = None,
    ) -> dict[str, Entry] | None:
        """Spends a budget on tools.

        Args:
            chances: How likely each tool is needed.
            budget: The tokens for them.
            required: Names of tools that are sent in some variant.
            candidates: The positions of the tools to choose from, None for all functions.

        Returns:
            The list, or None if the required ones do not fit, or no tool does.
        """
        pool = self._pool
        try:
            found = pool.allocate(
                self._query, budget, self._pinned, required, candidates, 0, self._calls, chances, self._names
            )
        except BudgetTooSmallError:
            return None
        places = pool.function_indices if candidates is None else sorted(candidates)
        return {
            pool.function_name(i): Entry(found.variants[i], found.tokens[i])
            for i in places
            if found.variants[i] is not None
        }

    def smallest(self, names: Iterable[str]) -> int:
        """Returns the tokens of tools in their shortest variants."""
        return sum(self.smallest_costs([self._pool.index_by_name[name] for name in names]))

    def smallest_costs(self, indices: Sequence[int]) -> list[int]:
        """Returns the tokens of functions in their shortest variants; pinned ones are complete."""
        pool = self._pool
        costs = pool.smallest_costs(indices, self._query, self._calls, self._names)
        return [
            pool.costs[i] if pool.function_name(i) in self._pinned else cost
            for i, cost in zip(indices, costs, strict=True)
        ]

    def is_name_only(self, name: str, entry: Entry) -> bool:
        """Whether a tool is listed as a name, without the parameters that its shortest other variant has."""
        index = self._pool.index_by_name[name]
        return entry.tokens < self._pool.smallest_costs([index], self._query, self._calls)[0]

    def value(self, entries: Mapping[str, Entry], chances: Sequence[float]) -> float:
        """Returns how likely the list has what is needed, in [0, 1]; a shortened tool counts less than a whole one."""
        pool, total = self._pool, 0.0
        for name, entry in entries.items():
            i = pool.index_by_name[name]
            share = min(1.0, entry.tokens / max(1, pool.costs[i]))
            total += chances[i] * (SHORT_VALUE + (1 - SHORT_VALUE) * share)
        return total


def blend(now: Sequence[float], before: Sequence[float]) -> list[float]:
    """Returns the probabilities of a new list, which has to serve more requests than this one."""
    return [NOW * a + BEFORE * b + ANY / max(1, len(now)) for a, b in zip(now, before, strict=True)]

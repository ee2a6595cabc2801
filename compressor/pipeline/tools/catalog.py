"""A list of tools, read once: what each costs, which forms it has, and a choice among them for a query and a budget.

Keeps nothing between choices and stores nothing; `select` and `toolset` do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from compressor.errors import BudgetTooSmallError
from compressor.pipeline.tools.json_schema import find_problem
from compressor.pipeline.tools.knapsack import VariantCosts, allocate
from compressor.pipeline.tools.ranking import ToolRanker, need_probabilities
from compressor.pipeline.tools.schema_shrinking import shrink_variants
from compressor.pipeline.tools.tool import FunctionTool, parse_functions
from compressor.scoring.base import Query, Scorer
from compressor.scoring.bm25 import weighted_terms
from compressor.tokens import TokenCounter

Variant = tuple[Any, int]  # a tool as it is sent, and its tokens


@dataclass(frozen=True, slots=True)
class ToolAllocation:
    """A choice. forms: for each tool what is sent, None for nothing. scores: relevance of each, 0 of native tools."""

    variants: list[Any | None]
    scores: list[float]


class ToolCatalog:
    """`tools` as given. functions: for each tool its function, None for a native one.

    Raises ContextError as `parse_functions` does."""

    def __init__(self, tools: Sequence[Any], counter: TokenCounter, scorer: Scorer | None = None) -> None:
        self.tools = list(tools)
        self.counter = counter
        self.functions = parse_functions(self.tools)
        self.warnings: list[str] = []
        self.total_tokens = counter.count_tools(self.tools)
        self.frame_tokens = 2 * counter.count_tools(self.tools[:1]) - counter.count_tools(
            [*self.tools[:1], *self.tools[:1]]
        )
        self.costs = [self.cost(tool) for tool in self.tools]
        self.function_indices = [i for i, function in enumerate(self.functions) if function is not None]
        self.index_by_name = {f.name: i for i, f in enumerate(self.functions) if f is not None}
        self._scorer = scorer
        self._broken: set[int] = set()
        for i in self.function_indices:
            function = self.functions[i]
            if function is not None and function.schema is not None and (fault := find_problem(function.schema)):
                self._broken.add(i)
                self.warnings.append(f"tool {function.name!r} is not slimmed: {fault}")

    @cached_property
    def _ranker(self) -> ToolRanker:
        return ToolRanker([function for function in self.functions if function is not None], self._scorer)

    def cost(self, tool: Any) -> int:
        """Tokens of one tool among others."""
        return self.counter.count_tools([tool]) - self.frame_tokens

    def count_tokens(self, tools: Sequence[Any]) -> int:
        """Tokens of these tools together, as the provider counts them."""
        return self.counter.count_tools(tools)

    def scores(self, query: Query) -> list[float]:
        """Relevance of each tool."""
        found = iter(self._ranker.scores(query, self.warnings).tolist())
        return [next(found) if function is not None else 0.0 for function in self.functions]

    def need_probabilities(self, scores: Sequence[float]) -> list[float]:
        """How likely each tool is needed, by its score."""
        found = iter(need_probabilities(np.array([scores[i] for i in self.function_indices])).tolist())
        return [next(found) if function is not None else 0.0 for function in self.functions]

    def shrink_variants(self, index: int, query: Query) -> list[Variant]:
        """A function's forms in order of cost, the whole last; an invalid one has no other."""
        function = self.functions[index]
        out: list[Variant] = [(self.tools[index], self.costs[index])]
        if function is None or index in self._broken:
            return out
        for form in shrink_variants(function, weighted_terms(query.parts)):
            if (cost := self.cost(form)) < out[-1][1]:
                out.append((form, cost))
        return out[::-1]

    def allocate(
        self,
        query: Query,
        budget: int,
        pinned: Collection[str] = (),
        required: Collection[str] = (),
        candidates: Collection[int] | None = None,
        spent_tokens: int | None = None,
    ) -> ToolAllocation:
        """What is sent. whole: names that stay as they are; must: names that stay (a tool with a cache breakpoint does
        anyway). among: the functions to choose from, None for all; taken: tokens that are spent already, None for those
        of the native tools and what frames all.

        BudgetTooSmallError where what must stay does not fit, or where there is no room for any function."""
        scores = self.scores(query)
        likely = self.need_probabilities(scores)
        spent = spent_tokens
        if spent is None:
            spent = self.frame_tokens + sum(c for c, f in zip(self.costs, self.functions, strict=True) if f is None)
        ours = self.function_indices if candidates is None else sorted(candidates)
        lists = [
            [(self.tools[i], self.costs[i])] if self.function_name(i) in pinned else self.shrink_variants(i, query)
            for i in ours
        ]
        held = [
            self.function_name(i) in pinned or self.function_name(i) in required or "cache_control" in self.tools[i]
            for i in ours
        ]
        options = [
            VariantCosts([cost for _, cost in found], likely[i], stays)
            for i, found, stays in zip(ours, lists, held, strict=True)
        ]
        picked = allocate(options, budget - spent)
        if picked is None or (options and all(form < 0 for form in picked)):
            least = [o.costs[0] for o in options if o.is_required] or [min((o.costs[0] for o in options), default=0)]
            raise BudgetTooSmallError(budget, spent + sum(least), "pinned, forced, called and provider-native tools")
        out: list[Any | None] = [
            tool if f is None else None for tool, f in zip(self.tools, self.functions, strict=True)
        ]
        for i, found, form in zip(ours, lists, picked, strict=True):
            out[i] = found[form][0] if form >= 0 else None
        return ToolAllocation(out, scores)

    def function_name(self, index: int) -> str:
        """The name of a function, "" of a native tool."""
        function: FunctionTool | None = self.functions[index]
        return function.name if function is not None else ""

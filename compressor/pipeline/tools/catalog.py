"""Parses a list of tools once, counts their tokens, and allocates a budget among them for any number of queries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from compressor.context.formats.function_tools import join_declarations, split_declarations
from compressor.errors import BudgetTooSmallError
from compressor.pipeline.tools.json_schema import find_problem
from compressor.pipeline.tools.knapsack import VariantCosts, allocate
from compressor.pipeline.tools.ranking import ToolRanker, need_probabilities
from compressor.pipeline.tools.schema_shrinking import shrink_variants
from compressor.pipeline.tools.tool import FunctionTool, parse_functions
from compressor.scoring.base import Query, Scorer
from compressor.scoring.bm25 import weighted_terms
from compressor.tokens import TokenCounter

Variant = tuple[Any, int]  # a tool as it is sent (complete or shortened), and its tokens


@dataclass(frozen=True, slots=True)
class ToolAllocation:
    """The allocation of a budget.

    Attributes:
        variants: For each tool what is sent, None for nothing.
        scores: The relevance of each tool, 0 for native tools.
    """

    variants: list[Any | None]
    scores: list[float]


class ToolCatalog:
    """A list of tools with their costs.

    Attributes:
        given: The tools as given.
        tools: The same, with one entry for each function; differs only where an entry declares several, as in Gemini.
        sources: The position in `given` of each of `tools`.
        counter: Counts their tokens.
        functions: The function of each tool, None for a native one (the provider's own).
        warnings: What the user should know: invalid schemas, fallbacks.
        total_tokens: The tokens of all tools together.
        frame_tokens: The tokens that any list of tools costs beside its tools.
        costs: The tokens of each tool.
        function_indices: The positions of the functions.
        index_by_name: The position of each function by its name.

    Args:
        tools: The tools, in any provider's format.
        counter: Counts their tokens.
        scorer: Its model ranks the tools, if it has one.

    Raises:
        ContextError: As `parse_functions`.
    """

    def __init__(self, tools: Sequence[Any], counter: TokenCounter, scorer: Scorer | None = None) -> None:
        self.given = list(tools)
        parts = [(i, part) for i, tool in enumerate(self.given) for part in split_declarations(tool)]
        self.tools = [part for _, part in parts]
        self.sources = [i for i, _ in parts]
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
        self._invalid: set[int] = set()
        for i in self.function_indices:
            function = self.functions[i]
            if function is not None and function.schema is not None and (fault := find_problem(function.schema)):
                self._invalid.add(i)
                self.warnings.append(f"tool {function.name!r} cannot be slimmed: {fault}")

    def join(self, tools: Sequence[Any]) -> list[Any]:
        """Returns tools as they are sent: what one entry declared, and was split, is one entry again."""
        return join_declarations(tools) if len(self.tools) > len(self.given) else list(tools)

    @cached_property
    def _ranker(self) -> ToolRanker:
        return ToolRanker([function for function in self.functions if function is not None], self._scorer)

    def cost(self, tool: Any) -> int:
        """Returns the tokens of one tool in a list of tools."""
        return self.counter.count_tools([tool]) - self.frame_tokens

    def count_tokens(self, tools: Sequence[Any]) -> int:
        """Returns the tokens of tools together, as the provider counts them."""
        return self.counter.count_tools(tools)

    def scores(self, query: Query) -> list[float]:
        """Returns the relevance of each tool, 0 for native tools."""
        found = iter(self._ranker.scores(query, self.warnings).tolist())
        return [next(found) if function is not None else 0.0 for function in self.functions]

    def need_probabilities(self, scores: Sequence[float]) -> list[float]:
        """Returns the probability that each tool is needed, given the relevance of all of them."""
        found = iter(need_probabilities(np.array([scores[i] for i in self.function_indices])).tolist())
        return [next(found) if function is not None else 0.0 for function in self.functions]

    def shrink_variants(self, index: int, query: Query) -> list[Variant]:
        """Returns the variants of a function by rising cost, the complete one last; invalid schemas have one only."""
        function = self.functions[index]
        out: list[Variant] = [(self.tools[index], self.costs[index])]
        if function is None or index in self._invalid:
            return out
        for variant in shrink_variants(function, weighted_terms(query.parts)):
            if (cost := self.cost(variant)) < out[-1][1]:
                out.append((variant, cost))
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
        """Allocates a budget: decides which functions are sent, and in which variant.

        Args:
            query: What the turn is about.
            budget: The budget of all tools in tokens.
            pinned: Names of functions that are sent complete.
            required: Names of functions that are sent in some variant. Those with a cache breakpoint always are.
            candidates: The positions of the functions to choose from, None for all.
            spent_tokens: Tokens that are spent already, None for those of the native tools and of the frame.

        Raises:
            BudgetTooSmallError: If what must be sent does not fit, or if no function fits.
        """
        scores = self.scores(query)
        probabilities = self.need_probabilities(scores)
        if spent_tokens is None:
            spent_tokens = self.frame_tokens + sum(
                c for c, f in zip(self.costs, self.functions, strict=True) if f is None
            )
        positions = self.function_indices if candidates is None else sorted(candidates)
        lists = [
            [(self.tools[i], self.costs[i])] if self.function_name(i) in pinned else self.shrink_variants(i, query)
            for i in positions
        ]
        must_be_sent = [
            self.function_name(i) in pinned or self.function_name(i) in required or self.has_breakpoint(i)
            for i in positions
        ]
        options = [
            VariantCosts([cost for _, cost in found], probabilities[i], is_required)
            for i, found, is_required in zip(positions, lists, must_be_sent, strict=True)
        ]
        picked = allocate(options, budget - spent_tokens)
        if picked is None or (options and all(variant < 0 for variant in picked)):
            smallest = [o.costs[0] for o in options if o.is_required] or [min((o.costs[0] for o in options), default=0)]
            raise BudgetTooSmallError(
                budget, spent_tokens + sum(smallest), "pinned, forced, called and provider-native tools"
            )
        out: list[Any | None] = [
            tool if f is None else None for tool, f in zip(self.tools, self.functions, strict=True)
        ]
        for i, found, variant in zip(positions, lists, picked, strict=True):
            out[i] = found[variant][0] if variant >= 0 else None
        return ToolAllocation(out, scores)

    def has_breakpoint(self, index: int) -> bool:
        """Whether a function ends a cached prefix (Anthropic's `cache_control`)."""
        function = self.functions[index]
        return function is not None and isinstance(function.data, Mapping) and "cache_control" in function.data

    def function_name(self, index: int) -> str:
        """Returns the name of a function, "" for a native tool."""
        function: FunctionTool | None = self.functions[index]
        return function.name if function is not None else ""

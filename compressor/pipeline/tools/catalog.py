"""Allocates a budget among a list of tools, for any number of queries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compressor.context.formats.function_tools import join_declarations, split_declarations
from compressor.errors import BudgetTooSmallError
from compressor.pipeline.tools.argument_use import PastCalls
from compressor.pipeline.tools.knapsack import FunctionOption, allocate
from compressor.pipeline.tools.ranking import need_probabilities
from compressor.pipeline.tools.tool import FunctionTool
from compressor.pipeline.tools.tool_index import ToolVariants, get_tool_index
from compressor.scoring.base import Query, Scorer
from compressor.scoring.bm25 import weighted_terms
from compressor.tokens import TokenCounter

#: A tool as it is sent (complete or shortened), and its tokens.
Variant = tuple[Any, int]
#: The likeliest functions, whose variants depend on the request. Those of the others depend on the function alone.
MAX_QUERIED = 10
#: Of these, the ones with all variants; the others have a few.
MAX_FINE = 4


@dataclass(frozen=True, slots=True)
class ToolAllocation:
    """The allocation of a budget.

    Attributes:
        variants: For each tool what is sent, None for nothing.
        scores: The relevance of each tool, 0 for native tools.
        tokens: The tokens of each tool as it is sent, 0 for one that is not.
    """

    variants: list[Any | None]
    scores: list[float]
    tokens: list[int]


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
        self._scorer = scorer
        self._index = get_tool_index(self.tools, counter)
        self.functions = self._index.functions
        self.warnings = list(self._index.warnings)
        self.total_tokens = self._index.total_tokens
        self.frame_tokens = self._index.frame_tokens
        self.costs = self._index.costs
        self.function_indices = self._index.function_indices
        self.index_by_name = self._index.index_by_name

    def join(self, tools: Sequence[Any]) -> list[Any]:
        """Returns tools as they are sent: what one entry declared, and was split, is one entry again."""
        return join_declarations(tools) if len(self.tools) > len(self.given) else list(tools)

    def original(self, index: int) -> tuple[str, str]:
        """Returns the ref of a tool, and the JSON that it expands to."""
        return self._index.originals[index]

    def cost(self, tool: Any) -> int:
        """Returns the tokens of one tool in a list of tools."""
        return self.counter.count_tools([tool]) - self.frame_tokens

    def count_tokens(self, tools: Sequence[Any]) -> int:
        """Returns the tokens of tools together, as the provider counts them."""
        return self.counter.count_tools(tools)

    def scores(self, query: Query) -> list[float]:
        """Returns the relevance of each tool, 0 for native tools."""
        found = iter(self._index.ranker(self._scorer).scores(query, self.warnings).tolist())
        return [next(found) if function is not None else 0.0 for function in self.functions]

    def need_probabilities(self, scores: Sequence[float]) -> list[float]:
        """Returns the probability that each tool is needed, given the relevance of all of them."""
        found = iter(need_probabilities(np.array([scores[i] for i in self.function_indices])).tolist())
        return [next(found) if function is not None else 0.0 for function in self.functions]

    def shrink_variants(self, index: int, query: Query, calls: PastCalls | None = None) -> list[Variant]:
        """Returns the variants of a function by rising cost, the complete one last; invalid schemas have one only.

        Args:
            index: The position of the function.
            query: What the turn is about. It decides which optional parameters stay longest.
            calls: The calls in the messages, which decide that, too.
        """
        found = self._variants(index, weighted_terms(query.parts), _has_digit(query), calls, False, False)
        return [(found.tool(i, self.tools[index]), cost) for i, cost in enumerate(found.options.costs)]

    def smallest_costs(
        self, indices: Sequence[int], query: Query, calls: PastCalls | None = None, names: Collection[int] = ()
    ) -> list[int]:
        """Returns the tokens of functions in their shortest variants, without making these.

        Args:
            indices: The positions of the functions.
            query: What the turn is about.
            calls: The calls in the messages.
            names: The positions of the functions that may be sent as names without parameters.
        """
        request, has_digit = weighted_terms(query.parts), _has_digit(query)
        return [self._variants(i, request, has_digit, calls, False, i in names).options.costs[0] for i in indices]

    def _variants(
        self,
        index: int,
        request: Collection[str],
        has_digit: bool,
        calls: PastCalls | None,
        is_coarse: bool,
        may_be_name: bool,
    ) -> ToolVariants:
        use = self._index.argument_use(index)
        return self._index.variants(index, use.levels(request, has_digit, calls), is_coarse, may_be_name)

    def allocate(
        self,
        query: Query,
        budget: int,
        pinned: Collection[str] = (),
        required: Collection[str] = (),
        candidates: Collection[int] | None = None,
        spent_tokens: int | None = None,
        calls: PastCalls | None = None,
        probabilities: Sequence[float] | None = None,
        names: Collection[int] = (),
    ) -> ToolAllocation:
        """Allocates a budget: decides which functions are sent, and in which variant.

        Args:
            query: What the turn is about.
            budget: The budget of all tools in tokens.
            pinned: Names of functions that are sent complete.
            required: Names of functions that are sent in some variant. Those with a cache breakpoint always are.
            candidates: The positions of the functions to choose from, None for all.
            spent_tokens: Tokens that are spent already, None for those of the native tools and of the frame.
            calls: The calls in the messages.
            probabilities: How likely each tool is needed, None to estimate it by the query.
            names: The positions of the functions that may be sent as names without parameters, because a search can
                tell them.

        Raises:
            BudgetTooSmallError: If what must be sent does not fit, or if no function fits.
        """
        scores = self.scores(query) if probabilities is None else list(probabilities)
        probabilities = self.need_probabilities(scores) if probabilities is None else probabilities
        if spent_tokens is None:
            spent_tokens = self.frame_tokens + sum(
                c for c, f in zip(self.costs, self.functions, strict=True) if f is None
            )
        positions = self.function_indices if candidates is None else sorted(candidates)
        order = sorted(positions, key=lambda i: -probabilities[i])
        likeliest, likely = set(order[:MAX_FINE]), set(order[:MAX_QUERIED])
        request, has_digit = weighted_terms(query.parts), _has_digit(query)
        lists: list[ToolVariants] = []
        options: list[FunctionOption] = []
        for i in positions:
            name = self.function_name(i)
            is_required = name in pinned or name in required or self.has_breakpoint(i)
            if name in pinned:
                found = ToolVariants((), self.costs[i])
            elif i in likely or is_required:
                found = self._variants(i, request, has_digit, calls, i not in likeliest, i in names)
            else:
                found = self._index.usual_variants(i, i in names)
            lists.append(found)
            options.append(FunctionOption(found.options, probabilities[i], is_required))
        picked = allocate(options, budget - spent_tokens)
        if picked is None or (options and all(variant < 0 for variant in picked)):
            smallest = [o.variants.costs[0] for o in options if o.is_required] or [
                min((o.variants.costs[0] for o in options), default=0)
            ]
            raise BudgetTooSmallError(
                budget, spent_tokens + sum(smallest), "pinned, forced, called and provider-native tools"
            )
        out: list[Any | None] = [
            tool if f is None else None for tool, f in zip(self.tools, self.functions, strict=True)
        ]
        tokens = [cost if f is None else 0 for cost, f in zip(self.costs, self.functions, strict=True)]
        for i, found, variant in zip(positions, lists, picked, strict=True):
            if variant >= 0:
                out[i], tokens[i] = found.tool(variant, self.tools[i]), found.options.costs[variant]
        return ToolAllocation(out, scores, tokens)

    def has_breakpoint(self, index: int) -> bool:
        """Whether a function ends a cached prefix (Anthropic's `cache_control`)."""
        function = self.functions[index]
        return function is not None and isinstance(function.data, Mapping) and "cache_control" in function.data

    def function_name(self, index: int) -> str:
        """Returns the name of a function, "" for a native tool."""
        function: FunctionTool | None = self.functions[index]
        return function.name if function is not None else ""


def _has_digit(query: Query) -> bool:
    return any(char.isdigit() for text, _ in query.parts for char in text)

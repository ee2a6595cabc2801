"""What is computed about a list of tools once: its functions, their tokens and variants, and the index that ranks them.

An agent sends the same tools with every call, so the last lists are remembered by their content. What is remembered is
a copy: a caller may change its tools, and those it gets, at any time.
"""

from __future__ import annotations

import copy
import hashlib
import marshal
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from compressor.caches import LruCache
from compressor.context.refs import compute_ref
from compressor.pipeline.tools.argument_use import ArgumentUse
from compressor.pipeline.tools.json_schema import find_problem
from compressor.pipeline.tools.knapsack import VariantCosts
from compressor.pipeline.tools.ranking import ToolRanker
from compressor.pipeline.tools.schema_shrinking import name_only, shrink_variants
from compressor.pipeline.tools.shrink_levels import COARSE_LEVELS, LEVELS, ShrinkLevel
from compressor.pipeline.tools.tool import dump_tool, parse_functions
from compressor.scoring.base import Scorer
from compressor.scoring.model_scorer import ModelScorer
from compressor.tokens import TokenCounter

MAX_CACHED_BYTES = 64 << 20
_BYTES_PER_BYTE = 32  # memory that an index takes for each byte of its tools, with its variants
#: What a tool without its parameters is worth, because a search tells them; any other variant is worth more.
NAME_VALUE = 0.2
_VARIANTS_PER_TOOL = 4  # sets of variants that are remembered
_PLAIN_VERSION = 2  # of marshal: equal values have equal bytes


class ToolVariants:
    """The variants of one function for one estimate of which parameters are used.

    Attributes:
        options: The costs and values of the variants, the shortest first, the complete one last.
    """

    __slots__ = ("_dumped", "options")

    def __init__(self, found: Sequence[tuple[Any, int, float]], complete_cost: int) -> None:
        self._dumped = [_dump_copy(tool) for tool, _, _ in found]
        self.options = VariantCosts(
            [*(cost for _, cost, _ in found), complete_cost], [*(value for *_, value in found), 1.0]
        )

    def __len__(self) -> int:
        return len(self.options.costs)

    def tool(self, variant: int, complete: Any) -> Any:
        """Returns a new copy of a variant; `complete` itself for the last one."""
        return _load_copy(self._dumped[variant]) if variant < len(self._dumped) else complete


class ToolIndex:
    """A list of tools with what is computed about them. Safe to share between threads.

    Attributes:
        functions: The function of each tool, None for a native one.
        counter: Counts their tokens.
        total_tokens: The tokens of all tools together.
        frame_tokens: The tokens that any list of tools costs beside its tools.
        costs: The tokens of each tool.
        warnings: What is wrong with their schemas.
        size: The bytes of the tools, if they are cached.

    Args:
        tools: The tools; one function at most in each.
        counter: Counts their tokens.

    Raises:
        ContextError: As `parse_functions`.
    """

    def __init__(self, tools: Sequence[Any], counter: TokenCounter) -> None:
        self.tools = tools
        self.size = 0
        self.counter = counter
        self.functions = parse_functions(tools)
        self.warnings: list[str] = []
        first = counter.count_tools(tools[:1])
        self.frame_tokens = 2 * first - counter.count_tools([*tools[:1], *tools[:1]])
        self.costs = [counter.count_tools([tool]) - self.frame_tokens for tool in tools]
        self.total_tokens = self.frame_tokens + sum(self.costs) if tools else 0
        self.function_indices = [i for i, function in enumerate(self.functions) if function is not None]
        self.index_by_name = {f.name: i for i, f in enumerate(self.functions) if f is not None}
        self._uses: dict[int, ArgumentUse] = {}
        self._usual: dict[tuple[int, bool], ToolVariants] = {}
        self._rankers: WeakKeyDictionary[ModelScorer, ToolRanker] = WeakKeyDictionary()
        self._variants: LruCache[tuple[int, tuple[int, ...], bool, bool], ToolVariants] = LruCache(
            max(64, _VARIANTS_PER_TOOL * len(tools))
        )
        self._invalid: set[int] = set()
        for i, function in enumerate(self.functions):
            if function is not None and function.schema is not None and (fault := find_problem(function.schema)):
                self._invalid.add(i)
                self.warnings.append(f"tool {function.name!r} cannot be slimmed: {fault}")

    @cached_property
    def _plain_ranker(self) -> ToolRanker:
        return ToolRanker([function for function in self.functions if function is not None])

    def ranker(self, scorer: Scorer | None) -> ToolRanker:
        """Returns the index that ranks the functions for a scorer."""
        if not isinstance(scorer, ModelScorer):
            return self._plain_ranker
        ranker = self._rankers.get(scorer)
        if ranker is None:
            ranker = ToolRanker([function for function in self.functions if function is not None], scorer)
            self._rankers[scorer] = ranker
        return ranker

    def argument_use(self, index: int) -> ArgumentUse:
        """Returns the optional parameters of a function."""
        use = self._uses.get(index)
        if use is None:
            function = self.functions[index]
            valid = function is not None and index not in self._invalid
            use = ArgumentUse(function.name, function.schema) if function and valid else ArgumentUse("", None)
            self._uses[index] = use
        return use

    def variants(
        self, index: int, uses: tuple[int, ...], is_coarse: bool = False, may_be_name: bool = False
    ) -> ToolVariants:
        """Returns the variants of a function; a function with an invalid schema has only the complete one.

        Args:
            index: Its position.
            uses: How likely its optional parameters are used, as `ArgumentUse.levels` returns it.
            is_coarse: Whether a few variants are enough, because the function is hardly needed.
            may_be_name: Whether the shortest variant is a name without parameters, which a search can tell.
        """
        key = index, uses, is_coarse, may_be_name
        found = self._variants.get(key)
        if found is None:
            found = self._make_variants(index, uses, COARSE_LEVELS if is_coarse else LEVELS, may_be_name)
            self._variants.put(key, found)
        return found

    def usual_variants(self, index: int, may_be_name: bool = False) -> ToolVariants:
        """Returns a few variants of a function that does not depend on the request, because it is hardly needed."""
        key = index, may_be_name
        found = self._usual.get(key)
        if found is None:
            found = self.variants(index, self.argument_use(index).levels((), False), True, may_be_name)
            self._usual[key] = found
        return found

    def _make_variants(
        self, index: int, uses: tuple[int, ...], levels: Sequence[ShrinkLevel], may_be_name: bool
    ) -> ToolVariants:
        function = self.functions[index]
        kept: list[tuple[Any, int, float]] = []
        if function is not None and index not in self._invalid:
            cost_limit = self.costs[index]
            found: list[tuple[Any, float]] = [
                (tool, value) for tool, value in shrink_variants(function, self.argument_use(index), uses, levels)
            ]
            if may_be_name and (named := name_only(function)) is not None:
                found.append((named, NAME_VALUE))
            for tool, value in found:
                cost = self.counter.count_tools([tool]) - self.frame_tokens
                if cost < cost_limit:
                    while kept and value >= kept[-1][2]:  # shorter and worth as much
                        kept.pop()
                    kept.append((tool, cost, value))
                    cost_limit = cost
        return ToolVariants(kept[::-1], self.costs[index])

    @cached_property
    def originals(self) -> list[tuple[str, str]]:
        """The ref of each tool, and the JSON that it expands to."""
        texts = [dump_tool(tool) for tool in self.tools]
        return [(compute_ref(text), text) for text in texts]


def get_tool_index(tools: Sequence[Any], counter: TokenCounter) -> ToolIndex:
    """Returns the index of a list of tools. Another list with equal content gets the same index.

    Raises:
        ContextError: As `parse_functions`.
    """
    try:
        data = marshal.dumps(list(tools), _PLAIN_VERSION)
    except ValueError:  # objects are not compared by their content
        return ToolIndex(tools, counter)
    key = hashlib.blake2b(data, digest_size=16).digest(), counter
    index = tool_indexes.get(key)
    if index is None:
        index = ToolIndex(marshal.loads(data), counter)
        index.size = len(data)
        tool_indexes.put(key, index)
    return index


def _dump_copy(tool: Any) -> bytes | Any:
    try:
        return marshal.dumps(tool)
    except ValueError:
        return tool


def _load_copy(dumped: bytes | Any) -> Any:
    return marshal.loads(dumped) if isinstance(dumped, bytes) else copy.deepcopy(dumped)


#: The last lists of tools, by their content.
tool_indexes: LruCache[tuple[bytes, TokenCounter], ToolIndex] = LruCache(
    MAX_CACHED_BYTES, lambda index: _BYTES_PER_BYTE * index.size
)

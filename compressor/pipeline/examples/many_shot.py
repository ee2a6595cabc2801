"""Selects a fixed block of examples for the provider's prompt cache, and examples for the query beside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from compressor.context.budget import Budget, resolve_budget
from compressor.errors import BudgetError, BudgetTooSmallError
from compressor.pipeline.examples.cached_block import CachedBlock, choose_cached_block
from compressor.pipeline.examples.embeddings import TextEncoder
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.selector import ExampleSelector, PickedExample, SelectionResult
from compressor.tokens import TokenCounter

MAX_ATTEMPTS = 4  # to fill the budget, because joined texts may have a few more tokens


def select_with_block(
    pool: ExampleSet,
    query: str | None,
    budget: int,
    cached_budget: Budget,
    counter: TokenCounter,
    encoder: TextEncoder | None,
    **options: Any,
) -> tuple[SelectionResult, int]:
    """Selects the block and the query's examples.

    Args:
        pool: The examples.
        query: The question that the prompt asks; None or "" selects the block only.
        budget: The tokens of all examples together.
        cached_budget: The tokens of the block, or a fraction of the tokens of all examples.
        counter: Counts the tokens.
        encoder: Compares texts in addition to their n-grams, or None.
        **options: `method`, `prune` and `order` of `ExampleSelector`, for the query's examples.

    Returns:
        The selection, block first, and the number of examples in the block.

    Raises:
        BudgetError: If the cached budget is invalid or larger than the budget.
        BudgetTooSmallError: If no example fits the cached budget.
    """
    costs = pool.costs(counter)
    limit = resolve_budget(cached_budget, int(costs.sum()))
    if limit > budget:
        raise BudgetError(f"cached_budget is a part of the budget of {budget} tokens, so it cannot be {limit} tokens")
    block = _get_block(pool, counter, limit, encoder)
    if not block.rows:
        raise BudgetTooSmallError(limit, int(costs.min()), "the smallest example in cached_budget")
    picked = [PickedExample(row, pool.texts[row], int(costs[row])) for row in block.rows]
    relevance = np.zeros(len(pool), np.float32)
    tokens, warnings = _count(pool, picked, counter), []
    available = budget - sum(p.cost for p in picked)
    for _ in range(MAX_ATTEMPTS):
        if not (query or "").strip() or not len(block.others) or available < 1:
            break
        try:
            own = ExampleSelector(block.others, counter, encoder, **options).select(query, available)
        except BudgetTooSmallError as error:
            warnings = [f"no example for the query fits beside the cached block: it needs {error.needed} more tokens"]
            break
        relevance[block.other_rows] = own.relevance
        for example in own.picked:
            example.row = int(block.other_rows[example.row])
        whole = _count(pool, [*picked, *own.picked], counter)
        if whole <= budget:
            picked, tokens, warnings = [*picked, *own.picked], whole, own.warnings
            break
        available -= whole - budget
    return SelectionResult(picked, tokens, relevance, warnings), len(block.rows)


def _get_block(pool: ExampleSet, counter: TokenCounter, limit: int, encoder: TextEncoder | None) -> CachedBlock:
    key = counter.name, counter.scale, limit
    block: CachedBlock | None = pool.cached_blocks.get(key)
    if block is None:
        if encoder is not None:
            pool.vectors(encoder)  # so that the set of the other examples need not compute them again
        block = choose_cached_block(pool, counter, limit)
        pool.cached_blocks.put(key, block)
    return block


def _count(pool: ExampleSet, picked: list[PickedExample], counter: TokenCounter) -> int:
    """The tokens of examples as they are sent."""
    tokens = counter.count(pool.template.separator.join(p.text for p in picked))
    return max(tokens, sum(p.cost for p in picked)) if pool.is_chat else tokens

"""Selects examples from a list or from a set: the implementation of `Compressor.select_examples`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.budget import Budget, resolve_budget
from compressor.errors import ContextError
from compressor.pipeline.examples.embeddings import find_encoder
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.example_set_cache import get_example_set
from compressor.pipeline.examples.many_shot import select_with_block
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.results_builder import build_examples_result
from compressor.pipeline.examples.selector import ExampleSelector
from compressor.pipeline.examples.template import TemplateLike
from compressor.scoring.base import Scorer
from compressor.storage.base import BlobStore
from compressor.tokens import TokenCounter


def select_examples(
    examples: Sequence[Any],
    query: str | None,
    budget: Budget,
    counter: TokenCounter,
    scorer: Scorer,
    store: Callable[[], BlobStore],
    template: TemplateLike | None = None,
    **options: Any,
) -> ExamplesResult:
    """Selects examples from a list; see `Compressor.select_examples`.

    Args:
        examples: The caller's examples.
        query: The question that the prompt asks, or None for typical examples.
        budget: Tokens, or a fraction of the tokens of all examples.
        counter: Counts the tokens.
        scorer: Its model compares texts if it can embed them.
        store: Returns the store for the originals of what is dropped.
        template: How examples are written.
        **options: `method`, `prune` and `order` of `ExampleSelector`, and `cached_budget`.

    Raises:
        ContextError: If `examples` is not a list of examples, or the query is not a string.
        BudgetError: If the budget is invalid.
        BudgetTooSmallError: If not even the smallest example fits.
    """
    if isinstance(examples, (str, bytes)) or not isinstance(examples, Sequence):
        raise ContextError(f"examples must be a list, not {type(examples).__name__}")
    return select_from_set(
        get_example_set(examples, template), examples, query, budget, counter, scorer, store, **options
    )


def select_from_set(
    pool: ExampleSet,
    given: Sequence[Any],
    query: str | None,
    budget: Budget,
    counter: TokenCounter,
    scorer: Scorer,
    store: Callable[[], BlobStore],
    cached_budget: Budget | None = None,
    **options: Any,
) -> ExamplesResult:
    """Selects examples from a set that exists already.

    Args:
        pool: The set.
        given: The caller's objects, one for each example of `pool`.
        query: As for `select_examples`, like the arguments below.
        budget: Tokens, or a fraction of the tokens of all examples.
        counter: Counts the tokens.
        scorer: Its model compares texts if it can embed them.
        store: Returns the store for the originals of what is dropped.
        cached_budget: The part of the budget for a block of examples that is the same for all queries, or None.
        **options: `method`, `prune` and `order` of `ExampleSelector`.

    Raises:
        ContextError: If the query is not a string.
        BudgetError: If the budget is invalid.
        BudgetTooSmallError: If not even the smallest example fits.
    """
    if query is not None and not isinstance(query, str):
        raise ContextError(f"query must be a str, not {type(query).__name__}")
    before = int(pool.costs(counter).sum()) if len(pool) else 0
    limit = resolve_budget(budget, before)
    if not len(pool):
        return ExamplesResult(0, 0, limit, is_estimate=counter.is_estimate, tokenizer=counter.name)
    encoder = find_encoder(scorer)
    if cached_budget is not None:
        selection, cached = select_with_block(pool, query, limit, cached_budget, counter, encoder, **options)
        return build_examples_result(selection, pool, given, counter, limit, store, cached)
    selection = ExampleSelector(pool, counter, encoder, **options).select(query, limit)
    return build_examples_result(selection, pool, given, counter, limit, store)

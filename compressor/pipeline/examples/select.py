"""`Compressor.select_examples`: reads the examples, has them chosen, gives the account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.budget import tokens_of
from compressor.errors import InvalidContext
from compressor.pipeline.examples.embeddings import encoder_of
from compressor.pipeline.examples.example_set import Pool, pool_of
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.results_builder import account
from compressor.pipeline.examples.selector import Selection
from compressor.pipeline.examples.template import TemplateLike
from compressor.scoring.base import Scorer
from compressor.storage.base import Store
from compressor.tokens import Counter


def select_examples(
    examples: Sequence[Any],
    query: str | None,
    budget: int | float,
    counter: Counter,
    scorer: Scorer,
    store: Callable[[], Store],
    template: TemplateLike | None = None,
    **options: Any,
) -> ExamplesResult:
    """See `Compressor.select_examples`."""
    if isinstance(examples, (str, bytes)) or not isinstance(examples, Sequence):
        raise InvalidContext(f"examples must be a list, not {type(examples).__name__}")
    return choose(pool_of(examples, template), examples, query, budget, counter, scorer, store, **options)


def choose(
    pool: Pool,
    given: Sequence[Any],
    query: str | None,
    budget: int | float,
    counter: Counter,
    scorer: Scorer,
    store: Callable[[], Store],
    **options: Any,
) -> ExamplesResult:
    """A choice from a pool, with its account."""
    if query is not None and not isinstance(query, str):
        raise InvalidContext(f"query must be a str, not {type(query).__name__}")
    before = int(pool.costs(counter).sum()) if len(pool) else 0
    limit = tokens_of(budget, before)
    if not len(pool):
        return ExamplesResult(0, 0, limit, estimate=counter.estimate, tokenizer=counter.name)
    chosen = Selection(pool, counter, encoder_of(scorer), **options).choose(query, limit)
    return account(chosen, pool, given, counter, limit, store)

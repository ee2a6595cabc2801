"""`Compressor.select_examples`: reads the examples, has them chosen, gives the account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.budget import Budget, resolve_budget
from compressor.errors import ContextError
from compressor.pipeline.examples.embeddings import find_encoder
from compressor.pipeline.examples.example_set import ExampleSet, example_set
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
    """See `Compressor.select_examples`."""
    if isinstance(examples, (str, bytes)) or not isinstance(examples, Sequence):
        raise ContextError(f"examples must be a list, not {type(examples).__name__}")
    return choose(example_set(examples, template), examples, query, budget, counter, scorer, store, **options)


def choose(
    pool: ExampleSet,
    given: Sequence[Any],
    query: str | None,
    budget: Budget,
    counter: TokenCounter,
    scorer: Scorer,
    store: Callable[[], BlobStore],
    **options: Any,
) -> ExamplesResult:
    """A choice from a pool, with its account."""
    if query is not None and not isinstance(query, str):
        raise ContextError(f"query must be a str, not {type(query).__name__}")
    before = int(pool.costs(counter).sum()) if len(pool) else 0
    limit = resolve_budget(budget, before)
    if not len(pool):
        return ExamplesResult(0, 0, limit, is_estimate=counter.is_estimate, tokenizer=counter.name)
    chosen = ExampleSelector(pool, counter, find_encoder(scorer), **options).choose(query, limit)
    return build_examples_result(chosen, pool, given, counter, limit, store)

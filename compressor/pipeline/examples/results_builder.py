"""Turns a selection of examples into a result: copies of shortened examples, messages, and refs to what was dropped.

Originals are stored when `dropped` is first read. Before that nobody has a ref to them, and an example store with tens
of thousands of examples would otherwise write most of itself with every query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.refs import compute_ref
from compressor.context.results import Dropped
from compressor.pipeline.examples.example import Example
from compressor.pipeline.examples.example_messages import Message, join_messages
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.rationale_pruning import RationaleStep, remove_steps
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.selector import SelectionResult
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.tokens import TokenCounter


def build_examples_result(
    selection: SelectionResult,
    pool: ExampleSet,
    given: Sequence[Any],
    counter: TokenCounter,
    budget: int,
    store: Callable[[], BlobStore],
    cached: int = 0,
) -> ExamplesResult:
    """Builds the result of a selection.

    Args:
        selection: What was selected.
        pool: The examples it was selected from.
        given: The caller's objects, one for each example of `pool`.
        counter: Counts the tokens.
        budget: The budget in tokens.
        store: Returns the store for the originals of what was dropped.
        cached: The number of examples at the beginning that are the same for all queries.
    """
    examples: list[Any] = []
    turns: list[list[Message]] = []
    all_have_messages = True
    for picked in selection.picked:
        example = pool.examples[picked.row]
        pruned_text = remove_steps(example.text, picked.removed_steps) if picked.removed_steps else None
        examples.append(given[picked.row] if pruned_text is None else example.with_text(pruned_text))
        turns.append(example.to_messages(pruned_text))
        all_have_messages &= bool(turns[-1])
    is_complete = len(selection.picked) == len(pool) and not any(t.removed_steps for t in selection.picked)
    last_separator = counter.count(pool.template.separator)
    before = selection.tokens if is_complete else max(selection.tokens, int(pool.costs(counter).sum()) - last_separator)
    block = pool.template.separator.join(t.text for t in selection.picked[:cached])
    block_tokens = 0
    if cached:
        sizes = [pool.message_cost(t.row, None, counter) for t in selection.picked[:cached]] if pool.is_chat else [0]
        block_tokens = min(selection.tokens, max(counter.count(block), sum(sizes)))
    return ExamplesResult(
        tokens_before=before,
        tokens_after=selection.tokens,
        budget=budget,
        warnings=selection.warnings,
        is_estimate=counter.is_estimate,
        tokenizer=counter.name,
        examples=examples,
        text=pool.template.separator.join(t.text for t in selection.picked),
        messages=join_messages(turns) if all_have_messages else [],
        indices=[t.row for t in selection.picked],
        ids=[pool.ids[t.row] for t in selection.picked] if pool.ids else [],
        shortened=sorted(t.row for t in selection.picked if t.removed_steps),
        considered=len(pool),
        cached_count=cached,
        cached_text=block,
        cached_messages=join_messages(turns[:cached]) if all_have_messages else [],
        cached_tokens=block_tokens,
        _dropped=lambda: _dropped(selection, pool, store),
    )


def _dropped(selection: SelectionResult, pool: ExampleSet, store: Callable[[], BlobStore]) -> list[Dropped]:
    removed_steps = {t.row: t.removed_steps for t in selection.picked}
    texts: dict[str, str] = {}
    out: list[Dropped] = []
    for row, example in enumerate(pool.examples):
        steps = removed_steps.get(row)
        if steps is not None and not steps:
            continue
        original = example.original_text(pool.texts[row])
        ref = compute_ref(original)
        texts[ref] = original
        score = float(selection.relevance[row])
        spans = [(0, len(original))] if steps is None else _spans(example, original, steps)
        reason = "example not chosen" if steps is None else "step of reasoning left out"
        out += [Dropped(row, row, "example", span, reason, score, ref) for span in spans]
    if texts:
        put_texts(store(), texts)
    return out


def _spans(example: Example, original: str, steps: Sequence[RationaleStep]) -> list[tuple[int, int]]:
    """Where steps are in the original, which holds the text of the rationale field as it is or as a JSON string."""
    text = example.text
    if original == text:
        return sorted((s.start, s.end) for s in steps)

    def escaped(part: str) -> int:
        return len(json.dumps(part, ensure_ascii=False)) - 2

    first = original.find(json.dumps(text, ensure_ascii=False)) + 1
    return sorted((first + escaped(text[: s.start]), first + escaped(text[: s.end])) for s in steps)

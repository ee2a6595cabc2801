"""Turns a choice of examples into a result: copies of the shortened ones, messages, and where the rest is.

Originals go to the store when somebody asks what was dropped: until then nobody has a ref to them, and a bank of tens
of thousands would write most of itself with every query.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.refs import compute_ref
from compressor.context.results import Dropped
from compressor.pipeline.examples.example import Example
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.rationale_pruning import RationaleStep, remove_steps
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.selector import SelectionResult
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.tokens import TokenCounter


def build_examples_result(
    chosen: SelectionResult,
    pool: ExampleSet,
    given: Sequence[Any],
    counter: TokenCounter,
    budget: int,
    store: Callable[[], BlobStore],
) -> ExamplesResult:
    """The result. `given`: the caller's objects, one for each of the pool's rows."""
    examples: list[Any] = []
    messages: list[dict[str, Any]] = []
    spoken = True
    for taken in chosen.picked:
        example = pool.examples[taken.row]
        home = remove_steps(example.text, taken.removed_steps) if taken.removed_steps else None
        examples.append(given[taken.row] if home is None else example.with_text(home))
        turns = example.to_messages(home)
        spoken &= bool(turns)
        messages += turns
    whole = len(chosen.picked) == len(pool) and not any(t.removed_steps for t in chosen.picked)
    spare = counter.count(pool.template.separator)
    before = chosen.tokens if whole else max(chosen.tokens, int(pool.costs(counter).sum()) - spare)
    return ExamplesResult(
        tokens_before=before,
        tokens_after=chosen.tokens,
        budget=budget,
        warnings=chosen.warnings,
        is_estimate=counter.is_estimate,
        tokenizer=counter.name,
        examples=examples,
        text=pool.template.separator.join(t.text for t in chosen.picked),
        messages=messages if spoken else [],
        indices=[t.row for t in chosen.picked],
        ids=[pool.ids[t.row] for t in chosen.picked] if pool.ids else [],
        shortened=sorted(t.row for t in chosen.picked if t.removed_steps),
        considered=len(pool),
        _dropped=lambda: _dropped(chosen, pool, store),
    )


def _dropped(chosen: SelectionResult, pool: ExampleSet, store: Callable[[], BlobStore]) -> list[Dropped]:
    gone = {t.row: t.removed_steps for t in chosen.picked}
    texts: dict[str, str] = {}
    out: list[Dropped] = []
    for row, example in enumerate(pool.examples):
        steps = gone.get(row)
        if steps is not None and not steps:
            continue
        original = example.original_text(pool.texts[row])
        ref = compute_ref(original)
        texts[ref] = original
        score = float(chosen.relevance[row])
        spans = [(0, len(original))] if steps is None else _spans(example, original, steps)
        reason = "example not chosen" if steps is None else "step of reasoning left out"
        out += [Dropped(row, row, "example", span, reason, score, ref) for span in spans]
    if texts:
        put_texts(store(), texts)
    return out


def _spans(example: Example, original: str, steps: Sequence[RationaleStep]) -> list[tuple[int, int]]:
    """Where steps of the text at `home` stand in the original, which has that text as it is or as a JSON string."""
    text = example.text
    if original == text:
        return sorted((s.start, s.end) for s in steps)

    def escaped(part: str) -> int:
        return len(json.dumps(part, ensure_ascii=False)) - 2

    first = original.find(json.dumps(text, ensure_ascii=False)) + 1
    return sorted((first + escaped(text[: s.start]), first + escaped(text[: s.end])) for s in steps)

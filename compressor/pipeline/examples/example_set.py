"""Holds examples with everything that was computed about them: texts, n-grams, labels, token counts, vectors.

An `ExampleSet` is immutable: adding or removing examples makes a new set that shares what the old one has computed, so
readers need no lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.caches import LruCache
from compressor.context.formats import detect_format
from compressor.errors import ContextError
from compressor.pipeline.examples.embeddings import EmbeddingMatrix, TextEncoder
from compressor.pipeline.examples.example import Example
from compressor.pipeline.examples.label_prior import LabelModel
from compressor.pipeline.examples.ngram_features import FeatureRows, ngram_features
from compressor.pipeline.examples.ngram_index import NgramIndex
from compressor.pipeline.examples.rationale_pruning import (
    RationaleStep,
    choose_steps_to_remove,
    may_have_steps,
    remove_steps,
    split_steps,
)
from compressor.pipeline.examples.template import ExampleTemplate, TemplateLike
from compressor.tokens import TokenCounter

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
#: Computes the values of some rows, [len(rows), ...].
ComputeRows = Callable[[list[int]], Array]
#: Returns the values of a set's rows from `start` on, cached under a name or computed by the function.
LoadColumn = Callable[["ExampleSet", str, int, ComputeRows], Array]

_MAX_BLOCKS = 2  # blocks for a prompt cache that a set remembers, each with a set of the other examples
_MAX_PRUNED = 2_000  # shortened examples that a set remembers


class ExampleSet:
    """An immutable list of examples.

    Args:
        examples: The examples.
        template: How they are written: None, a format string or a function, as for `ExampleTemplate`.
        ngram_index: The index of their n-grams; computed if None.
        load: Where computed columns come from; by default they are computed.
        columns: Columns that are known already, by name and key.
        ids: The ids of the examples in an `ExampleStore`.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        template: TemplateLike | None = None,
        lexical: NgramIndex | None = None,
        load: LoadColumn | None = None,
        columns: dict[Any, Array] | None = None,
        ids: Sequence[str] = (),
    ) -> None:
        self.examples, self.ids = list(examples), list(ids)
        self._given = template
        self.ngram_index = (
            lexical
            if lexical is not None
            else NgramIndex(ngram_features(question_texts(self.examples, template)), is_owner=True)
        )
        self._load = load or _compute_rows
        self._columns = columns if columns is not None else {}
        self._lock = threading.RLock()
        self.cached_blocks: LruCache[tuple[str, float, int], Any] = LruCache(_MAX_BLOCKS)
        self._median_costs: dict[tuple[str, float], int] = {}
        self._vectors: dict[str, EmbeddingMatrix] = {}
        self._pruned: LruCache[tuple[str, int], tuple[list[RationaleStep], str, int]] = LruCache(_MAX_PRUNED)

    def __len__(self) -> int:
        return len(self.examples)

    def with_added(self, examples: Sequence[Example], features: FeatureRows, ids: Sequence[str]) -> ExampleSet:
        """Returns a set with more examples at the end, given with their ids and n-grams (overwritten)."""
        with self._lock:
            columns = dict(self._columns)
        all_examples, index = [*self.examples, *examples], self.ngram_index.with_added(features, is_owner=True)
        return ExampleSet(all_examples, self._given, index, self._load, columns, [*self.ids, *ids])

    def without(self, removed: npt.NDArray[np.bool_]) -> ExampleSet:
        """Returns a set without the examples for which `removed` [n] is true."""
        with self._lock:
            columns = {key: column[~removed[: len(column)]] for key, column in self._columns.items()}
        remaining = [example for example, out in zip(self.examples, removed.tolist(), strict=True) if not out]
        ids = [id for id, out in zip(self.ids, removed.tolist(), strict=bool(self.ids)) if not out]
        return ExampleSet(remaining, self._given, self.ngram_index.without(removed), self._load, columns, ids)

    def rest(self, removed: npt.NDArray[np.bool_]) -> ExampleSet:
        """Returns `without`, in which examples are written as they are here."""
        out = self.without(removed)
        out.__dict__.update(template=self.template, is_chat=self.is_chat)  # otherwise both depend on the examples
        return out

    @cached_property
    def given(self) -> list[Any]:
        """The [n] objects that the caller gave."""
        return [example.given for example in self.examples]

    @cached_property
    def row_by_id(self) -> dict[str, int]:
        """The row of each id."""
        return {id: row for row, id in enumerate(self.ids)}

    @cached_property
    def label_model(self) -> LabelModel:
        """The labels of the examples."""
        contents = [f"{example.question}\n{example.answer}" for example in self.examples]
        return LabelModel(self.ngram_index, [example.label for example in self.examples], contents)

    @cached_property
    def template(self) -> ExampleTemplate:
        """How the examples are written. The default is one line each for short questions with repeated labels."""
        short = self._given is None and all(
            e.shape in ("fields", "pair")
            and e.label
            and not e.has_separate_rationale
            and "\n" not in e.question
            and "\n" not in e.answer
            for e in self.examples
        )
        return ExampleTemplate(self._given, short and self.label_model.is_repeated)

    @cached_property
    def is_chat(self) -> bool:
        """Whether all examples are lists of messages, which are sent and counted as messages."""
        return bool(self.examples) and all(example.shape == "messages" for example in self.examples)

    @cached_property
    def texts(self) -> list[str]:
        """The [n] examples as they are written. Raises ContextError if the template does not fit one."""
        render = self.template.render
        return [render(example, i) for i, example in enumerate(self.examples)]

    def costs(self, counter: TokenCounter) -> Ints:
        """Returns the [n] tokens of each example, including the separator after it."""

        def compute(rows: list[int]) -> Array:
            separator = self.template.separator
            counts = counter.count_batch([self.texts[row] + separator for row in rows])
            if self.is_chat:
                counts = [max(n, self.message_cost(row, None, counter)) for n, row in zip(counts, rows, strict=True)]
            return np.array(counts, np.int64)

        about = (self.template.key, self.is_chat)
        return self._column(f"tokens:{counter.name}:{counter.scale}:{about!r}", about, compute)

    def cost(self, row: int, text: str, pruned_text: str | None, counter: TokenCounter) -> int:
        """Returns the tokens of an example with the separator.

        Args:
            row: The row of the example.
            text: The example as it is written.
            pruned_text: The shortened text of its rationale field, or None if it is not shortened.
            counter: Counts the tokens.
        """
        cost = counter.count(text + self.template.separator)
        return max(cost, self.message_cost(row, pruned_text, counter)) if self.is_chat else cost

    def message_cost(self, row: int, pruned_text: str | None, counter: TokenCounter) -> int:
        """Returns the tokens of the messages of an example, including the markup around each message."""
        messages = self.examples[row].to_messages(pruned_text)
        try:
            context = detect_format(messages, None).parse(messages, None)
        except ContextError as error:
            raise ContextError(f"the messages of the example cannot be read: {error}", row, "example") from None
        return sum(counter.count_turn(turn, context.format_name) for turn in context.turns)

    def median_cost(self, counter: TokenCounter) -> int:
        """Returns the median of `costs`."""
        key = counter.name, counter.scale
        if key not in self._median_costs:
            self._median_costs[key] = int(np.median(self.costs(counter)))
        return self._median_costs[key]

    @cached_property
    def has_prunable_reasoning(self) -> bool:
        """Whether any example may have reasoning that can be shortened."""
        return any(map(may_have_steps, self.examples))

    def vectors(self, encoder: TextEncoder) -> EmbeddingMatrix:
        """Returns the vectors of the questions, or of the whole example if its question is unknown."""
        with self._lock:
            cached = self._vectors.get(encoder.fingerprint)
            if cached is None:

                def compute(rows: list[int]) -> Array:
                    return encoder.embed([self.examples[r].question or self.texts[r] for r in rows], keep=False)

                rows = self._column(f"vectors:{encoder.fingerprint}", (), compute)
                cached = self._vectors[encoder.fingerprint] = EmbeddingMatrix(rows.astype(np.float32), encoder.device)
        return cached

    def with_pruned_rationale(self, row: int, counter: TokenCounter) -> tuple[list[RationaleStep], str, int] | None:
        """Shortens the reasoning of an example.

        Returns:
            The removed steps in the order in which they were removed, the shortened example as it is written, and its
            tokens. None if no step can be removed.
        """
        key = counter.name, row
        pruned = self._pruned.get(key)
        if pruned is None:
            example = self.examples[row]
            steps = choose_steps_to_remove(example, split_steps(example), counter.count)
            text, cost = self.render_without(row, steps, counter) if steps else ("", 0)
            pruned = steps, text, cost
            self._pruned.put(key, pruned)
        return pruned if pruned[0] else None

    def render_without(self, row: int, steps: list[RationaleStep], counter: TokenCounter) -> tuple[str, int]:
        """Returns an example without some steps of its reasoning, as it is written, and its tokens."""
        example = self.examples[row]
        pruned_text = remove_steps(example.text, steps)
        text = self.template.render(example, row, pruned_text)
        return text, self.cost(row, text, pruned_text, counter)

    def _column(self, name: str, variant: object, compute: ComputeRows) -> Array:
        """The [n, ...] values of all rows; only those of new rows are computed."""
        key = name, variant
        with self._lock:
            column = self._columns.get(key)
            start = 0 if column is None else len(column)
            if column is None or start < len(self):
                new = self._load(self, name, start, compute)
                column = new if column is None else np.concatenate([column, new])
                self._columns[key] = column
        return column


def question_texts(examples: Sequence[Example], template: TemplateLike | None) -> list[str]:
    """Returns the texts that queries are compared with: questions, or whole examples if their question is unknown."""
    renderer = ExampleTemplate(template)
    return [e.question or renderer.render(e, i) for i, e in enumerate(examples)]


def _compute_rows(pool: ExampleSet, name: str, start: int, compute: ComputeRows) -> Array:
    return compute(list(range(start, len(pool))))

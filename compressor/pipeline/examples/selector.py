"""Selects examples for a query within a token budget: rank, fill the budget, shorten, fill again, order, count.

`query_relevance` compares the examples with the query, `ranking` says which examples to take first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.examples.embeddings import TextEncoder
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.query_relevance import ExampleRelevance
from compressor.pipeline.examples.ranking import METHODS, MIN_CANDIDATES, ExampleRanking
from compressor.pipeline.examples.rationale_pruning import KEEP_FRACTION, RationaleStep, remove_steps
from compressor.tokens import TokenCounter

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

ExampleOrder = Literal["most_relevant_last", "most_relevant_first", "given"]


@dataclass
class PickedExample:
    """A selected example.

    Attributes:
        row: Its row in the set.
        text: The example as it is written.
        cost: Its tokens, including the separator after it.
        removed_steps: The steps of its reasoning that were removed.
    """

    row: int
    text: str
    cost: int
    removed_steps: list[RationaleStep] = field(default_factory=list)


@dataclass
class SelectionResult:
    """A selection.

    Attributes:
        picked: The examples in the order in which to send them.
        tokens: The tokens of all of them together.
        relevance: [n] the relevance of all rows of the set.
        warnings: What the user should know.
    """

    picked: list[PickedExample]
    tokens: int
    relevance: Floats
    warnings: list[str]


class ExampleSelector:
    """Selects examples from a set, for one query.

    Args:
        pool: The examples.
        counter: Counts the tokens.
        encoder: Compares texts in addition to their n-grams, or None.
        method: "classes" (show the likely classes), "dpp", "mmr", "top" (most relevant first), or "auto": "classes" and
            "dpp" mixed, by how well labels can be predicted from texts.
        prune: Whether reasoning may be shortened so that more examples fit.
        order: The order in which to send the examples; one of `ORDERS`.

    Raises:
        CompressorError: If the method or the order is unknown.
        ContextError: If the template does not fit an example.
    """

    def __init__(
        self,
        pool: ExampleSet,
        counter: TokenCounter,
        encoder: TextEncoder | None = None,
        method: str = "auto",
        prune: bool = True,
        order: ExampleOrder = "most_relevant_last",
    ) -> None:
        for name, value, allowed in (("method", method, METHODS), ("order", order, get_args(ExampleOrder))):
            if value not in allowed:
                raise CompressorError(f"unknown {name} {value!r}: use one of {', '.join(allowed)}")
        self.pool, self.counter, self.encoder = pool, counter, encoder
        self.method, self.prune, self.order = method, prune, order
        self.costs = pool.costs(counter)
        self.warnings: list[str] = []

    def select(self, query: str | None, budget: int) -> SelectionResult:
        """Selects examples within a budget.

        Args:
            query: The question that the prompt asks; None or "" selects typical examples.
            budget: The budget in tokens.

        Raises:
            BudgetTooSmallError: If not even the smallest example fits.
        """
        question = (query or "").strip()
        last_separator = self.counter.count(self.pool.template.separator)  # it is part of every cost, but not sent
        model = ExampleRelevance(
            self.pool, self.encoder, self.method in ("auto", "classes"), always=self.method == "classes"
        )
        found = model.compare(question)
        relevance = found.cosines
        taken = self._all(relevance, budget + last_separator)
        if taken is None or self._tokens(self._arranged(taken)) > budget:
            ranked = ExampleRanking(
                self.pool, self.costs, self.pool.median_cost(self.counter), model, self.method
            ).rank(found, budget)
            taken = self._filled(ranked, budget + last_separator)
            if self.prune and self.pool.has_prunable_reasoning:
                taken = self._pruned(taken, ranked, relevance, budget + last_separator)
            while taken and self._tokens(self._arranged(taken)) > budget:  # joined texts may have a few more tokens
                taken.pop()
            if not taken:
                taken = self._smallest(budget)
            if (large := int((self.costs > budget + last_separator).sum())) and large < len(self.pool):
                self.warnings.append(f"{large} of {len(self.pool)} examples are each larger than the budget")
        taken = self._arranged(taken)
        return SelectionResult(taken, self._tokens(taken), relevance, [*model.warnings, *self.warnings])

    def _arranged(self, taken: list[PickedExample]) -> list[PickedExample]:
        """Returns examples that were taken best first in the order in which to send them."""
        if self.order == "given":
            return sorted(taken, key=lambda t: t.row)
        return taken[::-1] if self.order == "most_relevant_last" else taken

    # -- filling the budget, which here includes the separator after the last example

    def _all(self, relevance: Floats, budget: int) -> list[PickedExample] | None:
        """All examples, most relevant first, or None if they do not fit."""
        if int(self.costs.sum()) > budget:
            return None
        return [self._whole(row) for row in np.lexsort((self.pool.label_model.digests, -relevance)).tolist()]

    def _whole(self, row: int) -> PickedExample:
        return PickedExample(row, self.pool.texts[row], int(self.costs[row]))

    def _filled(
        self, ranked: list[Ints], budget: int, prune: Callable[[int], PickedExample] | None = None
    ) -> list[PickedExample]:
        """Takes ranked examples, shortened by `prune` if it is given, as long as they fit."""
        remaining = budget
        taken: list[PickedExample] = []
        texts: set[str] = set()
        smallest = int(self.costs.min()) if prune is None else 1
        for rows in ranked:
            if remaining < smallest:
                break
            fraction = 1.0 if prune is None else 1 - KEEP_FRACTION  # others are too large even if pruned
            for row in rows[self.costs[rows] * fraction <= remaining].tolist():
                if self.pool.texts[row] in texts:
                    continue
                new = self._whole(row) if prune is None else prune(row)
                if new.cost <= remaining:
                    taken.append(new)
                    texts.add(self.pool.texts[row])
                    remaining -= new.cost
                    break
        return taken

    def _pruned(
        self, whole: list[PickedExample], ranked: list[Ints], relevance: Floats, budget: int
    ) -> list[PickedExample]:
        """Shortens reasoning if more relevant examples fit then; otherwise returns `whole`.

        What remains of the budget is then filled with steps that were removed, those of the best example first.
        """

        def prune(row: int) -> PickedExample:
            found = self.pool.with_pruned_rationale(row, self.counter)
            return self._whole(row) if found is None else PickedExample(row, found[1], found[2], list(found[0]))

        taken = self._filled(ranked, budget, prune)
        if relevance[[t.row for t in taken]].sum() <= relevance[[t.row for t in whole]].sum():
            return whole
        remaining = budget - sum(t.cost for t in taken)
        for this in taken:
            if this.removed_steps and self.costs[this.row] - this.cost <= remaining:
                remaining -= int(self.costs[this.row]) - this.cost
                this.text, this.cost, this.removed_steps = self.pool.texts[this.row], int(self.costs[this.row]), []
        for this in taken:
            for step in this.removed_steps[::-1]:
                remaining_steps = [s for s in this.removed_steps if s is not step]
                if not remaining_steps:
                    break
                text, cost = self.pool.render_without(this.row, remaining_steps, self.counter)
                if cost - this.cost <= remaining:
                    remaining -= cost - this.cost
                    this.text, this.cost, this.removed_steps = text, cost, remaining_steps
        return taken

    def _smallest(self, budget: int) -> list[PickedExample]:
        """One example that fits. Raises BudgetTooSmallError if none does."""
        best: PickedExample | None = None
        needed = 0
        for row in np.argsort(self.costs, kind="stable")[:MIN_CANDIDATES].tolist():
            options = [self._whole(row)]
            if self.prune and (found := self.pool.with_pruned_rationale(row, self.counter)) is not None:
                options.append(PickedExample(row, found[1], found[2], list(found[0])))
            for option in options:
                tokens = self._tokens([option])
                needed = min(needed or tokens, tokens)
                if tokens <= budget and best is None:
                    best = option
        if best is None:
            raise BudgetTooSmallError(budget, needed, "the smallest example")
        return [best]

    def _tokens(self, taken: list[PickedExample]) -> int:
        """The tokens of examples as they are sent."""
        if not taken:
            return 0
        tokens = self.counter.count(self.pool.template.separator.join(t.text for t in taken))
        if not self.pool.is_chat:
            return tokens
        pruned_texts = [
            remove_steps(self.pool.examples[t.row].text, t.removed_steps) if t.removed_steps else None for t in taken
        ]
        costs = [self.pool.message_cost(t.row, text, self.counter) for t, text in zip(taken, pruned_texts, strict=True)]
        return max(tokens, sum(costs))

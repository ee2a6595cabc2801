"""Selects examples for a query within a token budget: rank, fill the budget, shorten, fill again, order, count.

If labels are classes of texts, examples are selected so that all likely classes are shown; otherwise by relevance and
diversity together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from compressor.errors import BudgetTooSmallError, CompressorError, ModelError, QueueFullError
from compressor.pipeline.examples import dpp, mmr
from compressor.pipeline.examples.embeddings import TextEncoder
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.label_prior import LIKELIEST_CLASS_EXAMPLES
from compressor.pipeline.examples.ngram_features import ngram_features
from compressor.pipeline.examples.rationale_pruning import KEEP_FRACTION, RationaleStep, remove_steps
from compressor.tokens import TokenCounter

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

METHODS = ("auto", "classes", "dpp", "mmr", "top")
ExampleOrder = Literal["most_relevant_last", "most_relevant_first", "given"]

# Chosen on icl_math and bbh: benchmarks/LOG.md
QUALITY_PER_COSINE = 6.0  # log-quality of a cosine of 1 in the DPP
NEW_LABEL_GAIN, NEW_FORMAT_GAIN = 1.5, 0.2  # log-gain of the first example of a label, and of an answer format
MIN_CANDIDATES = 100  # the DPP and MMR compare at least this many of the most relevant examples,
MAX_CANDIDATES = 400  # and at most this many
DENSE_WEIGHT = 0.6  # weight of an encoder's cosine in relevance and similarity, if there is an encoder


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
        method: "classes" (show the likely classes), "dpp", "mmr", "top" (most relevant first), or "auto": "classes" if
            labels are classes of texts, else "dpp".
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
        if self.method == "auto":
            self.method = "classes" if self.pool.label_model.is_predictable else "dpp"
        relevance, odds = self._relevance(question)
        taken = self._all(relevance, budget + last_separator)
        if taken is None or self._tokens(self._arranged(taken)) > budget:
            ranked = self._ranked(relevance, odds, budget)
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
        return SelectionResult(taken, self._tokens(taken), relevance, self.warnings)

    def _arranged(self, taken: list[PickedExample]) -> list[PickedExample]:
        """Returns examples that were taken best first in the order in which to send them."""
        if self.order == "given":
            return sorted(taken, key=lambda t: t.row)
        return taken[::-1] if self.order == "most_relevant_last" else taken

    # -- relevance

    def _relevance(self, question: str) -> tuple[Floats, Floats]:
        """The [n] cosines with the query, and the [classes] log-odds if classes decide.

        Without a query, examples are relevant if they are typical of all.
        """
        pool = self.pool
        if not question:
            rows = _spread(len(pool), MAX_CANDIDATES)
            out = np.zeros(len(pool), np.float32)
            sums, own = pool.ngram_index.sum_vectors(rows)
            out[rows] = own @ sums / max(float(np.linalg.norm(sums)), 1e-9)
            sizes = np.array([len(m) for m in pool.label_model.members], np.float32)
            return out, np.log(np.maximum(sizes, 1))
        decides = self.method == "classes" and bool(pool.label_model.names)
        hits = pool.ngram_index.find_postings(
            ngram_features([question])[0], pool.label_model.max_ngram_frequency if decides else None
        )
        lexical = pool.ngram_index.cosines(hits)
        dense = self._dense(question)
        odds = pool.label_model.label_log_odds(lexical, hits, dense) if decides else np.zeros(0, np.float32)
        return (lexical if dense is None else (1 - DENSE_WEIGHT) * lexical + DENSE_WEIGHT * dense), odds

    def _dense(self, question: str) -> Floats | None:
        """The [n] cosines of the encoder, or None without one or if it fails."""
        if self.encoder is None:
            return None
        try:
            vectors = self.pool.vectors(self.encoder)
            found = vectors.cosines(self.encoder.embed([question], is_query=True, keep=False)[0])
        except (QueueFullError, ModelError) as error:
            self.warnings.append(f"{self.encoder.name}: {error}; examples were compared by their n-grams instead")
            self.encoder = None
            return None
        return np.nan_to_num(found.astype(np.float32), nan=0.0)

    # -- ranking

    def _ranked(self, relevance: Floats, odds: Floats, budget: int) -> list[Ints]:
        """What to take next, best first. Each entry lists alternatives, of which the first that fits is taken."""
        if self.method == "classes" and len(odds):
            return self._by_class(relevance, odds, budget)
        return [np.array([row]) for row in self._by_relevance(self.method, relevance, budget)]

    def _by_class(self, relevance: Floats, odds: Floats, budget: int) -> list[Ints]:
        max_count = self._twice_what_fits(budget)
        groups = self.pool.label_model.rank_classes(odds, relevance, self.costs, max_count)
        out = [*(groups[0][i:] for i in range(min(LIKELIEST_CLASS_EXAMPLES, len(groups[0])))), *groups[1:]]
        if len(out) < max_count:  # the budget may have space beyond one example of each class
            out += [np.array([row]) for row in self._by_relevance("dpp", relevance, budget)]
        return out

    def _by_relevance(self, method: str, relevance: Floats, budget: int) -> list[int]:
        size = min(len(self.pool), MAX_CANDIDATES, max(MIN_CANDIDATES, 2 * self._twice_what_fits(budget)))
        rows = _best(relevance, size)
        if method == "top":
            return list(map(int, rows))
        kernel = self._similarity(rows)
        if method == "mmr":
            picked = mmr.select_mmr(kernel, relevance[rows], size)
        else:
            aspects = [(self.pool.answer_formats[rows], NEW_FORMAT_GAIN)]
            if self.pool.label_model.is_repeated:  # otherwise examples with any label would be preferred
                aspects.append((self.pool.label_model.codes[rows], NEW_LABEL_GAIN))
            picked = dpp.select_dpp(kernel, np.float32(QUALITY_PER_COSINE) * relevance[rows], size, aspects)
        return [int(rows[i]) for i in picked]

    def _twice_what_fits(self, budget: int) -> int:
        """Twice the number of examples of median length that fit."""
        return 1 + 2 * budget // max(1, self.pool.median_cost(self.counter))

    def _similarity(self, rows: Ints) -> Floats:
        """The [k, k] similarity of examples."""
        kernel = self.pool.ngram_index.pairwise_cosines(rows)
        if self.encoder is None:
            return kernel
        try:
            return (1 - DENSE_WEIGHT) * kernel + DENSE_WEIGHT * self.pool.vectors(self.encoder).pairwise_cosines(rows)
        except (QueueFullError, ModelError):  # `_dense` has warned about it
            return kernel

    # -- filling the budget, which here includes the separator after the last example

    def _all(self, relevance: Floats, budget: int) -> list[PickedExample] | None:
        """All examples, most relevant first, or None if they do not fit."""
        if int(self.costs.sum()) > budget:
            return None
        return [self._whole(row) for row in np.argsort(-relevance, kind="stable").tolist()]

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


def _best(values: Floats, max_count: int) -> Ints:
    """The indices of the largest values, in order; ties go to the lower index."""
    if max_count < len(values):
        threshold = np.partition(values, len(values) - max_count)[len(values) - max_count]
        rows = np.flatnonzero(values >= threshold)
    else:
        rows = np.arange(len(values))
    return rows[np.argsort(-values[rows], kind="stable")][:max_count]


def _spread(size: int, max_count: int) -> Ints:
    """At most `max_count` of `size` indices, evenly spread."""
    return np.arange(size) if size <= max_count else np.arange(max_count, dtype=np.int64) * size // max_count

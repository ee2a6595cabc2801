"""Chooses examples for a query within a token budget: rank, fill, shorten, fill again, order, count.

Examples of classes are chosen so that the likely classes are all shown; others by relevance and diversity together.
Knows no store; `account` makes a result of a choice.
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
from compressor.pipeline.examples.label_prior import FEW
from compressor.pipeline.examples.ngram_features import ngram_features
from compressor.pipeline.examples.rationale_pruning import KEEP, RationaleStep, without
from compressor.tokens import TokenCounter

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

METHODS = ("auto", "classes", "dpp", "mmr", "top")
ExampleOrder = Literal["most_relevant_last", "most_relevant_first", "given"]

# Chosen on icl_math and bbh: benchmarks/LOG.md
QUALITY = 6.0  # log-quality that a cosine of 1 counts in the DPP
NEW_LABEL, NEW_FORM = 1.5, 0.2  # log-gain of an example that is the first of its label, and of its answer's form
CANDIDATES = 100  # examples that the DPP and MMR look at, the most relevant ones, at least
MOST_CANDIDATES = 400
DENSE = 0.6  # share of an encoder's cosine in relevance and likeness, where there is one


@dataclass
class PickedExample:
    """An example of the choice: its row, how it is written, its tokens, and the steps that it lacks."""

    row: int
    text: str
    cost: int
    gone: list[RationaleStep] = field(default_factory=list)


@dataclass
class SelectionResult:
    """A choice, in the order in which to send it. `tokens` are counted on all of it; `relevance` [n] of all rows."""

    taken: list[PickedExample]
    tokens: int
    relevance: Floats
    warnings: list[str]


class ExampleSelector:
    """One query's choice from a pool. ContextError where the template does not fit an example; CompressorError for an
    unknown method or order."""

    def __init__(
        self,
        pool: ExampleSet,
        counter: TokenCounter,
        encoder: TextEncoder | None = None,
        method: str = "auto",
        prune: bool = True,
        order: ExampleOrder = "most_relevant_last",
    ) -> None:
        for given, known in ((method, METHODS), (order, get_args(ExampleOrder))):
            if given not in known:
                raise CompressorError(f"unknown {given!r}: use one of {', '.join(known)}")
        self.pool, self.counter, self.encoder = pool, counter, encoder
        self.method, self.prune, self.order = method, prune, order
        self.costs = pool.costs(counter)
        self.warnings: list[str] = []

    def choose(self, query: str | None, budget: int) -> SelectionResult:
        """The choice within `budget` tokens. BudgetTooSmallError if not even the smallest example fits."""
        asked = (query or "").strip()
        spare = self.counter.count(self.pool.template.separator)  # the last one has none behind it
        if self.method == "auto":
            self.method = "classes" if self.pool.classes.apart else "dpp"
        relevance, odds = self._relevance(asked)
        taken = self._all(relevance, budget + spare)
        if taken is None or self._tokens(self._arranged(taken)) > budget:
            ranked = self._ranked(relevance, odds, budget)
            taken = self._filled(ranked, budget + spare)
            if self.prune:
                taken = self._pruned(taken, ranked, relevance, budget + spare)
            while taken and self._tokens(self._arranged(taken)) > budget:  # what stands side by side matters, a little
                taken.pop()
            if not taken:
                taken = self._smallest(budget)
            if (large := int((self.costs > budget + spare).sum())) and large < len(self.pool):
                self.warnings.append(f"{large} of {len(self.pool)} examples are larger than the budget by themselves")
        taken = self._arranged(taken)
        return SelectionResult(taken, self._tokens(taken), relevance, self.warnings)

    def _arranged(self, taken: list[PickedExample]) -> list[PickedExample]:
        """The examples, which are taken best first, in the order in which to send them."""
        if self.order == "given":
            return sorted(taken, key=lambda t: t.row)
        return taken[::-1] if self.order == "most_relevant_last" else taken

    # -- what matters

    def _relevance(self, asked: str) -> tuple[Floats, Floats]:
        """[n] cosines with the query, and [classes] log-odds where classes decide. Without a query what is typical
        counts."""
        pool = self.pool
        if not asked:
            rows = _spread(len(pool), MOST_CANDIDATES)
            out = np.zeros(len(pool), np.float32)
            sums, own = pool.lexical.sums(rows)
            out[rows] = own @ sums / max(float(np.linalg.norm(sums)), 1e-9)
            sizes = np.array([len(m) for m in pool.classes.members], np.float32)
            return out, np.log(np.maximum(sizes, 1))
        decides = self.method == "classes" and bool(pool.classes.names)
        hits = pool.lexical.hits(ngram_features([asked])[0], pool.classes.common if decides else None)
        lexical = pool.lexical.cosines(hits)
        dense = self._dense(asked)
        odds = pool.classes.label_log_odds(lexical, hits, dense) if decides else np.zeros(0, np.float32)
        return (lexical if dense is None else (1 - DENSE) * lexical + DENSE * dense), odds

    def _dense(self, asked: str) -> Floats | None:
        if self.encoder is None:
            return None
        try:
            vectors = self.pool.vectors(self.encoder)
            found = vectors.cosines(self.encoder.embed([asked], asked=True, keep=False)[0])
        except (QueueFullError, ModelError) as error:
            self.warnings.append(f"{self.encoder.name}: {error}; examples were chosen by their n-grams instead")
            self.encoder = None
            return None
        return np.nan_to_num(found.astype(np.float32), nan=0.0)

    # -- in which order examples are taken

    def _ranked(self, relevance: Floats, odds: Floats, budget: int) -> list[Ints]:
        """What to take next, best first: each entry lists rows of which one will do."""
        if self.method == "classes" and len(odds):
            return self._by_class(relevance, odds, budget)
        return [np.array([row]) for row in self._by_relevance(self.method, relevance, budget)]

    def _by_class(self, relevance: Floats, odds: Floats, budget: int) -> list[Ints]:
        most = self._twice(budget)
        groups = self.pool.classes.order(odds, relevance, self.costs, most)
        out = [*(groups[0][i:] for i in range(min(FEW, len(groups[0])))), *groups[1:]]
        if len(out) < most:  # all classes are shown, and there is room
            out += [np.array([row]) for row in self._by_relevance("dpp", relevance, budget)]
        return out

    def _by_relevance(self, method: str, relevance: Floats, budget: int) -> list[int]:
        size = min(len(self.pool), MOST_CANDIDATES, max(CANDIDATES, 2 * self._twice(budget)))
        rows = _best(relevance, size)
        if method == "top":
            return list(map(int, rows))
        kernel = self._alike(rows)
        if method == "mmr":
            picked = mmr.select_mmr(kernel, relevance[rows], size)
        else:
            aspects = [(self.pool.forms[rows], NEW_FORM)]
            if self.pool.classes.repeated:  # else it favours those that have a label
                aspects.append((self.pool.classes.codes[rows], NEW_LABEL))
            picked = dpp.select_dpp(kernel, np.float32(QUALITY) * relevance[rows], size, aspects)
        return [int(rows[i]) for i in picked]

    def _twice(self, budget: int) -> int:
        """Twice as many examples as fit, if they are as long as most."""
        return 1 + 2 * budget // max(1, int(np.median(self.costs)))

    def _alike(self, rows: Ints) -> Floats:
        kernel = self.pool.lexical.gram(rows)
        if self.encoder is None:
            return kernel
        try:
            return (1 - DENSE) * kernel + DENSE * self.pool.vectors(self.encoder).gram(rows)
        except (QueueFullError, ModelError):  # said before
            return kernel

    # -- filling the budget; rooms have the last separator in them

    def _all(self, relevance: Floats, room: int) -> list[PickedExample] | None:
        """Every example, the most relevant first, if they all fit."""
        if int(self.costs.sum()) > room:
            return None
        return [self._whole(row) for row in np.argsort(-relevance, kind="stable").tolist()]

    def _whole(self, row: int) -> PickedExample:
        return PickedExample(row, self.pool.texts[row], int(self.costs[row]))

    def _filled(
        self, ranked: list[Ints], room: int, cost: Callable[[int], PickedExample] | None = None
    ) -> list[PickedExample]:
        taken: list[PickedExample] = []
        texts: set[str] = set()
        smallest = int(self.costs.min()) if cost is None else 1
        for rows in ranked:
            if room < smallest:
                break
            for row in rows.tolist():
                if self.costs[row] * (1.0 if cost is None else 1 - KEEP) > room:  # too large, however short it gets
                    continue
                if self.pool.texts[row] in texts:
                    continue
                new = self._whole(row) if cost is None else cost(row)
                if new.cost <= room:
                    taken.append(new)
                    texts.add(self.pool.texts[row])
                    room -= new.cost
                    break
        return taken

    def _pruned(
        self, whole: list[PickedExample], ranked: list[Ints], relevance: Floats, room: int
    ) -> list[PickedExample]:
        """More relevant examples with less reasoning each, if that makes room for any; then steps come back, the best
        example's first, as far as they fit."""

        def lean(row: int) -> PickedExample:
            found = self.pool.with_pruned_rationale(row, self.counter)
            return self._whole(row) if found is None else PickedExample(row, found[1], found[2], list(found[0]))

        taken = self._filled(ranked, room, lean)
        if relevance[[t.row for t in taken]].sum() <= relevance[[t.row for t in whole]].sum():
            return whole
        room -= sum(t.cost for t in taken)
        for this in taken:
            if this.gone and self.costs[this.row] - this.cost <= room:
                room -= int(self.costs[this.row]) - this.cost
                this.text, this.cost, this.gone = self.pool.texts[this.row], int(self.costs[this.row]), []
        for this in taken:
            for step in this.gone[::-1]:
                left = [s for s in this.gone if s is not step]
                if not left:
                    break
                text, cost = self.pool.written(this.row, left, self.counter)
                if cost - this.cost <= room:
                    room -= cost - this.cost
                    this.text, this.cost, this.gone = text, cost, left
        return taken

    def _smallest(self, budget: int) -> list[PickedExample]:
        """One example, whichever fits; BudgetTooSmallError if none does."""
        best: PickedExample | None = None
        needed = 0
        for row in np.argsort(self.costs, kind="stable")[:CANDIDATES].tolist():
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
        """Tokens of the choice as it is sent."""
        if not taken:
            return 0
        tokens = self.counter.count(self.pool.template.separator.join(t.text for t in taken))
        if not self.pool.chat:
            return tokens
        homes = [without(self.pool.examples[t.row].text, t.gone) if t.gone else None for t in taken]
        sent = [self.pool.message_cost(t.row, h, self.counter) for t, h in zip(taken, homes, strict=True)]
        return max(tokens, sum(sent))


def _best(worth: Floats, most: int) -> Ints:
    """The indices of the largest, in order; ties go to the lower index."""
    if most < len(worth):
        least = np.partition(worth, len(worth) - most)[len(worth) - most]
        some = np.flatnonzero(worth >= least)
    else:
        some = np.arange(len(worth))
    return some[np.argsort(-worth[some], kind="stable")][:most]


def _spread(size: int, most: int) -> Ints:
    return np.arange(size) if size <= most else np.arange(most, dtype=np.int64) * size // most

"""Spends the budget: folds what can be folded, then keeps the units that are worth their tokens.

Works on blocks and an exact measure of the whole; knows no dialect, message object or store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from compressor.context.blocks import Block
from compressor.errors import CompressorError
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.ranking import Ranking, rank
from compressor.pipeline.reasoning_weights import reweight_reasoning
from compressor.pipeline.word_pruner import WordPruner, merge_word_units
from compressor.scoring.base import Query, Scorer, Scores, SourceBlock, UnitBatch
from compressor.text.lossless import encode_losslessly as fold_text
from compressor.text.lossless.back_references import BackReferenceCodec
from compressor.text.segmenters.base import Mask

MAX_LOSSLESS_RATIO = (
    2.5  # shrinking of the data beyond which folding alone is not tried: few real contexts fold that far
)
LOSSLESS_TOKEN_DENSITY = 1.5  # tokens that folds save may stand denser than the text's average by at most this
MAX_SOLVE_ROUNDS = 4
TRUSTED_ESTIMATE_FRACTION = 0.9  # share of the budget up to which the estimated cost of all marks is trusted
REDUNDANT_NOVELTY = 0.34  # novelty below which a dropped unit counts as said elsewhere
MAX_FILL_CANDIDATES = 200  # units looked at to spend what is left
SMALL_BUDGET_TOKENS = 200  # tokens for everything that can be chosen, up to which single units are tried for real, and
MAX_EXACT_TRIALS = 12  # how many of them
GAP_TOKENS = 2.0  # tokens of the mark between stretches that are not neighbours
WORD_PRUNED_KINDS = ("tool_result", "document")  # blocks whose words may go; never what a user or an agent says
ACCEPTED_UNUSED_FRACTION = 0.02  # share of the budget that may stay unspent rather than rendering once more

CountTokens = Callable[[], int]


def compress_losslessly(
    drafts: Sequence[BlockEdit], measure: CountTokens, budget: int, outputs: Sequence[Block] = ()
) -> bool:
    """Folds as many blocks as the budget demands, those that save most first. True if the whole then fits; else
    nothing is folded: what repeats an earlier block is then left to the selection, which knows what to keep of it.

    `outputs` are all tool results of the context in order, those without a draft included: a reader counts them.
    """
    excess = measure() - budget
    data = sum(d.block.tokens for d in drafts if d.block.kind in ("tool_result", "document"))
    if excess > data * (1 - 1 / MAX_LOSSLESS_RATIO):
        return False
    folds = _folds(drafts, outputs)
    promised = sum(d.block.tokens * (1 - len(text) / len(d.block.text)) for d, text in folds)
    if promised * LOSSLESS_TOKEN_DENSITY < excess:
        return False
    saved = {id(d): d.block.tokens - d.counter.count(text) for d, text in folds}
    for draft, text in sorted(folds, key=lambda f: (-saved[id(f[0])], f[0].block.number)):
        if measure() <= budget:
            return True
        if saved[id(draft)] > 0:
            draft.apply_lossless(text)
    if measure() <= budget:
        return True
    for draft, _ in folds:
        draft.apply_lossless(None)
    return False


def _folds(drafts: Sequence[BlockEdit], outputs: Sequence[Block]) -> list[tuple[BlockEdit, str]]:
    """The shortest lossless form of each draft that has one: its own, or one that points to earlier tool results."""
    best = {d.block.number: d.lossless_candidates for d in drafts}
    repeats = BackReferenceCodec()
    for ordinal, block in enumerate(outputs, 1):
        if block.number in best and (again := repeats.encode(block.text)) is not None:
            joined = fold_text(again.text)[0]
            own = best[block.number]
            best[block.number] = joined if own is None or len(joined) < len(own) else own
        repeats.add(ordinal, block.text)
    return [(d, text) for d in drafts if (text := best[d.block.number]) is not None]


class BudgetSelector:
    """The pool's units in order of worth, and how much of that order the budget buys.

    `excess` is by how many tokens the whole is over its budget as it stands: some scorers want to know the room.
    `words` chooses words that may be left out of kept sentences, None leaves all of them in."""

    def __init__(
        self, drafts: Sequence[BlockEdit], scorer: Scorer, query: Query, excess: int, words: WordPruner | None = None
    ) -> None:
        self.block_edits = drafts
        sources = [
            SourceBlock(d.block.kind, d.layout, unit_costs(d), d.block.tool_call_text, d.block.age) for d in drafts
        ]
        self.units = UnitBatch(sources, available_tokens=max(1.0, sum(d.block.tokens for d in drafts) - excess))
        scores = reweight_reasoning(_checked(scorer, query, self.units), self.units, query)
        self.scores: Scores = np.where(self.units.index.lengths > 0, scores, 0)
        self.ranking: Ranking = rank(self.scores, self.units)
        # What is chosen from: the units, and as numbers from len(units) on the words that may go from `_short`.
        self._order, self._costs, self._parents = self.ranking.order, self.units.costs, self.units.parents
        self._short = np.zeros(0, np.int32)
        self.word_pruner = words
        if words is not None:
            self._split_removable_words(words, query)
        self._linked_units = self._link_example_messages()
        self._cumulative = np.cumsum(self._costs[self._order], dtype=np.float64)

    def _link_example_messages(self) -> list[tuple[int, int]]:
        """The blocks of one example that is several messages: its first carries the cost of all, the others follow it
        (first unit, other unit)."""
        firsts: dict[int, int] = {}
        out: list[tuple[int, int]] = []
        for draft, start in zip(self.block_edits, self.units.starts.tolist(), strict=False):
            if draft.block.example >= 0 and (first := firsts.setdefault(draft.block.example, start)) != start:
                if not out:
                    self._costs = self._costs.copy()
                self._costs[first] += self._costs[start]
                self._costs[start] = 0.25
                out.append((first, start))
        return out

    def _split_removable_words(self, words: WordPruner, query: Query) -> None:
        """Makes two of each unit from which words can go: what is left of it, and those words."""
        which = [i for i, d in enumerate(self.block_edits) if d.block.kind == d.block.slot.kind and d.block.kind in WORD_PRUNED_KINDS]
        saved = np.zeros(len(self.units), np.float32)
        for i, found in words.removable_words(self.units, which, query).items():
            draft, start = self.block_edits[i], int(self.units.starts[i])
            draft.removable_words = found
            size = len(draft.layout.spans)
            offsets = draft.counter.offsets(draft.layout.text)
            saved[start : start + size] = found.saved_tokens(offsets, size) * draft.counter.scale
        self._short = np.flatnonzero(saved).astype(np.int32)
        self._order = merge_word_units(self.ranking.order, self.ranking.priority(self.scores), self._short, words.word_value)
        self._costs = np.concatenate([np.maximum(self._costs - saved, 0.25), saved[self._short]])
        self._parents = np.concatenate([self._parents, self._short])

    def apply(self, chosen: npt.NDArray[np.int32]) -> None:
        """Keeps exactly these units, and what glues neighbours among them."""
        n = len(self.units)
        taken = np.zeros(n + len(self._short), np.bool_)
        taken[chosen] = True
        for first, other in self._linked_units:
            taken[other] = taken[first]
        keep, short = taken[:n] | self._join_gaps(taken[:n]), np.zeros(n, np.bool_)
        short[self._short] = ~taken[n:]
        starts = self.units.starts.tolist()
        for draft, start, end in zip(self.block_edits, starts, starts[1:], strict=False):
            draft.apply_mask(keep[start:end], short[start:end])

    def _join_gaps(self, keep: Mask) -> Mask:
        """Units without a word (blank lines, rules, lone brackets) between two kept ones of one source."""
        empty: Mask = self.units.index.lengths == 0
        if not empty.any():
            return empty
        n = len(keep)
        at = np.arange(n)
        before = np.maximum.accumulate(np.where(empty, -1, at))
        after = np.minimum.accumulate(np.where(empty, n, at)[::-1])[::-1]
        source = self.units.source_indices
        inside = empty & (before >= 0) & (after < n)
        before, after = np.where(inside, before, 0), np.where(inside, after, 0)
        joined: Mask = inside & keep[before] & keep[after] & (source[before] == source) & (source[after] == source)
        return joined

    def solve(self, measure: CountTokens, budget: int) -> bool:
        """Takes as many units as the budget buys. False (and nothing but marks kept) if not even the marks fit."""
        order = self._order
        floor = budget + 1
        if all(d.action == "kept" for d in self.block_edits):
            floor = measure() - sum(d.block.tokens - d.placeholder_tokens for d in self.block_edits)
        if floor > TRUSTED_ESTIMATE_FRACTION * budget:  # too close to call by the estimate
            self.apply(order[:0])
            floor = measure()
            if floor > budget:
                return False
        room, spare = float(budget - floor), budget - floor
        best, high = 0, len(order)
        rounds = 0
        while rounds < MAX_SOLVE_ROUNDS or (best == 0 and high > 0):
            rounds += 1
            count = min(high, int(np.searchsorted(self._cumulative, room, side="right")))
            if count <= best:
                break
            self.apply(order[:count])
            total = measure()
            # What an estimated token really costs: gap marks come on top, folding an excerpt takes some off.
            rate = max(total - floor, 1) / max(float(self._cumulative[count - 1]), 1.0)
            if total <= budget:
                best, spare = count, budget - total
                if spare <= ACCEPTED_UNUSED_FRACTION * budget or count == high:
                    break
                room = max(room, (budget - floor) / rate * 0.995)
            else:
                high = count - 1
                room = min(room, (budget - floor) / rate * 0.985)
        self._fill(best, spare, budget - floor, measure, budget)
        return True

    def _fill(self, best: int, spare: int, room: int, measure: CountTokens, budget: int) -> None:
        """Spends what the first `best` units left on later ones that are small enough."""
        order, parents, costs = self._order, self._parents, self._costs
        taken = set(order[:best].tolist())
        extra: list[int] = []
        for unit in order[best : best + MAX_FILL_CANDIDATES].tolist():
            cost = float(costs[unit]) * 1.1 + GAP_TOKENS
            if cost <= spare and (parents[unit] < 0 or int(parents[unit]) in taken):
                extra.append(unit)
                taken.add(unit)
                spare -= int(cost)
        while True:
            self.apply(np.concatenate([order[:best], np.array(extra, np.int32)]))
            if not extra or measure() <= budget:
                break
            del extra[len(extra) // 2 :]
        if spare > 0 and room <= SMALL_BUDGET_TOKENS:
            self._try_rest(best, extra, measure, budget)

    def _try_rest(self, best: int, extra: list[int], measure: CountTokens, budget: int) -> None:
        """Where there is little room, estimates of single units mislead: tries the best of what is left for real, with
        what must stand before it."""
        order, parents = self._order, self._parents
        chosen = [*order[:best].tolist(), *extra]
        taken = set(chosen)
        for unit in [u for u in order[best:].tolist() if u not in taken and u < len(self.units)][:MAX_EXACT_TRIALS]:
            chain = [unit]
            while (up := int(parents[chain[-1]])) >= 0 and up not in taken:
                chain.append(up)
            self.apply(np.array([*chosen, *chain], np.int32))
            if measure() <= budget:
                chosen += chain
                taken.update(chain)
        self.apply(np.array(chosen, np.int32))

    def explain(self, draft: BlockEdit) -> Iterable[tuple[int, int, str, float]]:
        """Runs of a draft's dropped units: first and last + 1 unit, why, and their mean score."""
        if draft.keep is None:
            return
        start = int(self.units.starts[self.block_edits.index(draft)])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], ~draft.keep, [False]]).astype(np.int8)))
        for a, b in edges.reshape(-1, 2).tolist():
            novelty = float(self.ranking.novelty[start + a : start + b].mean())
            score = float(self.scores[start + a : start + b].mean())
            yield a, b, "says what is kept elsewhere" if novelty < REDUNDANT_NOVELTY else "worth less than what was kept", score

    def explain_words(self, draft: BlockEdit) -> Iterable[tuple[tuple[int, int], float]]:
        """Words missing from a draft's kept units, neighbours together, and what a token of them was worth."""
        if draft.removed_words is None or self.word_pruner is None:
            return
        start = int(self.units.starts[self.block_edits.index(draft)])
        for a, b, unit in draft.removed_words.runs():
            yield (a, b), self.word_pruner.word_value * float(self.scores[start + unit])


def _checked(scorer: Scorer, query: Query, units: UnitBatch) -> Scores:
    """The scorer's scores; CompressorError if they are not one finite number a unit. (Scorers may be users' own.)"""
    scores = np.asarray(scorer.score(query, units), np.float32)
    if scores.shape != (len(units),) or not np.isfinite(scores).all():
        name = getattr(scorer, "name", type(scorer).__name__)
        raise CompressorError(f"scorer {name!r} must give one finite score a unit: {len(units)} units, {scores.shape}")
    return scores


#: tokens per character by what the character is: letters run together, digits come in threes, marks stand alone.
#: Only the proportions count: costs are scaled to the exact count of the source.
_DENSITY = np.full(256, 0.5, np.float32)
_DENSITY[[*range(65, 91), *range(97, 123), 32]] = 0.22
_DENSITY[48:58] = 0.4


def unit_costs(draft: BlockEdit) -> npt.NDArray[np.float32]:
    """Tokens of each unit: counted, from the encoding of the whole text; where the units are not stretches of it (in
    JSON and tables), estimated from its count."""
    block, layout = draft.block, draft.layout
    if block.kind == "image":
        return np.array([block.tokens], np.float32)
    if layout.text != block.text:
        sums = np.concatenate([[0], np.cumsum(_density(layout.text), dtype=np.float64)])
        tokens = block.tokens / max(float(_density(block.text).sum()), 1e-6)
        estimated: npt.NDArray[np.float32] = np.diff(sums[layout.spans], axis=1)[:, 0].astype(np.float32)
        estimated *= np.float32(tokens)
        return estimated
    at = np.searchsorted(draft.counter.offsets(layout.text), layout.spans)
    return ((at[:, 1] - at[:, 0]) * draft.counter.scale).astype(np.float32)


def _density(text: str) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = _DENSITY[np.frombuffer(text.encode("latin-1", "replace"), np.uint8)]
    return out

"""Spends a token budget on blocks: encodes them losslessly if that is enough, else keeps the best units.

The estimated cost of a unit only decides what to try. What fits is decided by an exact count of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.context.blocks import Block
from compressor.errors import CompressorError
from compressor.pipeline.block_edit import LOW_SCORE, BlockEdit
from compressor.pipeline.conversation_order import ConversationOrder
from compressor.pipeline.ranking import NOVELTY_WEIGHT, SIMILAR_COSINE, Ranking, rank
from compressor.pipeline.reasoning_weights import reweight_reasoning
from compressor.pipeline.unit_costs import unit_costs
from compressor.pipeline.word_pruner import WordPruner, merge_word_units
from compressor.scoring.base import Query, Scorer, Scores, SourceBlock, UnitBatch
from compressor.text.lossless import encode_losslessly, most_saved
from compressor.text.lossless.back_reference_memory import codec_of
from compressor.text.segmenters.base import Mask

#: If tool results and documents must shrink by more than this factor, lossless encoding alone is not tried: few real
#: contexts shrink that far, and encoding takes time.
MAX_LOSSLESS_RATIO = 2.5

#: Encoding is skipped if the characters it saves cannot save enough tokens. The saved characters may hold this many
#: times the tokens of the text's average character.
LOSSLESS_TOKEN_DENSITY = 1.5

#: Rounds in which the number of kept units is corrected by an exact count. The correction converges in two or three.
MAX_SOLVE_ROUNDS = 4

#: If the placeholders alone are estimated at more than this fraction of the budget, they are counted exactly first,
#: because the estimate is too coarse to tell whether they fit.
TRUSTED_ESTIMATE_FRACTION = 0.9

#: A dropped stretch of which a smaller fraction is new is reported as redundant: most of it stands in what is kept.
REDUNDANT_NOVELTY = 0.34
REDUNDANT = "repeats what better units say"
MAX_COMPARED_KEPT = 2_000  # Kept units whose vectors are compared with those of dropped ones, for the reason.

#: The number of later units that are looked at to spend what the best ones left: farther down little is worth having.
MAX_FILL_CANDIDATES = 200

#: With this many tokens or fewer to spend, estimates of single units are too coarse, so units are tried one by one.
SMALL_BUDGET_TOKENS = 200

#: The number of units tried one by one. Each costs an exact count of the whole.
MAX_EXACT_TRIALS = 12

#: Tokens of the ellipsis between kept stretches that are not neighbours.
GAP_TOKENS = 2.0

#: The fraction of the budget that may stay unused rather than rendering once more to spend it.
ACCEPTED_UNUSED_FRACTION = 0.02

#: Wordless units up to this size, such as blank lines, stay between two kept ones: a sign costs as much.
MAX_JOINED_TOKENS = 4.0

#: The fraction of the tokens to be kept above which a table's header is no longer kept with every row.
MAX_HEADER_SHARE = 0.25

#: The kinds of blocks in which words may be left out of sentences: never what a user or an agent says.
WORD_PRUNED_KINDS = ("tool_result", "document")

CountTokens = Callable[[], int]


def compress_losslessly(
    block_edits: Sequence[BlockEdit],
    count_tokens: CountTokens,
    budget: int,
    tool_results: Sequence[Block] = (),
    earlier_results: Sequence[str] = (),
) -> bool:
    """Encodes as many blocks losslessly as the budget demands, those that save most first.

    If that is not enough, nothing is encoded: a block that repeats an earlier one is then left to the selection, which
    knows what is kept of the earlier one.

    Args:
        block_edits: The blocks that may be changed.
        count_tokens: Returns the exact tokens of the whole in its present state.
        budget: The maximum tokens of the whole.
        tool_results: Tool results of the context in order, because a back reference counts all of them.
        earlier_results: The texts of the tool results before them, which stay as they are.

    Returns:
        Whether the whole now fits.
    """
    excess = count_tokens() - budget
    data = sum(edit.block.tokens for edit in block_edits if edit.block.kind in ("tool_result", "document"))
    if excess > data * (1 - 1 / MAX_LOSSLESS_RATIO):
        return False
    referring = _refer_to_earlier(block_edits, tool_results, earlier_results)
    encoded = _encode(block_edits, referring, excess)
    promised = sum(edit.block.tokens * (1 - len(text) / len(edit.block.text)) for edit, text in encoded)
    if promised * LOSSLESS_TOKEN_DENSITY < excess:
        return False
    saved = {id(edit): edit.block.tokens - edit.counter.count(text) for edit, text in encoded}
    for edit, text in sorted(encoded, key=lambda pair: (-saved[id(pair[0])], pair[0].block.number)):
        if count_tokens() <= budget:
            return True
        if saved[id(edit)] > 0:
            edit.apply_lossless(text)
    if count_tokens() <= budget:
        return True
    for edit, _ in encoded:
        edit.apply_lossless(None)
    return False


def _refer_to_earlier(
    block_edits: Sequence[BlockEdit], tool_results: Sequence[Block], earlier_results: Sequence[str]
) -> dict[int, str]:
    """Returns the texts of those blocks, by number, that can refer to the tool results before them."""
    numbers = {edit.block.number for edit in block_edits}
    out: dict[int, str] = {}
    with codec_of(earlier_results) as codec:
        for ordinal, block in enumerate(tool_results, len(earlier_results) + 1):
            if block.number in numbers and (encoded := codec.encode(block.text)) is not None:
                out[block.number] = encoded.text
            codec.add(ordinal, block.text)
    return out


def _encode(block_edits: Sequence[BlockEdit], referring: dict[int, str], excess: int) -> list[tuple[BlockEdit, str]]:
    """Returns the shortest lossless form of each block that has one; nothing as soon as they cannot save enough."""
    most = [_most_saved(edit, referring.get(edit.block.number)) for edit in block_edits]
    left = sum(most)
    forms: dict[int, str] = {}
    for i in sorted(range(len(most)), key=most.__getitem__, reverse=True):
        if left * LOSSLESS_TOKEN_DENSITY < excess - 1:  # 1 makes up for rounding
            return []
        if most[i] <= 0:
            break
        edit, left = block_edits[i], left - most[i]
        if (form := _shortest_form(edit, referring.get(edit.block.number))) is not None:
            forms[i] = form
            left += edit.block.tokens * (1 - len(form) / len(edit.block.text))
    return [(block_edits[i], forms[i]) for i in sorted(forms)]


def _most_saved(edit: BlockEdit, referring: str | None) -> float:
    """Returns the tokens that a lossless form of a block saves at most, by its characters, without making the form."""
    size, most = len(edit.block.text), edit.most_saved_losslessly
    if referring is not None:
        most = max(most, size - len(referring) + most_saved(referring))
    return edit.block.tokens * most / size if most else 0.0


def _shortest_form(edit: BlockEdit, referring: str | None) -> str | None:
    """Returns the shortest lossless form of a block, if it has one: its own, or one with back references."""
    own = edit.lossless_candidates
    if referring is None:
        return own
    with_references = encode_losslessly(referring)[0]
    return with_references if own is None or len(with_references) < len(own) else own


class BudgetSelector:
    """Orders the units of all blocks by their value, and keeps as much of that order as the budget buys.

    Attributes:
        block_edits: The blocks that are selected from.
        units: Their units.
        scores: The score of each unit, shape [units].
        ranking: The order of the units, best first, and their novelty.
        word_pruner: Chooses words that may be left out of kept sentences, or None to leave sentences whole.
    """

    def __init__(
        self,
        block_edits: Sequence[BlockEdit],
        scorer: Scorer,
        query: Query,
        excess: int,
        word_pruner: WordPruner | None = None,
        conversation: ConversationOrder | None = None,
    ) -> None:
        """Scores and ranks the units.

        Args:
            block_edits: The blocks to select from.
            scorer: Scores the units.
            query: What the reader is looking for.
            excess: The tokens by which the whole exceeds its budget; some scorers use what is left.
            word_pruner: Chooses words that may be left out, or None.
            conversation: Orders the units of messages that may leave in runs, or None if there are none.

        Raises:
            CompressorError: The scorer did not return one finite score per unit.
        """
        self.block_edits = block_edits
        available = max(1.0, sum(edit.block.tokens for edit in block_edits) - excess)
        for edit in block_edits:
            edit.drop_costly_header(MAX_HEADER_SHARE * available)
        sources = [
            SourceBlock(edit.block.kind, edit.layout, costs, edit.block.tool_call_text, edit.block.age, edit.match)
            for edit, costs in zip(block_edits, unit_costs(block_edits), strict=True)
        ]
        self.units = UnitBatch(sources, available_tokens=available)
        scores = reweight_reasoning(_checked_scores(scorer, query, self.units), self.units, query)
        self._placeholder_units = self._find_placeholder_units()
        self._has_placeholder_units = bool(self._placeholder_units.any())
        worthless = ~self.units.is_worded | self._placeholder_units
        self.scores: Scores = np.where(worthless, np.float32(0), scores)
        self.ranking: Ranking = rank(self.scores, self.units)
        # The items to choose from are the units and, numbered from len(units) on, the removable words of the units
        # in `_pruned_units`.
        self._order, self._costs, self._parents = self.ranking.order, self.units.costs, self.units.parents
        self._pruned_units = np.zeros(0, np.int32)
        self.word_pruner = word_pruner
        if word_pruner is not None:
            self._split_removable_words(word_pruner, query)
        self._starts: list[int] = self.units.starts.tolist()
        self._masks: tuple[Mask, Mask | None] | None = None  # what was kept and shortened last
        self._linked_units = self._link_example_messages()
        self._has_runs = conversation is not None
        if conversation is not None:
            self._reorder(conversation)
        # Keeping the last unit of a message may save tokens, but what is affordable never shrinks with the count.
        self._cumulative = np.maximum.accumulate(np.cumsum(self._costs[self._order], dtype=np.float64))

    def _find_placeholder_units(self) -> Mask:
        """Returns which units are placeholders of ours, shape [units]: worth nothing of their own."""
        out = np.zeros(len(self.units), np.bool_)
        for edit, start in zip(self.block_edits, self.units.starts.tolist(), strict=False):
            if edit.placeholder_units is not None:
                out[start : start + len(edit.placeholder_units)] = edit.placeholder_units
        return out

    def _reorder(self, conversation: ConversationOrder) -> None:
        values = np.asarray(self.ranking.priority(self.scores), np.float64)
        if self.word_pruner is not None:
            values = np.concatenate([values, values[self._pruned_units] * self.word_pruner.word_value])
        order, costs = conversation.reorder(
            list(self.block_edits), self.units.starts, self._order, values, self._costs, self._parents
        )
        self._order, self._costs = order, costs.astype(np.float32)

    def _link_example_messages(self) -> list[tuple[int, int]]:
        """Returns pairs of (first unit, other unit) of examples that are several messages.

        The first carries the cost of all, and the others follow it.
        """
        firsts: dict[int, int] = {}
        links: list[tuple[int, int]] = []
        for edit, start in zip(self.block_edits, self._starts, strict=False):
            if edit.block.example >= 0 and (first := firsts.setdefault(edit.block.example, start)) != start:
                if not links:
                    self._costs = self._costs.copy()
                self._costs[first] += self._costs[start]
                self._costs[start] = 0.25
                links.append((first, start))
        return links

    def _split_removable_words(self, word_pruner: WordPruner, query: Query) -> None:
        """Splits each unit that has removable words into two items: the words, and the rest."""
        sources = [
            i
            for i, edit in enumerate(self.block_edits)
            if edit.block.kind == edit.block.slot.kind and edit.block.kind in WORD_PRUNED_KINDS
        ]
        saved = np.zeros(len(self.units), np.float32)
        for i, words in word_pruner.removable_words(self.units, sources, query).items():
            edit, start = self.block_edits[i], int(self.units.starts[i])
            edit.removable_words = words
            size = len(edit.layout.spans)
            offsets = edit.counter.offsets(edit.layout.text)
            saved[start : start + size] = words.saved_tokens(offsets, size) * edit.counter.scale
        self._pruned_units = np.flatnonzero(saved).astype(np.int32)
        priority = self.ranking.priority(self.scores)
        self._order = merge_word_units(self.ranking.order, priority, self._pruned_units, word_pruner.word_value)
        self._costs = np.concatenate([np.maximum(self._costs - saved, 0.25), saved[self._pruned_units]])
        self._parents = np.concatenate([self._parents, self._pruned_units])

    def apply(self, chosen: npt.NDArray[np.int32]) -> None:
        """Keeps exactly these items, and the wordless units between neighbours among them."""
        n = len(self.units)
        taken = np.zeros(n + len(self._pruned_units), np.bool_)
        taken[chosen] = True
        for first, other in self._linked_units:
            taken[other] = taken[first]
        keep = taken[:n].copy()
        gap, before, after = self._gaps
        if len(gap):
            keep[gap] |= taken[before] & taken[after]
        keep = self._with_placeholders(keep)
        shortened = None
        if len(self._pruned_units):
            shortened = np.zeros(n, np.bool_)
            shortened[self._pruned_units] = ~taken[n:]
        self._set_masks(keep, shortened)

    def _set_masks(self, keep: Mask, shortened: Mask | None) -> None:
        """Gives each edit its part of the masks, if that is not what it has already."""
        starts, edits = self._starts, self.block_edits
        if self._masks is None:
            changed = range(len(edits))
        else:
            differs = keep != self._masks[0]
            if shortened is not None:
                differs |= shortened != self._masks[1]
            changed = np.flatnonzero(np.bincount(self.units.source_indices[differs])).tolist()
        self._masks = keep, shortened
        for i in changed:
            start, end = starts[i], starts[i + 1]
            edits[i].apply_mask(keep[start:end], None if shortened is None else shortened[start:end])

    @cached_property
    def _gaps(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The units without a word (blank lines, rules, lone brackets), and the units with words around each.

        Only those between two units of one source are there.
        """
        empty: Mask = (self.units.index.lengths == 0) & (self.units.costs <= MAX_JOINED_TOKENS)
        gap = np.flatnonzero(empty)
        if not len(gap):
            return gap, gap, gap
        filled = np.flatnonzero(~empty)
        place = np.searchsorted(filled, gap)
        inside = (place > 0) & (place < len(filled))
        gap, place = gap[inside], place[inside]
        before, after = filled[place - 1], filled[place]
        source = self.units.source_indices
        same = source[before] == source[after]
        return gap[same], before[same], after[same]

    def _with_placeholders(self, keep: Mask) -> Mask:
        """Keeps those placeholders inside of texts that stand beside something kept."""
        own = self._placeholder_units
        if not self._has_placeholder_units:
            return keep
        source = self.units.source_indices
        words = keep & ~own
        beside = np.zeros(len(keep), np.bool_)
        beside[1:] |= words[:-1] & (source[1:] == source[:-1])
        beside[:-1] |= words[1:] & (source[1:] == source[:-1])
        return np.where(own, beside, keep)

    def solve(self, count_tokens: CountTokens, budget: int) -> bool:
        """Keeps as many units as the budget buys.

        Args:
            count_tokens: Returns the exact tokens of the whole in its present state.
            budget: The maximum tokens of the whole.

        Returns:
            False if not even the placeholders fit; then only placeholders are left.
        """
        order = self._order
        floor = budget + 1
        if not self._has_runs and all(edit.action == "kept" for edit in self.block_edits):
            floor = count_tokens() - sum(edit.block.tokens - edit.placeholder_tokens for edit in self.block_edits)
        if floor > TRUSTED_ESTIMATE_FRACTION * budget:
            self.apply(order[:0])
            floor = count_tokens()
            if floor > budget:
                return False
        estimated_tokens, spare = float(budget - floor), budget - floor
        best, high = 0, len(order)
        rounds = 0
        while rounds < MAX_SOLVE_ROUNDS or (best == 0 and high > 0):
            rounds += 1
            count = min(high, int(np.searchsorted(self._cumulative, estimated_tokens, side="right")))
            if count <= best:
                break
            self.apply(order[:count])
            total = count_tokens()
            # The real cost of an estimated token: ellipses come on top, encoding an excerpt takes some off.
            rate = max(total - floor, 1) / max(float(self._cumulative[count - 1]), 1.0)
            if total <= budget:
                best, spare = count, budget - total
                if spare <= ACCEPTED_UNUSED_FRACTION * budget or count == high:
                    break
                estimated_tokens = max(estimated_tokens, (budget - floor) / rate * 0.995)
            else:
                high = count - 1
                estimated_tokens = min(estimated_tokens, (budget - floor) / rate * 0.985)
        self._fill(best, spare, budget - floor, count_tokens, budget)
        return True

    def _fill(self, best: int, spare: int, available_tokens: int, count_tokens: CountTokens, budget: int) -> None:
        """Spends what the first `best` items left on later ones that are small enough."""
        order = self._order
        taken = set(order[:best].tolist())
        extra: list[int] = []
        later = order[best : best + MAX_FILL_CANDIDATES]
        costs = self._costs[later].tolist()
        for unit, tokens, parent in zip(later.tolist(), costs, self._parents[later].tolist(), strict=True):
            cost = tokens * 1.1 + GAP_TOKENS
            if cost <= spare and (parent < 0 or parent in taken):
                extra.append(unit)
                taken.add(unit)
                spare -= int(cost)
        while True:
            self.apply(np.concatenate([order[:best], np.array(extra, np.int32)]))
            if not extra or count_tokens() <= budget:
                break
            del extra[len(extra) // 2 :]
        if spare > 0 and available_tokens <= SMALL_BUDGET_TOKENS:
            self._try_rest(best, extra, count_tokens, budget)

    def _try_rest(self, best: int, extra: list[int], count_tokens: CountTokens, budget: int) -> None:
        """Tries the next-best units one by one, with their ancestors, and counts exactly."""
        order, parents = self._order, self._parents
        chosen = [*order[:best].tolist(), *extra]
        taken = set(chosen)
        for unit in [u for u in order[best:].tolist() if u not in taken and u < len(self.units)][:MAX_EXACT_TRIALS]:
            chain = [unit]
            while (parent := int(parents[chain[-1]])) >= 0 and parent not in taken:
                chain.append(parent)
            self.apply(np.array([*chosen, *chain], np.int32))
            if count_tokens() <= budget:
                chosen += chain
                taken.update(chain)
        self.apply(np.array(chosen, np.int32))

    @cached_property
    def _novelty_beside_kept(self) -> npt.NDArray[np.float64]:
        """[units] the fraction of each unit that no kept unit says."""
        kept = np.zeros(len(self.units), np.bool_)
        for edit, start in zip(self.block_edits, self._starts, strict=False):
            if edit.action != "dropped" and edit.keep is not None:
                kept[start : start + len(edit.keep)] = edit.keep
        return novelty_beside(self.units, kept)

    @cached_property
    def _start_of(self) -> dict[int, int]:
        return {id(edit): start for edit, start in zip(self.block_edits, self._starts, strict=False)}

    def explain(self, edit: BlockEdit) -> Iterable[tuple[int, int, str, float]]:
        """Yields the runs of a block's dropped units: first unit, last unit + 1, the reason, and their mean score."""
        if edit.keep is None:
            return
        start = self._start_of[id(edit)]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], ~edit.keep, [False]]).astype(np.int8)))
        for a, b in edges.reshape(-1, 2).tolist():
            novelty = float(self._novelty_beside_kept[start + a : start + b].mean())
            score = float(self.scores[start + a : start + b].mean())
            reason = REDUNDANT if novelty < REDUNDANT_NOVELTY else LOW_SCORE
            yield a, b, reason, score

    def explain_words(self, edit: BlockEdit) -> Iterable[tuple[tuple[int, int], float]]:
        """Yields the spans of words removed from a block's kept units, and the score of a token of them."""
        if edit.removed_words is None or self.word_pruner is None:
            return
        start = self._start_of[id(edit)]
        for a, b, unit in edit.removed_words.runs():
            yield (a, b), self.word_pruner.word_value * float(self.scores[start + unit])


def novelty_beside(units: UnitBatch, kept: Mask) -> npt.NDArray[np.float64]:
    """Returns the fraction of each unit that no kept unit says, in [0, 1], shape [units].

    Args:
        units: The units.
        kept: Which of them are kept, shape [units].
    """
    n = len(units)
    unit, token = units.index.pairs
    weight = np.array([NOVELTY_WEIGHT[k] for k in range(6)], np.float64)[units.index.kinds][token]
    said = np.zeros(len(units.index.kinds), np.bool_)
    said[token[kept[unit]]] = True
    total = np.bincount(unit, weight, n)
    novelty: npt.NDArray[np.float64] = np.bincount(unit, weight * ~said[token], n) / np.maximum(total, 1e-9)
    novelty[total == 0] = 1.0
    if units.vectors is not None and kept.any():
        nearest = (units.vectors @ units.vectors[kept][:MAX_COMPARED_KEPT].T).max(1)
        similar = np.clip((1 - nearest) / (1 - SIMILAR_COSINE), 0.0, 1.0)
        novelty = np.where(units.vectors.any(1), np.minimum(novelty, similar), novelty)
    return novelty


def _checked_scores(scorer: Scorer, query: Query, units: UnitBatch) -> Scores:
    """Returns the scorer's scores, or raises CompressorError: a scorer may be the user's own."""
    scores = np.asarray(scorer.score(query, units), np.float32)
    if scores.shape != (len(units),) or not np.isfinite(scores).all():
        name = getattr(scorer, "name", type(scorer).__name__)
        raise CompressorError(
            f"scorer {name!r} must return one finite score per unit, shape ({len(units)},); it returned shape "
            f"{scores.shape}" + ("" if np.isfinite(scores).all() else " with NaN or infinity")
        )
    return scores

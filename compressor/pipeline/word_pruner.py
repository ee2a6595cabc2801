"""Leaves words out of sentences that are kept: those that say least go first.

Token-level pruning after LLMLingua (Jiang et al. 2023, section 4.2: tokens below a quantile of information go), but
by whole words, and never one that `protected` holds. What a word says is its idf in a background corpus, or what a
language model says of its tokens. A unit then has two grains: itself without those words, and those words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError, QueueFullError
from compressor.pipeline.protected_words import find_removable_words
from compressor.scoring.base import Query, UnitBatch
from compressor.scoring.bm25 import weighted_terms
from compressor.scoring.token_index import stem
from compressor.scoring.word_vectors import Floats, load_word_vectors
from compressor.text.segmenters.base import Mask, Spans
from compressor.text.segmenters.span_layout import SpanLayout

KEEP_FRACTION = 0.75  # share of the words that stays: `benchmarks/LOG.md`
WORD_VALUE = 0.3  # of a token of such words, next to the other tokens of their unit: the same

_ARTICLES = frozenset(("a", "an", "the"))

Ints = npt.NDArray[np.int32]

#: Text -> [k, 2] where its pieces stand, in order, and [k] how much each says: surprisal, log-odds of being kept, ...
#: Only the order of the numbers counts. May raise ModelError and Overloaded.
Importance = Callable[[str], tuple[Spans, Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class RemovableWords:
    """The words that can be left out of one text. spans: [k, 2], in order, each with the space before it; unit: [k]."""

    spans: Spans
    units: Ints

    def __len__(self) -> int:
        return len(self.spans)

    def for_units(self, units: Mask) -> RemovableWords:
        """The words of these units."""
        mine = units[self.units]
        return RemovableWords(self.spans[mine], self.units[mine])

    def runs(self) -> list[tuple[int, int, int]]:
        """Start and end of each run of neighbours, and its unit."""
        out: list[tuple[int, int, int]] = []
        for (start, end), unit in zip(self.spans.tolist(), self.units.tolist(), strict=True):
            if out and out[-1][1] == start:
                start = out.pop()[0]
            out.append((start, end, unit))
        return out

    def saved_tokens(self, offsets: Ints, units: int) -> Floats:
        """[units] tokens that go with the words; `offsets` are where the tokens of the text begin."""
        at = np.searchsorted(offsets, self.spans)
        return np.bincount(self.units, at[:, 1] - at[:, 0], units).astype(np.float32)


@dataclass(frozen=True, slots=True)
class WordPruner:
    """keep: share of the words that stays, more where more is protected or asked for. worth: of a token of the other
    words, next to the tokens of their unit without them; below 1 the units chosen last are pruned, at 0 all of them.
    importance: None for idf, which also stands in, with a note in `UnitBatch.notes`, for a model that fails."""

    keep_fraction: float = KEEP_FRACTION
    word_value: float = WORD_VALUE
    importance: Importance | None = None

    def removable_words(self, units: UnitBatch, sources: Sequence[int], query: Query) -> dict[int, RemovableWords]:
        """The words that can go from each of these sources; sources without any left out."""
        layouts = {s: x for s in sources if isinstance(x := units.sources[s].layout, SpanLayout)}
        found = {source: find_removable_words(layout) for source, layout in layouts.items()}
        if not found:
            return {}
        texts = [[layouts[source].text[a + 1 : b] for a, b in spans.tolist()] for source, (spans, *_) in found.items()]
        values = np.concatenate([corpus_idf(part) for part in texts])
        if self.importance is not None:
            try:
                parts = [max_per_word(found[s][0], *self.importance(layout.text)) for s, layout in layouts.items()]
                values = np.concatenate(parts)
            except (ModelError, QueueFullError) as error:
                units.notes.append(f"words: {error}; weighed by their idf instead")
        wanted = weighted_terms(query.parts)
        values[[stem(word) in wanted for part in texts for word in part]] = np.inf
        # Of equals the later goes: a word said again says less.
        order = np.lexsort((-np.arange(len(values)), values))
        gone = np.zeros(len(values), np.bool_)
        gone[order[: int((1 - self.keep_fraction) * sum(size for *_, size in found.values()))]] = True
        gone &= np.isfinite(values)
        ends = np.cumsum([len(part) for part in texts])
        return {
            source: RemovableWords(spans[mine], unit[mine])
            for (source, (spans, unit, _)), mine in zip(found.items(), np.split(gone, ends[:-1]), strict=True)
            if mine.any()
        }


def corpus_idf(found: Sequence[str]) -> Floats:
    """[len(found)] how rare each word is in the corpus behind the shipped vectors; articles say nothing."""
    distinct = {word: i for i, word in enumerate(dict.fromkeys(found))}
    model = load_word_vectors()
    values = model.idf[model.rows([stem(word) for word in distinct])]
    values[[word in _ARTICLES for word in distinct]] = 0
    out: Floats = values[[distinct[word] for word in found]]
    return out


def max_per_word(spans: Spans, pieces: Spans, values: Floats) -> Floats:
    """[words] the most any piece of each word says; a word without a piece says everything."""
    out = np.full(len(spans), np.inf, np.float32)
    low = np.searchsorted(pieces[:, 1], spans[:, 0] + 1, side="right")
    high = np.searchsorted(pieces[:, 0], spans[:, 1], side="left")
    there = np.flatnonzero(high > low)
    if len(there):
        edges = np.stack([low[there], high[there]], axis=1).ravel()
        padded = np.append(values, np.float32(-np.inf))
        out[there] = np.maximum.reduceat(padded, edges)[::2]
    return out


def merge_word_units(order: Ints, priority: npt.NDArray[np.floating], grains: Ints, worth: float = WORD_VALUE) -> Ints:
    """An order of units, best first, with the words of units put in behind them: `grains` [m] are units of which words
    can go, and the words of grains[i] stand as number len(order) + i where units with `worth` of its priority are."""
    n = len(order)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    # An ancestor stands as high as its best descendant.
    standing = np.maximum.accumulate(priority[order][::-1])[::-1]
    where = np.searchsorted(-standing, -worth * standing[place[grains]], side="right")
    where = np.maximum(where, place[grains] + 1)
    keys = np.concatenate([np.arange(n) * 2 + 1, where * 2])
    numbers = np.concatenate([order, n + np.arange(len(grains), dtype=np.int32)])
    # Of words put in at one place, those of the better unit first.
    ties = np.concatenate([np.zeros(n, np.int64), place[grains]])
    return numbers[np.lexsort((ties, keys))].astype(np.int32)

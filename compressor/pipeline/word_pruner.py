"""Chooses words of little information to leave out of sentences that are kept.

This is token-level pruning after LLMLingua (Jiang et al. 2023, section 4.2: tokens below a quantile of information go),
but by whole words, and never one that `protected_words` protects. The information of a word is its idf in a background
corpus, or what a language model says of its tokens.
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

KEEP_FRACTION = 0.75  # Chosen by measurement: benchmarks/LOG.md.
WORD_VALUE = 0.3  # Chosen by measurement: benchmarks/LOG.md.

_ARTICLES = frozenset(("a", "an", "the"))

Ints = npt.NDArray[np.int32]

#: Maps a text to the spans of its pieces in order, shape [pieces, 2], and the information of each, shape [pieces]:
#: surprisal, log-odds of being kept, ... Only the order of the numbers counts. May raise ModelError and QueueFullError.
Importance = Callable[[str], tuple[Spans, Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class RemovableWords:
    """The words that can be left out of one text.

    Attributes:
        spans: The span of each word with the space before it, in order, shape [words, 2].
        units: The unit of each word, shape [words].
    """

    spans: Spans
    units: Ints

    def __len__(self) -> int:
        return len(self.spans)

    def for_units(self, units: Mask) -> RemovableWords:
        """Returns the words of the units in a mask of shape [units]."""
        mine = units[self.units]
        return RemovableWords(self.spans[mine], self.units[mine])

    def runs(self) -> list[tuple[int, int, int]]:
        """Returns the start, the end and the unit of each run of neighbouring words."""
        out: list[tuple[int, int, int]] = []
        for (start, end), unit in zip(self.spans.tolist(), self.units.tolist(), strict=True):
            if out and out[-1][1] == start:
                start = out.pop()[0]
            out.append((start, end, unit))
        return out

    def saved_tokens(self, offsets: Ints, units: int) -> Floats:
        """Returns the tokens that leaving out the words saves in each unit, shape [units].

        Args:
            offsets: Where each token of the text begins.
            units: The number of units.
        """
        tokens = np.searchsorted(offsets, self.spans)
        return np.bincount(self.units, tokens[:, 1] - tokens[:, 0], units).astype(np.float32)


@dataclass(frozen=True, slots=True)
class WordPruner:
    """Chooses the words that may be left out.

    Attributes:
        keep_fraction: The fraction of the words that stays. More stay if more are protected or named by the query.
        word_value: The value of a token of a removable word, relative to the other tokens of its unit. Below 1 the
            units that are chosen last lose their words first; at 0 all units lose them.
        importance: Rates the pieces of a text. None uses idf, which also replaces a model that fails, with a note in
            `UnitBatch.notes`.

    Example:
        >>> Compressor(prune_words=WordPruner(keep_fraction=0.6))  # doctest: +SKIP
    """

    keep_fraction: float = KEEP_FRACTION
    word_value: float = WORD_VALUE
    importance: Importance | None = None

    def removable_words(self, units: UnitBatch, sources: Sequence[int], query: Query) -> dict[int, RemovableWords]:
        """Returns the removable words of each source that has any.

        Args:
            units: All units.
            sources: The numbers of the sources to look at.
            query: What the reader is looking for. Words that it names stay.
        """
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
                units.notes.append(f"words: {error}; their idf was used instead")
        wanted = weighted_terms(query.parts)
        values[[stem(word) in wanted for part in texts for word in part]] = np.inf
        # Of words of equal value the later is removed first, because a word that is said again says less.
        order = np.lexsort((-np.arange(len(values)), values))
        removable = np.zeros(len(values), np.bool_)
        removable[order[: int((1 - self.keep_fraction) * sum(size for *_, size in found.values()))]] = True
        removable &= np.isfinite(values)
        ends = np.cumsum([len(part) for part in texts])
        return {
            source: RemovableWords(spans[mine], unit[mine])
            for (source, (spans, unit, _)), mine in zip(found.items(), np.split(removable, ends[:-1]), strict=True)
            if mine.any()
        }


def corpus_idf(found: Sequence[str]) -> Floats:
    """Returns how rare each word is in the corpus behind the shipped vectors, shape [words]. Articles count as 0."""
    distinct = {word: i for i, word in enumerate(dict.fromkeys(found))}
    model = load_word_vectors()
    values = model.idf[model.rows([stem(word) for word in distinct])]
    values[[word in _ARTICLES for word in distinct]] = 0
    out: Floats = values[[distinct[word] for word in found]]
    return out


def max_per_word(spans: Spans, pieces: Spans, values: Floats) -> Floats:
    """Returns the highest value of any piece of each word, shape [words]; infinity for a word without a piece.

    Args:
        spans: The span of each word with the space before it, shape [words, 2].
        pieces: The spans of a model's pieces, in order, shape [pieces, 2].
        values: The value of each piece, shape [pieces].
    """
    out = np.full(len(spans), np.inf, np.float32)
    low = np.searchsorted(pieces[:, 1], spans[:, 0] + 1, side="right")
    high = np.searchsorted(pieces[:, 0], spans[:, 1], side="left")
    there = np.flatnonzero(high > low)
    if len(there):
        edges = np.stack([low[there], high[there]], axis=1).ravel()
        padded = np.append(values, np.float32(-np.inf))
        out[there] = np.maximum.reduceat(padded, edges)[::2]
    return out


def merge_word_units(
    order: Ints, priority: npt.NDArray[np.floating], pruned_units: Ints, word_value: float = WORD_VALUE
) -> Ints:
    """Returns an order of units with the removable words of units merged into it.

    The words of `pruned_units[i]` get the number `len(order) + i`, and come where units of `word_value` times the
    priority of their unit are, but after their unit.

    Args:
        order: The units, best first, shape [units].
        priority: The priority of each unit, shape [units].
        pruned_units: The units that have removable words.
        word_value: The value of the words relative to their unit.
    """
    n = len(order)
    position = np.empty(n, np.int64)
    position[order] = np.arange(n)
    # An ancestor is worth as much as its best descendant.
    value = np.maximum.accumulate(priority[order][::-1])[::-1]
    target = np.searchsorted(-value, -word_value * value[position[pruned_units]], side="right")
    target = np.maximum(target, position[pruned_units] + 1)
    keys = np.concatenate([np.arange(n) * 2 + 1, target * 2])
    numbers = np.concatenate([order, n + np.arange(len(pruned_units), dtype=np.int32)])
    # Of words with the same position those of the better unit come first.
    ties = np.concatenate([np.zeros(n, np.int64), position[pruned_units]])
    return numbers[np.lexsort((ties, keys))].astype(np.int32)

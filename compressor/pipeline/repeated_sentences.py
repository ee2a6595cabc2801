"""Finds sentences that are said elsewhere too: newer ones repeat them, or a text that stays says the same.

A newer sentence repeats one if it has most of its pairs of neighbouring words. A sentence with a number, name or
identifier that the newer one lacks is no repeat: `f(3) = 9` does not repeat `f(2) = 4`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.scoring.token_index import NAME, NUMBER, TokenIndex
from compressor.scoring.vocabulary import Ids

MIN_RESTATED_TERMS = 4  # A sentence with fewer terms restates nothing.
MIN_TERM_CHARS = 4  # Shorter terms do not count.
MAX_POSTINGS = 6  # Each word pair leads to so many of the newest sentences that have it.

#: How exact a word is by its class: 2 if it is a number or identifier, 1 if it is a name where it is not a unit's first
#: word, which may be written like one.
_EXACTNESS = np.zeros(256, np.uint8)
_EXACTNESS[NUMBER:] = 2
_EXACTNESS[NAME] = 1

_Ints = npt.NDArray[np.int64]


def exactness_of(index: TokenIndex) -> npt.NDArray[np.uint8]:
    """Returns [vocabulary] how exact each token is: 2 always, 1 unless it is the first of its unit, 0 not."""
    return _EXACTNESS[index.kinds]


def find_repeats(index: TokenIndex, which: _Ints, overlaps: npt.NDArray[np.float64]) -> list[int]:
    """Returns the units that a newer one repeats. Time grows linearly with their tokens.

    Args:
        index: The tokens of all units.
        which: The units that are compared, ascending.
        overlaps: [units] the fraction of a unit's word pairs that another must have for it to be a repeat.
    """
    ends = np.cumsum(index.lengths, dtype=np.int64)
    return _find_pairs(
        index.token, ends, which, overlaps, _lower_labels(index, which), exactness_of(index), MAX_POSTINGS
    )


def _lower_labels(index: TokenIndex, which: _Ints) -> Ids:
    """Returns [vocabulary] numbers that are the same for tokens of some units that differ only in case."""
    mine = np.zeros(len(index.lengths), np.bool_)
    mine[which] = True
    used = np.zeros(len(index.word_ids), np.bool_)
    used[index.token[np.repeat(mine, index.lengths)]] = True
    out = np.zeros(len(used), np.int32)
    out[used] = index.memory.vocabulary.lower_ids(index.word_ids[used])
    return out


def has_exact_words(index: TokenIndex, which: _Ints) -> npt.NDArray[np.bool_]:
    """Returns which of some units have a number, an identifier, or a name that is not their first word."""
    return _find_exact(index.token, np.cumsum(index.lengths, dtype=np.int64), which, exactness_of(index))


def find_exact(tokens: Ids, ends: _Ints, which: _Ints, exactness: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Returns which of some units have an exact word; the reference for the native kernel `repeats`.

    Args:
        tokens: The tokens of all units, in order.
        ends: [units] where the tokens of each unit end.
        which: The units.
        exactness: [vocabulary] see `exactness_of`.
    """
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    found = exactness[tokens]
    first = starts[lengths > 0]
    found[first] = found[first] > 1
    count: _Ints = np.concatenate((np.zeros(1, np.int64), np.cumsum(found > 0)))
    out: npt.NDArray[np.bool_] = count[ends[which]] > count[starts[which]]
    return out


def find_restated(index: TokenIndex, which: _Ints, texts: Sequence[str], overlap: float) -> list[int]:
    """Returns the units that restate one of some texts: most of their longer terms stand in it.

    Args:
        index: The tokens of all units.
        which: The units that are compared.
        texts: The texts.
        overlap: The fraction of a unit's terms that must stand in a text.
    """
    if not texts or not len(which):
        return []
    vocabulary, (counts, rows) = index.memory.vocabulary, index.term_rows
    retained = [vocabulary.term_rows(index.memory.text_words(text))[1] for text in texts]
    ends = np.cumsum(index.lengths, dtype=np.int64)
    sizes = vocabulary.term_sizes(index.word_ids)
    return _find_terms(
        index.token, ends, which, counts, rows, sizes, retained, overlap, MIN_RESTATED_TERMS, MIN_TERM_CHARS
    )


def compare_terms(
    tokens: Ids,
    ends: _Ints,
    which: _Ints,
    counts: Ids,
    rows: Ids,
    sizes: Ids,
    retained: list[Ids],
    overlap: float,
    min_terms: int,
    min_chars: int,
) -> list[int]:
    """Returns the units of whose terms enough stand in a text; the reference for the native kernel `repeats`.

    Args:
        tokens: The tokens of all units, in order.
        ends: [units] where the tokens of each unit end.
        which: The units that are compared.
        counts: [vocabulary] the number of terms of each token.
        rows: All these terms.
        sizes: The number of characters of each of them.
        retained: The terms of each text.
        overlap: The fraction of a unit's terms that must stand in a text.
        min_terms: Units with fewer terms restate nothing.
        min_chars: Shorter terms do not count.
    """
    places = np.cumsum(counts, dtype=np.int64)
    all_places = [0, *places.tolist()]
    terms, all_sizes, texts = rows.tolist(), sizes.tolist(), [frozenset(ids.tolist()) for ids in retained]
    out = []
    everything = frozenset[int]().union(*texts)
    long_terms: dict[int, list[int]] = {}
    starts = np.where(which > 0, ends[which - 1], 0)
    for unit, start, end in zip(which.tolist(), starts.tolist(), ends[which].tolist(), strict=True):
        own = set[int]()
        for token in tokens[start:end].tolist():
            if (found_terms := long_terms.get(token)) is None:
                span = range(all_places[token], all_places[token + 1])
                found_terms = long_terms[token] = [terms[k] for k in span if all_sizes[k] >= min_chars]
            own.update(found_terms)
        least = overlap * len(own)
        may_restate = len(own) >= min_terms and len(own & everything) >= least
        if may_restate and any(len(own & text) >= least for text in texts):
            out.append(unit)
    return out


def compare_pairs(
    tokens: npt.NDArray[np.int32],
    ends: _Ints,
    which: _Ints,
    overlaps: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int32],
    exactness: npt.NDArray[np.uint8],
    max_postings: int,
) -> list[int]:
    """Returns the units that a newer one repeats, the newest first; the reference for the native kernel `repeats`.

    The first word of a short unit is a pair as well.

    Args:
        tokens: The tokens of all units, in order.
        ends: [units] where the tokens of each unit end.
        which: The units that are compared, ascending.
        overlaps: [units] the fraction of a unit's word pairs that another must have for it to be a repeat.
        labels: [vocabulary] the same for tokens that count as the same word.
        exactness: [vocabulary] see `exactness_of`.
        max_postings: Each pair leads to so many of the newest units that have it.
    """
    n, lengths = len(ends), np.diff(ends, prepend=0)
    mine = np.zeros(n, np.bool_)
    mine[which] = True
    entries = np.repeat(mine, lengths)
    own, unit = tokens[entries], np.repeat(np.arange(n), lengths)[entries]
    used, same, first_of = np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.int64), dict[int, int]()
    used[own] = True
    numbers = np.flatnonzero(used)
    same[numbers] = [
        first_of.setdefault(label, i) for label, i in zip(labels[used].tolist(), numbers.tolist(), strict=True)
    ]
    unit, pair = _distinct_pairs(unit, same[own], lengths, len(labels) + 1)

    def words(of: int, only_exact: bool) -> set[int]:
        span = tokens[ends[of] - lengths[of] : ends[of]]
        if only_exact:
            span = span[exactness[span] > (np.arange(len(span)) == 0)]
        return set(same[span].tolist())

    times = np.bincount(pair)
    total = np.bincount(unit, minlength=n)
    need = overlaps * total
    can = (np.bincount(unit[times[pair] > 1], minlength=n) >= need) & (total > 0)
    useful = np.zeros(len(times), np.bool_)  # Pairs that may show that a unit repeats another.
    useful[pair[can[unit]]] = True
    chosen = (useful & (times > 1))[pair]
    unit, pair = unit[chosen], pair[chosen]
    postings: dict[int, list[int]] = {}
    out: list[int] = []
    starts, stops = np.flatnonzero(np.diff(unit, prepend=-1)), np.flatnonzero(np.diff(unit, append=-1)) + 1
    for start, stop in zip(starts[::-1].tolist(), stops[::-1].tolist(), strict=True):
        this, pairs = int(unit[start]), pair[start:stop].tolist()
        if can[this]:
            found = Counter(u for p in pairs for u in postings.get(p, ())).most_common(3)
            like = [u for u, count in found if count >= need[this]]
            if like and any(words(this, True) <= words(u, False) for u in like):
                out.append(this)
                continue  # Only the newest of equal units gets postings, so it stands for all of them.
        for p in pairs:
            have = postings.setdefault(p, [])
            if len(have) < max_postings:
                have.append(this)
    return out


def _distinct_pairs(unit: _Ints, word: _Ints, lengths: _Ints, size: int) -> tuple[_Ints, _Ints]:
    """Returns the unit and the number of each distinct pair of neighbouring words, in order of units, then words."""
    first = np.diff(unit, prepend=-1) > 0
    before = np.where(first, 0, np.roll(word, 1) + 1)
    pair = np.unique(before * size + word, return_inverse=True)[1].reshape(-1)
    keep = ~first | (lengths[unit] <= 2)
    count = max(1, len(pair))
    keys = np.unique(unit[keep] * count + pair[keep])
    return keys // count, keys % count


_kernel = load_kernel("repeats")
_find_pairs = compare_pairs if _kernel is None else _kernel.compare_pairs
_find_terms = compare_terms if _kernel is None else _kernel.compare_terms
_find_exact = find_exact if _kernel is None else _kernel.find_exact

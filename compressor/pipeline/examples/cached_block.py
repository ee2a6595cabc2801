"""Chooses the examples of a fixed block that a provider's prompt cache can hold, whatever the queries are.

A prompt of many examples is cheap if most of it is the same in every call, and good if some of it is about the query:
S. Golchin et al., "Towards Compute-Optimal Many-Shot In-Context Learning", 2025, combine a few examples that are
similar to the query with many cached ones, which are best when they are representative of the task. Here the block
holds typical and diverse examples, the same number of each label, and none whose neighbours all have another label,
unless that is so for all examples of the label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples import dpp
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.query_relevance import ExampleRelevance
from compressor.pipeline.examples.ranking import MIN_RELIABILITY
from compressor.tokens import TokenCounter

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

GROUP = 200  # examples that are compared with each other at once
PICKED_FROM_GROUP = 50  # examples of a group in the block, about, if there are no labels
TYPICALITY_WEIGHT = 3.0  # log-quality of a typicality of 1
TOKEN_PENALTY = 0.02  # log-quality that a token costs
NEIGHBOURS = 5  # an example with a label that none of so many neighbours has is taken for mislabelled
DECIMALS = 4  # sums of floats differ in the last digits between machines; a block must not


@dataclass
class CachedBlock:
    """The examples of a block, and the others.

    Attributes:
        rows: The rows of the block in the order in which they are sent.
        others: The set of the other examples.
        other_rows: [others] their rows in the whole set.
    """

    rows: list[int]
    others: ExampleSet
    other_rows: Ints


def choose_cached_block(pool: ExampleSet, counter: TokenCounter, budget: int) -> CachedBlock:
    """Chooses a block within a budget. It depends on the examples, their template and the tokenizer only.

    Args:
        pool: The examples.
        counter: Counts the tokens.
        budget: The maximum of tokens of the block, with the separator after it.
    """
    costs = pool.costs(counter)
    if int(costs.sum()) <= budget:
        rows = list(range(len(pool)))
    else:
        rows = _fill(pool, costs, budget)
    is_in_block = np.zeros(len(pool), np.bool_)
    is_in_block[rows] = True
    return CachedBlock(rows, pool.rest(is_in_block), np.flatnonzero(~is_in_block))


def _fill(pool: ExampleSet, costs: Ints, budget: int) -> list[int]:
    """Takes one example of each group after the other, until no more fit."""
    labels = pool.label_model
    are_classes = ExampleRelevance(pool, None, reads_labels=True).reliability > MIN_RELIABILITY
    if are_classes:
        by_size = sorted(labels.members, key=len, reverse=True)
        groups = [_right_ones(pool, _rank_group(pool, members, costs)) for members in by_size]
    else:
        count = max(1, budget // max(1, int(np.median(costs))) // PICKED_FROM_GROUP)
        groups = [_rank_group(pool, np.arange(first, len(pool), count), costs) for first in range(count)]
    remaining = budget
    rows: list[int] = []
    texts: set[str] = set()
    smallest = int(costs.min())
    while groups and remaining >= smallest:
        left = []
        for group in groups:
            if remaining < smallest:
                break
            row = next((row for row in group if pool.texts[row] not in texts), None)
            if row is None:
                continue
            left.append(group)
            if costs[row] <= remaining:
                rows.append(row)
                texts.add(pool.texts[row])
                remaining -= int(costs[row])
        groups = left
    return rows


def _rank_group(pool: ExampleSet, members: Ints, costs: Ints) -> Iterator[int]:
    """Yields examples of a group, the typical and diverse ones first."""
    count = -(-len(members) // GROUP)
    for first in range(count):
        rows = members[first::count]
        typical = np.round(pool.ngram_index.typicality(rows)[0], DECIMALS)
        quality = np.float32(TYPICALITY_WEIGHT) * typical - np.float32(TOKEN_PENALTY) * costs[rows].astype(np.float32)
        kernel = np.round(pool.ngram_index.pairwise_cosines(rows), DECIMALS)
        yield from (int(rows[i]) for i in dpp.select_dpp(kernel, quality, len(rows)))


def _right_ones(pool: ExampleSet, ranked: Iterator[int]) -> Iterator[int]:
    """Yields the examples of a label that have a neighbour of that label.

    If none of several examples has one, the neighbours say nothing about this label, and all are yielded.
    """
    alone: list[int] = []
    is_known = False
    for row in ranked:
        if _has_neighbour(pool, row):
            is_known = True
            yield row
        elif not is_known:
            alone.append(row)
    if not is_known and len(alone) > 1:
        yield from alone


def _has_neighbour(pool: ExampleSet, row: int) -> bool:
    """Whether the label of an example is that of one of its neighbours."""
    index, codes = pool.ngram_index, pool.label_model.codes
    frequency = pool.label_model.max_ngram_frequency
    cosines = index.cosines(index.find_postings(index.features(row), frequency))
    cosines[row] = -1.0
    count = min(NEIGHBOURS, len(cosines) - 1)
    nearest = np.argpartition(-cosines, count - 1)[:count] if count else np.zeros(0, np.int64)
    return bool((codes[nearest] == codes[row]).any())

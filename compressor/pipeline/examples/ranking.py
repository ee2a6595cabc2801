"""Ranks examples for a query: likely labels, each by an example, and relevant examples that differ from each other.

The two rankings are mixed: the better labels can be predicted, the more examples are there to show a label.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples import dpp, mmr
from compressor.pipeline.examples.answer_format import answer_format
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.query_relevance import ExampleRelevance, QueryRelevance

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

METHODS = ("auto", "classes", "dpp", "mmr", "top")

# Chosen on the banks with a star in `python -m benchmarks --only example_banks`, as were those of `query_relevance`
QUALITY_PER_COSINE = 10.0  # log-quality of a cosine of 1 in the DPP
NEW_LABEL_GAIN, NEW_FORMAT_GAIN = 1.5, 0.2  # log-gain of the first example of a label, and of an answer format
MIN_CANDIDATES = 100  # the DPP and MMR compare at least this many of the most relevant examples,
MIN_CANDIDATES_BESIDE_LABELS = 40  # or this many if labels decide, too,
MAX_CANDIDATES = 400  # and at most this many
LIKELIEST_CLASS_REPEATS = 3  # further examples of the likeliest class if it is certain
MIN_PROBABILITY = 1e-3  # less likely classes are not shown for their own sake,
MIN_CLASSES_PER_EXAMPLE = 0.5  # unless they are among the likeliest ones, so many for each example that fits
DISTANCE_WEIGHT = 0.5  # how far from the query an unlikely class is shown, against how typical its example is
LABEL_QUALITY = 3.0  # log-quality per log-probability of a label: a near example of an unlikely label may be wrong
MIN_LOG_PROBABILITY = -6.0
DOUBT_WEIGHT = 16.0  # log-quality of an example that is not at all like the others of its label
MIN_RELIABILITY = 0.2  # labels that can be predicted no better than this are not shown for their own sake
MIN_SHARE = 0.1  # rankings with less than this share are left out
SAMPLE_STEP = 16  # one of so many values is sampled to guess which are among the largest


class ExampleRanking:
    """Ranks the examples of one set.

    Args:
        pool: The examples.
        costs: [n] their tokens.
        median_cost: The median of these.
        model: Compares examples.
        method: One of `METHODS`.
    """

    def __init__(self, pool: ExampleSet, costs: Ints, median_cost: int, model: ExampleRelevance, method: str) -> None:
        self._pool, self._costs, self._median_cost = pool, costs, median_cost
        self._model, self._method = model, method

    def rank(self, found: QueryRelevance, budget: int) -> list[Ints]:
        """Returns what to take next, best first. Each entry lists alternatives, of which the first that fits is taken.

        Args:
            found: The relevance of the examples.
            budget: The budget in tokens.
        """
        count = 1 + 2 * budget // max(1, self._median_cost)  # twice what fits
        method = "dpp" if self._method in ("auto", "classes") else self._method
        share = 0.0
        if found.probabilities is not None:
            share = 1.0 if self._method == "classes" else _share(found.reliability)
        by_class: list[Ints] = []
        if share >= MIN_SHARE:
            by_class = self._by_class(found, share, count)
        if share > 1 - MIN_SHARE and len(by_class) >= count:
            return by_class
        needed = max(count - len(by_class), int(np.ceil((1 - share) * count)) if share else 2 * count)
        relevant = [np.array([row]) for row in self._by_relevance(method, found, share, needed)]
        return _mixed(by_class, relevant, share if share <= 1 - MIN_SHARE else 1.0)

    def _by_class(self, found: QueryRelevance, share: float, count: int) -> list[Ints]:
        """The examples of the likeliest classes, likeliest class and best example first.

        Of the likeliest class the examples nearest to the query come first. Of the others the most typical short one
        comes first if labels can be predicted, because a near example of a wrong class misleads; otherwise the nearest.
        """
        assert found.probabilities is not None
        labels = self._pool.label_model
        order = np.argsort(-found.probabilities, kind="stable")[:count]
        first, others = int(order[0]), order[1:]
        rows = labels.members[first]
        rows = rows[np.argsort(-found.cosines[rows], kind="stable")]
        repeats = 1 + round(min(LIKELIEST_CLASS_REPEATS, count / 10) * float(found.probabilities[first]))
        out = [rows[i:] for i in range(min(repeats, len(rows)))]
        if self._method == "auto":
            likely = int((found.probabilities[others] >= MIN_PROBABILITY).sum())
            others = others[: max(likely, round(MIN_CLASSES_PER_EXAMPLE * count / 2))]
        for code in others.tolist():
            rows, value = labels.representatives(code, self._costs, self._median_cost)
            lead = float(found.probabilities[first] - found.probabilities[code])
            key = share * value + (1 - share - DISTANCE_WEIGHT * share * lead) * found.cosines[rows]
            out.append(rows[np.argsort(-key, kind="stable")])
        return out

    def _by_relevance(self, method: str, found: QueryRelevance, share: float, count: int) -> list[int]:
        pool, labels = self._pool, self._pool.label_model
        fewest = MIN_CANDIDATES if not share else MIN_CANDIDATES_BESIDE_LABELS
        size = min(len(pool), MAX_CANDIDATES, max(fewest, 2 * count))
        rows = best_rows(found.cosines, size, labels.digests)
        if method == "top":
            return list(map(int, rows))
        kernel = self._model.similarity(rows)
        if method == "mmr":
            picked = mmr.select_mmr(kernel, found.cosines[rows], size)
        else:
            quality = np.float32(QUALITY_PER_COSINE) * found.cosines[rows]
            if found.probabilities is not None and share:
                chance = np.log(np.append(found.probabilities, 1.0) + 1e-9)[labels.codes[rows]]  # 1 for no label
                quality = quality + np.float32(share * LABEL_QUALITY) * np.maximum(chance, MIN_LOG_PROBABILITY)
                quality = quality - np.float32(share * DOUBT_WEIGHT) * labels.doubts(rows)
            aspects = [(self._answer_formats(rows), NEW_FORMAT_GAIN)]
            if labels.is_repeated:  # otherwise examples with any label would be preferred
                aspects.append((labels.codes[rows], NEW_LABEL_GAIN))
            picked = dpp.select_dpp(kernel, quality.astype(np.float32), min(size, count), aspects)
        return [int(rows[i]) for i in picked]

    def _answer_formats(self, rows: Ints) -> Ints:
        """The [k] formats of answers as numbers; -1 for no answer."""
        numbers: dict[str, int] = {"": -1}
        names = [answer_format(self._pool.examples[row].answer) for row in rows.tolist()]
        return np.array([numbers.setdefault(name, len(numbers) - 1) for name in names], np.int64)


def _share(reliability: float) -> float:
    """The share of examples that are there to show a label, from 0 to 1."""
    return math.sqrt(max(0.0, reliability - MIN_RELIABILITY) / (1 - MIN_RELIABILITY))


def _mixed(first: list[Ints], second: list[Ints], share: float) -> list[Ints]:
    """Takes from two rankings in turn, so that at any point about `share` of the examples are from the first one."""
    out: list[Ints] = []
    at = other = 0
    while at < len(first) or other < len(second):
        if other == len(second) or (at < len(first) and at < share * (at + other + 1)):
            out.append(first[at])
            at += 1
        else:
            out.append(second[other])
            other += 1
    return out


def best_rows(values: Floats, max_count: int, digests: Ints) -> Ints:
    """Returns the indices of the largest values, in order; ties are decided by content."""
    if max_count < len(values):
        rows = np.flatnonzero(values >= _nth_largest(values, max_count))
    else:
        rows = np.arange(len(values))
    return rows[np.lexsort((digests[rows], -values[rows]))][:max_count]


def _nth_largest(values: Floats, count: int) -> np.float32:
    """The smallest of the `count` largest values.

    A sample of the values shows which of them can be left out, because `np.partition` of all of them is slow.
    """
    wanted = 2 * count // SAMPLE_STEP + SAMPLE_STEP
    sample = values[::SAMPLE_STEP]
    if wanted < len(sample):
        large = values[values >= np.partition(sample, -wanted)[-wanted]]
        if len(large) >= count:
            values = large
    out: np.float32 = np.partition(values, -count)[-count]
    return out

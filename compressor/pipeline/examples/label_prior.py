"""Estimates which classes a query may belong to, and which examples represent them.

The odds of a class come from all its examples: a kernel density over their cosines, and multinomial naive Bayes over
their n-grams.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples.ngram_index import NgramIndex, Postings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Chosen on clinc150 (examples: train, queries: val): benchmarks/LOG.md
LEXICAL_EXPONENT = 10.0  # factor of an n-gram cosine in the exponent of the kernel,
DENSE_EXPONENT = 14.0  # and of an encoder's cosine
BAYES_WEIGHT = 5.0  # weight of the mean log-likelihood of an n-gram by naive Bayes
SMOOTHING = 0.1  # added to every count of naive Bayes
#: How well the nearest example must predict a label (0: chance, 1: always right) for labels to be classes of texts.
MIN_LABEL_ACCURACY = 0.7
ACCURACY_SAMPLE = 32  # examples on which that accuracy is measured
COMMON_DIVISOR = 20  # n-grams in more than 1 of 20 examples are ignored, unless one class may own them all
LIKELIEST_CLASS_EXAMPLES = 2  # examples of the likeliest class before the next class gets its first one
TOKEN_PENALTY = 0.08  # how much typicality a token costs


class LabelModel:
    """The labels of a list of examples.

    Attributes:
        codes: [n] the number of each example's class, -1 for none.
        names: The names of the classes.
        members: The rows of each class.

    Args:
        lexical: The n-gram index of the examples.
        labels: [n] their labels, "" for none.
    """

    def __init__(self, lexical: NgramIndex, labels: Sequence[str]) -> None:
        self._lexical = lexical
        numbers: dict[str, int] = {}
        self.codes = np.array([numbers.setdefault(x, len(numbers)) if x else -1 for x in labels], np.int64)
        self.names = list(numbers)
        labelled = np.flatnonzero(self.codes >= 0)
        order = labelled[np.argsort(self.codes[labelled], kind="stable")]
        self.members = np.split(order, np.cumsum(np.bincount(self.codes[labelled], minlength=len(numbers)))[:-1])
        self._representatives: dict[tuple[int, bytes], Ints] = {}
        self._is_predictable: bool | None = None

    @property
    def is_predictable(self) -> bool:
        """Whether labels are classes of texts: they are repeated, and similar texts have the same label.

        Answers such as "42" or "yes" are labels of unrelated questions, so they do not help to choose examples.
        """
        if self._is_predictable is None:
            self._is_predictable = self._measure_predictability()
        return self._is_predictable

    @cached_property
    def is_repeated(self) -> bool:
        """Whether at least half of the examples have a label, and labels have two examples on average."""
        labelled = sum(len(m) for m in self.members)
        return len(self.names) > 1 and 2 * len(self.names) <= labelled and 2 * labelled >= len(self.codes)

    def label_log_odds(self, cosines: Floats, postings: Postings, dense: Floats | None = None) -> Floats:
        """Returns the [classes] log-odds, up to a constant, that the query belongs to each class.

        Args:
            cosines: [n] n-gram cosines with the query.
            postings: Where the n-grams of the query occur.
            dense: [n] cosines of an encoder, or None.
        """
        size = len(self.names)
        out = np.log(self._sums(np.exp(LEXICAL_EXPONENT * cosines)))
        if dense is not None:
            out += np.log(self._sums(np.exp(DENSE_EXPONENT * dense)))
        if postings.count:
            at = postings.number * (size + 1) + self._places[postings.row]
            counts = np.bincount(at, minlength=postings.count * (size + 1)).reshape(-1, size + 1)[:, :size]
            likely = np.log(counts + SMOOTHING).mean(0)
            out += BAYES_WEIGHT * (likely - np.log(self._held + SMOOTHING * len(self._lexical.vocabulary)))
        return out.astype(np.float32)

    @cached_property
    def max_ngram_frequency(self) -> int:
        """The number of examples above which an n-gram says nothing of a class: twice the size of the largest class."""
        return max(len(self.codes) // COMMON_DIVISOR, 2 * max(map(len, self.members), default=0))

    @cached_property
    def _places(self) -> Ints:
        """The [n] class of each example; those without a label are in an extra class at the end."""
        return np.where(self.codes >= 0, self.codes, len(self.names))

    def _sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The sum of [n] values over each class."""
        size = len(self.names)
        return np.bincount(self._places, values, size + 1)[:size].astype(np.float64)

    @cached_property
    def _held(self) -> npt.NDArray[np.float64]:
        """The number of n-grams in the examples of each class."""
        return self._sums(self._lexical.sizes)

    def rank_classes(self, odds: Floats, relevance: Floats, costs: Ints, max_count: int) -> list[Ints]:
        """Returns the examples of the likeliest classes, likeliest class and best example first.

        Of the likeliest class the examples nearest to the query come first. Of the others the most typical short one
        comes first, then by length, because a near example of a wrong class misleads.

        Args:
            odds: [classes] log-odds of the classes.
            relevance: [n] relevance of the examples.
            costs: [n] tokens of the examples.
            max_count: The maximum number of classes.
        """
        first, *others = np.argsort(-odds, kind="stable")[:max_count].tolist()
        rows = self.members[first]
        return [
            rows[np.argsort(-relevance[rows], kind="stable")],
            *(self._rank_representatives(code, costs) for code in others),
        ]

    def _rank_representatives(self, code: int, costs: Ints) -> Ints:
        """The examples of a class, best representative first, whatever the query is."""
        rows = self.members[code]
        own = costs[rows]
        key = code, own.tobytes()  # costs differ between models and templates
        ranked = self._representatives.get(key)
        if ranked is None:
            typical = self._lexical.typicality(rows)
            best = int(np.argmax(typical - np.float32(TOKEN_PENALTY) * own))
            own[best] = -1
            ranked = self._representatives[key] = rows[np.argsort(own, kind="stable")]
        return ranked

    def _measure_predictability(self) -> bool:
        """Whether the nearest other example predicts the label of an example well."""
        labelled = np.flatnonzero(self.codes >= 0)
        if not self.is_repeated:
            return False
        correct = 0
        sample = labelled[_spread(len(labelled), ACCURACY_SAMPLE)].tolist()
        for row in sample:
            cosines = self._lexical.cosines(self._lexical.find_postings(self._lexical.docs[row]))
            cosines[row] = -1.0
            correct += int(self.codes[np.argmax(cosines)] == self.codes[row])
        chance = float(((np.bincount(self.codes[labelled]) / len(labelled)) ** 2).sum())
        return (correct / len(sample) - chance) / max(1 - chance, 1e-9) > MIN_LABEL_ACCURACY


def _spread(size: int, max_count: int) -> Ints:
    """At most `max_count` of `size` indices, evenly spread."""
    return np.arange(size) if size <= max_count else np.arange(max_count, dtype=np.int64) * size // max_count

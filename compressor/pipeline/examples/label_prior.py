"""Which classes a query may belong to, and which examples stand for them.

A class's odds come from all its examples: a kernel density over their cosines, and multinomial naive Bayes over the
n-grams they hold. Knows no tokens or budget.
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

# Chosen on clinc150 (bank: train, queries: val): benchmarks/LOG.md
LEXICAL_EXPONENT = 10.0  # what a lexical cosine counts in the kernel, as an exponent,
DENSE_EXPONENT = 14.0  # and an encoder's
BAYES_WEIGHT = 5.0  # weight of naive Bayes' mean log-likelihood of an n-gram
SMOOTHING = 0.1  # what is added to every count of naive Bayes
MIN_LABEL_ACCURACY = (
    0.7  # how much better than chance (0; always right: 1) the nearest example's label has to be the right one
)
ACCURACY_SAMPLE = 32  # examples by which that is told
COMMON_DIVISOR = 20  # n-grams of more than one in so many examples are not looked at, if they cannot be a class's own
LIKELIEST_CLASS_EXAMPLES = 2  # examples of the likeliest class, before the next one gets its first
TOKEN_PENALTY = 0.08  # what a token costs of an example's typicality


class LabelModel:
    """The labels of a bank's examples. codes: [n] the class of each, -1 for none."""

    def __init__(self, lexical: NgramIndex, labels: Sequence[str]) -> None:
        self._lexical = lexical
        numbers: dict[str, int] = {}
        self.codes = np.array([numbers.setdefault(x, len(numbers)) if x else -1 for x in labels], np.int64)
        self.names = list(numbers)
        has = np.flatnonzero(self.codes >= 0)
        order = has[np.argsort(self.codes[has], kind="stable")]
        self.members = np.split(order, np.cumsum(np.bincount(self.codes[has], minlength=len(numbers)))[:-1])
        self._known: dict[tuple[int, bytes], Ints] = {}
        self._apart: bool | None = None

    @property
    def is_predictable(self) -> bool:
        """Whether labels are classes of texts: repeated, and told by their texts. (Answers such as "42" or "yes" are
        labels of quite different questions, and say little of what to show.)"""
        if self._apart is None:
            self._apart = self._are_apart()
        return self._apart

    @cached_property
    def is_repeated(self) -> bool:
        """Whether most examples have a label, and labels have two examples on average."""
        labelled = sum(len(m) for m in self.members)
        return len(self.names) > 1 and 2 * len(self.names) <= labelled and 2 * labelled >= len(self.codes)

    def label_log_odds(self, cosines: Floats, postings: Postings, dense: Floats | None = None) -> Floats:
        """[classes] log-odds, up to a constant, that the query is of each class; there has to be one."""
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
        """In how many examples an n-gram has to stand to tell no class from another: twice those of the largest one."""
        return max(len(self.codes) // COMMON_DIVISOR, 2 * max(map(len, self.members), default=0))

    @cached_property
    def _places(self) -> Ints:
        """[n] the class of each; what has none is in one behind the others."""
        return np.where(self.codes >= 0, self.codes, len(self.names))

    def _sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """[classes] the sum of [n] values over each."""
        size = len(self.names)
        return np.bincount(self._places, values, size + 1)[:size].astype(np.float64)

    @cached_property
    def _held(self) -> npt.NDArray[np.float64]:
        """[classes] n-grams that the examples of each class hold together."""
        return self._sums(np.array([len(doc) for doc in self._lexical.docs], np.float64))

    def rank_classes(self, odds: Floats, relevance: Floats, costs: Ints, max_count: int) -> list[Ints]:
        """At most so many classes, likeliest first, as what to show of each, best first.

        Of the likeliest the examples nearest to the query; of the others, which are there in case, the most typical
        short one, and then by length: one that is near and of the wrong class misleads. `costs` [n] are tokens."""
        first, *others = np.argsort(-odds, kind="stable")[:max_count].tolist()
        rows = self.members[first]
        return [rows[np.argsort(-relevance[rows], kind="stable")], *(self._shown(code, costs) for code in others)]

    def _shown(self, code: int, costs: Ints) -> Ints:
        """A class's examples, for any query."""
        rows = self.members[code]
        own = costs[rows]
        key = code, own.tobytes()  # tokens are another model's, or another template's
        known = self._known.get(key)
        if known is None:
            sums, vectors = self._lexical.sum_vectors(rows)
            typical = vectors @ sums / max(float(np.linalg.norm(sums)), 1e-9)
            best = int(np.argmax(typical - np.float32(TOKEN_PENALTY) * own))
            own[best] = -1
            known = self._known[key] = rows[np.argsort(own, kind="stable")]
        return known

    def _are_apart(self) -> bool:
        has = np.flatnonzero(self.codes >= 0)
        if not self.is_repeated:
            return False
        right = 0
        tried = has[_spread(len(has), ACCURACY_SAMPLE)].tolist()
        for row in tried:
            cosines = self._lexical.cosines(self._lexical.find_postings(self._lexical.docs[row]))
            cosines[row] = -1.0
            right += int(self.codes[np.argmax(cosines)] == self.codes[row])
        chance = float(((np.bincount(self.codes[has]) / len(has)) ** 2).sum())
        return (right / len(tried) - chance) / max(1 - chance, 1e-9) > MIN_LABEL_ACCURACY


def _spread(size: int, most: int) -> Ints:
    """At most `most` of `size` indices, evenly spread."""
    return np.arange(size) if size <= most else np.arange(most, dtype=np.int64) * size // most

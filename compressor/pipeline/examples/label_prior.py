"""Estimates which classes a query may belong to, and which examples represent them.

Signals of a class come from all its examples (a kernel density over their cosines, the nearest one, multinomial naive
Bayes over their n-grams) and from the name of the class. `label_evidence` weighs the signals.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples.ngram_features import Features, ngram_features
from compressor.pipeline.examples.ngram_index import NgramIndex, Postings

if TYPE_CHECKING:
    from compressor.pipeline.examples.label_evidence import LabelEvidence

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEXICAL_EXPONENT = 10.0  # factor of an n-gram cosine in the exponent of the kernel,
DENSE_EXPONENT = 14.0  # and of an encoder's cosine
SMOOTHING = 0.1  # added to every count of naive Bayes
COMMON_DIVISOR = 20  # n-grams in more than 1 of 20 examples are ignored, unless one class may own them all
LENGTH_PENALTY = 0.8  # how much typicality the median length of an example costs
MAX_COMPARED = 256  # examples of a class that are compared with each other
MAX_NAMED_CLASSES = 2_000  # with more classes, their names are not compared with the query
MAX_NAME_CHARS = 80
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+")


class LabelModel:
    """The labels of a list of examples.

    Attributes:
        codes: [n] the number of each example's class in the order of the names, -1 for none.
        names: The sorted names of the classes.
        members: The rows of each class, in an order that depends on their content only.
        evidence: What is known of how far labels can be predicted, by the fingerprint of the encoder or "".
        name_vectors: The vectors of the names, by the fingerprint of the encoder.

    Args:
        lexical: The n-gram index of the examples.
        labels: [n] their labels, "" for none.
        contents: [n] their texts, by which ties are decided if n-grams and label are the same, or nothing.
    """

    def __init__(self, lexical: NgramIndex, labels: Sequence[str], contents: Sequence[str] = ()) -> None:
        self.lexical = lexical
        self.names = sorted({label for label in labels if label})
        numbers = {name: number for number, name in enumerate(self.names)} | {"": -1}
        self.codes = np.array([numbers[label] for label in labels], np.int64)
        self.evidence: dict[str, LabelEvidence] = {}
        self.name_vectors: dict[str, Floats] = {}
        self._contents = contents
        self._typical: dict[int, tuple[Floats, dict[int, float]]] = {}
        self._representatives: dict[tuple[int, bytes], tuple[Ints, Floats]] = {}

    @cached_property
    def digests(self) -> Ints:
        """The [n] checksums of content, by which ties are decided, whatever the order of the examples."""
        crc = np.array([zlib.crc32(self.lexical.features(row).tobytes()) for row in range(len(self.codes))], np.int64)
        if self._contents:
            texts = [text.encode("utf-8", "surrogatepass") for text in self._contents]
            crc ^= np.array([zlib.crc32(text) for text in texts], np.int64) << 20
            self._contents = ()  # not needed any more
        return crc * 512 + self.codes % 512

    @cached_property
    def members(self) -> list[Ints]:
        """The rows of each class."""
        order = np.lexsort((self.digests, self.codes))
        order = order[np.searchsorted(self.codes[order], 0) :]
        sizes = np.bincount(self.codes[order], minlength=len(self.names))
        return np.split(order, np.cumsum(sizes)[:-1]) if len(sizes) else []

    @cached_property
    def is_repeated(self) -> bool:
        """Whether at least half of the examples have a label, and labels have two examples on average."""
        labelled = int((self.codes >= 0).sum())
        return len(self.names) > 1 and 2 * len(self.names) <= labelled and 2 * labelled >= len(self.codes)

    def lexical_signals(
        self, size: int, cosines: Floats, postings: Postings, removed: npt.NDArray[np.bool_] | None = None
    ) -> Wide:
        """Returns the [3, classes] signals of n-grams: log-density, nearest cosine, mean log-likelihood.

        Args:
            size: The number of n-grams of the query.
            cosines: [n] n-gram cosines with the query.
            postings: Where the n-grams of the query occur.
            removed: [n] examples to leave out, or None.
        """
        classes = len(self.names)
        held = self._held
        number, row = postings.number, postings.row
        if removed is not None and removed.any():
            cosines = np.where(removed, np.float32(-1.0), cosines)
            held = held - self._sums(self._sizes * removed)
            stays = ~removed[row]
            number, row = number[stays], row[stays]
        likely = np.zeros(classes)
        if postings.count:
            at = self._places[row]
            at += number * (classes + 1)
            counts = np.bincount(at, minlength=postings.count * (classes + 1)).reshape(-1, classes + 1)[:, :classes]
            total = np.log(counts + SMOOTHING).sum(0)
            total -= postings.count * np.log(held + SMOOTHING * len(self.lexical.vocabulary))
            likely = total / size  # unknown n-grams say nothing
        return np.stack([*self._kernel(cosines, LEXICAL_EXPONENT), likely])

    def dense_signals(self, dense: Floats, removed: npt.NDArray[np.bool_] | None = None) -> Wide:
        """Returns the [2, classes] signals of an encoder's [n] cosines: log-density, and the nearest cosine."""
        if removed is not None and removed.any():
            dense = np.where(removed, np.float32(-1.0), dense)
        return np.stack(self._kernel(dense, DENSE_EXPONENT))

    def _kernel(self, cosines: Floats, exponent: float) -> tuple[Wide, Wide]:
        own = cosines[self._flat]
        density = np.log(np.add.reduceat(np.exp(exponent * own), self._starts, dtype=np.float64) + 1e-6)
        return density, np.maximum.reduceat(own, self._starts).astype(np.float64)

    def name_signals(self, features: Features) -> Wide:
        """Returns the [classes] n-gram cosines of the query with the names of the classes; 0 for very many classes."""
        if self._name_index is None:
            return np.zeros(len(self.names))
        return self._name_index.cosines(self._name_index.find_postings(features)).astype(np.float64)

    @cached_property
    def name_texts(self) -> list[str]:
        """The names as words: "lost_card" and "LostCard" are "lost card"."""
        return [_WORD_BORDER.sub(" ", name[:MAX_NAME_CHARS]).strip() for name in self.names]

    @cached_property
    def _name_index(self) -> NgramIndex | None:
        if len(self.names) > MAX_NAMED_CLASSES:
            return None
        return NgramIndex(ngram_features(self.name_texts))

    @cached_property
    def max_ngram_frequency(self) -> int:
        """The number of examples above which an n-gram says nothing of a class: twice the size of the largest class."""
        return max(len(self.codes) // COMMON_DIVISOR, 2 * max(map(len, self.members), default=0))

    @cached_property
    def _flat(self) -> Ints:
        """The rows of all classes, joined."""
        return np.concatenate(self.members)

    @cached_property
    def _starts(self) -> Ints:
        """Where each class begins in `_flat`."""
        sizes = np.array([len(rows) for rows in self.members], np.int64)
        return np.cumsum(sizes) - sizes

    @cached_property
    def _places(self) -> Ints:
        """The [n] class of each example; those without a label are in an extra class at the end."""
        return np.where(self.codes >= 0, self.codes, len(self.names))

    @cached_property
    def _sizes(self) -> Wide:
        """The [n] numbers of n-grams."""
        return self.lexical.sizes.astype(np.float64)

    @cached_property
    def _held(self) -> Wide:
        """The number of n-grams in the examples of each class."""
        return self._sums(self._sizes)

    def _sums(self, values: npt.NDArray[Any]) -> Wide:
        """The sum of [n] values over each class."""
        size = len(self.names)
        return np.bincount(self._places, values, size + 1)[:size].astype(np.float64)

    def one_of_each(self, number: int, but: int) -> Ints:
        """Returns the row of one example of each class that has several, except of one class.

        Without them a class that lost the example which is tried is at no disadvantage.
        """
        sizes = np.diff(np.append(self._starts, len(self._flat)))
        classes = np.flatnonzero(sizes > 1)
        classes = classes[classes != but]
        out: Ints = self._flat[self._starts[classes] + number % sizes[classes]]
        return out

    def representatives(self, code: int, costs: Ints, median_cost: float) -> tuple[Ints, Floats]:
        """Returns the examples of a class and how well each represents it: typicality without the cost of its tokens.

        Args:
            code: The class.
            costs: [n] tokens of the examples.
            median_cost: The median of these.
        """
        rows = self.members[code][:MAX_COMPARED]
        own = costs[rows]
        key = code, own.tobytes()  # costs differ between models and templates
        found = self._representatives.get(key)
        if found is None:
            value = np.round(self._typicality(code)[0] - LENGTH_PENALTY * own / max(1.0, median_cost), 5).astype(
                np.float32
            )
            found = self._representatives[key] = rows, value
        return found

    def doubts(self, rows: Ints) -> Wide:
        """Returns for k examples from 0 to 1 how much less alike they are to the others of their class than is usual.

        A wrong label shows itself by that. Without a label, or as the only one of its class, an example is not doubted.
        """
        out = np.zeros(len(rows))
        for code in np.unique(self.codes[rows]).tolist():
            if code >= 0 and len(self.members[code]) > 2:
                here = np.flatnonzero(self.codes[rows] == code)
                doubts = self._typicality(code)[1]
                out[here] = [doubts.get(row, 0.0) for row in rows[here].tolist()]
        return out

    def _typicality(self, code: int) -> tuple[Floats, dict[int, float]]:
        """How typical of its class each example is: cosines with the class, in order, and doubts by row."""
        found = self._typical.get(code)
        if found is None:
            rows = self.members[code][:MAX_COMPARED]
            typical, norm = self.lexical.typicality(rows)
            dots = typical * norm
            others = dots - (self.lexical.sizes[rows] > 0)  # without itself
            length = np.sqrt(np.maximum(norm**2 - 2 * dots + 1, 1e-9))
            alike = others / length
            doubt = np.clip(1 - alike / max(float(np.median(alike)), 1e-9), 0, 1)
            doubt_by_row = dict(zip(rows.tolist(), np.round(doubt, 5).astype(float).tolist(), strict=True))
            found = self._typical[code] = typical, doubt_by_row
        return found

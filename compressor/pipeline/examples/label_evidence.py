"""Learns from the examples themselves how far labels can be predicted, and from what.

Some examples are tried: each is taken for a query, it and its near-duplicates are left out, and the signals of all
classes are compared with its label. The weights of the signals are fitted by softmax regression, held near defaults
where tries are few. Which examples are tried depends on their content only, so the order of the list does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples.label_prior import LabelModel
from compressor.pipeline.examples.ngram_features import Features
from compressor.pipeline.examples.ngram_index import NgramIndex, Postings
from compressor.pipeline.examples.word_centroids import WordCentroids, embed_words

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Removed = npt.NDArray[np.bool_]

MAX_TRIES = 256  # examples that are tried
MAX_EXAMPLES = 4_096  # examples that they are compared with,
MAX_NGRAMS = 600_000  # which have at most so many n-grams together
MAX_CLASSES = 32  # classes that the fit compares with the right one
DUPLICATE_COSINE = 0.8  # n-gram cosine from which an example is a near-duplicate, which proves nothing
#: Signals: density, nearest and naive Bayes of n-grams, name by n-grams, centroid of word vectors; density, nearest and
#: name by the encoder.
DEFAULT_WEIGHTS = (0.7, 2.0, 3.0, 3.0, 3.0, 0.7, 2.0, 3.0)
LEXICAL_SIGNALS = 5
RIDGE = 4.0  # how many tries a default is worth, in units of the signal's variance
SHRINKAGE = 16.0  # tries that speak against labels before any is made
NEWTON_STEPS = 12


@dataclass(frozen=True)
class LabelEvidence:
    """What the tries have shown.

    Attributes:
        weights: [signals] the weights of the signals.
        reliability: How much more often than by chance the likeliest class was right, from 0 to 1; shrunk towards 0
            for few tries.
        tries: The number of tries.
        centroids: The mean word vectors of the classes, or None without tries.
    """

    weights: Wide
    reliability: float
    tries: int
    centroids: WordCentroids | None = None

    def probabilities(self, signals: Wide) -> Wide:
        """Returns the [classes] probabilities of the classes from their [signals, classes] signals."""
        scores = np.round(self.weights @ signals, 7)
        odds = np.exp(scores - scores.max())
        out: Wide = odds / odds.sum()
        return out


def label_signals(
    model: LabelModel,
    features: Features,
    hits: tuple[Floats, Postings],
    words: Wide,
    dense: tuple[Floats, Wide] | None = None,
    removed: Removed | None = None,
) -> Wide:
    """Returns the [signals, classes] signals of a query.

    Args:
        model: The labels.
        features: The n-grams of the query.
        hits: The [n] n-gram cosines with the query, and where its n-grams occur.
        words: [classes] cosines of the query with the classes by word vectors.
        dense: The [n] cosines of an encoder, and the [classes] cosines with the names of the classes; or None.
        removed: [n] examples to leave out, or None.
    """
    parts = [model.lexical_signals(len(features), *hits, removed), model.name_signals(features)[None], words[None]]
    if dense is not None:
        parts += [model.dense_signals(dense[0], removed), dense[1][None]]
    return np.concatenate(parts)


def measure_evidence(
    model: LabelModel, text: Callable[[int], str], dense: Floats | None, names: Floats | None
) -> LabelEvidence:
    """Tries the labels of examples.

    Args:
        model: The labels.
        text: Returns the text of a row that queries are compared with.
        dense: [n, d] vectors of the examples by an encoder, or None.
        names: [classes, d] vectors of the names of the classes, or None.
    """
    weights = np.array(DEFAULT_WEIGHTS[: LEXICAL_SIGNALS if dense is None else None])
    if not model.is_repeated:
        return LabelEvidence(weights, 0.0, 0)
    rows = _balanced(model)
    centroids = WordCentroids(
        embed_words([text(r) for r in rows.tolist()]), embed_words(model.name_texts), model.codes[rows]
    )
    trial = _Trial(model, rows, centroids, dense, names)
    signals: list[Wide] = []
    right: list[int] = []
    for place in range(len(rows)):
        if len(signals) == MAX_TRIES:
            break
        if (found := trial.signals(place)) is not None:
            signals.append(found)
            right.append(trial.code(place))
    if not signals:
        return LabelEvidence(weights, 0.0, 0, centroids)
    tensor, target = _cut(signals, right, weights)
    fitted = _fitted(tensor, target, weights)
    hits = float((np.einsum("tsc,s->tc", tensor, fitted).argmax(1) == target).mean())
    chance = float(((np.bincount(right) / len(right)) ** 2).sum())
    skill = max(0.0, (hits - chance) / max(1 - chance, 1e-9))
    return LabelEvidence(fitted, skill * len(right) / (len(right) + SHRINKAGE), len(right), centroids)


def _balanced(model: LabelModel) -> Ints:
    """Some labelled rows, the classes in turn, by content."""
    turn = np.zeros(len(model.codes), np.int64)
    for rows in model.members:
        turn[rows] = np.arange(len(rows))
    labelled = np.flatnonzero(model.codes >= 0)
    some = labelled[np.lexsort((model.digests[labelled], turn[labelled]))][:MAX_EXAMPLES]
    sizes = np.cumsum(model.lexical.sizes[some])
    return some[: max(2, int(np.searchsorted(sizes, MAX_NGRAMS)))]


class _Trial:
    """Some examples, each of which can be taken for a query. Classes keep the numbers that they have in the model."""

    def __init__(
        self, model: LabelModel, rows: Ints, centroids: WordCentroids, dense: Floats | None, names: Floats | None
    ) -> None:
        index = NgramIndex(model.lexical.select(rows))
        self._model = LabelModel(index, [model.names[code] for code in model.codes[rows].tolist()])
        known = np.searchsorted(np.array(model.names, object), np.array(self._model.names, object))
        self._known = None if len(known) == len(model.names) else known
        self._centroids = centroids
        self._dense = None if dense is None else dense[rows]
        self._names = names if names is None or self._known is None else names[self._known]

    def code(self, place: int) -> int:
        """Returns the class of an example."""
        return int(self._model.codes[place])

    def signals(self, place: int) -> Wide | None:
        """Returns the [signals, classes] signals of an example without itself; None if its class has no other."""
        model, features = self._model, self._model.lexical.features(place)
        postings = model.lexical.find_postings(features, model.max_ngram_frequency)
        cosines = model.lexical.cosines(postings)
        removed = cosines >= DUPLICATE_COSINE
        removed[place] = True
        if removed[model.members[model.codes[place]]].all():
            return None
        removed[model.one_of_each(place, but=self.code(place))] = True
        words = self._centroids.cosines(self._centroids.vectors[place], np.flatnonzero(removed))
        dense: tuple[Floats, Wide] | None = None
        if self._dense is not None:
            vector = self._dense[place]
            near = np.zeros(len(model.names)) if self._names is None else (self._names @ vector).astype(np.float64)
            dense = self._dense @ vector, near
        words = words if self._known is None else words[self._known]
        return label_signals(model, features, (cosines, postings), words, dense, removed)


def _cut(signals: list[Wide], right: list[int], weights: Wide) -> tuple[Wide, Ints]:
    """The likeliest classes of each try: [tries, signals, classes], and where the right one is."""
    size = min(MAX_CLASSES, signals[0].shape[1])
    tensor, target = [], []
    for found, code in zip(signals, right, strict=True):
        scores = weights @ found
        scores[code] = np.inf
        some = np.sort(np.argsort(-scores, kind="stable")[:size])
        tensor.append(found[:, some])
        target.append(int(np.searchsorted(some, code)))
    return np.array(tensor), np.array(target, np.int64)


def _fitted(tensor: Wide, target: Ints, default: Wide) -> Wide:
    """Softmax regression by Newton's method; the penalty pulls weights to the defaults. No weight is negative."""
    tries = np.arange(len(target))
    centred = tensor - tensor.mean(2, keepdims=True)
    penalty = RIDGE * ((centred**2).mean((0, 2)) + 1e-9)
    own = tensor[tries, :, target]
    weights = default.copy()
    for _ in range(NEWTON_STEPS):
        scores = np.einsum("tsc,s->tc", tensor, weights)
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        mean = np.einsum("tsc,tc->ts", tensor, p)
        gradient = (own - mean).sum(0) - penalty * (weights - default)
        curvature = np.einsum("tsc,tc,tuc->su", tensor, p, tensor, optimize=True) - mean.T @ mean
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-6), gradient)
        weights = np.maximum(weights + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-9)), 0.0)
    out: Wide = np.round(weights, 4)
    return out

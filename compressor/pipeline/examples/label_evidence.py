"""Learns from the examples themselves how far labels can be predicted, and from what.

Some examples are tried: each is taken for a query, it and its near-duplicates are left out, and the signals of all
classes are compared with its label. The weights of the signals are fitted by softmax regression, held near defaults
where tries are few. Which examples are tried depends on their content only, so the order of the list does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.pipeline.examples.label_prior import LabelModel
from compressor.pipeline.examples.ngram_index import NgramIndex

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_TRIES = 256  # examples that are tried
MAX_EXAMPLES = 4_096  # examples that they are compared with
MAX_CLASSES = 32  # classes that the fit compares with the right one
DUPLICATE_COSINE = 0.8  # n-gram cosine from which an example is a near-duplicate, which proves nothing
#: Signals: density, nearest and naive Bayes of n-grams, name by n-grams; density, nearest and name by the encoder.
DEFAULT_WEIGHTS = (0.7, 2.0, 3.0, 3.0, 0.7, 2.0, 3.0)
LEXICAL_SIGNALS = 4
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
    """

    weights: Wide
    reliability: float
    tries: int

    def probabilities(self, signals: Wide) -> Wide:
        """Returns the [classes] probabilities of the classes from their [signals, classes] signals."""
        scores = np.round(self.weights @ signals, 7)
        out: Wide = np.exp(scores - scores.max())
        return out / out.sum()


def measure_evidence(model: LabelModel, dense: Floats | None, names: Floats | None) -> LabelEvidence:
    """Tries the labels of examples.

    Args:
        model: The labels.
        dense: [n, d] vectors of the examples by an encoder, or None.
        names: [classes, d] vectors of the names of the classes, or None.
    """
    count = LEXICAL_SIGNALS if dense is None else len(DEFAULT_WEIGHTS)
    weights = np.array(DEFAULT_WEIGHTS[:count])
    if not model.is_repeated:
        return LabelEvidence(weights, 0.0, 0)
    rows = _balanced(model, MAX_EXAMPLES)
    small = LabelModel(
        NgramIndex([model.lexical.docs[row] for row in rows]), [model.names[c] for c in model.codes[rows]]
    )
    kept = np.array([model.names.index(name) for name in small.names]) if len(small.names) < len(model.names) else None
    dense = dense[rows] if dense is not None else None
    if names is not None and kept is not None:
        names = names[kept]
    signals: list[Wide] = []
    right: list[int] = []
    for row in range(len(rows)):
        if len(signals) == MAX_TRIES:
            break
        found = _try(small, row, dense, names)
        if found is not None:
            signals.append(found)
            right.append(int(small.codes[row]))
    if not signals:
        return LabelEvidence(weights, 0.0, 0)
    tensor, target = _cut(signals, right, weights)
    fitted = _fitted(tensor, target, weights)
    scores = np.einsum("tsc,s->tc", tensor, fitted)
    hits = float((scores.argmax(1) == target).mean())
    chance = float(((np.bincount(right) / len(right)) ** 2).sum())
    skill = max(0.0, (hits - chance) / max(1 - chance, 1e-9))
    return LabelEvidence(fitted, skill * len(right) / (len(right) + SHRINKAGE), len(right))


def _balanced(model: LabelModel, limit: int) -> Ints:
    """At most `limit` labelled rows, the classes in turn, by content."""
    turn = np.zeros(len(model.codes), np.int64)
    for rows in model.members:
        turn[rows] = np.arange(len(rows))
    labelled = np.flatnonzero(model.codes >= 0)
    return labelled[np.lexsort((model.digests[labelled], turn[labelled]))][:limit]


def _try(model: LabelModel, row: int, dense: Floats | None, names: Floats | None) -> Wide | None:
    """The [signals, classes] signals of an example without itself; None if its class has no other example."""
    features = model.lexical.docs[row]
    postings = model.lexical.find_postings(features, model.max_ngram_frequency)
    cosines = model.lexical.cosines(postings)
    removed = cosines >= DUPLICATE_COSINE
    removed[row] = True
    rows = model.members[model.codes[row]]
    if removed[rows].all():
        return None
    removed[model.one_of_each(row, but=int(model.codes[row]))] = True
    parts = [model.lexical_signals(cosines, postings, removed), model.name_signals(features)[None]]
    if dense is not None:
        parts += [model.dense_signals(dense @ dense[row], removed)]
        parts += [(names @ dense[row] if names is not None else np.zeros(len(model.names)))[None]]
    return np.concatenate(parts)


def _cut(signals: list[Wide], right: list[int], weights: Wide) -> tuple[Wide, Ints]:
    """The likeliest classes of each try: [tries, signals, classes], and where the right one is."""
    size = min(MAX_CLASSES, signals[0].shape[1])
    tensor, target = [], []
    for found, code in zip(signals, right, strict=True):
        scores = weights @ found
        scores[code] = np.inf
        some = np.argsort(-scores, kind="stable")[:size]
        some = np.sort(some)
        tensor.append(found[:, some])
        target.append(int(np.searchsorted(some, code)))
    return np.array(tensor), np.array(target, np.int64)


def _fitted(tensor: Wide, target: Ints, default: Wide) -> Wide:
    """Softmax regression by Newton's method; the penalty pulls weights to the defaults. No weight is negative."""
    tries = np.arange(len(target))
    centred = tensor - tensor.mean(2, keepdims=True)
    spread = (centred**2).mean((0, 2)) + 1e-9
    penalty = RIDGE * spread
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
    return np.round(weights, 4)

"""Trains the small network that predicts from a unit's features how likely it holds the answer.

Its questions are also the dev questions of the answer benchmark, so `folds` says what it does on questions it has not
seen. Needs torch; writes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.scoring import answer_relevance
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.word_vectors import WordVectors
from compressor.text.segmenters.sentences import segment_prose
from training.data import Case, holding

HIDDEN = 16
NETS = 4  # trained from different starts; their mean is one network NETS times as wide
EPOCHS, BATCH, RATE, DECAY = 25, 128, 0.03, 0.3
FOLDS = 5

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """The features and labels of a question's units."""

    features: Floats
    labels: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Network:
    mean: Floats
    scale: Floats
    layers: tuple[Floats, Floats, Floats, Floats]

    def __call__(self, x: Floats) -> Floats:
        first, first_bias, second, second_bias = self.layers
        out: Floats = np.tanh((x - self.mean) / self.scale @ first + first_bias) @ second + second_bias[0]
        return out


def see(case: Case, model: WordVectors) -> Seen:
    """Returns a question's units as the package makes them."""
    layouts = [segment_prose(text) for _, text in case.documents]
    sources = [
        SourceBlock("document", layout, np.ones(len(layout.spans), np.float32), title)
        for layout, (title, _) in zip(layouts, case.documents, strict=True)
    ]
    units = UnitBatch(sources)
    labels = holding(tuple(units.texts()), case.answers)
    x = answer_relevance.features(
        answer_relevance.QueryFeatures.from_query(Query(((case.query, 1.0),))), units, np.arange(len(units)), model
    )
    return Seen(x, np.array(labels, np.bool_))


def fit(seen: Sequence[Seen], seed: int, torch: Any) -> Network:
    """The listwise loss: the log-likelihood of the units that hold an answer among all units of a question."""
    torch.manual_seed(seed)
    used = [s for s in seen if s.labels.any()]
    together = np.concatenate([s.features for s in used])
    mean, scale = together.mean(0), together.std(0) + 1e-3
    longest, width = max(len(s.labels) for s in used), together.shape[1]
    x = torch.zeros(len(used), longest, width)
    there, right = (torch.zeros(len(used), longest, dtype=torch.bool) for _ in range(2))
    for i, s in enumerate(used):
        n = len(s.labels)
        x[i, :n], there[i, :n] = torch.tensor((s.features - mean) / scale), True
        right[i, :n] = torch.tensor(s.labels)
    nets = [_one(x, there, right, torch) for _ in range(NETS)]
    layers = (
        np.concatenate([n[0].weight.detach().numpy().T for n in nets], axis=1),
        np.concatenate([n[0].bias.detach().numpy() for n in nets]),
        np.concatenate([n[2].weight.detach().numpy()[0] for n in nets]) / NETS,
        np.mean([n[2].bias.detach().numpy() for n in nets], axis=0),
    )
    first, first_bias, second, second_bias = (x.astype(np.float32) for x in layers)
    layers_ = (first, first_bias, second, second_bias)
    return Network(mean.astype(np.float32), scale.astype(np.float32), layers_)


def _one(x: Any, there: Any, right: Any, torch: Any) -> Any:
    net = torch.nn.Sequential(torch.nn.Linear(x.shape[2], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            scores = net(x[rows]).squeeze(2).masked_fill(~there[rows], -1e9)
            good = scores.masked_fill(~right[rows], -1e9)
            loss = (torch.logsumexp(scores, 1) - torch.logsumexp(good, 1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return net


def folds(seen: Sequence[Seen], seed: int, torch: Any) -> tuple[list[Network], list[int]]:
    """Trains a network for each fold on the other folds; also returns the fold of each question."""
    order = list(range(len(seen)))
    random.Random(seed).shuffle(order)
    fold = [0] * len(seen)
    for place, i in enumerate(order):
        fold[i] = place % FOLDS
    nets = [fit([s for s, f in zip(seen, fold, strict=True) if f != k], seed + 1 + k, torch) for k in range(FOLDS)]
    return nets, fold


def measured(scores: Sequence[Floats], seen: Sequence[Seen]) -> dict[str, float]:
    """Returns the fraction of questions with an answer among the k best units."""
    out = {}
    for k in (1, 3, 5, 25):
        hits = [bool(s.labels[np.argsort(-x, kind="stable")[:k]].any()) for x, s in zip(scores, seen, strict=True)]
        out[f"top {k}"] = round(float(np.mean(hits)), 3)
    return out

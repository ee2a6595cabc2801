"""Measures how well a method's scores separate the sentences of a passage that answer a question from the others.

Nothing is cut. A method scores each sentence; the threshold that F1 needs is chosen on one half of the questions and
used on the other. The area under the precision-recall curve is the average precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.data import records, sample
from compressor.scoring import Query, SourceBlock, UnitBatch
from compressor.text.layout_cache import cached_layout
from compressor.tokens import get_counter

Floats = npt.NDArray[np.float64]
Rate = Callable[[str, "Passage"], Sequence[float] | npt.NDArray[np.floating]]
LIMIT = 300


@dataclass(frozen=True)
class Passage:
    """A question, the sentences of a passage, and labels of those that hold the answer (possibly none)."""

    question: str
    title: str
    sentences: tuple[str, ...]
    labels: tuple[bool, ...]

    def units(self) -> tuple[Query, UnitBatch, npt.NDArray[np.bool_]]:
        """Returns the passage as `compress_documents` shows it to a scorer, and which units belong to which sentence.

        The last array is [sentences, units]: whether at least half of one lies in the other. Our own segmenter may cut
        at other places.
        """
        text = " ".join(self.sentences)
        layout = cached_layout(text, "document", "")
        counter = get_counter("gpt-4")
        costs = np.array([counter.count(text[a:b]) for a, b in layout.spans.tolist()], np.float32)
        ends = np.cumsum([len(sentence) + 1 for sentence in self.sentences])
        spans = np.stack((np.append(0, ends[:-1]), ends), axis=1)[:, None]
        common = np.minimum(spans[..., 1], layout.spans[:, 1]) - np.maximum(spans[..., 0], layout.spans[:, 0])
        shared = 2 * common >= np.minimum(np.diff(spans)[..., 0], np.diff(layout.spans)[:, 0])
        source = SourceBlock("document", layout, costs, tool_call_text=self.title)
        return Query(((self.question, 1.0),)), UnitBatch([source], available_tokens=float(costs.sum()) / 4), shared


def passages(root: Path, limit: int | None) -> list[Passage]:
    """Reads the dev pairs whose labels are certain, evenly spread."""
    found = [
        Passage(r["query"], _title(r), tuple(s.strip() for s in r["sentences"]), tuple(map(bool, r["labels"])))
        for r in records(root / "pruner_pairs" / "dev.jsonl.gz")
        if not r.get("ambiguous")
    ]
    return sample(found, min(limit or LIMIT, LIMIT))


def _title(record: dict[str, str]) -> str:
    """Returns the title: SQuAD's groups are titles; other sources have titles in the sentences, or none."""
    return record["group"].replace("_", " ") if record["src"].startswith("squad") else ""


def rate_sentences(rate: Callable[[Query, UnitBatch], npt.NDArray[np.floating]]) -> Rate:
    """Turns a rating of units into one of sentences: a sentence gets the score of its best unit."""

    def rated(_: str, passage: Passage) -> Floats:
        query, units, shared = passage.units()
        best: Floats = np.where(shared, rate(query, units), -np.inf).max(axis=1)
        return best

    return rated


def measure(rate: Rate, passages: list[Passage]) -> dict[str, float]:
    """Measures `f1` and `area` over the sentences of all questions together.

    `within` is the mean of the average precision within each question that has an answer.
    """
    scores = [np.asarray(rate(p.question, p), np.float64) for p in passages]
    labels = [np.array(p.labels, np.bool_) for p in passages]
    halves = [
        (np.concatenate(scores[half::2] or [np.zeros(0)]), np.concatenate(labels[half::2] or [np.zeros(0, np.bool_)]))
        for half in (0, 1)
    ]
    counts = [_counts(*halves[1 - half], _threshold(*halves[half])) for half in (0, 1)]
    hits, kept, wanted = np.sum(counts, axis=0).tolist()
    within = [average_precision(s, y) for s, y in zip(scores, labels, strict=True) if y.any()]
    return {
        "f1": 2 * hits / max(1, kept + wanted),
        "area": average_precision(np.concatenate(scores), np.concatenate(labels)),
        "within": float(np.mean(within)) if within else 0.0,
        "cases": len(passages),
        "sentences": int(sum(map(len, labels))),
    }


def _counts(scores: Floats, labels: npt.NDArray[np.bool_], threshold: float) -> npt.NDArray[np.int64]:
    """Counts the labelled sentences that are kept, all that are kept, and all that are labelled."""
    keep = scores >= threshold
    return np.array([(keep & labels).sum(), keep.sum(), labels.sum()])


def _threshold(scores: Floats, labels: npt.NDArray[np.bool_]) -> float:
    """Returns the lowest score to keep for the best F1."""
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + max(1, labels.sum()))
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal scores are kept together
    return float(ranked[np.argmax(np.where(last, f1, 0))])


def average_precision(scores: Floats, labels: npt.NDArray[np.bool_]) -> float:
    """Returns the mean precision at each labelled sentence, with equal scores taken together; 0 without labels."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(labels[order])[last]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (last + 1)).sum() / max(1, labels.sum()))

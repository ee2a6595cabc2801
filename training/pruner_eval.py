"""`python -m training.pruner_eval [adapter]`: measures a pruner by itself, for several weights of its document head.

On pruner_pairs dev: F1 of kept sentences at the best threshold, and average precision. On questions of nq_multidoc that
training never sees: is an answer among the units kept, best first, at 4x, 10x and 20x? What the product makes of it is
measured in `benchmarks`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.scoring.models import bundled_pruner
from training import data, pruner_data
from training.pruner import unit_means
from training.pruner_batches import Coder, Row, padded
from training.pruner_data import Document, Group

SEED = 7
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
RATIOS = (4.0, 10.0, 20.0)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Read:
    """What the model says of a question's units. keep, labels, tokens, document [units]; odds, title [documents]: the
    document's log-odds, tokens of its title."""

    keep: Floats
    labels: npt.NDArray[np.bool_]
    tokens: Ints
    document: Ints
    odds: Floats
    title: Ints

    def scores(self, weight: float) -> Floats:
        """[units] keep + weight x document."""
        out: Floats = self.keep + weight * self.odds[self.document]
        return out


def read(pruner: bundled_pruner.BundledPruner, groups: Sequence[Group], torch: Any) -> list[Read]:
    """Runs the model on each question's documents."""
    coder = Coder(pruner.tokenizer, pruner.window)
    out = []
    for group in groups:
        rows = sorted((r for r in coder.rows(group) if r.labels), key=lambda r: len(r.ids))  # as `padded` lays them
        batch = padded([rows], torch)
        with torch.inference_mode():
            found = [pruner.module(*part) for part in batch.parts]
        keep = torch.cat([k.flatten() for k, _ in found])
        inside = batch.unit >= 0
        tokens = torch.bincount(batch.unit[inside], minlength=len(batch.labels))
        out.append(
            Read(
                unit_means(keep[inside], batch.unit[inside], len(batch.labels), torch).numpy().astype(np.float64),
                batch.labels.numpy() > 0,
                tokens.numpy(),
                batch.document.numpy(),
                torch.cat([d for _, d in found]).numpy().astype(np.float64),
                np.array([_title(row) for row in rows]),
            )
        )
    return out


def _title(row: Row) -> int:
    """Tokens between the query and the first unit."""
    return next(i for i, unit in enumerate(row.unit) if unit >= 0) - row.first


def dev_pairs(folder: Path, n: int) -> list[Group]:
    """Questions of pruner_pairs dev, each over its own passage; multi-hop ones over all of theirs as one text."""
    found = []
    for r in data.records(folder / "pruner_pairs" / "dev.jsonl.gz"):
        if not r.get("ambiguous"):
            title = r["group"].replace("_", " ") if r["src"].startswith("squad") else ""
            found.append(Group(r["query"], (Document.of(title, r["sentences"], r["labels"]),), r["src"]))
    return random.Random(SEED).sample(found, min(n, len(found)))


def odd_questions(folder: Path, n: int) -> list[Group]:
    """Questions of nq_multidoc with odd number, over all of their documents."""
    out = []
    for case in random.Random(SEED).sample(pruner_data.questions(folder, 1), n):
        units = [(title, data.sentences(text)) for title, text in case.documents]
        documents = tuple(Document.of(t, u, data.holding(u, case.answers)) for t, u in units)
        out.append(Group(case.query, documents, "nq"))
    return out


def average_precision(scores: Floats, labels: npt.NDArray[np.bool_]) -> float:
    """Returns the area under the precision-recall curve, by steps."""
    hits = labels[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean()) if hits.any() else 0.0


def best_f1(scores: Floats, labels: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Returns the best F1 over all thresholds, and its threshold."""
    order = np.argsort(-scores, kind="stable")
    f1 = 2 * np.cumsum(labels[order]) / (np.arange(1, len(order) + 1) + labels.sum())
    at = int(np.argmax(f1))
    return float(f1[at]), float(scores[order[at]])


def kept(found: Read, weight: float, ratio: float) -> bool:
    """Returns whether a unit with the answer is among the best units that fit; each document's title is paid once."""
    room = (found.tokens.sum() + found.title.sum()) / ratio
    named: set[int] = set()
    for i in np.argsort(-found.scores(weight), kind="stable").tolist():
        document = int(found.document[i])
        cost = int(found.tokens[i]) + (0 if document in named else int(found.title[document]))
        if cost <= room:
            room -= cost
            named.add(document)
            if found.labels[i]:
                return True
    return False


def report(pruner: bundled_pruner.BundledPruner, folder: Path, pairs: int, questions: int, torch: Any) -> list[str]:
    """Returns the lines that `main` prints, one for each weight of the document head."""
    dev = read(pruner, dev_pairs(folder, pairs), torch)
    natural = read(pruner, odd_questions(folder, questions), torch)
    labels = np.concatenate([r.labels for r in dev])
    right = [bool(r.labels[r.document == np.argmax(r.odds)].any()) for r in natural]
    lines = [
        f"{len(dev)} dev pairs, {len(labels)} sentences, {labels.mean():.3f} of them right; {len(natural)} questions",
        f"best document holds the answer: {np.mean(right):.3f}",
        "weight  F1     area   threshold  within  " + "  ".join(f"{r:g}x".ljust(5) for r in RATIOS),
    ]
    for weight in WEIGHTS:
        scores = np.concatenate([r.scores(weight) for r in dev])
        f1, threshold = best_f1(scores, labels)
        within = np.mean([average_precision(r.keep, r.labels) for r in dev if r.labels.any()])
        shares = [np.mean([kept(r, weight, ratio) for r in natural]) for ratio in RATIOS]
        lines.append(
            f"{weight:<7g} {f1:.3f}  {average_precision(scores, labels):.3f}  {threshold:<9.2f}  {within:.3f}   "
            + "  ".join(f"{s:.3f}" for s in shares)
        )
    return lines


def main() -> None:
    ask = argparse.ArgumentParser(prog="python -m training.pruner_eval", description=__doc__)
    ask.add_argument("path", nargs="?", type=Path, default=bundled_pruner.PATH)
    ask.add_argument("--pairs", type=int, default=600)
    ask.add_argument("--questions", type=int, default=100)
    ask.add_argument("--threads", type=int, default=2)
    args = ask.parse_args()
    torch = import_module("torch")
    torch.set_num_threads(args.threads)
    for line in report(bundled_pruner.load("cpu", path=args.path), data.root(), args.pairs, args.questions, torch):
        print(line, flush=True)


if __name__ == "__main__":
    main()

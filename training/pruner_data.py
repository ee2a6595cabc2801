"""Builds the pruner's training data: questions with documents that answer them and documents that only look similar.

Reads SQuAD 1.1/2.0, HotpotQA, Natural Questions (CC BY-SA), SelQA, 2WikiMultihopQA (Apache-2.0), PolicyQA and QMSum
(MIT); `pruner_agents` adds recorded agent runs. Encodes nothing, trains nothing.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.scoring.bm25 import STOP
from compressor.scoring.term_counts import K1, B
from compressor.scoring.token_index import terms
from training.data import Case, cases, flat, holding, records, sentences

Span = tuple[int, int]
DIALOGUE = 1_100  # characters of a stretch of dialogue
#: the sources of pruner_pairs whose texts are single passages; the others run several together: see `multihop`
PASSAGES = ("squad_train44", "squad_dev11", "squad_dev20_unans", "selqa_dev", "policyqa_dev")
#: SQuAD 2.0's unanswerable questions are hard as they are; PolicyQA's fit any policy, so other passages may answer them
ALONE = ("squad_dev20_unans", "policyqa_dev")
NOISE = re.compile(r"\{\w+\}\s*")


@dataclass(frozen=True)
class Document:
    """A text split into units, and which of them are worth keeping for its question."""

    title: str
    text: str
    spans: tuple[Span, ...]
    labels: tuple[bool, ...]

    @classmethod
    def of(cls, title: str, units: Sequence[str], labels: Iterable[Any] = (), between: str = " ") -> Document:
        """Units end to end; no labels: none is worth keeping."""
        spans, at = [], 0
        for unit in units:
            spans.append((at, at + len(unit)))
            at += len(unit) + len(between)
        wanted = tuple(map(bool, labels)) or (False,) * len(units)
        return cls(title, between.join(units), tuple(spans), wanted)


@dataclass(frozen=True)
class Group:
    """A question and its documents, the first of which hold the answer if any does."""

    query: str
    documents: tuple[Document, ...]
    source: str


class Near:
    """BM25 over passages, to find those that look similar to an answer."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(t for t in terms(text) if t not in STOP) for text in texts]
        self._sizes = [sum(c.values()) for c in counts]
        self._mean = sum(self._sizes) / max(1, len(texts))
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for i, count in enumerate(counts):
            for term, n in count.items():
                self._postings[term].append((i, n))

    def best(self, query: str, k: int) -> list[int]:
        """The numbers of the k best passages, best first."""
        scores: dict[int, float] = defaultdict(float)
        for term in sorted(set(terms(query))):
            found = self._postings.get(term, ())
            idf = math.log1p((len(self._sizes) - len(found) + 0.5) / (len(found) + 0.5))
            for i, n in found:
                scores[i] += idf * n * (K1 + 1) / (n + K1 * (1 - B + B * self._sizes[i] / self._mean))
        return sorted(scores, key=lambda i: (-scores[i], i))[:k]


def passages(folder: Path, split: str, rng: random.Random, counts: dict[str, int], negatives: int) -> list[Group]:
    """The pairs of pruner_pairs that stand alone: a passage with its question, and `negatives` near passages.

    counts: questions to take of each source, at most. Half of the near ones come from the same article, and none holds
    the answer's text. The sources of `ALONE` get none.
    """
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(folder / "pruner_pairs" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for r in map(json.loads, lines):
            if r["src"] in PASSAGES and not r.get("ambiguous"):
                by_source[r["src"]].append(r)
    pool: dict[str, Document] = {}
    home: list[str] = []
    for found in by_source.values():
        for r in found:
            document = Document.of(_title(r), r["sentences"])
            if document.text not in pool:
                pool[document.text] = document
                home.append(r["group"])
    known, plain = list(pool.values()), [flat(text) for text in pool]
    near = Near(list(pool))
    out = []
    for source, found in by_source.items():
        for r in rng.sample(found, min(counts[source], len(found))):
            own = Document.of(_title(r), r["sentences"], r["labels"])
            answer = flat(r.get("answer") or "\0")
            wanted: list[int] = []
            if source not in ALONE:
                best = near.best(r["query"], 40)
                others = [i for i in best if known[i].text != own.text and answer not in plain[i]]
                kin = [i for i in others if home[i] == r["group"]]
                wanted = list(dict.fromkeys([*kin[: (negatives + 1) // 2], *others]))[:negatives]
            out.append(Group(r["query"], (own, *(known[i] for i in wanted)), source))
    return out


def _title(record: dict[str, Any]) -> str:
    return str(record["group"]).replace("_", " ") if record["src"] != "policyqa_dev" else ""


def multihop(folder: Path, rng: random.Random, negatives: int) -> list[Group]:
    """HotpotQA's and 2WikiMultihopQA's training questions: paragraphs with facts, and some of those without."""
    out = []
    for name in ("hotpot_train100", "2wiki_train500"):
        for r in records(folder / "multihop" / f"{name}.jsonl.gz"):
            found = [Document.of(p["title"], p["sentences"], p["labels"]) for p in r["paragraphs"] if p["sentences"]]
            good = [d for d in found if any(d.labels)]
            bad = [d for d in found if not any(d.labels)]
            out.append(Group(r["question"], (*good, *rng.sample(bad, min(negatives, len(bad)))), name))
    return out


def questions(folder: Path, rest: int) -> list[Case]:
    """The questions of nq_multidoc with even number (rest 0: to train on) or odd number (1: to measure on)."""
    return cases(folder)[rest::2]


def natural(folder: Path, rng: random.Random, negatives: int) -> list[Group]:
    """Natural Questions to train on; the documents that answer, and some of their distractors."""
    out = []
    for case in questions(folder, 0):
        found = []
        for title, text in case.documents:
            units = sentences(text)
            found.append(Document.of(title, units, holding(units, case.answers)))
        good = [d for d in found if any(d.labels)]
        bad = [d for d in found if not any(d.labels)]
        if good:
            out.append(Group(case.query, (*good[:2], *rng.sample(bad, min(negatives, len(bad)))), "nq"))
    return out


def meetings(folder: Path, rng: random.Random) -> list[Group]:
    """QMSum's training queries: a stretch of the meeting with turns that matter, and one without."""
    out = []
    for r in records(folder / "qmsum" / "qmsum-train.jsonl.gz"):
        turns = [f"{t['speaker']}: {NOISE.sub('', t['content'])}" for t in r["meeting_transcripts"]]
        for asked in r["specific_query_list"]:
            spans = [(int(a), int(b)) for a, b in asked["relevant_text_span"]]
            labels = [any(a <= i <= b for a, b in spans) for i in range(len(turns))]
            good = [i for i, x in enumerate(labels) if x]
            bad = [i for i, x in enumerate(labels) if not x]
            if not good or not bad:
                continue
            # Starts a little before a turn that matters, so that the border is seen, too.
            first = _stretch(turns, labels, max(0, rng.choice(good) - rng.randrange(8)))
            second = _stretch(turns, labels, rng.choice(bad))
            out.append(Group(asked["query"], tuple(d for d in (first, second) if d.spans), "qmsum"))
    return out


def _stretch(turns: Sequence[str], labels: Sequence[bool], first: int) -> Document:
    units: list[str] = []
    wanted: list[bool] = []
    size = 0
    for turn, label in zip(turns[first:], labels[first:], strict=True):
        if units and size + len(turn) > DIALOGUE:
            break
        parts = sentences(turn) if len(turn) > 300 else (turn,)
        units += parts
        wanted += [label] * len(parts)
        size += len(turn)
    return Document.of("", units, wanted, "\n")

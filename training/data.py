"""Reads the data sets that the shipped weights are trained on into one form.

Only sets whose licence lets weights made from them ship under Apache-2.0; the model card lists them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.text.segmenters.sentences import segment_prose

SPACE = re.compile(r"\s+")
DISTRACTORS = 19


@dataclass(frozen=True)
class Passage:
    """A document with its title and sentences."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A question, the passage that answers it, and which of its sentences hold the answer."""

    query: str
    passage: Passage
    labels: tuple[bool, ...]
    source: str


@dataclass(frozen=True)
class Case:
    """A question over several documents, as the benchmark asks it."""

    query: str
    answers: tuple[str, ...]
    documents: tuple[tuple[str, str], ...]  # title, text


def root() -> Path:
    """Returns the folder of the data sets: COMPRESSOR_BENCH_DATA, or ../shared/data. Exits if there is none."""
    path = Path(os.environ.get("COMPRESSOR_BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not path.is_dir():
        raise SystemExit(f"no data sets at {path}: set COMPRESSOR_BENCH_DATA")
    return path


def records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def flat(text: str) -> str:
    return SPACE.sub(" ", text).lower()


def sentences(text: str) -> tuple[str, ...]:
    layout = segment_prose(text)
    return tuple(text[a:b] for a, b in layout.spans.tolist())


def cases(folder: Path) -> list[Case]:
    """The dev questions of nq_multidoc over 20 documents each (Natural Questions, CC BY-SA 3.0)."""
    passages = {p["pid"]: (p["title"], p["text"]) for p in records(folder / "nq_multidoc" / "passages.jsonl.gz")}
    out = []
    for q in records(folder / "nq_multidoc" / "questions.jsonl.gz"):
        ids = q["distractors"][:DISTRACTORS]
        ids.insert(q["gold_pos_20"], q["gold"])
        out.append(Case(q["question"], tuple(q["answers"]), tuple(passages[i] for i in ids)))
    return out


def holding(parts: tuple[str, ...], answers: tuple[str, ...]) -> tuple[bool, ...]:
    """Returns which sentences hold one of the answers."""
    wanted = [flat(a) for a in answers]
    return tuple(any(a in flat(p) for a in wanted) for p in parts)


def pairs(folder: Path) -> list[Pair]:
    """SQuAD, HotpotQA (CC BY-SA 4.0), SelQA, 2WikiMultihopQA (Apache-2.0) and PolicyQA (MIT)."""
    out: list[Pair] = []
    for name in ("squad_v1.1_train44", "squad_v1.1_dev"):
        for r in records(folder / "squad" / f"{name}.jsonl.gz"):
            passage = Passage(r["title"].replace("_", " "), sentences(r["context"]))
            out.append(Pair(r["question"], passage, holding(passage.sentences, tuple(r["answers"])), "squad"))
    for r in records(folder / "selqa" / "selqa-ass-dev.jsonl.gz"):
        parts = tuple(r["candidates"])
        out.append(Pair(r["question"], Passage(r["article"], parts), _at(parts, r["answers"]), "selqa"))
    for r in records(folder / "pruner_pairs" / "train.jsonl.gz"):
        if r["src"] == "policyqa_dev":
            parts = tuple(r["sentences"])
            out.append(Pair(r["query"], Passage("", parts), tuple(map(bool, r["labels"])), "policyqa"))
    for name in ("hotpot_train100", "hotpot_dev_first100", "2wiki_train500"):
        for r in records(folder / "multihop" / f"{name}.jsonl.gz"):
            for p in r["paragraphs"]:
                if any(p["labels"]):
                    passage = Passage(p["title"], tuple(p["sentences"]))
                    out.append(Pair(r["question"], passage, tuple(map(bool, p["labels"])), "multihop"))
    return [p for p in out if any(p.labels)]


def _at(parts: tuple[str, ...], places: list[int]) -> tuple[bool, ...]:
    return tuple(i in places for i in range(len(parts)))


def corpus(folder: Path) -> list[Passage]:
    """Plain passages, for background frequencies and for sentences that predict their neighbours: 2WikiMultihopQA's and
    HotpotQA's paragraphs, SQuAD's, and WikiText-2 (CC BY-SA)."""
    out = {p.sentences: p for p in (x.passage for x in pairs(folder))}
    for r in records(folder / "multihop" / "2wiki_corpus6119.jsonl.gz"):
        passage = Passage(r["title"], sentences(r["text"]))
        out[passage.sentences] = passage
    for name in ("hotpot_train100", "hotpot_dev_first100", "2wiki_train500"):
        for r in records(folder / "multihop" / f"{name}.jsonl.gz"):
            for p in r["paragraphs"]:
                out[tuple(p["sentences"])] = Passage(p["title"], tuple(p["sentences"]))
    for r in records(folder / "multihop" / "musique_train100.jsonl.gz"):
        for p in r["paragraphs"]:
            passage = Passage(p["title"], sentences(p["paragraph_text"]))
            out[passage.sentences] = passage
    for name in ("valid", "test"):
        with gzip.open(folder / "lm_text" / f"wikitext2_{name}.txt.gz", "rt", encoding="utf-8") as lines:
            title = ""
            for line in lines:
                line = (
                    line.strip().replace("<unk>", "").replace(" @-@ ", "-").replace(" @.@ ", ".").replace(" @,@ ", ",")
                )
                if line.startswith("= ") and not line.startswith("= ="):
                    title = line.strip("= ")
                elif len(line) > 80 and not line.startswith("="):
                    parts = tuple(line.replace(" .", ".").split(". "))
                    out[parts] = Passage(title, parts)
    return list(out.values())

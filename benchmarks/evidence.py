"""Measures evidence: do the sentences that people marked as needed for a question survive when its documents are cut?

Multi-hop questions need all of their sentences; for a meeting, the fraction of the relevant turns' tokens counts. The
measure compares strings and uses no model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.baselines import Document, sentences
from benchmarks.data import records, sample
from benchmarks.methods import DocumentMethod
from benchmarks.qa import full_text, normalize
from benchmarks.tokens import count

CONTEXT_CHARACTERS = 30  # characters on either side of an answer that identify its sentence
MIN_WORDS = 5  # shorter sentences of a meeting do not count: "Yeah ." occurs everywhere
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Case:
    """A question over documents. A fact survives if its text does; `titles` are those of the documents with facts."""

    question: str
    documents: list[Document]
    facts: tuple[str, ...]
    titles: tuple[str, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """The tokens of each fact."""
        return [count(fact) for fact in self.facts]

    def fits(self, budget: int) -> bool:
        """Whether the budget is large enough for all facts, each document's after its title."""
        return sum(self.tokens) + sum(count(title) + 2 for title in self.titles) <= budget


def labelled_sentences(path: Path) -> Iterator[Case]:
    """Reads the format of 2WikiMultihopQA and HotpotQA: sentences with labels."""
    for r in records(path):
        found = [p for p in r["paragraphs"] if p["sentences"]]
        documents = [{"title": p["title"], "text": " ".join(s.strip() for s in p["sentences"])} for p in found]
        facts = [s.strip() for p in found for s, label in zip(p["sentences"], p["labels"], strict=True) if label]
        yield Case(r["question"], documents, tuple(facts), tuple(p["title"] for p in found if any(p["labels"])))


def hop_answers(path: Path) -> Iterator[Case]:
    """Reads the format of MuSiQue: each hop's answer in its paragraph. The fact is the answer within its sentence."""
    for r in records(path):
        documents = [{"title": p["title"], "text": p["paragraph_text"]} for p in r["paragraphs"]]
        facts = []
        for hop in r["question_decomposition"]:
            text = documents[hop["paragraph_support_idx"]]["text"]
            answer = hop["answer"].lower()
            held = [s for s in sentences(text) if answer in s.lower()]
            facts.append(_around(held[0], answer) if held else hop["answer"])
        titles = (documents[hop["paragraph_support_idx"]]["title"] for hop in r["question_decomposition"])
        yield Case(r["question"], documents, tuple(facts), tuple(dict.fromkeys(titles)))


def _around(sentence: str, answer: str) -> str:
    at = sentence.lower().index(answer)
    return sentence[max(0, at - CONTEXT_CHARACTERS) : at + len(answer) + CONTEXT_CHARACTERS].strip()


def meetings(path: Path) -> Iterator[Case]:
    """Reads the format of QMSum: a transcript as one document; the facts are the sentences of the relevant turns."""
    for r in records(path):
        turns = r["meeting_transcripts"]
        text = "\n".join(f"{t['speaker']}: {t['content']}" for t in turns)
        for asked in r["specific_query_list"]:
            spans = [(int(a), int(b)) for a, b in asked["relevant_text_span"]]
            wanted = [t["content"] for i, t in enumerate(turns) if any(a <= i <= b for a, b in spans)]
            facts = [s for turn in wanted for s in sentences(turn) if len(WORD.findall(s)) >= MIN_WORDS]
            if facts:
                yield Case(asked["query"], [{"title": "Meeting", "text": text}], tuple(facts))


@dataclass(frozen=True)
class Task:
    """A set of cases.

    Attributes:
        all_facts: Whether all facts of a case must survive; otherwise the fraction of their tokens counts.
        limit: Default number of cases.
    """

    name: str
    cases: Callable[[Path], Iterable[Case]]
    path: str
    all_facts: bool
    limit: int

    def read(self, root: Path, limit: int | None) -> list[Case]:
        """Returns its cases, evenly spread over the set."""
        every = list(self.cases(root / self.path))
        return sample(every, min(limit or self.limit, self.limit))


RATIOS = (4.0, 8.0)
TASKS = [
    Task("2Wiki (trained on)", labelled_sentences, "multihop/2wiki_train500.jsonl.gz", True, 40),
    Task("HotpotQA", labelled_sentences, "multihop/hotpot_dev_first100.jsonl.gz", True, 40),
    Task("MuSiQue, an answer a hop", hop_answers, "multihop/musique_train100.jsonl.gz", True, 40),
    Task("QMSum, tokens of relevant turns", meetings, "qmsum/qmsum-val.jsonl.gz", False, 12),
]


def measure(method: DocumentMethod, cases: list[Case], ratio: float, whole: bool) -> dict[str, Any]:
    """Measures one method at one ratio, over the cases whose facts fit into the budget."""
    kept = asked = over = used = found = facts = 0
    for case in cases:
        budget = int(count(full_text(case.documents)) / ratio)
        if not case.fits(budget):
            continue
        out = method(case.question, case.documents, budget, count)
        text = normalize(out)
        there = [normalize(fact) in text for fact in case.facts]
        kept += all(there) if whole else sum(n for n, held in zip(case.tokens, there, strict=True) if held)
        asked += 1 if whole else sum(case.tokens)
        over += count(out) > budget * 1.01
        used += 1
        found += sum(there)
        facts += len(there)
    return {"kept": kept, "asked": asked, "over": over, "cases": used, "facts_kept": found, "facts": facts}

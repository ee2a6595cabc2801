"""Measures answer retention: does a gold answer string survive when 20 documents are cut for a question?"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from benchmarks.baselines import Document
from benchmarks.data import records
from benchmarks.methods import DOCUMENTS, DocumentMethod
from benchmarks.report import Report, format_fraction
from benchmarks.tokens import count

RATIOS = (4.0, 10.0, 20.0)
DISTRACTORS = 19
SPACE = re.compile(r"\s+")

Case = tuple[str, list[str], list[Document]]


def cases(folder: Path, limit: int | None) -> list[Case]:
    """Returns questions with accepted answers and 20 documents, of which one answers, at its recorded place."""
    passages = {p["pid"]: {"title": p["title"], "text": p["text"]} for p in records(folder / "passages.jsonl.gz")}
    found: list[Case] = []
    for record in records(folder / "questions.jsonl.gz"):
        if len(found) == limit:
            break
        ids = record["distractors"][:DISTRACTORS]
        ids.insert(record["gold_pos_20"], record["gold"])
        found.append((record["question"], record["answers"], [passages[i] for i in ids]))
    return found


def full_text(docs: list[Document]) -> str:
    """Returns the uncut documents as methods write them; ratios are relative to this text."""
    return "\n\n".join(doc["title"] + ": " + doc["text"] for doc in docs)


def normalize(text: str) -> str:
    """Lower-cases a text and collapses white space, because answers are compared in that form."""
    return SPACE.sub(" ", text).lower()


def measure(method: DocumentMethod, questions: list[Case], ratio: float) -> dict[str, Any]:
    """Measures one method at one ratio. `real` is the mean of the ratios reached."""
    kept = over = 0
    seconds = real = 0.0
    for question, answers, docs in questions:
        full = count(full_text(docs))
        start = time.perf_counter()
        out = method(question, docs, int(full / ratio), count)
        seconds += time.perf_counter() - start
        after, text = count(out), normalize(out)
        kept += any(normalize(answer) in text for answer in answers)
        over += after > full / ratio * 1.01
        real += full / max(1, after)
    n = len(questions)
    return {"kept": kept, "asked": n, "cases": n, "over": over, "real": real / n, "ms": 1e3 * seconds / n}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every method and ratio. `limit` caps the questions (default: all)."""
    asked = cases(root / "nq_multidoc", limit)
    rows: list[dict[str, Any]] = []
    table = [["method", *(f"{r:g}×" for r in RATIOS), "real ratios", "over budget", "ms a case"]]
    for label in (m for m in DOCUMENTS if m in methods):
        found = [measure(DOCUMENTS[label], asked, ratio) for ratio in RATIOS]
        rows += [{"method": label, "ratio": ratio, **row} for ratio, row in zip(RATIOS, found, strict=True)]
        table.append(
            [
                label,
                *(format_fraction(row["kept"], row["asked"]) for row in found),
                " / ".join(f"{row['real']:.1f}" for row in found),
                str(sum(row["over"] for row in found)),
                f"{sum(row['ms'] for row in found) / len(found):.1f}",
            ]
        )
    notes = [
        f"{len(asked)} questions over 20 documents of which one holds the answer (lost-in-the-middle's gold passages,",
        "BM25 distractors): fraction of questions with an accepted answer string in the result. Budget: the documents'",
        "cl100k tokens / ratio. The network in `compressor/scoring/weights/words.npz` was trained on these questions:",
        "what to expect of others: the cross-validated row in `compressor/scoring/weights/README.md` (.966/.932/.828).",
    ]
    return Report("qa", "Answer retention", notes, table, rows)

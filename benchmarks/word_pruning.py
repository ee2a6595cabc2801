"""Measures leaving words out of sentences: the answers gained, and the sentences that are no longer whole.

The cases are those of `qa`. The measure compares strings, so it cannot tell how well a model reads the result: it
counts the sentences with the answer that survive word for word.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from benchmarks.methods import MODEL
from benchmarks.qa import RATIOS, Case, cases, full_text, normalize
from benchmarks.report import Report, format_fraction
from benchmarks.tokens import count
from compressor import Compressor
from compressor.pipeline.block_reports import LOW_INFORMATION_WORDS
from compressor.pipeline.word_pruner import WordPruner
from compressor.text.segmenters import segment_text

ARTICLE = re.compile(r"\b(?:a|an|the)\b")
PUNCTUATION = re.compile(r"[^\w\s]")
STRENGTHS = {f"ours, {keep:.0%} of the words": keep for keep in (1.0, 0.9, 0.75, 0.6)}


def measure(compressor: Compressor, asked: list[Case], ratio: float) -> dict[str, Any]:
    """Measures one strength at one ratio.

    `kept` counts questions with an answer in the result, `said` the same without articles and punctuation, `verbatim`
    those with a whole sentence that holds an answer, and `words` the runs of words left out of kept sentences.
    """
    kept = said = verbatim = over = words = 0
    seconds = 0.0
    for question, answers, docs in asked:
        budget = int(count(full_text(docs)) / ratio)
        start = time.perf_counter()
        result = compressor.compress_documents(list(docs), query=question, budget=budget, model=MODEL)
        seconds += time.perf_counter() - start
        accepted = [normalize(answer) for answer in answers]
        text = normalize(result.text)
        kept += any(answer in text for answer in accepted)
        said += any(f" {strip_articles(answer)} " in f" {strip_articles(result.text)} " for answer in answers)
        verbatim += any(unit in text for unit in _holding(accepted, [doc["text"] for doc in docs]))
        over += result.tokens_after > budget
        words += sum(span.reason == LOW_INFORMATION_WORDS for span in result.dropped)
    n = len(asked)
    counts = {"kept": kept, "said": said, "verbatim": verbatim}
    return {**counts, "asked": n, "over": over, "words": words, "ms": 1e3 * seconds / n}


def strip_articles(text: str) -> str:
    """Lower-cases a text and removes articles and punctuation, as SQuAD's evaluation does."""
    return " ".join(ARTICLE.sub(" ", PUNCTUATION.sub("", text.lower())).split())


def _holding(answers: list[str], texts: list[str]) -> list[str]:
    """Returns the normalised sentences that hold an accepted answer."""
    layouts = [segment_text(text) for text in texts]
    units = [normalize(layout.text[a:b]).strip() for layout in layouts for a, b in layout.spans.tolist()]
    return [unit for unit in units if any(answer in unit for answer in answers)]


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every strength and ratio. `limit` caps the questions (default: all)."""
    asked = cases(root / "nq_multidoc", limit)
    rows: list[dict[str, Any]] = []
    table = [["method", *(f"{r:g}×" for r in RATIOS), "words out a case", "over budget", "ms a case"]]
    for label, keep in STRENGTHS.items() if "ours" in methods else ():
        compressor = Compressor(store="memory", prune_words=keep < 1 and WordPruner(keep))
        found = [measure(compressor, asked, ratio) for ratio in RATIOS]
        rows += [{"method": label, "ratio": ratio, **row} for ratio, row in zip(RATIOS, found, strict=True)]
        table.append(
            [
                label,
                *(
                    " / ".join(format_fraction(row[k], row["asked"]) for k in ("kept", "said", "verbatim"))
                    for row in found
                ),
                " / ".join(f"{row['words'] / row['asked']:.0f}" for row in found),
                str(sum(row["over"] for row in found)),
                f"{sum(row['ms'] for row in found) / len(found):.1f}",
            ]
        )
    notes = [
        f"{len(asked)} questions over 20 documents, as in answer retention: fraction of questions with an accepted",
        "answer in the result / the same without articles and punctuation / with a whole sentence that holds one.",
        "`prune_words` leaves uninformative words out of the sentences chosen last; protected words count among",
        "those that stay, so that 60 % is not always reached. The tier was trained on these questions: compare rows.",
    ]
    return Report("words", "Words left out of sentences", notes, table, rows)

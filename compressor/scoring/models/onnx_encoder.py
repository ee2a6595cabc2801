"""Runs the int8 sentence encoder of the distribution `agentic-compressor-models` with ONNX Runtime, on the CPU.

Activations are quantized while the model runs, with one scale for the whole tensor. In a batch, that scale would depend
on the other sequences, and so would every vector. Therefore each sequence runs by itself, without padding, and several
run at once on the cores. benchmarks/encoders.py measures this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import MissingDependencyError, ModelError
from compressor.scoring.models.encoder_backend import Floats, Window, replace_surrogates
from compressor.scoring.models.pair_encoder import SpecialTokens, bare_tokenizer
from compressor.scoring.runtime.batch_scheduler import BatchLimits
from compressor.scoring.runtime.device import Device, available_cores

PACKAGE = "agentic_compressor_models"
MODEL_FOLDER = "all_minilm_l6_v2_int8"
CHECKSUMS = "SHA256SUMS"

Ints = npt.NDArray[np.int64]


def is_available() -> bool:
    """Returns whether the extra `onnx` is installed."""
    return find_spec("onnxruntime") is not None and find_spec(PACKAGE) is not None


def find_model_folder() -> Path:
    """Returns the folder of the packaged model.

    Raises:
        MissingDependencyError: The extra `onnx` is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise MissingDependencyError("onnxruntime", "onnx")
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("agentic-compressor-models", "onnx")
    return Path(next(iter(spec.submodule_search_locations))) / MODEL_FOLDER


def model_digest(folder: Path) -> str:
    """Returns a hash of the model's checksums, and so of all its files.

    Raises:
        ModelError: The checksums cannot be read.
    """
    return hashlib.sha256(_read(folder / CHECKSUMS)).hexdigest()


class OnnxEncoder:
    """`EncoderBackend` of the packaged int8 model.

    Args:
        folder: The folder with `model.onnx`, `tokenizer.json`, `config.json` and `SHA256SUMS`.
        device: The CPU.

    Raises:
        ModelError: A file is missing or damaged.
    """

    separates_queries = False

    def __init__(self, folder: Path, device: Device) -> None:
        files = _read_verified(folder)
        config = json.loads(files["config.json"])
        self.name, self.dimensions = str(config["name"]), int(config["dimensions"])
        self.fingerprint = f"{model_digest(folder)[:24]}-int8"
        tokenizers, runtime = import_module("tokenizers"), import_module("onnxruntime")
        self._tokenizer = bare_tokenizer(tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode()))
        special = SpecialTokens.from_tokenizer(self._tokenizer, pair=False)
        self._before = np.concatenate([special.before[0], special.between[0]])
        self._after = special.after[0]
        self._text_tokens = int(config["window"]) - len(self._before) - len(self._after)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the cores share the sequences instead
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(files["model.onnx"], options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
            raise ModelError(f"ONNX Runtime cannot load {folder / 'model.onnx'}: {error}") from error
        # The time of a sequence does not depend on its batch: enough sequences to keep all cores busy, of any length.
        items = 8 * available_cores()
        self.limits = BatchLimits(
            batch_items=items, batch_tokens=items * int(config["window"]), max_padding_fraction=1.0
        )

    def split(self, texts: Sequence[str], is_query: bool) -> list[list[Window]]:
        """See `EncoderBackend.split`. A window's content is its token ids, special tokens included."""
        return [[Window(ids, len(ids), is_query) for ids in self._windows(text)] for text in texts]

    def encode(self, windows: Sequence[Window]) -> Floats:
        """See `EncoderBackend.encode`."""
        threads = min(available_cores(), len(windows))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:  # a thread costs 0.1 ms, a sequence several
                rows = list(pool.map(self._run, windows))
        else:
            rows = [self._run(window) for window in windows]
        return np.stack(rows)

    def _windows(self, text: str) -> list[Ints]:
        ids = np.array(self._tokenizer.encode(replace_surrogates(text), add_special_tokens=False).ids, np.int64)
        parts = np.array_split(ids, -(-len(ids) // self._text_tokens)) if len(ids) else []
        return [np.concatenate([self._before, part, self._after]) for part in parts]

    def _run(self, window: Window) -> Floats:
        ids: Ints = window.content[None]
        vector: Floats = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        return vector


def _read_verified(folder: Path) -> dict[str, bytes]:
    """The contents of the model's files by name, checked against their sha256."""
    out: dict[str, bytes] = {}
    for line in _read(folder / CHECKSUMS).decode().splitlines():
        digest, _, name = line.partition("  ")
        out[name] = _read(folder / name)
        if hashlib.sha256(out[name]).hexdigest() != digest:
            raise ModelError(f"{folder / name} is damaged: reinstall agentic-compressor-models")
    if not {"config.json", "model.onnx", "tokenizer.json"} <= out.keys():
        raise ModelError(f"{folder / CHECKSUMS} does not list all files: reinstall agentic-compressor-models")
    return out


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): reinstall agentic-compressor-models") from error

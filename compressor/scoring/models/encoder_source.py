"""Finds the files of a sentence encoder, and chooses the library that runs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from compressor.errors import MissingDependencyError, ModelError
from compressor.scoring.models import onnx_encoder
from compressor.scoring.models.bundled_pruner import base_folder
from compressor.scoring.models.encoder_backend import EncoderBackend
from compressor.scoring.models.hub_files import download
from compressor.scoring.models.packed_encoder import PackedEncoder
from compressor.scoring.models.sentence_transformers_encoder import Backend, SentenceTransformersEncoder
from compressor.scoring.runtime.device import Device
from compressor.scoring.runtime.file_digest import file_digest

_DOWNLOADED = ("*.json", "*.txt", "*.model", "*.safetensors")
_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """A sentence encoder that can be loaded.

    Attributes:
        name: The model's name, for messages.
        folder: The folder with the model's files.
        digest: A hash of these files.
        runtime: What runs the model: "int8" for the packaged ONNX model, "packed" for `PackedEncoder`, or
            sentence-transformers' name of a backend.
    """

    name: str
    folder: Path
    digest: str
    runtime: str

    def load(self, device: Device) -> EncoderBackend:
        """Loads the model.

        Raises:
            ModelError: The model cannot be loaded.
        """
        if self.runtime == "int8":
            return onnx_encoder.OnnxEncoder(self.folder, device)
        if self.runtime == "packed":
            return PackedEncoder(self.folder, self.name, self.digest, device)
        backend: Backend = self.runtime  # type: ignore[assignment]  # `find_encoder` has set it
        return SentenceTransformersEncoder(self.folder, self.name, self.digest, device, backend)


def find_encoder(model: str | Path | None, device: Device, backend: Backend = "torch") -> EncoderSource:
    """Finds a model, without loading it.

    Args:
        model: None for all-MiniLM-L6-v2, which is installed as a package: with int8 weights on a CPU if the extra
            `onnx` is installed, else for torch. Otherwise a folder of sentence-transformers, or a hub id
            ("org/name@revision"), which is downloaded unless the local cache has it.
        device: The device that the model will run on.
        backend: What sentence-transformers runs the model with.

    Raises:
        MissingDependencyError: A package that runs the model is not installed.
        ModelError: The model cannot be found, or is not a sentence-transformers model.
    """
    if model is None and not device.gpu and backend == "torch":
        if onnx_encoder.is_available():
            folder = onnx_encoder.find_model_folder()
            return EncoderSource("all-MiniLM-L6-v2", folder, onnx_encoder.model_digest(folder), "int8")
        if find_spec("sentence_transformers") is None:
            onnx_encoder.find_model_folder()  # raises the exception that names the extra to install
    for module, package in (("torch", "torch"), ("sentence_transformers", "sentence-transformers")):
        if find_spec(module) is None:
            raise MissingDependencyError(package, "models")
    if model is None:
        folder = base_folder()
        runtime = "packed" if device.name.startswith("cuda") and backend == "torch" else backend
        return EncoderSource("all-MiniLM-L6-v2", folder, file_digest(folder), runtime)
    patterns = _DOWNLOADED if backend == "torch" else (*_DOWNLOADED[:3], f"{backend}/*")
    folder, name = find_model_folder(model, patterns)
    if not (folder / "modules.json").is_file():
        raise ModelError(f"{name} is not a sentence-transformers model: it has no modules.json")
    return EncoderSource(name, folder.absolute(), file_digest(folder), backend)


def find_model_folder(model: str | Path, patterns: Sequence[str] = _DOWNLOADED) -> tuple[Path, str]:
    """Returns the folder of a model, and its name for messages.

    Args:
        model: A folder, or a hub id ("org/name@revision"), which is downloaded unless the local cache has it.
        patterns: The files to download.

    Raises:
        ModelError: There is no such folder, or the model cannot be downloaded.
    """
    folder, name = Path(model).expanduser(), Path(model).name
    if not folder.exists() and (match := _HUB_ID.fullmatch(str(model))):
        folder, name = download(match["id"], match["revision"], patterns), str(model)
    if not folder.is_dir():
        raise ModelError(f"there is no encoder at {model}: give a folder or a hub id (org/name@revision)")
    return folder, name

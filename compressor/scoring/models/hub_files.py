"""A model's files: found in a folder or fetched from the hub, and read. Knows no architecture.

Only json and weights are fetched and read, never code; pickles are opened with weights_only.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError, ModelError
from compressor.scoring.models.pair_encoder import bare_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def require_package(package: str, called: str = "") -> None:
    """MissingDependencyError if the package is not installed; `called`: its name where that is not its import's."""
    if find_spec(package) is None:
        raise MissingDependencyError(called or package, "models")


def checkpoint_name(folder: Path) -> str:
    """What a checkpoint is called: the folder's name, or the id behind a folder of the hub's cache."""
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return folder.name


def load_weights(folder: Path, names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """All weights of a checkpoint, of safetensors if there are any. names: what names begin with there and here,
    replaced in this order. ModelError if there are none, or they cannot be read."""
    torch, safe = import_module("torch"), import_module("safetensors")
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise ModelError("there is neither model.safetensors nor pytorch_model.bin")
    out: dict[str, Any] = {}
    for file in files:
        try:
            if file.suffix == ".bin":
                found = torch.load(file, map_location="cpu", weights_only=True)
            else:
                found = import_module("safetensors.torch").load_file(file)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, safe.SafetensorError) as error:
            raise ModelError(f"{file.name} cannot be read: {error}") from error
        for name, tensor in found.items():
            for theirs, ours in names:
                name = ours + name.removeprefix(theirs) if name.startswith(theirs) else name
            out[name] = tensor
    return out


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint, from tokenizer.json, for only that form knows which characters a token stands for.
    ModelError if it cannot be read."""
    tokenizers = import_module("tokenizers")
    try:
        return bare_tokenizer(tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
    except Exception as error:  # tokenizers raises nothing more exact
        raise ModelError(f"tokenizer.json cannot be read: {error}") from error


def load_json(path: Path) -> dict[str, Any]:
    """The object in a file. ModelError if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object")
    return found


def download(name: str, revision: str | None) -> Path:
    """A checkpoint's folder in the local cache of the hub, filled if need be. ModelError, MissingDependencyError."""
    require_package("huggingface_hub")
    fetch = import_module("huggingface_hub").snapshot_download
    try:
        folder = Path(fetch(name, revision=revision, allow_patterns=["*.json", "*.safetensors"]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(fetch(name, revision=revision, allow_patterns=["*.json", "pytorch_model*.bin"]))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name} is neither a folder nor could it be fetched: {error}") from error
    return folder

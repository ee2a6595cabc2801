"""Runs a local model from a GGUF file with llama-cpp-python. It gives one answer at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compressor.errors import ModelError
from compressor.sessions.summaries.llm import Completion, SummaryLLMError
from compressor.sessions.summaries.prompt import SummaryPrompt
from compressor.tokens.llama_cpp_library import check_gguf_file, load_llama_cpp, read_metadata

MAX_WINDOW_TOKENS = 8_192  # of a model that is loaded from a file here: a larger window costs memory
TEMPLATE_TOKENS = 32  # that a chat template adds


class LlamaCppLLM:
    """A GGUF model as a `SummaryLLM`."""

    def __init__(self, model: Any) -> None:
        """Takes the model.

        Args:
            model: The path of a GGUF file, which is loaded with the first answer, or a `llama_cpp.Llama`, which no
                other thread may use at the same time.

        Raises:
            MissingDependencyError: llama-cpp-python is not installed.
            ModelError: The file is missing, or is not a GGUF file.
        """
        self._lock = threading.Lock()
        self._llama: Any = None
        self._path: Path | None = None
        if isinstance(model, Path):
            self._path, self.name = model, model.name
            check_gguf_file(model)
            load_llama_cpp()
        else:
            self._llama, self.name = model, Path(str(getattr(model, "model_path", "llama"))).name

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the path of the model, which the copy loads anew."""
        if self._path is None:
            raise TypeError("a llama_cpp.Llama cannot be pickled: make the summarizer from 'gguf:path/to/model.gguf'")
        return {"_path": self._path, "name": self.name, "_llama": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def prompt_budget(self, count: Callable[[str], int], answer_tokens: int) -> tuple[int, Callable[[str], int]]:
        """Says how long a prompt may be, see `SummaryLLM.prompt_budget`.

        It loads the model, because only the model knows its window, and counts with its own vocabulary.
        """
        with self._lock:
            llama = self._load()
        window = int(llama.n_ctx())
        return window - self._answer_tokens(llama, answer_tokens) - TEMPLATE_TOKENS, lambda text: len(
            _tokens(llama, text)
        )

    def write(self, prompt: SummaryPrompt, max_tokens: int, seconds: float) -> Completion:
        """Returns the greedy answer, see `SummaryLLM.write`. It stops at its deadline between two tokens."""
        end = time.monotonic() + seconds
        if not self._lock.acquire(timeout=max(0.0, seconds)):
            raise SummaryLLMError(f"{self.name} is still writing an earlier answer")
        try:
            return self._write(prompt, max_tokens, end)
        finally:
            self._lock.release()

    def _write(self, prompt: SummaryPrompt, max_tokens: int, end: float) -> Completion:
        llama = self._load()
        options = {"max_tokens": self._answer_tokens(llama, max_tokens), "temperature": 0.0, "stream": True}
        llama.reset()
        parts: list[str] = []
        if (getattr(llama, "metadata", None) or {}).get("tokenizer.chat_template"):
            messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
            stream = llama.create_chat_completion(messages, **options)
        else:
            # A model without a chat template continues what it reads, so the prompt ends with the first heading.
            parts.append("GOAL:\n-")
            stream = llama.create_completion(f"{prompt.as_text}\n{parts[0]}", **options)
        why = None
        for piece in stream:
            if time.monotonic() > end:
                stream.close()
                raise SummaryLLMError(f"{self.name} did not finish its answer in time")
            choice = piece["choices"][0]
            parts.append((choice["delta"].get("content") if "delta" in choice else choice["text"]) or "")
            why = choice.get("finish_reason") or why
        return Completion("".join(parts), why == "length")

    @staticmethod
    def _answer_tokens(llama: Any, tokens: int) -> int:
        return max(1, min(tokens, int(llama.n_ctx()) // 3))

    def _load(self) -> Any:
        if self._llama is None:
            api = load_llama_cpp()
            try:
                window = min(_trained_window(api, str(self._path)), MAX_WINDOW_TOKENS)
                self._llama = api.Llama(str(self._path), n_ctx=window, n_gpu_layers=-1, verbose=False)
            except (ValueError, RuntimeError, OSError) as e:
                raise ModelError(f"llama.cpp cannot load {self._path}: {e}") from e
        return self._llama


def _trained_window(api: Any, path: str) -> int:
    """Returns the window that the model was trained with, read without its weights."""
    params = api.llama_model_default_params()
    params.vocab_only = True
    model = api.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise ValueError("the file is damaged, or its architecture is unknown to this llama.cpp")
    try:
        name = read_metadata(api, model, "general.architecture")
        trained = read_metadata(api, model, f"{name}.context_length")
    finally:
        api.llama_model_free(model)
    return int(trained) if trained.isdigit() and int(trained) > 0 else MAX_WINDOW_TOKENS


def _tokens(llama: Any, text: str) -> list[int]:
    found: list[int] = llama.tokenize(text.encode("utf-8", "replace"), add_bos=False)
    return found

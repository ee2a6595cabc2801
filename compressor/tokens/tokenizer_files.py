"""Tokenizers read from a file: Hugging Face `tokenizer.json` and the one inside a GGUF model. Downloads nothing.

A chat template is not applied here: what a message costs beyond its texts is said in `models.py`.
"""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compressor.errors import MissingDependencyError, TokenizerError
from compressor.tokens.base import Offsets, Tokenizer, byte_to_character_offsets

if TYPE_CHECKING:
    import tokenizers


def find_tokenizer_file(model: str) -> Path | None:
    """The tokenizer file a model's name stands for, or None if it is a name and not a path.

    A path ends in `.json` or `.gguf`, starts with `/`, `./`, `../` or `~`, or is a folder that holds a
    `tokenizer.json`. Raises `TokenizerError` for a path without such a file.
    """
    named = model.endswith((".json", ".gguf"))
    try:
        path = Path(model).expanduser() if model.startswith("~") else Path(model)
        if (file := path if named else path / "tokenizer.json").is_file():
            return file
    except (OSError, ValueError, RuntimeError):  # too long for a path, a NUL in it, a home folder nobody has
        pass
    if named or model.startswith(("/", "./", "../", "~")):
        raise TokenizerError(f"no tokenizer file at {model}")
    return None


def load_tokenizer_file(file: Path) -> Tokenizer:
    """Reads the file. Raises `TokenizerError` if it is corrupt, `MissingDependencyError` for a GGUF without llama-cpp-python."""
    return GgufTokenizer(file) if file.suffix == ".gguf" else HuggingFaceTokenizer(file)


class HuggingFaceTokenizer(Tokenizer):
    """A `tokenizer.json` of the `tokenizers` library, without the special tokens it would add around a text."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"hf:{file.name}")
        import tokenizers

        try:
            self._tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing more specific
            raise TokenizerError(f"cannot read the tokenizer {file}: {error}") from error
        self._tokenizer.no_truncation()  # both may be set in the file, and would bend the count
        self._tokenizer.no_padding()

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _offsets(self, text: str) -> Offsets:
        spans = self._tokenizer.encode(text, add_special_tokens=False).offsets
        at = np.fromiter((start for start, _ in spans), np.int32, len(spans))
        return np.append(np.maximum.accumulate(at), np.int32(len(text)))


class GgufTokenizer(Tokenizer):
    """The tokenizer of a GGUF file, through llama-cpp-python; of the model only the vocabulary is loaded."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"gguf:{file.name}")
        try:
            llama_cpp: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise MissingDependencyError("llama-cpp-python", "llama") from error
        try:
            self._llama: Any = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
        except (ValueError, RuntimeError, OSError, AssertionError) as error:
            raise TokenizerError(f"cannot read the tokenizer of {file}: {error}") from error
        self._lock = threading.Lock()  # llama-cpp-python makes no promise about threads
        self._lengths: dict[int, int] = {}

    def _tokens(self, text: str) -> list[int]:
        with self._lock:
            tokens: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=False)
        return tokens

    def _count(self, text: str) -> int:
        return len(self._tokens(text))

    def _offsets(self, text: str) -> Offsets:
        """SentencePiece models put a space before the text: where the pieces do not add up to the text, all starts
        are stretched to its length, which is off by a byte or two."""
        tokens = self._tokens(text)
        with self._lock:
            for token in set(tokens) - self._lengths.keys():
                self._lengths[token] = len(self._llama.detokenize([token]))
        at = np.zeros(len(tokens) + 1)
        np.cumsum([self._lengths[token] for token in tokens], out=at[1:])
        size = len(text.encode())
        if at[-1] not in (0, size):
            at *= size / at[-1]
        at[-1] = size
        return byte_to_character_offsets(text, np.floor(at).astype(np.int32))

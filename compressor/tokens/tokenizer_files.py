"""Loads tokenizers from files: a Hugging Face `tokenizer.json`, or the vocabulary inside a GGUF model.

Chat templates are not applied: `model_families.py` has what a message costs beyond its texts.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compressor.errors import TokenizerError
from compressor.tokens.base import Offsets, Tokenizer, byte_to_character_offsets
from compressor.tokens.llama_cpp_library import load_llama_cpp

if TYPE_CHECKING:
    import tokenizers


def find_tokenizer_file(model: str) -> Path | None:
    """Returns the tokenizer file that a model's name points to, or None if it is a name and not a path.

    Args:
        model: A name or a path. A path ends in `.json` or `.gguf`, starts with `/`, `./`, `../` or `~`, or is a folder
            that holds a `tokenizer.json`.

    Raises:
        TokenizerError: The path has no such file.
    """
    named = model.endswith((".json", ".gguf"))
    try:
        path = Path(model).expanduser() if model.startswith("~") else Path(model)
        if (file := path if named else path / "tokenizer.json").is_file():
            return file
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL in it, or with an unknown home folder
        pass
    if named or model.startswith(("/", "./", "../", "~")):
        raise TokenizerError(
            f"no tokenizer file at {model}: give a tokenizer.json, a folder that holds one, or a .gguf file"
        )
    return None


def load_tokenizer_file(file: Path) -> Tokenizer:
    """Loads a tokenizer.

    Args:
        file: A `tokenizer.json` or a `.gguf` file.

    Raises:
        TokenizerError: The file is corrupt.
        MissingDependencyError: A GGUF file needs llama-cpp-python.
    """
    return GgufTokenizer(file) if file.suffix == ".gguf" else HuggingFaceTokenizer(file)


class HuggingFaceTokenizer(Tokenizer):
    """A `tokenizer.json` of the `tokenizers` library, without the special tokens that it would add around a text."""

    encoder = "tokenizers"

    def __init__(self, file: Path) -> None:
        super().__init__(f"hf:{file.name}")
        import tokenizers

        try:
            self._tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing more specific
            raise TokenizerError(f"cannot read the tokenizer {file}: {error}") from error
        self._tokenizer.no_truncation()  # the file may set both, which would falsify counts
        self._tokenizer.no_padding()

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _offsets(self, text: str) -> Offsets:
        spans = self._tokenizer.encode(text, add_special_tokens=False).offsets
        starts = np.fromiter((start for start, _ in spans), np.int32, len(spans))
        return np.append(np.maximum.accumulate(starts), np.int32(len(text)))


class GgufTokenizer(Tokenizer):
    """The tokenizer of a GGUF file, read with llama-cpp-python, which loads only the vocabulary of the model."""

    encoder = "llama-cpp-python"

    def __init__(self, file: Path) -> None:
        super().__init__(f"gguf:{file.name}")
        llama_cpp = load_llama_cpp()
        try:
            self._llama: Any = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
        except (ValueError, RuntimeError, OSError, AssertionError) as error:
            raise TokenizerError(f"cannot read the tokenizer of {file}: {error}") from error
        self._lock = threading.Lock()  # llama-cpp-python does not promise to be thread-safe
        self._lengths: dict[int, int] = {}

    def _tokens(self, text: str) -> list[int]:
        with self._lock:
            tokens: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=False)
        return tokens

    def _count(self, text: str) -> int:
        return len(self._tokens(text))

    def _offsets(self, text: str) -> Offsets:
        """Returns the character that each token starts in, then the text's length.

        SentencePiece models put a space before the text. Where the pieces do not add up to the text, all offsets are
        scaled to its length, which is off by a byte or two.
        """
        tokens = self._tokens(text)
        with self._lock:
            for token in set(tokens) - self._lengths.keys():
                self._lengths[token] = len(self._llama.detokenize([token]))
        offsets = np.zeros(len(tokens) + 1)
        np.cumsum([self._lengths[token] for token in tokens], out=offsets[1:])
        size = len(text.encode())
        if offsets[-1] not in (0, size):
            offsets *= size / offsets[-1]
        offsets[-1] = size
        return byte_to_character_offsets(text, np.floor(offsets).astype(np.int32))

"""Opens the llama-cpp-python library for everything that reads a GGUF file: token counting, scoring and summaries.

llama.cpp prints hundreds of lines to stderr for each model that it loads. `load_llama_cpp` replaces its log callback
for the whole process: errors go to the Python logger `compressor.llama_cpp`, everything else is dropped.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compressor.errors import MissingDependencyError, ModelError

GGUF_MAGIC = b"GGUF"
GGML_LOG_LEVEL_ERROR = 4

_log = logging.getLogger("compressor.llama_cpp")
_lock = threading.Lock()
_collectors: list[list[str]] = []
#: The library and its log callback. llama.cpp holds only the callback's address, so Python must keep the object alive.
_opened: tuple[Any, Any] | None = None


def load_llama_cpp() -> Any:
    """Returns the module `llama_cpp`, imported and made quiet.

    Raises:
        MissingDependencyError: llama-cpp-python is not installed.
    """
    global _opened
    try:
        library = importlib.import_module("llama_cpp")
    except ImportError as error:
        raise MissingDependencyError("llama-cpp-python", "llama") from error
    with _lock:
        if _opened is None or _opened[0] is not library:
            callback = library.llama_log_callback(_on_log)
            library.llama_log_set(callback, ctypes.c_void_p(0))
            _opened = library, callback
    return library


@contextmanager
def collect_errors() -> Iterator[list[str]]:
    """Collects the error lines that llama.cpp writes within the `with` block, instead of logging them.

    Yields:
        The lines, one a string; the list grows while the block runs.
    """
    lines: list[str] = []
    with _lock:
        _collectors.append(lines)
    try:
        yield lines
    finally:
        with _lock:
            _collectors[:] = [other for other in _collectors if other is not lines]


def check_gguf_file(path: Path) -> None:
    """Checks that a file can be read and starts as a GGUF file does.

    Raises:
        ModelError: The file cannot be read, or is not a GGUF file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    if start != GGUF_MAGIC:
        raise ModelError(f"{path} is not a GGUF file")


def read_metadata(library: Any, model: Any, key: str) -> str:
    """Returns a value of a loaded model's metadata as text, or "" if the model does not have it."""
    buffer = ctypes.create_string_buffer(256)
    library.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")


def _on_log(level: int, text: bytes, _user_data: Any) -> None:
    line = text.decode("utf-8", "replace").strip()
    if level != GGML_LOG_LEVEL_ERROR or not line:
        return
    collectors = list(_collectors)
    for lines in collectors:
        lines.append(line)
    if not collectors:
        _log.error(line)

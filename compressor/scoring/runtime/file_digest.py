"""Hashes the contents of model files, so that cached results depend on the weights and not on a path."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

#: The files of a folder that are hashed.
HASHED_SUFFIXES = (".json", ".txt", ".model", ".safetensors", ".bin", ".gguf", ".npz")


def file_digest(path: Path) -> str:
    """Returns a hash of a file, or of the names and contents of a folder's files with `HASHED_SUFFIXES`.

    Each path is read once in a process, as a model is loaded once.

    Returns:
        32 hexadecimal digits; "" if a file cannot be read.
    """
    return _digest(path.absolute())


@cache
def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        files = sorted(f for f in path.rglob("*") if f.suffix in HASHED_SUFFIXES) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(path) if path.is_dir() else ''}\n{file.stat().st_size}\n".encode())
            with open(file, "rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()

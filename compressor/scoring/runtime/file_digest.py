"""What is in files, as a short hash: the names of models, tokenizers and weights that results depend on. Reads whole
files, each once in a process."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

KINDS = (".json", ".txt", ".model", ".safetensors", ".bin", ".gguf", ".npz")  # of a folder's files, what is read


def file_digest(path: Path) -> str:
    """Of a file's bytes, or of all that a folder has of `KINDS` with their names: 32 hexadecimal digits. "" where it
    cannot be read. As a model is loaded once, a file that changes later is not read again."""
    return _digest(path.absolute())


@cache
def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    try:
        files = sorted(f for f in path.rglob("*") if f.suffix in KINDS) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.relative_to(path) if path.is_dir() else ''}\n{file.stat().st_size}\n".encode())
            with open(file, "rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()

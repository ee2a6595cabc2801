"""Finds and reads the recorded data."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parent.parent
#: The small language model that the tests run on.
TINY_GGUF = REPOSITORY / "tests" / "data" / "tiny.gguf"


def folder() -> Path | None:
    """Returns `COMPRESSOR_BENCH_DATA`, or `../shared/data` beside the repository; None if the folder is missing."""
    named = os.environ.get("COMPRESSOR_BENCH_DATA")
    path = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return path if path.is_dir() else None


def read_text(path: Path) -> str:
    """Reads a gzipped UTF-8 text without changing line ends."""
    return gzip.decompress(path.read_bytes()).decode()


def records(path: Path) -> Iterator[Any]:
    """Yields the objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sample(items: Sequence[T], limit: int) -> list[T]:
    """Returns at most `limit` items, evenly spread and in order: the same ones every time."""
    if len(items) <= limit:
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]

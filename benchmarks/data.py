"""Finds and reads the recorded data. Chooses no cases and measures nothing."""

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
    """The data folder: `COMPRESSOR_BENCH_DATA`, or `../shared/data` beside the repository; None where there is none."""
    named = os.environ.get("COMPRESSOR_BENCH_DATA")
    path = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return path if path.is_dir() else None


def read_text(path: Path) -> str:
    """A gzipped UTF-8 text, line ends as they are."""
    return gzip.decompress(path.read_bytes()).decode()


def records(path: Path) -> Iterator[Any]:
    """The objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sample(items: Sequence[T], limit: int) -> list[T]:
    """At most `limit` items, evenly spread, in order: the same ones every time."""
    if len(items) <= limit:
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]

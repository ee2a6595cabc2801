"""Texts of recorded tool outputs and of real files, for tests that compare two readers of the same text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from support.paths import SHARED_DATA


def recorded_texts(most: int = 12_000) -> Iterator[str]:
    """Yields texts of at most `most` characters; none where the data is not present."""
    for path in sorted((SHARED_DATA / "sessions").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line, _ in zip(file, range(3), strict=False):
                for message in json.loads(line).get("messages", ()):
                    if message["role"] == "tool" and isinstance(message.get("content"), str):
                        yield message["content"][:most]
    for folder in ("real_files", "test_logs"):
        for path in sorted((SHARED_DATA / folder).rglob("*")):
            if path.is_file() and path.suffix != ".gz":
                yield read_start(path, most)


def read_start(path: Path, most: int) -> str:
    """Returns the first characters of a file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(most)

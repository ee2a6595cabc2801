"""Holds what a `Compressor` compresses with: its scorer, its word pruner and its store.

Sessions, tool sets and example stores are built on an `Engine`, so none of them needs the `Compressor` class itself.
"""

from __future__ import annotations

from typing import Protocol

from compressor.pipeline.word_pruner import WordPruner
from compressor.scoring.base import Scorer
from compressor.storage import open_store
from compressor.storage.base import BlobStore


class Engine:
    """A scorer, a word pruner and a store that belong together. Safe to share between threads.

    Attributes:
        scorer: Scores the units of every text.
        word_pruner: Chooses words to leave out of kept sentences, or None to leave sentences whole.
        store: Keeps the originals behind refs. It touches no file or server before its first use.
    """

    def __init__(
        self, scorer: Scorer, word_pruner: WordPruner | None = None, store: str | BlobStore | None = None
    ) -> None:
        self.scorer = scorer
        self.word_pruner = word_pruner
        self.store = open_store(store)


class HasEngine(Protocol):
    """An object that is built on an engine, such as a `Compressor`."""

    @property
    def engine(self) -> Engine:
        """Returns the engine."""


def resolve_engine(source: Engine | HasEngine) -> Engine:
    """Returns the engine itself, or the engine of a `Compressor`."""
    return source if isinstance(source, Engine) else source.engine

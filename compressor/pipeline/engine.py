"""Holds what a `Compressor` compresses with: its scorer, its word pruner and its store.

Sessions, tool sets and example stores are built on an `Engine`, so none of them needs the `Compressor` class itself.
"""

from __future__ import annotations

import os
from typing import Any, Protocol

from compressor.errors import CompressorError, StoreError
from compressor.images.policy import ImagePolicy
from compressor.pipeline.word_pruner import WordPruner
from compressor.scoring.base import Scorer
from compressor.scoring.image_relevance import ImageRelevance
from compressor.storage import open_store
from compressor.storage.base import BlobStore


class Engine:
    """A scorer, a word pruner and a store that belong together. Safe to share between threads.

    Attributes:
        scorer: Scores the units of every text.
        word_pruner: Chooses words to leave out of kept sentences, or None to leave sentences whole.
        images: What may be done with images, or None.
        image_relevance: Rates images against the query by their pixels, or None.
        store: Keeps the originals behind refs. It touches no file or server before its first use.
    """

    def __init__(
        self,
        scorer: Scorer,
        word_pruner: WordPruner | None = None,
        store: str | os.PathLike[str] | BlobStore | None = None,
        images: ImagePolicy | None = None,
        device: str | None = None,
    ) -> None:
        """Makes an engine.

        Args:
            scorer: An object with the `Scorer` protocol.
            word_pruner: Chooses words to leave out of kept sentences, or None.
            store: A `BlobStore`, or the name or path of one, as for `Compressor`.
            images: What may be done with images, or None to let them stay or go as they are.
            device: Where the encoder of images runs, if `images` names one; see `select_device`.

        Raises:
            CompressorError: `scorer` is not a scorer.
            MissingDependencyError: The store needs a package that is not installed.
            StoreError: `store` is not a store, nor the name of one.
        """
        if not callable(getattr(scorer, "score", None)):
            raise CompressorError(f"scorer must be the name of a tier or an object with score(), not {scorer!r:.80}")
        if isinstance(store, os.PathLike):
            store = os.fspath(store)
        if not (store is None or isinstance(store, str) or (hasattr(store, "get") and hasattr(store, "put"))):
            raise StoreError(f"store must be a name, a path or a BlobStore, not {type(store).__name__}")
        self.scorer = scorer
        self.word_pruner = word_pruner
        self.images = images
        encoder = images.encoder if images is not None else None
        self.image_relevance = ImageRelevance(encoder, device) if encoder else None
        self.store: BlobStore = open_store(store)

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        """Returns this engine itself: copies of what is built on it share its scorer and its store."""
        return self


class HasEngine(Protocol):
    """An object that is built on an engine, such as a `Compressor`."""

    @property
    def engine(self) -> Engine:
        """Returns the engine."""


def resolve_engine(source: Engine | HasEngine) -> Engine:
    """Returns the engine itself, or the engine of a `Compressor`."""
    return source if isinstance(source, Engine) else source.engine

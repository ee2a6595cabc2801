"""Scores units by the cosine of their vectors with the query's: the model of the `embedding` tier.

Vectors belong to texts, not to queries: they are kept in the process and, with a `VectorCache`, in the store. Another
query over the same texts costs a matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.models.encoder_source import find_encoder
from compressor.scoring.models.sentence_encoder import SentenceEncoder, get_encoder
from compressor.scoring.models.sentence_transformers_encoder import Backend
from compressor.scoring.runtime.device import select_device
from compressor.scoring.vector_cache import VectorCache

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Chosen on the first 100 questions of nq_multidoc: benchmarks/LOG.md
#: Log-odds of one unit of cosine.
COSINE_SCALE = 10.0
#: The weight of the best cosine in a unit's source, relative to the unit's own.
SOURCE_WEIGHT = 1.0
#: Characters of a source's title that are read with each of its units.
MAX_TITLE_CHARS = 200
#: Characters that are read of one part of a query.
MAX_QUERY_CHARS = 4_000


class EmbeddingModel:
    """`RelevanceModel` of a sentence encoder. The first call of a method loads it, once a process and device.

    Args:
        model: None for all-MiniLM-L6-v2, a folder of sentence-transformers, or a hub id ("org/name@revision").
        device: See `select_device`.
        vectors: Where vectors are kept between processes.
        backend: What sentence-transformers runs the model with. The packaged model needs no sentence-transformers on a
            CPU if the extra `onnx` is installed: it then runs with int8 weights.

    Raises:
        DeviceError: The device does not exist.
        MissingDependencyError: A package that runs the model is not installed.
        ModelError: The model cannot be found.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str | None = None,
        vectors: VectorCache | None = None,
        backend: Backend = "torch",
    ) -> None:
        self.name = "embedding"
        self.device = select_device(device)
        self._source = find_encoder(model, self.device, backend)
        self._vectors = vectors

    @property
    def identity(self) -> str:
        """What the scores depend on: the model's files, the device, and what runs the model there."""
        return f"embedding:{self._source.digest}:{self.device.name}:{self._source.runtime}"

    def relevance(self, query: Query, units: UnitBatch, which: Ints) -> Scores:
        """Returns COSINE_SCALE x (cosine of unit and query + SOURCE_WEIGHT x the best cosine in the unit's source).

        The vector of a query of several parts is their mean by weight. A unit without words gets the lowest cosine of
        the others.
        """
        parts = [(text[:MAX_QUERY_CHARS], weight) for text, weight in query.parts if text.strip() and weight > 0]
        if not len(which) or not parts:
            return np.zeros(len(which), np.float32)
        part_vectors = self._encoder().vectors([text for text, _ in parts], self._vectors, is_query=True)
        weights = np.array([weight for _, weight in parts], np.float32)
        vectors = self.vectors_of(units, which)
        cosine = vectors @ (weights @ part_vectors / weights.sum())
        has_words = vectors.any(1)
        cosine[~has_words] = cosine[has_words].min(initial=0.0)
        best = np.full(len(units.sources), -1.0, np.float32)
        source = units.source_indices[which]
        np.maximum.at(best, source, cosine)
        out: Scores = np.float32(COSINE_SCALE) * (cosine + np.float32(SOURCE_WEIGHT) * best[source])
        return out

    def vectors_of(self, units: UnitBatch, which: Ints | None = None) -> Floats:
        """Returns the vectors of units, each read behind its source's title. Their dot products measure similarity.

        Args:
            units: The units.
            which: Indices of the units to read; None for all.

        Returns:
            [len(which), d] float32, of length 1; 0 for a unit without words.
        """
        wanted = np.arange(len(units)) if which is None else which
        encoder = self._encoder()
        out = np.zeros((len(wanted), encoder.dimensions), np.float32)
        worded = np.flatnonzero(units.index.lengths[wanted] > 0)
        if len(worded):
            texts = [_titled_text(units, unit) for unit in wanted[worded].tolist()]
            out[worded] = encoder.vectors(texts, self._vectors)
        return out

    @property
    def fingerprint(self) -> str:
        """Names everything that a vector depends on, except its text."""
        return self._encoder().fingerprint

    def embed(self, texts: Sequence[str], is_query: bool = False, keep: bool = True) -> Floats:
        """Returns the vectors of any texts.

        Args:
            texts: The texts.
            is_query: Whether these are queries, for models that treat queries differently.
            keep: Whether to keep the vectors in the store.

        Returns:
            [n, d] float32, of length 1; 0 for a text without tokens.
        """
        return self._encoder().vectors(texts, self._vectors if keep else None, is_query)

    def _encoder(self) -> SentenceEncoder:
        return get_encoder(self._source, self.device)


def _titled_text(units: UnitBatch, unit: int) -> str:
    """A unit behind its source's title."""
    number = int(units.source_indices[unit])
    source = units.sources[number]
    a, b = source.layout.spans[unit - int(units.starts[number])].tolist()
    title = source.tool_call_text.strip()[:MAX_TITLE_CHARS]
    return f"{title}: {source.layout.text[a:b]}" if title else source.layout.text[a:b]

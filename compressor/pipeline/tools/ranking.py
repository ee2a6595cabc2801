"""How likely each function is the one a turn needs. Reads functions and a query; chooses nothing.

BM25F (S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework, 2009, section 3.6): one bag of terms a
function, in which a term of the name counts more than one of a parameter's description. Names are split at case and
underscores. Beside it stands the tier's model, if the compressor has one, or the shipped word vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError, QueueFullError
from compressor.pipeline.tools import json_schema as schemas
from compressor.pipeline.tools.tool import FunctionTool
from compressor.scoring.answer_relevance import relevance
from compressor.scoring.base import Query, Scorer, SourceBlock, UnitBatch
from compressor.scoring.bm25 import weighted_terms
from compressor.scoring.model_scorer import ModelScorer
from compressor.scoring.token_index import terms
from compressor.scoring.word_vectors import WordVectors, load_word_vectors
from compressor.text.layout_cache import single_unit_layout

Floats = npt.NDArray[np.float64]

# Chosen on bfcl: benchmarks/LOG.md
NAME_WEIGHT, DESCRIPTION_WEIGHT, PARAMETER_WEIGHT = 3.0, 1.0, 0.5  # what a term counts by where it stands
K1, B = 1.2, 0.4
WORD_VECTOR_WEIGHT = 0.3  # worth of the shipped word vectors' best match, where the best of BM25 is 1
MODEL_WEIGHT = 1.0  # and of a tier's model
SHARPNESS = 8.0  # how fast probability falls with the score, and
TAIL_FRACTION = 0.25  # the share of it that is spread over all functions by their rank


class ToolRanker:
    """A list of functions, read once for any number of queries."""

    def __init__(self, functions: Sequence[FunctionTool], scorer: Scorer | None = None) -> None:
        self.functions = functions
        self.reader = scorer.reader if isinstance(scorer, ModelScorer) else None
        self._bags = [_bag(function) for function in functions]
        sizes = np.array([sum(bag.values()) for bag in self._bags], np.float64)
        self._norms = K1 * (1 - B + B * sizes / max(1.0, float(sizes.mean()) if len(sizes) else 1.0))
        self._places: dict[str, list[int]] = {}
        for place, bag in enumerate(self._bags):
            for term in bag:
                self._places.setdefault(term, []).append(place)
        self._vectors: npt.NDArray[np.float32] | None = None

    def scores(self, query: Query, warnings: list[str]) -> Floats:
        """[functions] from 0; the best is 1 or more where anything matches at all. `notes` gets a fallback taken."""
        out = np.zeros(len(self.functions))
        asked = weighted_terms(query.parts)
        if not len(out) or not asked:
            return out
        for term, weight in asked.items():
            places = self._places.get(term, [])
            idf = np.log1p((len(out) - len(places) + 0.5) / (len(places) + 0.5)) * weight
            for place in places:
                tf = self._bags[place][term]
                out[place] += idf * tf * (K1 + 1) / (tf + self._norms[place])
        out /= out.max() or 1.0
        read = self._read(query, warnings)
        return out + (MODEL_WEIGHT * read if read is not None else WORD_VECTOR_WEIGHT * self._alike(asked))

    def _read(self, query: Query, notes: list[str]) -> Floats | None:
        """[functions] in (0, 1] what the tier's model says of each."""
        if self.reader is None:
            return None
        texts = [f"{function.name}: {function.description}" for function in self.functions]
        units = UnitBatch(
            [SourceBlock("document", single_unit_layout(text), np.array([len(text) / 4], np.float32)) for text in texts]
        )
        try:
            odds = self.reader.relevance(query, units, np.arange(len(texts)))
        except (QueueFullError, ModelError) as error:
            notes.append(f"{self.reader.name}: {error}; tools are ranked by their words instead")
            return None
        if odds.shape != (len(texts),) or not np.isfinite(odds).all():
            notes.append(f"{self.reader.name}: gave numbers that are none; tools are ranked by their words instead")
            return None
        return relevance(odds).astype(np.float64)

    def _alike(self, asked: Mapping[str, float]) -> Floats:
        """[functions] cosine of query and function as bags of word vectors, the best 1."""
        model = load_word_vectors()
        if self._vectors is None:
            self._vectors = np.stack([_vector(model, list(bag), list(bag.values()), False) for bag in self._bags])
        cosine = np.maximum(self._vectors @ _vector(model, list(asked), list(asked.values()), True), 0)
        return np.asarray(cosine / (cosine.max() or 1.0), np.float64)


def need_probabilities(scores: Floats) -> Floats:
    """[functions] how likely each is needed, by its score and rank: at most 1 together, never 0."""
    if not len(scores):
        return scores
    top = np.exp(SHARPNESS * (scores / (scores.max() or 1.0) - 1))
    rank = np.empty(len(scores))
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    tail = 1 / (2 + rank)
    out: Floats = (1 - TAIL_FRACTION) * top / top.sum() + TAIL_FRACTION * tail / tail.sum()
    return out


def _bag(function: FunctionTool) -> Counter[str]:
    bag: Counter[str] = Counter()
    texts = [
        (NAME_WEIGHT, function.name),
        (DESCRIPTION_WEIGHT, function.description),
        *((PARAMETER_WEIGHT, t) for t in _texts(function.schema)),
    ]
    for worth, text in texts:
        for term in terms(text):
            bag[term] += worth  # type: ignore[assignment]
    return bag


def _texts(schema: Any) -> Iterator[str]:
    """Names, descriptions and values of all parameters."""
    for part in schemas.walk(schema):
        properties = part.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()
        if part is not schema and isinstance(about := part.get("description"), str):
            yield about
        values = part.get("enum")
        yield from (v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


def _vector(model: WordVectors, found: list[str], weights: list[float], asked: bool) -> npt.NDArray[np.float32]:
    rows = model.rows(found)
    table = model.asked if asked else model.term
    out: npt.NDArray[np.float32] = (table[rows] * (model.bag[rows] * np.array(weights, np.float32))[:, None]).sum(0)
    length = float(np.linalg.norm(out))
    return out / np.float32(length) if length else out

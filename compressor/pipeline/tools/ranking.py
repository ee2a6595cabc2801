"""Estimates how likely a turn needs each function.

The base is BM25F (S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework, 2009, section 3.6): one bag of
terms for each function, in which a term of the name counts more than one of a parameter's description. Names are split
at case changes and underscores. The relevance model of the scorer is added if it has one, otherwise the shipped word
vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError, QueueFullError
from compressor.pipeline.tools import json_schema as schemas
from compressor.pipeline.tools.request_terms import request_terms
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
NAME_WEIGHT, DESCRIPTION_WEIGHT, PARAMETER_WEIGHT = 3.0, 1.0, 0.5  # weight of a term by where it occurs
K1, B = 1.2, 0.4
WORD_VECTOR_WEIGHT = 0.2  # of the best match by word vectors, if the best match by BM25F is 1
MODEL_WEIGHT = 1.0  # of the relevance model
SHARPNESS = 5.0  # how fast the probability falls with the score
MIN_BEST_MATCH = 0.5  # in BM25F: a word that nearly all functions have is no match
TAIL_FRACTION = 0.25  # the fraction of the probability that is spread over all functions by rank


class ToolRanker:
    """Ranks a list of functions for any number of queries.

    Args:
        functions: The functions.
        scorer: Its relevance model is used, if it has one.
    """

    def __init__(self, functions: Sequence[FunctionTool], scorer: Scorer | None = None) -> None:
        self.functions = functions
        self.reader = scorer.model if isinstance(scorer, ModelScorer) else None
        self._bags = [_bag(function) for function in functions]
        sizes = np.array([sum(bag.values()) for bag in self._bags], np.float64)
        self._norms = K1 * (1 - B + B * sizes / max(1.0, float(sizes.mean()) if len(sizes) else 1.0))
        self._places: dict[str, list[int]] = {}
        for place, bag in enumerate(self._bags):
            for term in bag:
                self._places.setdefault(term, []).append(place)
        self._vectors: npt.NDArray[np.float32] | None = None

    def scores(self, query: Query, warnings: list[str]) -> Floats:
        """Scores the functions.

        Args:
            query: What the turn is about.
            warnings: A list that gets a message if the relevance model fails and terms alone decide.

        Returns:
            [functions] scores from 0; the best is 1 or more if anything matches.
        """
        out = np.zeros(len(self.functions))
        query_terms = weighted_terms(query.parts)
        if not len(out):
            return out
        for term in sorted(request_terms(query), key=lambda t: t.is_weak):
            if not term.is_weak or out.any():
                out += term.weight * np.max([weight * self._matches(t) for t, weight in term.alternatives], axis=0)
        if not out.any() and not query_terms:
            return out
        out /= max(MIN_BEST_MATCH, out.max())
        by_model = self._model_scores(query, warnings)
        if by_model is not None:
            return out + MODEL_WEIGHT * by_model
        return out + WORD_VECTOR_WEIGHT * self._vector_scores(query_terms)

    def _matches(self, term: str) -> Floats:
        """The [functions] BM25F score of one term of weight 1."""
        found = np.zeros(len(self.functions))
        if places := self._places.get(term):
            idf = np.log1p((len(found) - len(places) + 0.5) / (len(places) + 0.5))
            tf = np.array([self._bags[place][term] for place in places], np.float64)
            found[places] = idf * tf * (K1 + 1) / (tf + self._norms[places])
        return found

    def _model_scores(self, query: Query, warnings: list[str]) -> Floats | None:
        """The [functions] scores of the relevance model in (0, 1], or None without one or if it fails."""
        if self.reader is None:
            return None
        texts = [f"{function.name}: {function.description}" for function in self.functions]
        units = UnitBatch(
            [SourceBlock("document", single_unit_layout(text), np.array([len(text) / 4], np.float32)) for text in texts]
        )
        try:
            odds = self.reader.relevance(query, units, np.arange(len(texts)))
        except (QueueFullError, ModelError) as error:
            warnings.append(f"{self.reader.name}: {error}; tools are ranked by their terms instead")
            return None
        if odds.shape != (len(texts),) or not np.isfinite(odds).all():
            warnings.append(f"{self.reader.name} returned NaN or infinity; tools are ranked by their terms instead")
            return None
        return relevance(odds).astype(np.float64)

    def _vector_scores(self, query_terms: Mapping[str, float]) -> Floats:
        """The [functions] cosines of query and function as bags of word vectors, scaled so that the best is 1."""
        model = load_word_vectors()
        if self._vectors is None:
            self._vectors = np.stack([_vector(model, list(bag), list(bag.values()), False) for bag in self._bags])
        cosine = np.maximum(self._vectors @ _vector(model, list(query_terms), list(query_terms.values()), True), 0)
        return np.asarray(cosine / (cosine.max() or 1.0), np.float64)


def need_probabilities(scores: Floats) -> Floats:
    """Turns [functions] scores into probabilities by score and rank: their sum is 1, and none is 0."""
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
    for weight, text in texts:
        for term in terms(text):
            bag[term] += weight  # type: ignore[assignment]
    return bag


def _texts(schema: Any) -> Iterator[str]:
    """The names, descriptions and enum values of all parameters."""
    for part in schemas.walk(schema):
        properties = part.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()
        if part is not schema and isinstance(description := part.get("description"), str):
            yield description
        values = part.get("enum")
        yield from (v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


def _vector(model: WordVectors, found: list[str], weights: list[float], is_query: bool) -> npt.NDArray[np.float32]:
    rows = model.rows(found)
    table = model.query_term if is_query else model.term
    out: npt.NDArray[np.float32] = (table[rows] * (model.bag[rows] * np.array(weights, np.float32))[:, None]).sum(0)
    length = float(np.linalg.norm(out))
    return out / np.float32(length) if length else out

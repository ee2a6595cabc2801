"""Compares a query with all examples, and estimates the probability of each label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError, QueueFullError
from compressor.pipeline.examples.embeddings import TextEncoder
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.label_evidence import LabelEvidence, label_signals, measure_evidence
from compressor.pipeline.examples.label_prior import MAX_NAMED_CLASSES
from compressor.pipeline.examples.ngram_features import ngram_features
from compressor.pipeline.examples.word_centroids import embed_words

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DENSE_WEIGHT = 0.75  # weight of an encoder's cosine in relevance and similarity, if there is an encoder
MAX_TYPICAL = 400  # without a query, at most this many examples are compared with each other


@dataclass(frozen=True)
class QueryRelevance:
    """What is known of the examples for one query.

    Attributes:
        cosines: [n] relevance of each example.
        probabilities: [classes] how probable each label is, or None if labels do not count.
        reliability: How far the probabilities can be trusted, from 0 to 1.
    """

    cosines: Floats
    probabilities: Wide | None = None
    reliability: float = 0.0


class ExampleRelevance:
    """Compares queries with the examples of one set.

    Attributes:
        warnings: What the user should know.

    Args:
        pool: The examples.
        encoder: Compares texts in addition to their n-grams, or None.
        reads_labels: Whether to estimate the probabilities of labels,
        always: even where labels cannot be predicted.
    """

    def __init__(self, pool: ExampleSet, encoder: TextEncoder | None, reads_labels: bool, always: bool = False) -> None:
        self.pool, self._encoder = pool, encoder
        self._reads_labels, self._always = reads_labels and len(pool.label_model.names) > 1, always
        self.warnings: list[str] = []

    def compare(self, question: str) -> QueryRelevance:
        """Returns the relevance of all examples to a question; without one, examples are relevant if typical."""
        if not question:
            return self._typical()
        labels, features = self.pool.label_model, ngram_features([question])[0]
        vector = self._embedded(question)
        evidence = self._evidence() if self._reads_labels else None
        hits = self.pool.ngram_index.find_postings(features, labels.max_ngram_frequency if evidence else None)
        lexical = self.pool.ngram_index.cosines(hits)
        dense: Floats | None = None
        if vector is not None and self._encoder is not None:
            found = self.pool.vectors(self._encoder).cosines(vector)
            dense = np.nan_to_num(np.round(found.astype(np.float32), 6), nan=0.0)  # the same for the same text
        relevance = lexical if dense is None else (1 - DENSE_WEIGHT) * lexical + DENSE_WEIGHT * dense
        if evidence is None or not (evidence.reliability or self._always):
            return QueryRelevance(relevance)
        words = np.zeros(len(labels.names))
        if evidence.centroids is not None:
            words = evidence.centroids.cosines(evidence.centroids.centred(embed_words([question]))[0])
        seen: tuple[Floats, Wide] | None = None
        if dense is not None and vector is not None:
            names = self._names()
            seen = dense, np.zeros(len(labels.names)) if names is None else (names @ vector).astype(np.float64)
        probabilities = evidence.probabilities(label_signals(labels, features, (lexical, hits), words, seen))
        return QueryRelevance(relevance, probabilities, evidence.reliability)

    @property
    def reliability(self) -> float:
        """How far the labels of examples can be predicted, from 0 to 1."""
        return self._evidence().reliability if self._reads_labels else 0.0

    def similarity(self, rows: Ints) -> Floats:
        """Returns the [k, k] similarity of examples."""
        kernel = self.pool.ngram_index.pairwise_cosines(rows)
        if self._encoder is None:
            return kernel
        try:
            return (1 - DENSE_WEIGHT) * kernel + DENSE_WEIGHT * self.pool.vectors(self._encoder).pairwise_cosines(rows)
        except (QueueFullError, ModelError) as error:
            self._without_encoder(error)
            return kernel

    def _typical(self) -> QueryRelevance:
        pool, labels = self.pool, self.pool.label_model
        rows = np.argsort(labels.digests, kind="stable")[:MAX_TYPICAL]
        out = np.zeros(len(pool), np.float32)
        sums, own = pool.ngram_index.sum_vectors(rows)
        out[rows] = np.round(own @ sums / max(float(np.linalg.norm(sums)), 1e-9), 5)
        if not self._reads_labels:
            return QueryRelevance(out)
        sizes = np.array([len(rows) for rows in labels.members], np.float64)
        return QueryRelevance(out, sizes / sizes.sum(), self._evidence().reliability)

    def _evidence(self) -> LabelEvidence:
        labels = self.pool.label_model
        key = "" if self._encoder is None else self._encoder.fingerprint
        found = labels.evidence.get(key)
        if found is None:
            dense = None if self._encoder is None else self.pool.vectors(self._encoder).rows
            found = labels.evidence[key] = measure_evidence(labels, self._text, dense, self._names())
        return found

    def _text(self, row: int) -> str:
        return self.pool.examples[row].question or self.pool.texts[row]

    def _names(self) -> Floats | None:
        """The [classes, d] vectors of the names of the labels, or None without an encoder or for very many labels."""
        labels = self.pool.label_model
        if self._encoder is None or len(labels.names) > MAX_NAMED_CLASSES or not labels.is_repeated:
            return None
        key = self._encoder.fingerprint
        found = labels.name_vectors.get(key)
        if found is None:
            found = labels.name_vectors[key] = self._encoder.embed(labels.name_texts, keep=False)
        return found

    def _embedded(self, question: str) -> Floats | None:
        """The vector of the question; None without an encoder, or if it fails for the question, examples or labels."""
        if self._encoder is None:
            return None
        try:
            self.pool.vectors(self._encoder)
            if self._reads_labels:
                self._names()
            vector: Floats = self._encoder.embed([question], is_query=True, keep=False)[0]
        except (QueueFullError, ModelError) as error:
            self._without_encoder(error)
            return None
        return vector

    def _without_encoder(self, error: Exception) -> None:
        assert self._encoder is not None
        self.warnings.append(f"{self._encoder.name}: {error}; examples were compared by their n-grams instead")
        self._encoder = None

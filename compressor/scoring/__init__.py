"""Scorers: E in X' = P(X, E(X)). `base.Scorer` is the protocol, `fast` the default, `tiers` lets models read."""

from __future__ import annotations

from collections.abc import Callable

from compressor.errors import CompressorError
from compressor.scoring.base import Query, RelevanceModel, Scorer, SourceBlock, UnitBatch
from compressor.scoring.heuristic import HeuristicScorer
from compressor.scoring.model_scorer import BlendWeights, CascadeWindow, ModelScorer
from compressor.storage.base import BlobStore

__all__ = [
    "TIERS",
    "BlendWeights",
    "CascadeWindow",
    "HeuristicScorer",
    "ModelScorer",
    "Query",
    "RelevanceModel",
    "Scorer",
    "SourceBlock",
    "UnitBatch",
    "make_scorer",
]

#: what a tier's reader and the fast tier's answer model count in documents: benchmarks/LOG.md
BLEND_WEIGHTS = {
    "embedding": BlendWeights(fast=0.7, model=0.7),
    "pruner": BlendWeights(fast=0.4, model=0.5),
    "perplexity": BlendWeights(fast=1.0, model=0.25),
}
CASCADE_WINDOW = (
    "embedding"  # the tier that reads in a cascade: of one fact it keeps more than the pruner, in a tenth of the time
)
TIERS = ("fast", *BLEND_WEIGHTS, "cascade")


def make_scorer(
    scorer: str | Scorer, device: str | None = None, store: Callable[[], BlobStore] | None = None
) -> Scorer:
    """The scorer of that name, or the one given.

    scorer: a tier of `TIERS`, or "tier:model" with a folder, file or hub id ("org/name@revision"):
        "embedding:BAAI/bge-m3", "perplexity:/models/qwen.gguf". "cascade:pruner" lets that tier read instead.
    device: "cuda", "cuda:1", "mps", "cpu"; None takes COMPRESSOR_DEVICE or the best there is.
    store: where unit vectors are kept between processes.

    Models are loaded on first use. CompressorError names the tiers there are; MissingDependencyError says what to install.
    """
    if not isinstance(scorer, str):
        return scorer
    tier, _, model = scorer.partition(":")
    if tier == "fast" and not model:
        return HeuristicScorer()
    if tier == "cascade":
        reads, _, model = (model or CASCADE_WINDOW).partition(":")
        if reads in BLEND_WEIGHTS:
            return ModelScorer(
                "cascade", _make_model(reads, model, device, store), BLEND_WEIGHTS[reads], CascadeWindow()
            )
    if tier in BLEND_WEIGHTS:
        return ModelScorer(tier, _make_model(tier, model, device, store), BLEND_WEIGHTS[tier])
    raise CompressorError(f"unknown scorer {scorer!r}: use one of {', '.join(TIERS)}, or an object with score()")


def _make_model(tier: str, model: str, device: str | None, store: Callable[[], BlobStore] | None) -> RelevanceModel:
    if tier == "embedding":
        from compressor.scoring.embedding import EmbeddingModel
        from compressor.scoring.vector_cache import VectorCache

        return EmbeddingModel(model or None, device, VectorCache(store) if store else None)
    if tier == "pruner":
        from compressor.scoring.token_classifier import TokenClassifierModel

        return TokenClassifierModel(model or None, device)
    from compressor.scoring.perplexity import PerplexityModel

    return PerplexityModel(model or None, device)

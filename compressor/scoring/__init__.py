"""Scorers rate units of text against a query: E in X' = P(X, E(X)).

`Scorer` is the protocol, `HeuristicScorer` the default, and `ModelScorer` combines it with a model.
"""

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

#: The weights of a tier's model and of the heuristic tier in documents. benchmarks/LOG.md has the measurements.
BLEND_WEIGHTS = {
    "embedding": BlendWeights(heuristic=0.7, model=0.7),
    "pruner": BlendWeights(heuristic=0.4, model=0.5),
    "perplexity": BlendWeights(heuristic=1.0, model=0.25),
}
#: The tier whose model reads in a cascade: it keeps more single facts than the pruner, in a tenth of the time.
DEFAULT_CASCADE_TIER = "embedding"
#: The names of all tiers.
TIERS = ("fast", *BLEND_WEIGHTS, "cascade")


def check_tier(scorer: str) -> None:
    """Checks that the tier of a scorer's name exists. Loads no model.

    Raises:
        CompressorError: There is no such tier.
    """
    tier, _, model = scorer.partition(":")
    if tier == "cascade":
        tier = (model or DEFAULT_CASCADE_TIER).partition(":")[0]
    if tier not in BLEND_WEIGHTS and scorer != "fast":
        raise CompressorError(
            f"unknown scorer {scorer!r}: use one of {', '.join(TIERS)}, or an object with a score() method"
        )


def make_scorer(
    scorer: str | Scorer, device: str | None = None, store: Callable[[], BlobStore] | None = None
) -> Scorer:
    """Returns the scorer of a name, or the scorer that is given. Models are loaded on first use.

    Args:
        scorer: A tier of `TIERS`, or "tier:model" with a folder, a file or a hub id ("org/name@revision"):
            "embedding:BAAI/bge-m3", "perplexity:/models/qwen.gguf". "cascade:pruner" makes another tier's model read.
            The tier "perplexity" needs a model.
        device: "cuda", "cuda:1", "mps", "cpu"; None for COMPRESSOR_DEVICE, or the best device there is.
        store: Opens the store where vectors of units are kept between processes.

    Raises:
        CompressorError: There is no such tier.
        MissingDependencyError: A package that the tier needs is not installed.
        ModelError: The model cannot be found, or the tier needs one and none is named.
        DeviceError: The device does not exist.
    """
    if not isinstance(scorer, str):
        return scorer
    check_tier(scorer)
    tier, _, model = scorer.partition(":")
    if tier == "fast":
        return HeuristicScorer()
    if tier == "cascade":
        reads, _, model = (model or DEFAULT_CASCADE_TIER).partition(":")
        return ModelScorer("cascade", _make_model(reads, model, device, store), BLEND_WEIGHTS[reads], CascadeWindow())
    return ModelScorer(tier, _make_model(tier, model, device, store), BLEND_WEIGHTS[tier])


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

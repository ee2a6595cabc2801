"""Scorers: E in X' = P(X, E(X)). `base.Scorer` is the protocol, `fast` the default, `tiers` lets models read."""

from __future__ import annotations

from collections.abc import Callable

from compressor.errors import CompressorError
from compressor.scoring.base import Query, Reader, Scorer, Source, Units
from compressor.scoring.heuristic import FastScorer
from compressor.scoring.model_scorer import Band, Mix, ModelScorer
from compressor.storage.base import Store

__all__ = [
    "TIERS",
    "Band",
    "FastScorer",
    "Mix",
    "ModelScorer",
    "Query",
    "Reader",
    "Scorer",
    "Source",
    "Units",
    "make_scorer",
]

#: what a tier's reader and the fast tier's answer model count in documents: benchmarks/LOG.md
MIXES = {
    "embedding": Mix(fast=0.7, model=0.7),
    "pruner": Mix(fast=0.4, model=0.5),
    "perplexity": Mix(fast=1.0, model=0.25),
}
NEAR_THE_LINE = (
    "embedding"  # the tier that reads in a cascade: of one fact it keeps more than the pruner, in a tenth of the time
)
TIERS = ("fast", *MIXES, "cascade")


def make_scorer(scorer: str | Scorer, device: str | None = None, store: Callable[[], Store] | None = None) -> Scorer:
    """The scorer of that name, or the one given.

    scorer: a tier of `TIERS`, or "tier:model" with a folder, file or hub id ("org/name@revision"):
        "embedding:BAAI/bge-m3", "perplexity:/models/qwen.gguf". "cascade:pruner" lets that tier read instead.
    device: "cuda", "cuda:1", "mps", "cpu"; None takes COMPRESSOR_DEVICE or the best there is.
    store: where unit vectors are kept between processes.

    Models are loaded on first use. CompressorError names the tiers there are; MissingExtra says what to install.
    """
    if not isinstance(scorer, str):
        return scorer
    tier, _, model = scorer.partition(":")
    if tier == "fast" and not model:
        return FastScorer()
    if tier == "cascade":
        reads, _, model = (model or NEAR_THE_LINE).partition(":")
        if reads in MIXES:
            return ModelScorer("cascade", _reader(reads, model, device, store), MIXES[reads], Band())
    if tier in MIXES:
        return ModelScorer(tier, _reader(tier, model, device, store), MIXES[tier])
    raise CompressorError(f"unknown scorer {scorer!r}: use one of {', '.join(TIERS)}, or an object with score()")


def _reader(tier: str, model: str, device: str | None, store: Callable[[], Store] | None) -> Reader:
    if tier == "embedding":
        from compressor.scoring.embedding import EmbeddingReader
        from compressor.scoring.vector_cache import VectorCache

        return EmbeddingReader(model or None, device, VectorCache(store) if store else None)
    if tier == "pruner":
        from compressor.scoring.token_classifier import PrunerReader

        return PrunerReader(model or None, device)
    from compressor.scoring.perplexity import PerplexityReader

    return PerplexityReader(model or None, device)

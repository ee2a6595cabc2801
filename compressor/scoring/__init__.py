"""Scorers: E in X' = P(X, E(X)). `base.Scorer` is the protocol, `fast` the embedded default."""

from __future__ import annotations

from compressor.errors import CompressorError
from compressor.scoring.base import Query, Scorer, Source, Units
from compressor.scoring.fast import FastScorer

__all__ = ["FastScorer", "Query", "Scorer", "Source", "Units", "make_scorer"]


def make_scorer(scorer: str | Scorer) -> Scorer:
    """The scorer of that name, or the one given. CompressorError names those there are."""
    if not isinstance(scorer, str):
        return scorer
    if scorer == "fast":
        return FastScorer()
    raise CompressorError(f"unknown scorer {scorer!r}: this version has 'fast', or pass an object with score()")

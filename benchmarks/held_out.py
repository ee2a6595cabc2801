"""Replaces the network of the fast tier by one that was not trained on the benchmark's questions.

The shipped network was trained on all questions of nq_multidoc, and every tier uses it. The pruner was trained on the
even-numbered questions; here the network is too, so that the odd-numbered questions are new to both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from compressor.scoring.word_vectors import WordVectors, load_word_vectors

SEED = 1


@cache
def trained_on_even(root: Path) -> WordVectors | None:
    """Returns the shipped vectors with a network fitted to the even-numbered questions; None without torch."""
    try:
        torch = import_module("torch")
    except ImportError:
        return None
    from training import combiner, data

    shipped = load_word_vectors()
    seen = [combiner.see(case, shipped) for case in data.cases(root)[::2]]
    net = combiner.fit(seen, SEED, torch)
    return replace(shipped, mean=net.mean, scale=net.scale, layers=net.layers)


@contextmanager
def held_out_network(root: Path) -> Iterator[None]:
    """Uses that network in the fast tier inside the block."""
    found = trained_on_even(root)
    with patch("compressor.scoring.answer_relevance.load_word_vectors", lambda: found or load_word_vectors()):
        yield

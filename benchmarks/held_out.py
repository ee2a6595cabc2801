"""The fast tier as it would be, had it not been trained on the questions it is asked.

The shipped network has seen all of nq_multidoc's questions, and every tier counts with it. The pruner was trained on
the even-numbered ones; here the network is, too, so that the odd-numbered ones are new to both.
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
    """The shipped vectors with a network fitted to the even-numbered questions; None without torch."""
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
    """Within, the fast tier has that network."""
    found = trained_on_even(root)
    with patch("compressor.scoring.answer_relevance.load_word_vectors", lambda: found or load_word_vectors()):
        yield

"""Remembers what was found in a text, for finders that look at nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps

from compressor.caches import TwoGenerationCache

Spans = Sequence[tuple[int, int]]

#: Bytes of the texts that one finder remembers.
MAX_BYTES = 4 << 20


def remember_spans(find: Callable[[str], Spans]) -> Callable[[str], Spans]:
    """Returns a function that finds the same spans, and looks at a text only once."""
    known: TwoGenerationCache[tuple[tuple[int, int], ...]] = TwoGenerationCache(MAX_BYTES)

    @wraps(find)
    def find_once(text: str) -> Spans:
        spans = known.get(text)
        if spans is None:
            spans = tuple(find(text))
            known.put(text, spans)
        return spans

    return find_once

"""Reads tool calls once: their terms, and the names of their arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from compressor.caches import TwoGenerationCache
from compressor.scoring.token_index import terms

MAX_CACHE_BYTES = 4 << 20
_ARGUMENT = re.compile(r'"(\w+)"\s*:')


@dataclass(frozen=True, slots=True)
class ToolCallTerms:
    """What a tool call says. It is shared between calls and never changed.

    Attributes:
        counts: Its terms with the number of times that each occurs.
        arguments: The names of its arguments.
    """

    counts: Mapping[str, int]
    arguments: frozenset[str]

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds."""
        return 500 + 140 * (len(self.counts) + len(self.arguments))


_known: TwoGenerationCache[ToolCallTerms] = TwoGenerationCache(MAX_CACHE_BYTES)


def tool_call_terms(text: str) -> ToolCallTerms:
    """Returns what a tool call says, from the cache if it was read before."""
    found = _known.get(text)
    if found is None:
        found = ToolCallTerms(Counter(terms(text)), frozenset(_ARGUMENT.findall(text)))
        _known.put(text, found)
    return found

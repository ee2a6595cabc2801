"""Remembers what a function returned for short texts, such as the sentences of descriptions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MAX_TEXTS = 4096  # of one function
MAX_CHARS = 2000  # of a text; longer ones are computed anew, so that the memory is bounded


def remember_texts(function: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """Remembers the last results of a function whose first argument is a text and whose others can be hashed."""
    cached: Callable[..., T] = lru_cache(maxsize=MAX_TEXTS)(function)

    def remembering(text: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cached(text, *args, **kwargs) if len(text) <= MAX_CHARS else function(text, *args, **kwargs)

    return update_wrapper(remembering, function)

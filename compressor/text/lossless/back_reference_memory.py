"""Keeps the lines of the tool results that a conversation holds already, so that a new result costs only itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from compressor.caches import LruCache
from compressor.text.lossless.back_references import BackReferenceCodec

#: Bytes of all remembered codecs.
MAX_BYTES = 16 << 20

_CODECS: LruCache[str, BackReferenceCodec] = LruCache(MAX_BYTES, size_of=lambda codec: codec.size)


@contextmanager
def codec_of(texts: Sequence[str]) -> Iterator[BackReferenceCodec]:
    """Lends a codec that holds these tool results, numbered from 1. What is added to it is removed again.

    Args:
        texts: The texts of the results in front, in order.
    """
    if not texts:
        yield BackReferenceCodec()
        return
    codec = _CODECS.pop(texts[0]) or BackReferenceCodec()  # nobody else has it now
    codec.truncate(_common(codec.texts, texts))
    for label in range(len(codec.texts), len(texts)):
        codec.add(label + 1, texts[label])
    yield codec
    codec.truncate(len(texts))
    _CODECS.put(texts[0], codec)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns how many texts at the start are equal."""
    shorter = min(len(one), len(other))
    if list(one[:shorter]) == list(other[:shorter]):
        return shorter
    return next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)

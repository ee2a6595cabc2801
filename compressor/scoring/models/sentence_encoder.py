"""Turns texts into vectors of length 1. A process has one encoder a model and device, which computes each text once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from compressor.caches import TwoGenerationCache
from compressor.errors import ModelError
from compressor.scoring.models.encoder_backend import EncoderBackend, Floats, Window
from compressor.scoring.models.encoder_source import EncoderSource
from compressor.scoring.runtime.batch_scheduler import BatchScheduler
from compressor.scoring.runtime.device import Device
from compressor.scoring.vector_cache import Vector, VectorCache

#: Bytes of texts and vectors that a process keeps in memory: some 50,000 sentences.
CACHE_BYTES = 64 << 20
#: Batches' worth of texts in one round. The vectors of finished rounds are kept when the time runs out.
ROUND_BATCHES = 16


class SentenceEncoder:
    """Computes vectors of texts, with a cache and the batches of the device's worker. Threads may share it.

    Use `get_encoder` to get the process's shared instance.

    Args:
        backend: The loaded model.
        device: The device that it runs on.

    Attributes:
        name: The model's name.
        device: The device that the model runs on.
        fingerprint: Names everything that a vector depends on, except its text.
        dimensions: The length of a vector.
    """

    def __init__(self, backend: EncoderBackend, device: Device) -> None:
        self.name, self.device = backend.name, device
        self.fingerprint, self.dimensions = backend.fingerprint, backend.dimensions
        self._backend = backend
        self._cache: TwoGenerationCache[Vector] = TwoGenerationCache(CACHE_BYTES)
        self._scheduler: BatchScheduler[Window, Floats] = BatchScheduler(
            self._run, lambda window: window.tokens, device.name, backend.limits, self.name
        )

    def vectors(self, texts: Sequence[str], cache: VectorCache | None = None, is_query: bool = False) -> Floats:
        """Returns the vectors of texts. A text longer than the model's window gets the mean of its windows.

        A vector is rounded to float16 before its first use, so that it is the same when it comes from a cache.

        Args:
            texts: The texts.
            cache: Where vectors are kept between processes.
            is_query: Whether these are queries, for models that treat queries differently.

        Returns:
            [n, dimensions] float32, of length 1; 0 for a text without tokens.

        Raises:
            ModelError: The model failed.
            QueueFullError: The time ran out. What was computed by then is kept.
        """
        wanted = list(texts)
        if is_query and self._backend.separates_queries:
            wanted = [f"query\x1e{text}" for text in texts]
        plain = dict(zip(wanted, texts, strict=True))
        found: dict[str, Vector] = {}
        for key in plain:
            if (vector := self._cache.get(key)) is not None:
                found[key] = vector
        missing = [key for key in plain if key not in found]
        if missing and cache is not None:
            stored = {k: v for k, v in cache.get(self.fingerprint, missing).items() if len(v) == self.dimensions}
            self._remember(stored, found)
            missing = [key for key in missing if key not in stored]
        if missing:
            new: dict[str, Vector] = {}
            try:
                for vectors in self._compute([plain[key] for key in missing], is_query):
                    new.update(zip(missing[len(new) :], vectors, strict=False))
            finally:
                self._remember(new, found)
                if cache is not None:
                    cache.put(self.fingerprint, new)
        out = np.array([found[key] for key in wanted], np.float32).reshape(-1, self.dimensions)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
        return out

    def _remember(self, new: Mapping[str, Vector], found: dict[str, Vector]) -> None:
        for key, vector in new.items():
            self._cache.put(key, vector)
        found |= new

    def _compute(self, texts: Sequence[str], is_query: bool) -> Iterator[list[Vector]]:
        """The vectors of these texts, in order, one round at a time, all under one deadline."""
        limits = self._scheduler.limits
        end = None if limits.deadline is None else time.monotonic() + limits.deadline
        size = ROUND_BATCHES * limits.batch_items
        for start in range(0, len(texts), size):
            split = self._backend.split(texts[start : start + size], is_query)
            seconds = None if end is None else max(0.0, end - time.monotonic())
            vectors = iter(self._scheduler.map([window for windows in split for window in windows], seconds))
            yield [self._mean([next(vectors) for _ in windows]) for windows in split]

    def _mean(self, vectors: Sequence[Floats]) -> Vector:
        mean = np.mean(vectors, axis=0) if vectors else np.zeros(self.dimensions)
        return (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float16)

    def _run(self, windows: Sequence[Window]) -> list[Floats]:
        """The scheduler's work: a vector of length 1 for each window."""
        found = self._backend.encode(windows)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        if not (np.isfinite(length).all() and length.all()):
            raise ModelError(f"{self.name} returned NaN, infinity or zero")
        return list(found / length)


def get_encoder(source: EncoderSource, device: Device) -> SentenceEncoder:
    """Returns the process's encoder for a model and a device; the first call loads it.

    Raises:
        ModelError: The model cannot be loaded.
    """
    key = source.digest, source.runtime, device.name
    with _lock:
        if key not in _encoders:
            _encoders[key] = SentenceEncoder(source.load(device), device)
        return _encoders[key]


_encoders: dict[tuple[str, str, str], SentenceEncoder] = {}
_lock = threading.Lock()

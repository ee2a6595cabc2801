"""Holds the scorers of the service by name, so that tenants with the same one share it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from compressor.errors import CompressorError
from compressor.scoring import make_scorer
from compressor.scoring.base import Scorer
from compressor.service.settings import Settings
from compressor.service.work_queue import WorkQueue
from compressor.service.work_rate import INITIAL_RATE, WorkRate
from compressor.storage.base import BlobStore

_FAST = "fast"  # computes in Python itself


class ScorerPool:
    """The scorers that the settings name. Their models are loaded on first use. Safe to share between threads.

    Args:
        device: The device of model scorers.
        store: Opens the store of the text vectors that model scorers keep.
    """

    def __init__(self, device: str | None, store: Callable[[], BlobStore]) -> None:
        self._device, self._store = device, store
        self._scorers: dict[str, Scorer] = {}
        self._rates: dict[str, WorkRate] = {}
        self._queue = WorkQueue()
        self._lock = threading.Lock()

    def open_all(self, settings: Settings) -> None:
        """Makes all scorers that the settings name.

        Raises:
            CompressorError: One cannot be made: it is unknown, or its model or a package that it needs is missing.
        """
        self.get(settings.scorer)
        for tenant, own in settings.tenants.items():
            if "scorer" in own:
                try:
                    self.get(own["scorer"])
                except CompressorError as error:
                    raise CompressorError(f"tenants.{tenant}.scorer: {error}") from None

    def get(self, name: str) -> Scorer:
        """Returns a scorer, and makes it if needed.

        Raises:
            CompressorError: It cannot be made.
        """
        with self._lock:
            if name not in self._scorers:
                self._scorers[name] = make_scorer(name, self._device, self._store)
            return self._scorers[name]

    def queue(self, name: str) -> WorkQueue | None:
        """Returns what limits how many calls compute at a time, or None for a scorer that needs no limit."""
        return self._queue if name == _FAST else None

    def rate(self, name: str) -> WorkRate:
        """Returns how fast a scorer works in this process."""
        with self._lock:
            is_fast = name == _FAST
            return self._rates.setdefault(name, WorkRate(is_fast, INITIAL_RATE if is_fast else None))

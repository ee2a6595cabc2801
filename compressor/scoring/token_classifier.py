"""Scores units with a token classifier that reads the query beside the text: the model of the `pruner` tier.

Each source's text is packed unit by unit, behind query and title, into windows of the model. They are computed together
with those of all other requests, and the log-odds of tokens are combined into scores of units.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.models.bundled_pruner import build_query_text
from compressor.scoring.models.pair_encoder import EncodedPair, PairTokenClassifier, Pool
from compressor.scoring.models.token_classifier_checkpoints import load_checkpoint, resolve_checkpoint
from compressor.scoring.models.windowing import split_windows, token_to_unit, token_word_weights
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device, select_device
from compressor.scoring.runtime.file_digest import file_digest

#: Characters of a source that are tokenized at once. Of a long source, only sections with wanted units are tokenized.
SECTION_CHARS = 50_000
#: Bytes of remembered outputs.
CACHE_BYTES = 32 << 20
#: Probabilities are clipped to this distance from 0 and 1, so that log-odds stay finite.
MIN_PROBABILITY = 1e-6
CPU_LIMITS = BatchLimits()
GPU_LIMITS = BatchLimits(batch_tokens=65_536, batch_items=256, batch_cost=4_096)

Classification = tuple[
    npt.NDArray[np.float32], float | None
]  # what a model says of a window, see `PairTokenClassifier.run`


class SharedClassifier:
    """A model that all requests of the process share, with a cache of its last outputs.

    Args:
        model: The model.
        device: The device that it runs on.
    """

    def __init__(self, model: PairTokenClassifier, device: Device) -> None:
        self.model = model
        self.scheduler = BatchScheduler(
            model.run, lambda e: len(e.ids), device.name, GPU_LIMITS if device.gpu else CPU_LIMITS, model.name
        )
        self._cache: TwoGenerationCache[Classification] = TwoGenerationCache(CACHE_BYTES)

    def classify(self, windows: Sequence[EncodedPair]) -> list[Classification]:
        """Returns the model's output for each window. Equal windows are computed once.

        Raises:
            QueueFullError: The model could not answer in time.
            ModelError: The model failed.
        """
        keys = [_key(window) for window in windows]
        outputs = {key: found for key in keys if (found := self._cache.get(key)) is not None}
        new = {key: window for key, window in zip(keys, windows, strict=True) if key not in outputs}
        for key, found in zip(new, self.scheduler.map(list(new.values())), strict=True):
            outputs[key] = found
            self._cache.put(key, found)
        return [outputs[key] for key in keys]


def _key(window: EncodedPair) -> str:
    whole = np.concatenate([[window.first], window.ids, window.types])
    return hashlib.blake2b(whole.tobytes(), digest_size=16).hexdigest()


_classifiers: dict[tuple[Path, str], SharedClassifier] = {}
_lock = threading.Lock()


class TokenClassifierModel:
    """`RelevanceModel` of a token classifier. The first call of `relevance` loads it, once a process and device.

    Args:
        model: None for the bundled pruner, an adapter's file, a checkpoint's folder, a hub id, or a
            `PairTokenClassifier`. See `resolve_checkpoint`.
        device: See `select_device`.

    Raises:
        DeviceError: The device does not exist.
        MissingDependencyError: A package that runs the model is not installed.
        ModelError: The model cannot be found, or is of an architecture that cannot be run.
    """

    def __init__(self, model: str | Path | PairTokenClassifier | None = None, device: str | None = None) -> None:
        self.name = "pruner"
        self.device = select_device(device)
        self._path: Path | None = None
        self._own: SharedClassifier | None = None
        if model is None or isinstance(model, (str, Path)):
            self._path = resolve_checkpoint(model).absolute()
        else:
            self._own = SharedClassifier(model, self.device)

    @property
    def identity(self) -> str:
        """What the scores depend on: the model's files and the device; "" for a model that was given as an object."""
        files = file_digest(self._path) if self._path is not None else ""
        return f"pruner:{files}:{self.device.name}" if files else ""

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        """Returns log-odds of units. A unit without tokens gets the lowest of the others."""
        if not len(which):
            return np.zeros(0, np.float32)
        shared = self._model()
        model = shared.model
        query_text = build_query_text(query)
        wanted = np.zeros(len(units), np.bool_)
        wanted[which] = True
        windows: list[_Window] = []
        for source in np.unique(units.source_indices[which]).tolist():
            windows += _windows(model, query_text, units, source, wanted)
        outputs = shared.classify([window.encoded for window in windows])
        odds, has_tokens = _pooled(model.pool, windows, [keep for keep, _ in outputs], len(units))
        odds += np.float32(model.weight) * _documents(windows, [whole for _, whole in outputs], units)
        out, rated = odds[which], has_tokens[which]
        out[~rated] = out[rated].min() if rated.any() else 0.0
        return out

    def _model(self) -> SharedClassifier:
        if self._own is not None:
            return self._own
        assert self._path is not None
        key = self._path, self.device.name
        with _lock:
            if key not in _classifiers:
                _classifiers[key] = SharedClassifier(load_checkpoint(self._path, self.device), self.device)
            return _classifiers[key]


@dataclass(frozen=True, slots=True)
class _Window:
    """A window of a source.

    Attributes:
        encoded: The window's tokens.
        source: The source.
        unit: [k] the unit of each text token, numbered over all sources; -1 for none.
        weight: [k] how much each token counts in its unit.
    """

    encoded: EncodedPair
    source: int
    unit: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32] = field(repr=False)


def _windows(
    model: PairTokenClassifier, query: str, units: UnitBatch, source: int, wanted: npt.NDArray[np.bool_]
) -> list[_Window]:
    """The windows of a source that hold a wanted unit. Where they start does not depend on the query's text."""
    layout, first, end = units.sources[source].layout, int(units.starts[source]), int(units.starts[source + 1])
    spans, mine = layout.spans.astype(np.int64), wanted[first:end]
    stretch = spans[:, 0] // SECTION_CHARS
    out = []
    for number in np.unique(stretch[mine]).tolist():
        a, b = np.searchsorted(stretch, [number, number + 1]).tolist()
        start = int(spans[a, 0])
        text = layout.text[start : int(spans[b - 1, 1])]
        encoded = model.encode(query, units.sources[source].tool_call_text, text)
        owner = token_to_unit(encoded.spans, spans[a:b] - start)
        share = token_word_weights(encoded.spans, text) if model.pool == "word" else np.ones(len(owner), np.float32)
        unit = np.where(owner >= 0, owner + first + a, -1)
        for i, j in split_windows(owner, model.window - len(encoded.ids) + len(owner)):
            if wanted[unit[i:j][owner[i:j] >= 0]].any():
                out.append(_Window(encoded.part(i, j), source, unit[i:j], share[i:j]))
    return out


def _pooled(
    pool: Pool, windows: Sequence[_Window], keep: Sequence[npt.NDArray[np.float32]], n: int
) -> tuple[Scores, npt.NDArray[np.bool_]]:
    """Combines the log-odds of tokens in all windows.

    Returns:
        [n] log-odds of units, 0 for units without tokens in the windows, and [n] which units have tokens there.
    """
    if not windows:
        return np.zeros(n, np.float32), np.zeros(n, np.bool_)
    unit = np.concatenate([window.unit for window in windows])
    inside = unit >= 0
    unit, value = unit[inside], np.concatenate(keep)[inside].astype(np.float64)
    share = np.concatenate([window.weight for window in windows])[inside].astype(np.float64)
    if pool != "logit":
        value = 1 / (1 + np.exp(-value))
    total = np.bincount(unit, share, minlength=n)
    mean = np.bincount(unit, share * value, minlength=n) / np.maximum(total, MIN_PROBABILITY)
    if pool != "logit":
        mean = np.clip(mean, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        mean = np.log(mean / (1 - mean))
    seen = total > 0
    return np.where(seen, mean, 0).astype(np.float32), seen


def _documents(windows: Sequence[_Window], whole: Sequence[float | None], units: UnitBatch) -> Scores:
    """[n] log-odds of each unit's document being relevant, the best of its windows; 0 if the model has no such head."""
    best = np.full(len(units.sources), -np.inf, np.float32)
    for window, odds in zip(windows, whole, strict=True):
        if odds is not None:
            best[window.source] = max(best[window.source], odds)
    out: Scores = np.where(np.isfinite(best), best, 0).astype(np.float32)[units.source_indices]
    return out

"""The reader of the `pruner` tier: a token classifier that sees the query beside the text.

Packs each source's text, unit by unit, behind query and title into windows of the model, has them computed together
with those of all other requests, and makes units' scores of tokens' log-odds. Loads no weights itself (`checkpoints`),
adds neither structure nor identity.
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
from compressor.scoring.runtime import onnx_int8
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device, select_device
from compressor.scoring.runtime.file_digest import file_digest

STRETCH = 50_000  # characters of a source that are tokenised at once: of a long one only what is near wanted units
SURE = 1e-6  # probabilities end here, so that log-odds stay finite
CPU = BatchLimits()
GPU = BatchLimits(batch_tokens=32_768, batch_items=128)

Said = tuple[npt.NDArray[np.float32], float | None]  # what a model says of a window, see `PairTokenClassifier.run`


class SharedClassifier:
    """A model of this process, the lane through which all requests reach it, and what it said of the last windows."""

    def __init__(self, model: PairTokenClassifier, device: Device) -> None:
        self.model = model
        self.lane = BatchScheduler(model.run, lambda e: len(e.ids), device.name, GPU if device.gpu else CPU, model.name)
        self._said: TwoGenerationCache[Said] = TwoGenerationCache()

    def say(self, windows: Sequence[EncodedPair]) -> list[Said]:
        """What the model says of each. Equal windows are computed once. Raises Overloaded, ModelError."""
        keys = [_key(window) for window in windows]
        said = {key: found for key in keys if (found := self._said.get(key)) is not None}
        new = {key: window for key, window in zip(keys, windows, strict=True) if key not in said}
        for key, found in zip(new, self.lane.map(list(new.values())), strict=True):
            said[key] = found
            self._said.put(key, found, found[0].nbytes)
        return [said[key] for key in keys]


def _key(window: EncodedPair) -> str:
    whole = np.concatenate([[window.first], window.ids, window.types])
    return hashlib.blake2b(whole.tobytes(), digest_size=16).hexdigest()


_shared: dict[tuple[Path, str], SharedClassifier] = {}
_lock = threading.Lock()


class TokenClassifierModel:
    """`RelevanceModel` of a token classifier.

    model: None for the shipped one, an adapter's file, a checkpoint's folder or a hub id (`checkpoints.locate`), or any
    `PairTokenClassifier`. device: see `device.choose`. Making one raises DeviceError, MissingDependencyError and ModelError for what can
    be told without reading weights; those are read by the first `read`, once a process and device.
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
        """The model's files, the device, and what runs it there; "" for a model that came as an object."""
        files = file_digest(self._path) if self._path is not None else ""
        runs = onnx_int8.CONVERSION_VERSION if not self.device.gpu and onnx_int8.available() else "torch"
        return f"pruner:{files}:{self.device.name}:{runs}" if files else ""

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        """See `RelevanceModel.relevance`. A unit without a token gets the lowest score there is."""
        if not len(which):
            return np.zeros(0, np.float32)
        shared = self._model()
        model = shared.model
        asked = build_query_text(query)
        wanted = np.zeros(len(units), np.bool_)
        wanted[which] = True
        windows: list[_Window] = []
        for source in np.unique(units.source_indices[which]).tolist():
            windows += _windows(model, asked, units, source, wanted)
        said = shared.say([window.encoded for window in windows])
        odds, seen = _pooled(model.pool, windows, [keep for keep, _ in said], len(units))
        odds += np.float32(model.weight) * _documents(windows, [whole for _, whole in said], units)
        out, told = odds[which], seen[which]
        out[~told] = out[told].min() if told.any() else 0.0
        return out

    def _model(self) -> SharedClassifier:
        if self._own is not None:
            return self._own
        assert self._path is not None
        key = self._path, self.device.name
        with _lock:
            if key not in _shared:
                _shared[key] = SharedClassifier(load_checkpoint(self._path, self.device), self.device)
            return _shared[key]


@dataclass(frozen=True, slots=True)
class _Window:
    """unit: [k] the unit of each of the window's text tokens, numbered over all sources, -1 for none; share: [k] what a
    token counts in its unit."""

    encoded: EncodedPair
    source: int
    unit: npt.NDArray[np.int64]
    share: npt.NDArray[np.float32] = field(repr=False)


def _windows(
    model: PairTokenClassifier, asked: str, units: UnitBatch, source: int, wanted: npt.NDArray[np.bool_]
) -> list[_Window]:
    """The windows of a source that hold a wanted unit. Where they begin depends on the source alone."""
    layout, first, end = units.sources[source].layout, int(units.starts[source]), int(units.starts[source + 1])
    spans, mine = layout.spans.astype(np.int64), wanted[first:end]
    stretch = spans[:, 0] // STRETCH
    out = []
    for number in np.unique(stretch[mine]).tolist():
        a, b = np.searchsorted(stretch, [number, number + 1]).tolist()
        start = int(spans[a, 0])
        text = layout.text[start : int(spans[b - 1, 1])]
        encoded = model.encode(asked, units.sources[source].tool_call_text, text)
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
    """[n] log-odds of units, from those of their tokens in all windows, and [n] which units have tokens there; the
    others' are 0."""
    if not windows:
        return np.zeros(n, np.float32), np.zeros(n, np.bool_)
    unit = np.concatenate([window.unit for window in windows])
    inside = unit >= 0
    unit, value = unit[inside], np.concatenate(keep)[inside].astype(np.float64)
    share = np.concatenate([window.share for window in windows])[inside].astype(np.float64)
    if pool != "logit":
        value = 1 / (1 + np.exp(-value))
    total = np.bincount(unit, share, minlength=n)
    mean = np.bincount(unit, share * value, minlength=n) / np.maximum(total, SURE)
    if pool != "logit":
        mean = np.clip(mean, SURE, 1 - SURE)
        mean = np.log(mean / (1 - mean))
    seen = total > 0
    return np.where(seen, mean, 0).astype(np.float32), seen


def _documents(windows: Sequence[_Window], whole: Sequence[float | None], units: UnitBatch) -> Scores:
    """[n] log-odds of each unit's document being relevant, by the best of its windows; 0 where the model is silent."""
    best = np.full(len(units.sources), -np.inf, np.float32)
    for window, odds in zip(windows, whole, strict=True):
        if odds is not None:
            best[window.source] = max(best[window.source], odds)
    out: Scores = np.where(np.isfinite(best), best, 0).astype(np.float32)[units.source_indices]
    return out

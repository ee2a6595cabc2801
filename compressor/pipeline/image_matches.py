"""Rates the images of a context against the query, by the words about them and, with a model, by their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from compressor.context.model import Path
from compressor.errors import DeviceError, ModelError, QueueFullError
from compressor.images.frames import Frame
from compressor.pipeline.image_forms import ImageForms
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.heuristic import HeuristicScorer
from compressor.scoring.image_relevance import ImageRelevance
from compressor.text.layout_cache import single_unit_layout

MAX_WORDS_CHARS = 600


class ImageMatches:
    """How well the images of one context match the query.

    Attributes:
        is_fallback: Whether the model failed, so that only words count.
    """

    def __init__(
        self, frames: Sequence[Frame], forms: ImageForms, query: Query, relevance: ImageRelevance | None
    ) -> None:
        """Takes the images, their forms, what the reader is looking for, and the model, or None."""
        self._frames, self._forms, self._query, self._relevance = frames, forms, query, relevance
        self.is_fallback = False

    def of(self, frame: Frame) -> float:
        """Returns how well an image matches, in [0, 1], by its pixels or the words about it."""
        return max(self.by_pixels.get(frame.key, 0.0), self._by_words.get(frame.key, 0.0))

    @cached_property
    def by_pixels(self) -> dict[tuple[int, Path], float]:
        """How well images match by their pixels, in [0, 1]; empty if no model looks at them."""
        if self._relevance is None or len(self._frames) < 2 or not self._forms.can_decode():
            return {}
        images = [self._forms.image(frame) for frame in self._frames]
        try:
            found = self._relevance.match(self._query, images, [words_about(frame) for frame in self._frames])
        except (DeviceError, ModelError, QueueFullError) as error:
            self.is_fallback = True
            self._forms.warnings.append(f"images were compared with the query by their words alone: {error}")
            return {}
        if found is None:
            return {}
        return {frame.key: float(match) for frame, match in zip(self._frames, found, strict=True)}

    @cached_property
    def _by_words(self) -> dict[tuple[int, Path], float]:
        """How well images match by the words about them, the best 1."""
        cost = np.ones(1, np.float32)
        layouts = [single_unit_layout(words_about(frame)) for frame in self._frames]
        units = UnitBatch([SourceBlock("image", layout, cost) for layout in layouts])
        found, _ = HeuristicScorer().match(self._query, units)
        best = max(float(found.max(initial=0.0)), 1e-6)
        return {frame.key: float(match) / best for frame, match in zip(self._frames, found, strict=True)}


def words_about(frame: Frame) -> str:
    """Returns what is known of an image in words."""
    return " ".join((frame.title, frame.url, *frame.texts))[:MAX_WORDS_CHARS].strip()

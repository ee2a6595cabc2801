"""Caches the segmentation of recent texts, so that a context that grew by one message is not segmented again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compressor.caches import TwoGenerationCache
from compressor.context.model import Kind
from compressor.text.segmenters import segment_speech, segment_text
from compressor.text.segmenters.base import Mask, SegmentedText
from compressor.text.segmenters.few_shot import segment_examples
from compressor.text.segmenters.span_layout import SpanLayout

MAX_CACHE_BYTES = 16 << 20  # of texts and their units
_layouts: TwoGenerationCache[SegmentedText] = TwoGenerationCache(MAX_CACHE_BYTES)


def cached_layout(text: str, kind: Kind, tool_call_text: str) -> SegmentedText:
    """Returns the units of a block's text, from the cache if possible.

    An image is one unit: it stays or goes as a whole.

    Args:
        text: The text of the block.
        kind: The kind of the block; speech is segmented at sentences, other text by its content type.
        tool_call_text: The tool call that produced the text. It is a hint for the content type.
    """
    if kind == "image":
        return single_unit_layout(text)
    if kind == "example":
        return segment_examples(text)
    is_speech = kind in ("assistant", "user", "thinking")
    key = (text, tool_call_text, is_speech)
    layout = _layouts.get(key)
    if layout is None:
        layout = segment_speech(text) if is_speech else segment_text(text, tool_call_text)
        _layouts.put(key, layout)
    return layout


def single_unit_layout(text: str) -> SegmentedText:
    """Returns a layout of one unit, for a text that stays or goes as a whole."""
    return SpanLayout(
        "whole",
        text,
        np.array([[0, len(text)]], np.int32),
        np.array([-1], np.int32),
        np.array([0], np.uint16),
    )


def with_separate_units(layout: SpanLayout, spans: Sequence[tuple[int, int]]) -> tuple[SpanLayout, Mask]:
    """Divides units so that each span is a unit of its own.

    Args:
        layout: The units.
        spans: Start and end of each span, in order, without overlaps.

    Returns:
        The new layout, and which of its units are the spans, shape [units].
    """
    cuts = np.array(spans, np.int32).reshape(-1, 2)
    first = np.unique(np.concatenate([layout.spans[:, 0], cuts.ravel()]))
    first = first[first < len(layout.text)].astype(np.int32)
    origin = np.searchsorted(layout.spans[:, 0], first, side="right") - 1
    place = np.searchsorted(first, layout.spans[:, 0]).astype(np.int32)
    is_span = np.isin(first, cuts[:, 0])
    parents = layout.parents[origin]
    parents = np.where(parents >= 0, place[parents], np.int32(-1)).astype(np.int32)
    flags = np.where(is_span, 0, layout.flags[origin]).astype(np.uint16)
    closes = None
    if layout.closes is not None:
        closes = np.where(layout.closes[origin] >= 0, place[layout.closes[origin]], np.int32(-1)).astype(np.int32)
    ends = np.append(first[1:], np.int32(len(layout.text))).astype(np.int32)
    return SpanLayout(layout.kind, layout.text, np.stack((first, ends), axis=1), parents, flags, closes), is_span

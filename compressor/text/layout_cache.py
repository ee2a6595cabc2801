"""Caches the segmentation of recent texts, so that a context that grew by one message is not segmented again."""

from __future__ import annotations

import re

import numpy as np

from compressor.caches import LruCache
from compressor.context.model import Kind
from compressor.context.refs import PLACEHOLDER_RE
from compressor.text.segmenters import segment_speech, segment_text
from compressor.text.segmenters.base import SegmentedText
from compressor.text.segmenters.few_shot import segment_examples
from compressor.text.segmenters.span_layout import SpanLayout

_JSON_START = re.compile(r"\s*[{\[]")
_JSON_PLACEHOLDER = re.compile(
    r'"(?:only spacing )?cut ref \d{12}(?!\d)[^"\\]{0,80}"\s*[}\]]\s*\Z'
)  # the last member or item
MAX_CACHED_CHARS = 4_000_000  # characters of all source texts in the cache
_layouts: LruCache[tuple[str, str, bool], SegmentedText] = LruCache(MAX_CACHED_CHARS, lambda layout: len(layout.text))


def cached_layout(text: str, kind: Kind, tool_call_text: str) -> SegmentedText:
    """Returns the units of a block's text, from the cache if possible.

    A text that carries a placeholder, and an image, is one unit: it stays or goes as a whole.

    Args:
        text: The text of the block.
        kind: The kind of the block; speech is segmented at sentences, other text by its content type.
        tool_call_text: The tool call that produced the text. It is a hint for the content type.
    """
    if kind == "image" or _carries_placeholder(text):
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


def _carries_placeholder(text: str) -> bool:
    """Whether a text is a result of ours. In JSON, a placeholder that is not where ours stands is somebody's data."""
    if not PLACEHOLDER_RE.search(text):
        return False
    return not _JSON_START.match(text) or text.rstrip()[-1] not in "}]" or bool(_JSON_PLACEHOLDER.search(text[-200:]))


def single_unit_layout(text: str) -> SegmentedText:
    """Returns a layout of one unit, for a text that stays or goes as a whole."""
    return SpanLayout(
        "whole",
        text,
        np.array([[0, len(text)]], np.int32),
        np.array([-1], np.int32),
        np.array([0], np.uint16),
    )

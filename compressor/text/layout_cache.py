"""The layouts of recent texts, so that a context seen again, one message longer, is not segmented again.

A bounded in-process memo. Knows which blocks get which layout; segments nothing itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from compressor.context.model import Kind
from compressor.context.refs import PLACEHOLDER_RE
from compressor.text.segmenters import segment_speech, segment_text
from compressor.text.segmenters.base import SegmentedText
from compressor.text.segmenters.few_shot import segment_examples
from compressor.text.segmenters.span_layout import SpanLayout

LIMIT = 4_000_000  # characters of source text remembered
_lock = threading.Lock()
_memo: OrderedDict[tuple[str, str, bool], SegmentedText] = OrderedDict()
_size = 0


def cached_layout(text: str, kind: Kind, tool_call_text: str) -> SegmentedText:
    """The layout of a block's text. A text that carries a mark of ours, and an image, is one unit: it stays or goes."""
    global _size
    if kind == "image" or PLACEHOLDER_RE.search(text):
        return single_unit_layout(text)
    if kind == "example":
        return segment_examples(text)
    said = kind in ("assistant", "user", "thinking")
    key = (text, tool_call_text, said)
    with _lock:
        layout = _memo.get(key)
        if layout is not None:
            _memo.move_to_end(key)
            return layout
    layout = segment_speech(text) if said else segment_text(text, tool_call_text)
    with _lock:
        if key not in _memo:
            _memo[key] = layout
            _size += len(text)
        while _size > LIMIT and len(_memo) > 1:
            _size -= len(_memo.popitem(last=False)[0][0])
    return layout


def single_unit_layout(text: str) -> SegmentedText:
    """A layout of one unit."""
    return SpanLayout(
        "whole",
        text,
        np.array([[0, len(text)]], np.int32),
        np.array([-1], np.int32),
        np.array([0], np.uint16),
    )

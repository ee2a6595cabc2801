"""The layouts of recent texts, so that a context seen again, one message longer, is not segmented again.

A bounded in-process memo. Knows which blocks get which layout; segments nothing itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from compressor.context.model import Kind
from compressor.context.refs import MARK_RE
from compressor.text.segmenters import segment, speech
from compressor.text.segmenters.base import Layout
from compressor.text.segmenters.few_shot import examples_layout
from compressor.text.segmenters.span_layout import SpanLayout

LIMIT = 4_000_000  # characters of source text remembered
_lock = threading.Lock()
_memo: OrderedDict[tuple[str, str, bool], Layout] = OrderedDict()
_size = 0


def layout_of(text: str, kind: Kind, asked: str) -> Layout:
    """The layout of a block's text. A text that carries a mark of ours, and an image, is one unit: it stays or goes."""
    global _size
    if kind == "image" or MARK_RE.search(text):
        return whole(text)
    if kind == "example":
        return examples_layout(text)
    said = kind in ("assistant", "user", "thinking")
    key = (text, asked, said)
    with _lock:
        layout = _memo.get(key)
        if layout is not None:
            _memo.move_to_end(key)
            return layout
    layout = speech(text) if said else segment(text, asked)
    with _lock:
        if key not in _memo:
            _memo[key] = layout
            _size += len(text)
        while _size > LIMIT and len(_memo) > 1:
            _size -= len(_memo.popitem(last=False)[0][0])
    return layout


def whole(text: str) -> Layout:
    """A layout of one unit."""
    return SpanLayout(
        "whole",
        text,
        np.array([[0, len(text)]], np.int32),
        np.array([-1], np.int32),
        np.array([0], np.uint16),
    )

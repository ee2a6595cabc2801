"""Segmenters: find what a text is and cut it into units. `base.Layout` is what they give."""

from __future__ import annotations

import importlib

from compressor.segments.base import Layout
from compressor.segments.detect import detect, detect_lines
from compressor.segments.material import find_material
from compressor.segments.spans import layout

__all__ = ["detect", "find_material", "segment", "speech"]

SHORT = 160  # characters of speech that stay or go together: a sentence or two
_HOME = {"markdown": "markup"}


def segment(text: str, hint: str = "") -> Layout:
    """The layout of a text. `hint`: a file name, or the tool call that made it. With all units kept it is the text."""
    if not text:
        return layout("prose", "", [])
    kind = detect(text, hint)
    if kind == "json":
        from compressor.segments.json_layout import json_layout

        found = json_layout(text, segment)
        if found is not None:
            return found
        kind = detect_lines(text, hint)
    if kind == "table":
        from compressor.segments.grid import grid

        if (clean := grid(text)) is not None:
            return clean
    module = importlib.import_module(f"compressor.segments.{_HOME.get(kind, kind)}")
    cut: Layout = getattr(module, kind)(text, hint)
    return cut


def speech(text: str) -> Layout:
    """The layout of what a user or an agent says: sentences, or markdown. It is no data, so nothing else is tried."""
    if len(text) < SHORT:
        return layout("prose", text, [0] if text else [])
    if "```" in text or "\n#" in text or text.startswith("#") or "\n|" in text:
        from compressor.segments.markup import markdown

        return markdown(text)
    from compressor.segments.prose import prose

    return prose(text)

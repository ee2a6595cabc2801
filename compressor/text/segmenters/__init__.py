"""Segmenters: find what a text is and cut it into units. `base.Layout` is what they give."""

from __future__ import annotations

import importlib

from compressor.text.segmenters.base import Layout
from compressor.text.segmenters.content_type import detect, detect_lines
from compressor.text.segmenters.pasted_content import find_material
from compressor.text.segmenters.span_layout import layout

__all__ = ["detect", "find_material", "segment", "speech"]

SHORT = 160  # characters of speech that stay or go together: a sentence or two
_HOME = {"markdown": "markup"}


def segment(text: str, hint: str = "") -> Layout:
    """The layout of a text. `hint`: a file name, or the tool call that made it. With all units kept it is the text."""
    if not text:
        return layout("prose", "", [])
    kind = detect(text, hint)
    if kind == "json":
        from compressor.text.segmenters.json import json_layout

        found = json_layout(text, segment)
        if found is not None:
            return found
        kind = detect_lines(text, hint)
    if kind == "table":
        from compressor.text.segmenters.delimited_table import grid

        if (clean := grid(text)) is not None:
            return clean
    module = importlib.import_module(f"compressor.text.segmenters.{_HOME.get(kind, kind)}")
    cut: Layout = getattr(module, kind)(text, hint)
    return cut


def speech(text: str) -> Layout:
    """The layout of what a user or an agent says: sentences, or markdown. It is no data, so nothing else is tried."""
    if len(text) < SHORT:
        return layout("prose", text, [0] if text else [])
    if "```" in text or "\n#" in text or text.startswith("#") or "\n|" in text:
        from compressor.text.segmenters.markdown import markdown

        return markdown(text)
    from compressor.text.segmenters.sentences import prose

    return prose(text)

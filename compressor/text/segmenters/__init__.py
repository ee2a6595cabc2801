"""Segmenters: find what a text is and cut it into units. `base.Layout` is what they give."""

from __future__ import annotations

import importlib

from compressor.text.segmenters.base import SegmentedText
from compressor.text.segmenters.content_type import detect_content_type, detect_line_content_type
from compressor.text.segmenters.pasted_content import find_pasted_content
from compressor.text.segmenters.span_layout import build_layout

__all__ = ["detect_content_type", "find_pasted_content", "segment_speech", "segment_text"]

SHORT = 160  # characters of speech that stay or go together: a sentence or two
#: The module and the function for each content type: loaded on first use.
_SEGMENTERS = {
    "code": ("code", "segment_code"),
    "diff": ("diff", "segment_diff"),
    "html": ("html", "segment_html"),
    "log": ("log", "segment_log"),
    "markdown": ("markdown", "segment_markdown"),
    "prose": ("sentences", "segment_prose"),
    "search": ("search_results", "segment_search_results"),
    "table": ("table", "segment_table"),
    "trace": ("traceback", "segment_traceback"),
}


def segment_text(text: str, hint: str = "") -> SegmentedText:
    """The layout of a text. `hint`: a file name, or the tool call that made it. With all units kept it is the text."""
    if not text:
        return build_layout("prose", "", [])
    kind = detect_content_type(text, hint)
    if kind == "json":
        from compressor.text.segmenters.json import json_layout

        layout = json_layout(text, segment_text)
        if layout is not None:
            return layout
        kind = detect_line_content_type(text, hint)
    if kind == "table":
        from compressor.text.segmenters.delimited_table import segment_delimited_table

        if (clean := segment_delimited_table(text)) is not None:
            return clean
    module, function = _SEGMENTERS[kind]
    found = importlib.import_module(f"compressor.text.segmenters.{module}")
    cut: SegmentedText = getattr(found, function)(text, hint)
    return cut


def segment_speech(text: str) -> SegmentedText:
    """The layout of what a user or an agent says: sentences, or markdown. It is no data, so nothing else is tried."""
    if len(text) < SHORT:
        return build_layout("prose", text, [0] if text else [])
    if "```" in text or "\n#" in text or text.startswith("#") or "\n|" in text:
        from compressor.text.segmenters.markdown import segment_markdown

        return segment_markdown(text)
    from compressor.text.segmenters.sentences import segment_prose

    return segment_prose(text)

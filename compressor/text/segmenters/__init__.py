"""Segmenters find the content type of a text and divide it into units; each returns a `SegmentedText`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

from compressor.text.segmenters.base import SegmentedText
from compressor.text.segmenters.content_type import detect_content_type, detect_line_content_type
from compressor.text.segmenters.languages import CONFIGURATION, hint_language
from compressor.text.segmenters.log import LOG_HEAD
from compressor.text.segmenters.pasted_content import find_pasted_content
from compressor.text.segmenters.record_lines import is_rule
from compressor.text.segmenters.span_layout import build_layout

__all__ = ["detect_content_type", "find_pasted_content", "segment_speech", "segment_text"]

MAX_SINGLE_UNIT_CHARS = 160  # speech up to this length, a sentence or two, is one unit
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
    "transcript": ("transcript", "segment_transcript"),
}


#: Content types whose texts may be records of fields, which hold together better than lines do.
_MAY_BE_RECORDS = frozenset(("code", "html", "markdown", "prose", "log", "table"))
_MAY_BE_DIALOGUE = frozenset(("markdown", "prose", "log"))
SAMPLE_CHARS = 20_000


def segment_text(text: str, hint: str = "") -> SegmentedText:
    """Divides a text into units by its content type.

    Args:
        text: Any text.
        hint: A file name, or the tool call that produced the text.

    Returns:
        The units. Rendering all of them gives the text.
    """
    if not text:
        return build_layout("prose", "", [])
    kind = detect_content_type(text, hint)
    if kind == "json":
        from compressor.text.segmenters.json import json_layout

        layout = json_layout(text, segment_text)
        if layout is not None:
            return layout
    if "{" in text or "[" in text:
        from compressor.text.segmenters.embedded_json import find_embedded_json

        if json_parts := find_embedded_json(text):
            from compressor.text.segmenters.composite_layout import composite_layout

            return composite_layout(text, json_parts, segment_text)
    if kind == "json":
        kind = detect_line_content_type(text, hint)
    if kind == "table":
        from compressor.text.segmenters.delimited_table import segment_delimited_table

        if (clean := segment_delimited_table(text)) is not None:
            return clean
    if kind in _MAY_BE_DIALOGUE:
        from compressor.text.segmenters.dialogue import segment_dialogue

        if (dialogue := segment_dialogue(text)) is not None:
            return dialogue
    if kind in _MAY_BE_RECORDS and _records_are_possible(kind, text, hint):
        from compressor.text.segmenters.records import segment_records

        if (records := segment_records(text, headings=kind == "markdown")) is not None:
            return records
    return _segmenter(kind)(text, hint)


@cache
def _segmenter(kind: str) -> Callable[[str, str], SegmentedText]:
    """Returns the function that divides texts of a content type; imports it on first use."""
    module, function = _SEGMENTERS[kind]
    found: Callable[[str, str], SegmentedText] = getattr(
        importlib.import_module(f"compressor.text.segmenters.{module}"), function
    )
    return found


def _records_are_possible(kind: str, text: str, hint: str) -> bool:
    """Returns whether a text of this content type may be records: not a log with time stamps, nor a program."""
    if kind == "log":
        return LOG_HEAD.match(text) is None
    if kind == "table":
        return sum(map(is_rule, text[:SAMPLE_CHARS].split("\n"))) > 1
    return kind != "code" or hint_language(hint) in (None, *CONFIGURATION)


def segment_speech(text: str) -> SegmentedText:
    """Divides what a user or an agent says into sentences or, if it looks like markdown, into blocks of markdown."""
    if len(text) < MAX_SINGLE_UNIT_CHARS:
        return build_layout("prose", text, [0] if text else [])
    is_markdown = "```" in text or "\n#" in text or text.startswith("#") or "\n|" in text
    return _segmenter("markdown" if is_markdown else "prose")(text, "")

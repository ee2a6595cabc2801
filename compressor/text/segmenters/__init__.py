"""Segmenters find the content type of a text and divide it into units; each returns a `SegmentedText`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

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
    if kind == "json" and (layout := _divide("json", "json_layout", text, segment_text)) is not None:
        return layout
    if ("{" in text or "[" in text) and (parts := _load("embedded_json", "find_embedded_json")(text)):
        composite: SegmentedText = _load("composite_layout", "composite_layout")(text, parts, segment_text)
        return composite
    if kind == "json":
        kind = detect_line_content_type(text, hint)
    found = None
    if kind == "table":
        found = _divide("delimited_table", "segment_delimited_table", text)
    if found is None and kind in _MAY_BE_DIALOGUE:
        found = _divide("dialogue", "segment_dialogue", text)
    if found is None and kind in _MAY_BE_RECORDS and _records_are_possible(kind, text, hint):
        found = _divide("records", "segment_records", text, kind == "markdown")
    if found is None:
        cut: SegmentedText = _load(*_SEGMENTERS[kind])(text, hint)
        return cut
    return found


def _divide(module: str, function: str, *arguments: Any) -> SegmentedText | None:
    """Returns what a segmenter returns that may find that a text is not of its type."""
    layout: SegmentedText | None = _load(module, function)(*arguments)
    return layout


@cache
def _load(module: str, function: str) -> Callable[..., Any]:
    """Returns a function of a segmenter; its module is imported on first use."""
    found: Callable[..., Any] = getattr(importlib.import_module(f"compressor.text.segmenters.{module}"), function)
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
    is_markdown = (  # a search for one character is several times as fast as one for two
        ("`" in text and "```" in text)
        or ("#" in text and ("\n#" in text or text[0] == "#"))
        or ("|" in text and "\n|" in text)
    )
    cut: SegmentedText = _load(*_SEGMENTERS["markdown" if is_markdown else "prose"])(text)
    return cut
